/* SPDX-License-Identifier: MIT */
/*
 * The image is untrusted: it is read only through image_read() and image_piece(), which check every offset against its size,
 * and it reaches guest RAM only by guest_ram_store(), which checks every address against RAM. Sums are of 64-bit values that
 * were checked first.
 */
#include <elf.h>
#include <machine/error.h>
#include <machine/pvh.h>
#include <machine/vcpu.h>
#include <string.h>

#define XEN_ELFNOTE_PHYS32_ENTRY 18
#define MAX_PROGRAM_HEADERS 64

#define START_INFO_MAGIC 0x336ec578
#define START_INFO_VERSION 1
#define MEMMAP_RAM 1
#define MEMMAP_RESERVED 2
#define EBDA_GPA UINT64_C(0x9fc00) /* a PC's RAM below 1 MiB ends here; operating systems expect no more */
#define MEGABYTE (UINT64_C(1) << 20)

#define CR0_PE_ET 0x11

typedef struct {
    guint32 magic;
    guint32 version;
    guint32 flags;
    guint32 n_modules;
    guint64 modules_gpa;
    guint64 command_line_gpa;
    guint64 rsdp_gpa;
    guint64 memmap_gpa;
    guint32 memmap_entries;
    guint32 reserved;
} StartInfo;

typedef struct {
    guint64 gpa;
    guint64 size;
    guint32 type;
    guint32 reserved;
} MemmapEntry;

/* What is needed of the image: the 32-bit form widened to the 64-bit one. */
typedef struct {
    const guint8 *bytes;
    gsize size;
    guint n_headers;
    Elf64_Phdr header[MAX_PROGRAM_HEADERS];
} Image;

G_STATIC_ASSERT(sizeof(StartInfo) == 56 && sizeof(MemmapEntry) == 24);

static gboolean
set_invalid(GError **error, const char *what)
{
    g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_INVALID, "not a kernel that PVH can boot: %s", what);
    return FALSE;
}

static const guint8 *
image_piece(const Image *image, guint64 offset, guint64 size)
{
    return offset <= image->size && size <= image->size - offset ? image->bytes + offset : NULL;
}

static gboolean
image_read(const Image *image, guint64 offset, gpointer to, gsize size)
{
    const guint8 *from = image_piece(image, offset, size);

    if (from)
        memcpy(to, from, size);
    return from != NULL;
}

static gboolean
read_header_32(const Image *image, guint64 offset, Elf64_Phdr *header)
{
    Elf32_Phdr narrow;

    if (!image_read(image, offset, &narrow, sizeof narrow))
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
read_headers(Image *image, gboolean wide, guint64 offset, guint n, gsize entry_size, GError **error)
{
    if (entry_size != (wide ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr)))
        return set_invalid(error, "its program headers have an unknown size");
    if (!n || n > MAX_PROGRAM_HEADERS)
        return set_invalid(error, "it has no program headers, or too many");
    if (!image_piece(image, offset, n * entry_size))
        return set_invalid(error, "its program headers lie outside the file");
    for (guint i = 0; i < n; i++) {
        guint64 at = offset + i * entry_size;
        if (!(wide ? image_read(image, at, &image->header[i], sizeof image->header[i])
                   : read_header_32(image, at, &image->header[i])))
            return set_invalid(error, "its program headers lie outside the file");
    }
    image->n_headers = n;
    return TRUE;
}

static gboolean
open_image(Image *image, const guint8 *bytes, gsize size, GError **error)
{
    Elf64_Ehdr wide;
    Elf32_Ehdr narrow;

    *image = (Image){.bytes = bytes, .size = size};
    if (!image_read(image, 0, &narrow, sizeof narrow) || memcmp(narrow.e_ident, ELFMAG, SELFMAG) != 0)
        return set_invalid(error, "it is not an ELF file (a bzImage has to be unpacked to its vmlinux)");
    if (narrow.e_ident[EI_DATA] != ELFDATA2LSB || (narrow.e_machine != EM_X86_64 && narrow.e_machine != EM_386))
        return set_invalid(error, "it is not for x86");
    if (narrow.e_ident[EI_CLASS] == ELFCLASS32)
        return read_headers(image, FALSE, narrow.e_phoff, narrow.e_phnum, narrow.e_phentsize, error);
    if (narrow.e_ident[EI_CLASS] != ELFCLASS64 || !image_read(image, 0, &wide, sizeof wide))
        return set_invalid(error, "its ELF header is neither the 32-bit nor the 64-bit one");
    return read_headers(image, TRUE, wide.e_phoff, wide.e_phnum, wide.e_phentsize, error);
}

static guint64
align_up(guint64 value, guint64 alignment)
{
    return (value + alignment - 1) & ~(alignment - 1);
}

/* Notes are padded to 4 bytes, or to 8 in a segment that says so. FALSE: none here is the one sought. */
static gboolean
find_entry_note(const Image *image, const Elf64_Phdr *segment, guint32 *entry)
{
    const guint64 alignment = segment->p_align == 8 ? 8 : 4;
    Elf64_Nhdr note;

    if (!image_piece(image, segment->p_offset, segment->p_filesz))
        return FALSE;
    for (guint64 at = 0; at + sizeof note <= segment->p_filesz;) {
        if (!image_read(image, segment->p_offset + at, &note, sizeof note))
            return FALSE;
        guint64 name = at + sizeof note;
        guint64 description = align_up(name + note.n_namesz, alignment);
        guint64 next = align_up(description + note.n_descsz, alignment);
        if (description + note.n_descsz > segment->p_filesz)
            return FALSE;
        if (note.n_type == XEN_ELFNOTE_PHYS32_ENTRY && note.n_namesz == sizeof "Xen" &&
            (note.n_descsz == 4 || note.n_descsz == 8) &&
            memcmp(image->bytes + segment->p_offset + name, "Xen", sizeof "Xen") == 0)
            return image_read(image, segment->p_offset + description, entry, sizeof *entry);
        at = next;
    }
    return FALSE;
}

