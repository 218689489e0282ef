/* SPDX-License-Identifier: MIT */
/* Sums are of 64-bit values that were checked first. */
#include <machine/elf_image.h>

#define NOTES_MOST_BYTES ((guint64)1 << 20) /* more is no kernel's, and would take a while to go through */

static gboolean
read_header_32(const Image *file, guint64 offset, Elf64_Phdr *header)
{
    Elf32_Phdr narrow;

    if (!image_read(file, offset, &narrow, sizeof narrow))
        return FALSE;
    *header = (Elf64_Phdr){.p_type = narrow.p_type,
                           .p_offset = narrow.p_offset,
                           .p_paddr = narrow.p_paddr,
                           .p_filesz = narrow.p_filesz,
                           .p_memsz = narrow.p_memsz,
                           .p_align = narrow.p_align};
    return TRUE;
}

static gboolean
read_headers(ElfImage *elf, guint64 offset, guint n, gsize entry_size, GError **error)
{
    if (entry_size != (elf->wide ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr)))
        return image_refuse(error, "its program headers have an unknown size");
    if (!n || n > ELF_IMAGE_MAX_HEADERS)
        return image_refuse(error, "it has no program headers, or too many");
    if (!image_piece(&elf->file, offset, n * entry_size))
        return image_refuse(error, "its program headers lie outside the file");
    for (guint i = 0; i < n; i++) {
        guint64 at = offset + i * entry_size;
        if (!(elf->wide ? image_read(&elf->file, at, &elf->header[i], sizeof elf->header[i])
                        : read_header_32(&elf->file, at, &elf->header[i])))
            return image_refuse(error, "its program headers lie outside the file");
        if ((elf->header[i].p_type == PT_LOAD || elf->header[i].p_type == PT_NOTE) &&
            !image_piece(&elf->file, elf->header[i].p_offset, elf->header[i].p_filesz))
            return image_refuse(error, "a segment lies outside the file, which is truncated or corrupt");
    }
    elf->n_headers = n;
    return TRUE;
}

gboolean
elf_image_open(ElfImage *elf, const guint8 *bytes, gsize size, GError **error)
{
    Elf64_Ehdr wide;
    Elf32_Ehdr narrow;

    *elf = (ElfImage){.file = {.bytes = bytes, .size = size}};
    if (!image_read(&elf->file, 0, &narrow, sizeof narrow) || memcmp(narrow.e_ident, ELFMAG, SELFMAG) != 0)
        return image_refuse(error, "it is not an ELF file");
    if (narrow.e_ident[EI_DATA] != ELFDATA2LSB || (narrow.e_machine != EM_X86_64 && narrow.e_machine != EM_386)) {
        g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_INVALID,
                    "the kernel cannot be booted: it is for another architecture (ELF machine %u), not for x86",
                    narrow.e_machine);
        return FALSE;
    }
    if (narrow.e_ident[EI_CLASS] == ELFCLASS32) {
        elf->entry = narrow.e_entry;
        return read_headers(elf, narrow.e_phoff, narrow.e_phnum, narrow.e_phentsize, error);
    }
    if (narrow.e_ident[EI_CLASS] != ELFCLASS64 || !image_read(&elf->file, 0, &wide, sizeof wide))
        return image_refuse(error, "its ELF header is neither the 32-bit nor the 64-bit one");
    elf->wide = narrow.e_machine == EM_X86_64;
    if (!elf->wide)
        return image_refuse(error, "its ELF header is the 64-bit one, its machine is not");
    elf->entry = wide.e_entry;
    return read_headers(elf, wide.e_phoff, wide.e_phnum, wide.e_phentsize, error);
}

/* --- notes --- */

static guint64
align_up(guint64 value, guint64 alignment)
{
    return (value + alignment - 1) & ~(alignment - 1);
}

