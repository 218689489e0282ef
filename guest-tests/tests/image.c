/* SPDX-License-Identifier: MIT */
/* The embedded guest as a file: what a VMM must find in it, and what abi.h promises of its layout. */
#include <elf.h>
#include <guest-tests/abi.h>
#include <guest-tests/embedded.h>
#include <string.h>

#define XEN_ELFNOTE_PHYS32_ENTRY 18
#define PAGE_TABLES_END ABI_ARENA_GPA

static const Elf64_Ehdr *
image_header(void)
{
    g_assert_cmpuint(embedded_guest_size(), >, sizeof(Elf64_Ehdr));
    return (const Elf64_Ehdr *)(gconstpointer)embedded_guest_start;
}

static const Elf64_Phdr *
program_headers(void)
{
    return (const Elf64_Phdr *)(gconstpointer)(embedded_guest_start + image_header()->e_phoff);
}

static void
test_has_pvh_note(void)
{
    gboolean found = FALSE;

    for (guint i = 0; i < image_header()->e_phnum; i++) {
        const Elf64_Phdr *segment = &program_headers()[i];
        if (segment->p_type != PT_NOTE)
            continue;
        const Elf64_Nhdr *note = (const Elf64_Nhdr *)(gconstpointer)(embedded_guest_start + segment->p_offset);
        g_assert_cmpuint(note->n_type, ==, XEN_ELFNOTE_PHYS32_ENTRY);
        g_assert_cmpuint(note->n_namesz, ==, 4);
        g_assert_cmpuint(note->n_descsz, ==, 4);
        g_assert_cmpstr((const char *)(note + 1), ==, "Xen");
        guint32 entry = *(const guint32 *)(gconstpointer)((const char *)(note + 1) + 4);
        g_assert_cmpuint(entry, ==, image_header()->e_entry);
        g_assert_cmpuint(entry, >=, ABI_IMAGE_GPA);
        g_assert_cmpuint(entry, <, ABI_MAILBOX_GPA);
        found = TRUE;
    }
    g_assert_true(found);
}

static void
test_lies_below_mailbox_or_in_page_tables(void)
{
    guint64 loaded = 0;

    for (guint i = 0; i < image_header()->e_phnum; i++) {
        const Elf64_Phdr *segment = &program_headers()[i];
        if (segment->p_type != PT_LOAD)
            continue;
        guint64 end = segment->p_paddr + segment->p_memsz;
        gboolean image = segment->p_paddr >= ABI_IMAGE_GPA && end <= ABI_MAILBOX_GPA;
        gboolean page_tables = segment->p_paddr >= ABI_PAGE_TABLES_GPA && end <= PAGE_TABLES_END;
        g_assert_true(image || page_tables);
        loaded += segment->p_memsz;
    }
    g_assert_cmpuint(loaded, >, 0);
}

/* Else the guest's own accesses would write its page tables, and a tracker report them. */
static void
test_page_tables_are_accessed_and_dirty(void)
{
    guint leaves = 0, tables = 0;

    for (guint i = 0; i < image_header()->e_phnum; i++) {
        const Elf64_Phdr *segment = &program_headers()[i];
        if (segment->p_type != PT_LOAD || segment->p_paddr != ABI_PAGE_TABLES_GPA)
            continue;
        const guint64 *entry = (const guint64 *)(gconstpointer)(embedded_guest_start + segment->p_offset);
        for (guint64 j = 0; j < segment->p_filesz / 8; j++) {
            if (!entry[j])
                continue;
            gboolean leaf = j >= 1024;
            g_assert_cmphex(entry[j] & 0x67, ==, leaf ? 0x67 : 0x27);
            if (leaf)
                g_assert_cmphex(entry[j], ==, (guint64)leaves << 21 | 0xe7);
            leaves += leaf;
            tables += !leaf;
        }
    }
    g_assert_cmpuint(leaves, ==, UINT64_C(4) * 512);
    g_assert_cmpuint(tables, ==, 1 + 4);
}

static void
test_embedded_is_the_file(gconstpointer path)
{
    g_autofree char *bytes = NULL;
    gsize size;

    g_assert_true(g_file_get_contents(path, &bytes, &size, NULL));
    g_assert_cmpuint(size, ==, embedded_guest_size());
    g_assert_true(memcmp(bytes, embedded_guest_start, size) == 0);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_assert_cmpint(argc, ==, 2);
    g_test_add_func("/guest/image/has-pvh-note", test_has_pvh_note);
    g_test_add_func("/guest/image/lies-below-mailbox-or-in-page-tables", test_lies_below_mailbox_or_in_page_tables);
    g_test_add_func("/guest/image/page-tables-are-accessed-and-dirty", test_page_tables_are_accessed_and_dirty);
    g_test_add_data_func("/guest/image/embedded-is-the-file", argv[1], test_embedded_is_the_file);
    return g_test_run();
}
