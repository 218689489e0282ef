/* SPDX-License-Identifier: MIT */
/*
 * The PVH boot protocol (Xen: docs/misc/pvh.pandoc and xen/include/public/arch-x86/hvm/start_info.h): loads a 64- or 32-bit x86
 * ELF kernel whose PT_NOTE holds XEN_ELFNOTE_PHYS32_ENTRY, builds start_info, and puts vCPU 0 at the entry in 32-bit protected
 * mode without paging.
 */
#pragma once

#include <machine/boot.h>
#include <machine/elf_image.h>

/** Where the loader puts what it makes; below the kernel, which must not overlap it. */
#define PVH_START_INFO_GPA UINT64_C(0x1000)
#define PVH_MODULES_GPA UINT64_C(0x1800)
#define PVH_MEMMAP_GPA UINT64_C(0x2000)
#define PVH_COMMAND_LINE_GPA UINT64_C(0x3000)
#define PVH_COMMAND_LINE_MAX 4095 /* bytes without the terminating 0 */
#define PVH_KERNEL_MIN_GPA UINT64_C(0x4000)

/** pvh_has_entry: whether it has the note. */
gboolean pvh_has_entry(const ElfImage *elf);

/**
 * pvh_load: the kernel's segments, the initrd (as module 0), the command line, the memory map and start_info. Errors: as
 * boot_load().
 */
gboolean pvh_load(GuestRam *ram, const ElfImage *elf, const BootSource *source, guint64 *entry, GError **error);

/** pvh_start_vcpu: vCPU 0's registers as the protocol asks for them. Before machine_start(). */
gboolean pvh_start_vcpu(Machine *machine, guint32 entry, GError **error);
