/* SPDX-License-Identifier: MIT */
/*
 * Linux's 64-bit boot protocol (Documentation/arch/x86/boot.rst, "64-bit Boot Protocol"): boot_params in the "zero page", and vCPU 0
 * in long mode on page tables that map the first 4 GiB to themselves. A bzImage is entered 0x200 bytes into its code, an ELF vmlinux
 * at its entry, where its startup_64 expects the same.
 */
#pragma once

#include <asm/bootparam.h>
#include <machine/boot.h>
#include <machine/elf_image.h>

/** Where the loader puts what it makes, all below BOOT_HIGH_MEMORY; kernels lie above that. */
#define LINUX64_SETUP_DATA_GPA UINT64_C(0x5000)
#define LINUX64_GDT_GPA UINT64_C(0x6000)
#define LINUX64_BOOT_PARAMS_GPA UINT64_C(0x7000)
#define LINUX64_PAGE_TABLES_GPA UINT64_C(0x8000) /* six pages */
#define LINUX64_COMMAND_LINE_GPA UINT64_C(0x10000)
#define LINUX64_COMMAND_LINE_MAX 0xffff /* bytes without the terminating 0 */

/**
 * linux64_hand_over: initrd, command line, boot_params, page tables, GDT.
 * @header: as the kernel's file has it: initrd_addr_max and cmdline_size count; what a loader fills in is filled in here
 * @kernel_end: the first gpa that the kernel leaves free while it starts
 * Errors: as boot_load().
 */
gboolean linux64_hand_over(GuestRam *ram, const BootSource *source, const struct setup_header *header, guint64 kernel_end,
                           GError **error);

/** linux64_load_elf: a 64-bit ELF kernel without the PVH note. Errors: as boot_load(). */
gboolean linux64_load_elf(GuestRam *ram, const ElfImage *elf, const BootSource *source, guint64 *entry, GError **error);

/** linux64_start_vcpu: vCPU 0's registers as the protocol asks for them. Before machine_start(). */
gboolean linux64_start_vcpu(Machine *machine, guint64 entry, GError **error);