/* Notes are padded to 4 bytes, or to 8 in a segment that says so. */
static gboolean
find_in_segment(const Image *file, const Elf64_Phdr *segment, const char *owner, guint32 type, gpointer description, gsize size)
{
    const guint64 alignment = segment->p_align == 8 ? 8 : 4;
    const gsize owner_size = strlen(owner) + 1;
    const guint64 size_here = MIN(segment->p_filesz, NOTES_MOST_BYTES);
    Elf64_Nhdr note;

    for (guint64 at = 0; at + sizeof note <= size_here;) {
        if (!image_read(file, segment->p_offset + at, &note, sizeof note))
            return FALSE;
        guint64 name = at + sizeof note;
        guint64 from = align_up(name + note.n_namesz, alignment);
        guint64 next = align_up(from + note.n_descsz, alignment);
        if (from + note.n_descsz > size_here)
            return FALSE;
        if (note.n_type == type && note.n_namesz == owner_size && (note.n_descsz == size || note.n_descsz == 8) &&
            image_has(file, segment->p_offset + name, owner, owner_size))
            return image_read(file, segment->p_offset + from, description, size);
        at = next;
    }
    return FALSE;
}

gboolean
elf_image_find_note(const ElfImage *elf, const char *owner, guint32 type, gpointer description, gsize size)
{
    for (guint i = 0; i < elf->n_headers; i++) {
        if (elf->header[i].p_type == PT_NOTE && find_in_segment(&elf->file, &elf->header[i], owner, type, description, size))
            return TRUE;
    }
    return FALSE;
}

/* --- segments --- */

gboolean
elf_image_loads(const ElfImage *elf, guint64 gpa)
{
    for (guint i = 0; i < elf->n_headers; i++) {
        const Elf64_Phdr *segment = &elf->header[i];
        if (segment->p_type == PT_LOAD && gpa >= segment->p_paddr && gpa - segment->p_paddr < segment->p_filesz)
            return TRUE;
    }
    return FALSE;
}

static gboolean
store_zeros(GuestRam *ram, guint64 gpa, guint64 size)
{
    static const guint8 zeros[4096];

    while (size) {
        guint64 piece = MIN(size, sizeof zeros);
        if (!guest_ram_store(ram, gpa, zeros, piece))
            return FALSE;
        gpa += piece;
        size -= piece;
    }
    return TRUE;
}

static gboolean
load_segment(const Image *file, GuestRam *ram, const Elf64_Phdr *segment, guint64 lowest, GError **error)
{
    const guint8 *bytes = image_piece(file, segment->p_offset, segment->p_filesz);

    if (segment->p_filesz > segment->p_memsz)
        return image_refuse(error, "a segment is larger in the file than in memory");
    if (!segment->p_memsz)
        return TRUE;
    if (segment->p_paddr < lowest)
        return image_refuse(error, "a segment lies so low that it would overwrite what the loader hands over");
    /* the whole segment first: a hostile size must not write half of RAM before it is refused */
    if (!dl_layout_hva_of_gpa(guest_ram_layout(ram), segment->p_paddr, segment->p_memsz)) {
        g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_RESOURCE,
                    "the kernel needs RAM from 0x%" G_GINT64_MODIFIER "x on, 0x%" G_GINT64_MODIFIER
                    "x bytes of it: give the guest more memory",
                    (guint64)segment->p_paddr, (guint64)segment->p_memsz);
        return FALSE;
    }
    return (!segment->p_filesz || guest_ram_store(ram, segment->p_paddr, bytes, segment->p_filesz)) &&
           store_zeros(ram, segment->p_paddr + segment->p_filesz, segment->p_memsz - segment->p_filesz);
}

gboolean
elf_image_load(const ElfImage *elf, GuestRam *ram, guint64 lowest, guint64 *end, GError **error)
{
    guint64 left = guest_ram_size(ram);

    *end = lowest;
    for (guint i = 0; i < elf->n_headers; i++) {
        const Elf64_Phdr *segment = &elf->header[i];
        if (segment->p_type != PT_LOAD)
            continue;
        if (!load_segment(&elf->file, ram, segment, lowest, error))
            return FALSE;
        if (segment->p_memsz > left) /* zeroed again and again, they would take for ever */
            return image_refuse(error, "its segments overlap");
        left -= segment->p_memsz;
        if (segment->p_memsz)
            *end = MAX(*end, segment->p_paddr + segment->p_memsz);
    }
    return TRUE;
}
