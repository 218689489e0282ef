/* SPDX-License-Identifier: MIT */
/*
 * The PVH loader against images that lie: it may refuse them, never read or write outside. Runs under ASan in the sanitizer
 * build.
 */
#include <elf.h>
#include <guest-tests/embedded.h>
#include <machine/error.h>
#include <machine/pvh.h>
#include <string.h>

#define MIB UINT64_C(1048576)
#define MUTATIONS 20000

static GuestRam *
new_ram(guint64 bytes)
{
    g_autoptr(GError) error = NULL;
    GuestRam *ram = guest_ram_new(DL_RAM_SHMEM, bytes, FALSE, &error);

    g_assert_no_error(error);
    return ram;
}

static gboolean
load_by(GuestRam *ram, const guint8 *image, gsize size, const char *command_line, BootEntry *entry, GError **error)
{
    BootSource source = {.kernel = image, .kernel_size = size, .command_line = command_line};

    return boot_load(ram, &source, entry, error);
}

static gboolean
load(GuestRam *ram, const guint8 *image, gsize size, const char *command_line, guint64 *gpa, GError **error)
{
    BootEntry entry = {0};
    gboolean loaded = load_by(ram, image, size, command_line, &entry, error);

    *gpa = entry.gpa;
    return loaded;
}

/* A heap copy of exactly @size bytes, so that a sanitizer sees any read beyond. */
static guint8 *
copy_image(gsize size)
{
    return g_memdup2(embedded_guest_start, size);
}

static Elf64_Phdr *
header_of_type(guint8 *image, guint32 type)
{
    Elf64_Ehdr *elf = (Elf64_Ehdr *)(gpointer)image;
    Elf64_Phdr *header = (Elf64_Phdr *)(gpointer)(image + elf->e_phoff);

    while (header->p_type != type)
        header++;
    return header;
}

static void
test_loads_the_embedded_guest(void)
{
    g_autoptr(GuestRam) ram = new_ram(16 * MIB);
    g_autoptr(GError) error = NULL;
    guint64 entry = 0;
    guint32 magic = 0;
    char command_line[6];

    g_assert_true(load(ram, embedded_guest_start, embedded_guest_size(), "hello", &entry, &error));
    g_assert_no_error(error);
    g_assert_cmphex(entry, >=, MIB);
    g_assert_true(guest_ram_load(ram, PVH_START_INFO_GPA, &magic, sizeof magic));
    g_assert_cmphex(magic, ==, 0x336ec578);
    g_assert_true(guest_ram_load(ram, PVH_COMMAND_LINE_GPA, command_line, sizeof command_line));
    g_assert_cmpstr(command_line, ==, "hello");
}

static void
test_refuses_truncated(void)
{
    g_autoptr(GuestRam) ram = new_ram(16 * MIB);
    Elf64_Phdr *last = header_of_type((guint8 *)(guintptr)embedded_guest_start, PT_LOAD);
    gsize needed = 0;
    guint64 entry;

    for (; last->p_type == PT_LOAD; last++)
        needed = MAX(needed, last->p_offset + last->p_filesz);
    for (gsize size = 0; size < needed; size = size < 512 ? size + 1 : size + 509) {
        g_autofree guint8 *image = copy_image(size);
        g_autoptr(GError) error = NULL;

        g_assert_false(load(ram, image, size, NULL, &entry, &error));
        g_assert_error(error, MACHINE_ERROR, MACHINE_ERROR_INVALID);
    }
}

/* NOLINTBEGIN(readability-non-const-parameter): they do write to it, through a cast */
typedef void (*Damage)(guint8 *image);

static void
load_outside_ram(guint8 *image)
{
    header_of_type(image, PT_LOAD)->p_memsz = UINT64_C(1) << 40;
}

static void
load_wraps(guint8 *image)
{
    header_of_type(image, PT_LOAD)->p_memsz = G_MAXUINT64 - 4;
}

static void
load_beyond_the_file(guint8 *image)
{
    header_of_type(image, PT_LOAD)->p_offset = G_MAXUINT64 - 8;
}

static void
load_more_than_memory(guint8 *image)
{
    header_of_type(image, PT_LOAD)->p_memsz = 1;
}

static void
load_over_start_info(guint8 *image)
{
    header_of_type(image, PT_LOAD)->p_paddr = 0x1000;
}

static void
note_beyond_the_file(guint8 *image)
{
    header_of_type(image, PT_NOTE)->p_filesz = G_MAXUINT64;
}

static void
note_huge_name(guint8 *image)
{
    ((Elf64_Nhdr *)(gpointer)(image + header_of_type(image, PT_NOTE)->p_offset))->n_namesz = G_MAXUINT32;
}

static void
note_huge_description(guint8 *image)
{
    ((Elf64_Nhdr *)(gpointer)(image + header_of_type(image, PT_NOTE)->p_offset))->n_descsz = G_MAXUINT32;
}

/* The note's header is the file's end: its name would lie beyond. */
static void
note_at_the_files_end(guint8 *image)
{
    Elf64_Phdr *segment = header_of_type(image, PT_NOTE);
    gsize end = embedded_guest_size() - sizeof(Elf64_Nhdr);

    memmove(image + end, image + segment->p_offset, sizeof(Elf64_Nhdr));
    segment->p_offset = end;
    segment->p_filesz = sizeof(Elf64_Nhdr);
}

static void
note_of_another_kind(guint8 *image)
{
    ((Elf64_Nhdr *)(gpointer)(image + header_of_type(image, PT_NOTE)->p_offset))->n_type = 3;
}