static gboolean
image_entry(const Image *image, guint32 *entry, GError **error)
{
    for (guint i = 0; i < image->n_headers; i++) {
        if (image->header[i].p_type == PT_NOTE && find_entry_note(image, &image->header[i], entry))
            return TRUE;
    }
    return set_invalid(error, "it has no XEN_ELFNOTE_PHYS32_ENTRY note (Linux: build with CONFIG_PVH=y)");
}

gboolean
pvh_entry(const guint8 *image, gsize size, guint32 *entry, GError **error)
{
    Image opened;

    return open_image(&opened, image, size, error) && image_entry(&opened, entry, error);
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
load_segment(GuestRam *ram, const Image *image, const Elf64_Phdr *segment, GError **error)
{
    const guint8 *bytes = image_piece(image, segment->p_offset, segment->p_filesz);

    if (!bytes || segment->p_filesz > segment->p_memsz)
        return set_invalid(error, "a segment lies outside the file");
    if (segment->p_paddr < PVH_KERNEL_MIN_GPA)
        return set_invalid(error, "a segment lies in the first 16 KiB, where the loader keeps start_info");
    if (!segment->p_memsz)
        return TRUE;
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

static gboolean
entry_is_loaded(const Image *image, guint32 entry)
{
    for (guint i = 0; i < image->n_headers; i++) {
        const Elf64_Phdr *segment = &image->header[i];
        if (segment->p_type == PT_LOAD && entry >= segment->p_paddr && entry - segment->p_paddr < segment->p_filesz)
            return TRUE;
    }
    return FALSE;
}

static guint32
make_memmap(const GuestRam *ram, MemmapEntry *entries)
{
    DlLayout *layout = guest_ram_layout(ram);
    guint32 n = 0;

    for (guint i = 0; i < dl_layout_n_regions(layout); i++) {
        const DlRegion *region = dl_layout_region(layout, i);
        if (region->gpa) {
            entries[n++] = (MemmapEntry){.gpa = region->gpa, .size = region->size, .type = MEMMAP_RAM};
            continue;
        }
        entries[n++] = (MemmapEntry){.gpa = 0, .size = MIN(region->size, EBDA_GPA), .type = MEMMAP_RAM};
        entries[n++] = (MemmapEntry){.gpa = EBDA_GPA, .size = MEGABYTE - EBDA_GPA, .type = MEMMAP_RESERVED};
        if (region->size > MEGABYTE)
            entries[n++] = (MemmapEntry){.gpa = MEGABYTE, .size = region->size - MEGABYTE, .type = MEMMAP_RAM};
    }
    return n;
}

static gboolean
store_start_info(GuestRam *ram, const char *command_line, GError **error)
{
    MemmapEntry memmap[8];
    guint32 n = make_memmap(ram, memmap);
    StartInfo info = {.magic = START_INFO_MAGIC,
                      .version = START_INFO_VERSION,
                      .command_line_gpa = PVH_COMMAND_LINE_GPA,
                      .memmap_gpa = PVH_MEMMAP_GPA,
                      .memmap_entries = n};

    if (strlen(command_line) > PVH_COMMAND_LINE_MAX) {
        g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_INVALID, "the kernel's command line is longer than %d bytes",
                    PVH_COMMAND_LINE_MAX);
        return FALSE;
    }
    if (guest_ram_store(ram, PVH_START_INFO_GPA, &info, sizeof info) &&
        guest_ram_store(ram, PVH_MEMMAP_GPA, memmap, n * sizeof *memmap) &&
        guest_ram_store(ram, PVH_COMMAND_LINE_GPA, command_line, strlen(command_line) + 1))
        return TRUE;
    g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_RESOURCE, "the guest has no RAM for start_info: give it more memory");
    return FALSE;
}

gboolean
pvh_load(GuestRam *ram, const guint8 *image, gsize size, const char *command_line, guint32 *entry, GError **error)
{
    Image opened;

    if (!open_image(&opened, image, size, error) || !image_entry(&opened, entry, error))
        return FALSE;
    if (!entry_is_loaded(&opened, *entry))
        return set_invalid(error, "its entry point lies in none of its segments");
    for (guint i = 0; i < opened.n_headers; i++) {
        if (opened.header[i].p_type == PT_LOAD && !load_segment(ram, &opened, &opened.header[i], error))
            return FALSE;
    }
    return store_start_info(ram, command_line ? command_line : "", error);
}

gboolean
pvh_start_vcpu(Machine *machine, guint32 entry, GError **error)
{
    struct kvm_regs regs = {.rip = entry, .rbx = PVH_START_INFO_GPA, .rflags = 2};
    struct kvm_sregs sregs;
    struct kvm_segment code = {.limit = 0xffffffff, .selector = 0x08, .type = 0xb, .present = 1, .s = 1, .db = 1, .g = 1};
    struct kvm_segment data = {.limit = 0xffffffff, .selector = 0x10, .type = 0x3, .present = 1, .s = 1, .db = 1, .g = 1};
    struct kvm_segment task = {.limit = 0x67, .selector = 0x18, .type = 0xb, .present = 1};

    if (!vcpu_get_regs(machine, 0, NULL, &sregs, error))
        return FALSE;
    sregs.cs = code;
    sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
    sregs.tr = task;
    sregs.cr0 = CR0_PE_ET;
    sregs.cr4 = 0;
    sregs.efer = 0;
    return vcpu_set_regs(machine, 0, &regs, &sregs, error);
}
