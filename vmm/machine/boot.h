/* SPDX-License-Identifier: MIT */
/*
 * From a kernel's file to a vCPU at its entry. The protocol is found by content:
 *
 *   ELF with a XEN_ELFNOTE_PHYS32_ENTRY note   PVH (pvh.h): the embedded guest, and a Linux vmlinux with CONFIG_PVH, as the distributions'
 *   any other x86-64 ELF                       Linux's 64-bit boot protocol at the ELF's entry (linux64.h)
 *   "HdrS" at 0x202                            bzImage: the same protocol, at its 64-bit entry (bzimage.h)
 *
 * Files are hostile: every offset and length is checked against the file and against RAM before anything is stored.
 */
#pragma once

#include <machine/machine.h>

typedef enum {
    BOOT_PVH,
    BOOT_ELF64,
    BOOT_BZIMAGE,
} BootProtocol;

/**
 * BootSource: what is to be booted; all borrowed.
 * @initrd: NULL: none
 * @command_line: NULL is the empty one
 * @rsdp_gpa: where ACPI begins (board/acpi.h); 0: no ACPI
 */
typedef struct {
    const guint8 *kernel;
    gsize kernel_size;
    const guint8 *initrd;
    gsize initrd_size;
    const char *command_line;
    guint64 rsdp_gpa;
} BootSource;

/** BootEntry: where vCPU 0 begins, and in which state. */
typedef struct {
    BootProtocol protocol;
    guint64 gpa;
} BootEntry;

/**
 * boot_load: puts the kernel, the initrd, the command line and what else the protocol asks for into RAM, by the store path.
 * Errors: INVALID (a file that cannot be booted, or a command line too long for it), RESOURCE (the kernel or the initrd does not
 * fit this guest's RAM).
 */
gboolean boot_load(GuestRam *ram, const BootSource *source, BootEntry *entry, GError **error);

/** boot_start_vcpu: vCPU 0's registers as the protocol asks for them. Before machine_start(). */
gboolean boot_start_vcpu(Machine *machine, const BootEntry *entry, GError **error);

/**
 * boot_read_file: reads a kernel or an initrd, all of it, from a file or a pipe; g_free() the @bytes. More than @most bytes are never read.
 * @what: "kernel", for errors
 * @remedy: what would let it have more than @most bytes; NULL: nothing would
 * Errors: INVALID (cannot be read, is empty, is a device or a folder, has more than @most bytes and there is no @remedy), RESOURCE (has
 * more than @most bytes).
 */
gboolean boot_read_file(const char *what, const char *path, gsize most, const char *remedy, guint8 **bytes, gsize *size,
                        GError **error);

/* --- what the protocols share --- */

#define BOOT_PAGE_SIZE UINT64_C(4096)
#define BOOT_HIGH_MEMORY (UINT64_C(1) << 20) /* below it lies what loaders hand over, and ACPI's tables */

/** BootMemory: a piece of the guest's memory map; the types are those of e820 and of PVH. */
typedef struct {
    guint64 gpa;
    guint64 size;
    guint32 type;
} BootMemory;
#define BOOT_MEMORY_RAM 1u
#define BOOT_MEMORY_RESERVED 2u
#define BOOT_MEMORY_MAX 8

/** boot_memory_map: fills in @map, ascending; returns how many pieces. */
guint boot_memory_map(const GuestRam *ram, BootMemory map[BOOT_MEMORY_MAX]);

/**
 * boot_place_initrd: stores the source's initrd at the highest page of RAM below 4 GiB where all of it lies from @lowest on and not
 * beyond @last (a gpa). @gpa is 0 when there is none. Errors: RESOURCE.
 */
gboolean boot_place_initrd(GuestRam *ram, const BootSource *source, guint64 lowest, guint64 last, guint64 *gpa, GError **error);

/** boot_store_command_line: at @gpa, with its 0; at most @most bytes without it. Errors: INVALID, RESOURCE. */
gboolean boot_store_command_line(GuestRam *ram, const BootSource *source, guint64 gpa, gsize most, GError **error);