static void
headers_beyond_the_file(guint8 *image)
{
    ((Elf64_Ehdr *)(gpointer)image)->e_phoff = G_MAXUINT64 - 10;
}

static void
headers_without_number(guint8 *image)
{
    ((Elf64_Ehdr *)(gpointer)image)->e_phnum = PN_XNUM;
}

static void
headers_of_another_size(guint8 *image)
{
    ((Elf64_Ehdr *)(gpointer)image)->e_phentsize = 1;
}

static void
another_machine(guint8 *image)
{
    ((Elf64_Ehdr *)(gpointer)image)->e_machine = EM_AARCH64;
}

static void
entry_outside(guint8 *image)
{
    memset(image + header_of_type(image, PT_NOTE)->p_offset + sizeof(Elf64_Nhdr) + 4, 0xff, 4);
}

/* NOLINTEND(readability-non-const-parameter) */

static void
test_refuses_hostile(void)
{
    static const Damage damages[] = {load_outside_ram,
                                     load_wraps,
                                     load_beyond_the_file,
                                     load_more_than_memory,
                                     load_over_start_info,
                                     note_beyond_the_file,
                                     headers_beyond_the_file,
                                     headers_without_number,
                                     headers_of_another_size,
                                     another_machine,
                                     entry_outside};
    g_autoptr(GuestRam) ram = new_ram(16 * MIB);
    guint64 entry;

    for (guint i = 0; i < G_N_ELEMENTS(damages); i++) {
        g_autofree guint8 *image = copy_image(embedded_guest_size());
        g_autoptr(GError) error = NULL;

        damages[i](image);
        g_assert_false(load(ram, image, embedded_guest_size(), NULL, &entry, &error));
        g_assert_true(error->domain == MACHINE_ERROR);
        g_test_message("%u: %s", i, error->message);
    }
}

/* A note that cannot be read is no PVH note: the ELF's own entry counts then. */
static void
test_damaged_notes_are_none(void)
{
    static const Damage damages[] = {note_huge_name, note_huge_description, note_at_the_files_end, note_of_another_kind};
    g_autoptr(GuestRam) ram = new_ram(16 * MIB);

    for (guint i = 0; i < G_N_ELEMENTS(damages); i++) {
        g_autofree guint8 *image = copy_image(embedded_guest_size());
        g_autoptr(GError) error = NULL;
        BootEntry entry;

        g_assert_true(load_by(ram, image, embedded_guest_size(), NULL, &entry, &error));
        g_assert_cmpint(entry.protocol, ==, BOOT_PVH);
        damages[i](image);
        g_assert_true(load_by(ram, image, embedded_guest_size(), NULL, &entry, &error));
        g_assert_no_error(error);
        g_assert_cmpint(entry.protocol, ==, BOOT_ELF64);
    }
}

/* Any bytes of the headers and the note may be anything: refused or loaded, but never beyond the image or RAM. */
static void
test_survives_mutations(void)
{
    g_autoptr(GuestRam) ram = new_ram(8 * MIB);
    gsize size = embedded_guest_size();
    g_autofree guint8 *image = copy_image(size);
    gsize note = header_of_type(image, PT_NOTE)->p_offset;
    guint64 entry;

    for (guint i = 0; i < MUTATIONS; i++) {
        g_autoptr(GError) error = NULL;

        memcpy(image, embedded_guest_start, 512);
        memcpy(image + note, embedded_guest_start + note, 32);
        for (gint n = g_test_rand_int_range(1, 6); n; n--) {
            gsize at =
                g_test_rand_int_range(0, 5) ? (gsize)g_test_rand_int_range(0, 300) : note + (gsize)g_test_rand_int_range(0, 24);
            static const guint8 edges[] = {0x00, 0xff, 0x7f, 0x80, 0x01};
            image[at] = g_test_rand_bit() ? edges[g_test_rand_int_range(0, 5)] : (guint8)g_test_rand_int();
        }
        gboolean loaded = load(ram, image, size, NULL, &entry, &error);
        g_assert_true(loaded == (error == NULL));
    }
}

static void
test_refuses_command_line_and_small_ram(void)
{
    g_autoptr(GuestRam) ram = new_ram(16 * MIB);
    g_autoptr(GuestRam) small = new_ram(2 * MIB);
    g_autoptr(GError) error = NULL;
    g_autofree char *longest = g_strnfill(PVH_COMMAND_LINE_MAX, 'a');
    g_autofree char *too_long = g_strnfill(PVH_COMMAND_LINE_MAX + 1, 'a');
    guint64 entry;

    g_assert_true(load(ram, embedded_guest_start, embedded_guest_size(), longest, &entry, &error));
    g_assert_false(load(ram, embedded_guest_start, embedded_guest_size(), too_long, &entry, &error));
    g_assert_error(error, MACHINE_ERROR, MACHINE_ERROR_INVALID);
    g_clear_error(&error);
    g_assert_false(load(small, embedded_guest_start, embedded_guest_size(), NULL, &entry, &error));
    g_assert_error(error, MACHINE_ERROR, MACHINE_ERROR_RESOURCE);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/pvh/loads-the-embedded-guest", test_loads_the_embedded_guest);
    g_test_add_func("/pvh/refuses-every-truncation", test_refuses_truncated);
    g_test_add_func("/pvh/refuses-hostile-headers", test_refuses_hostile);
    g_test_add_func("/pvh/damaged-notes-are-none", test_damaged_notes_are_none);
    g_test_add_func("/pvh/survives-mutations", test_survives_mutations);
    g_test_add_func("/pvh/refuses-long-command-lines-and-small-ram", test_refuses_command_line_and_small_ram);
    return g_test_run();
}
