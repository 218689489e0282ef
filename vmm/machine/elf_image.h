/* SPDX-License-Identifier: MIT */
/* An ELF kernel for x86, 32- or 64-bit: its program headers, its notes, and how its segments get into guest RAM. */
#pragma once

#include <elf.h>
#include <machine/image.h>
#include <machine/ram.h>

#define ELF_IMAGE_MAX_HEADERS 64

/**
 * ElfImage:
 * @wide: the 64-bit form, for x86-64
 * @entry: e_entry, unchecked
 * @header: in the 64-bit form, whatever the file's is
 */
typedef struct {
    Image file;
    gboolean wide;
    guint64 entry;
    guint n_headers;
    Elf64_Phdr header[ELF_IMAGE_MAX_HEADERS];
} ElfImage;

/** elf_image_open: reads the headers; @bytes are borrowed. Errors: INVALID: no ELF file, not for x86, headers or segments
 * outside the file. */
gboolean elf_image_open(ElfImage *elf, const guint8 *bytes, gsize size, GError **error);

/**
 * elf_image_find_note: the first @size bytes of the description of the note @type of @owner. FALSE: there is none whose
 * description has @size bytes or 8.
 */
gboolean elf_image_find_note(const ElfImage *elf, const char *owner, guint32 type, gpointer description, gsize size);

/** elf_image_loads: whether the byte at @gpa comes from the file. */
gboolean elf_image_loads(const ElfImage *elf, guint64 gpa);

/**
 * elf_image_load: puts the PT_LOAD segments at their physical addresses, zeros behind them.
 * @lowest: below this the loader keeps its own
 * @end: the first gpa behind all segments
 * Errors: INVALID (a segment outside the file or below @lowest), RESOURCE (a segment outside this guest's RAM).
 */
gboolean elf_image_load(const ElfImage *elf, GuestRam *ram, guint64 lowest, guint64 *end, GError **error);
