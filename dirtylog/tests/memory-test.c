/* SPDX-License-Identifier: MIT */
/* Memory of each kind is what its name says, and what cannot be had is refused before anybody could trip over it. */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "common.h"
#include "dirtylog/private.h"

#define MIB (UINT64_C(1) << 20)

static void
test_kind(gconstpointer data)
{
    DlRamKind kind = (DlRamKind)GPOINTER_TO_UINT(data);
    g_auto(Tracked) tracked = {.host = host_alone()};

    if (!tracked_open(&tracked, kind, 3 * MIB + 1))
        return;
    DlMemory *memory = tracked.memory;
    guint64 page = dl_ram_kind_page_size(kind);
    g_assert_cmpuint(memory->size, ==, dl_round_up(3 * MIB + 1, page));
    g_assert_cmpuint((guint64)(guintptr)memory->hva % MAX(page, 2 * MIB), ==, 0);

    struct stat file;
    g_assert_cmpint(fstat(memory->fd, &file), ==, 0);
    g_assert_cmpuint((guint64)file.st_blksize, ==, kind >= DL_RAM_HUGETLB_2M ? page : (guint64)file.st_blksize);
    g_assert_cmpuint((guint64)file.st_size, ==, memory->size);
    g_assert_cmpuint((guint64)file.st_blocks * 512, ==,
                     kind == DL_RAM_SHMEM_THP ? memory->size : 0); /* unpopulated unless touched */

    memory->hva[5] = 'x';
    g_autoptr(GError) error = NULL;
    g_assert_true(dl_memory_populate(memory, 0, memory->size, &error));
    g_assert_no_error(error);
    fstat(memory->fd, &file);
    g_assert_cmpuint((guint64)file.st_blocks * 512, ==, memory->size);
    g_assert_cmpint(memory->hva[5], ==, 'x');
    g_assert_false(dl_memory_populate(memory, memory->size, 1, &error));
    g_assert_error(error, DL_ERROR, DL_ERROR_INVALID);
}

static void
test_thp_is_huge(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(DlMemory) memory = dl_memory_new(DL_RAM_SHMEM_THP, 8 * MIB, &error);

    g_assert_no_error(error); /* which smaps had its say in */
    g_assert_true(madvise(memory->hva, 2 * MIB, MADV_DONTNEED) == 0);
    g_assert_true(dl_memory_collapse(DL_RAM_SHMEM_THP, memory->hva, memory->size, &error));
    g_assert_no_error(error);
    g_assert_true(dl_memory_collapse(DL_RAM_SHMEM_THP, memory->hva + 4096, 2 * MIB - 4096, &error)); /* holds no aligned 2 MiB */
}

static void
test_bad_sizes(gconstpointer data)
{
    DlRamKind kind = (DlRamKind)GPOINTER_TO_UINT(data);
    const guint64 sizes[] = {0, G_MAXUINT64, G_MAXINT64, UINT64_C(1) << 63};

    for (guint i = 0; i < G_N_ELEMENTS(sizes); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(dl_memory_new(kind, sizes[i], &error));
        g_assert_error(error, DL_ERROR, DL_ERROR_INVALID);
    }
}

static void
test_pool_too_small(gconstpointer data)
{
    DlRamKind kind = (DlRamKind)GPOINTER_TO_UINT(data);
    g_autoptr(GError) error = NULL;

    if (kind < DL_RAM_HUGETLB_2M)
        return;
    g_assert_null(dl_memory_new(kind, UINT64_C(1) << 45, &error)); /* 32 TiB */
    g_assert_error(error, DL_ERROR, DL_ERROR_RESOURCE);
    g_assert_nonnull(strstr(error->message, "; try: echo "));
    g_assert_nonnull(
        strstr(error->message, kind == DL_RAM_HUGETLB_2M ? "hugepages-2048kB/nr_hugepages" : "hugepages-1048576kB/nr_hugepages"));
}

/* What one mapping reserved, another may not take: no SIGBUS later. */
static void
test_reservation(void)
{
    g_autofree char *text = dl_read_field("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "");
    guint64 free_pages = text ? g_ascii_strtoull(text, NULL, 10) : 0;
    g_autoptr(GError) error = NULL;

    if (free_pages < 8) {
        g_test_skip("fewer than 8 free 2 MiB pages");
        return;
    }
    g_autoptr(DlMemory) first = dl_memory_new(DL_RAM_HUGETLB_2M, (free_pages / 2) * 2 * MIB, &error);
    if (!first) {
        g_assert_error(error, DL_ERROR, DL_ERROR_RESOURCE);
        g_test_skip(error->message); /* others use the pool too */
        return;
    }
    g_assert_null(dl_memory_new(DL_RAM_HUGETLB_2M, free_pages * 2 * MIB, &error));
    g_assert_error(error, DL_ERROR, DL_ERROR_RESOURCE);
}

static void
test_names(void)
{
    for (guint kind = 0; kind < DL_N_RAM_KINDS; kind++) {
        DlRamKind found;
        g_assert_true(dl_ram_kind_from_name(dl_ram_kind_name((DlRamKind)kind), &found, NULL));
        g_assert_cmpuint(found, ==, kind);
    }
    g_autoptr(GError) error = NULL;
    DlRamKind untouched = DL_RAM_HUGETLB_1G;
    g_assert_false(dl_ram_kind_from_name("hugetlb", &untouched, &error));
    g_assert_error(error, DL_ERROR, DL_ERROR_INVALID);
    g_assert_cmpuint(untouched, ==, DL_RAM_HUGETLB_1G);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add_for_kinds("/memory/is-of-its-kind-aligned-and-unpopulated", test_kind);
    add_for_kinds("/memory/bad-sizes-are-refused", test_bad_sizes);
    add_for_kinds("/memory/a-pool-too-small-is-refused-with-the-command", test_pool_too_small);
    g_test_add_func("/memory/what-is-reserved-nobody-else-gets", test_reservation);
    g_test_add_func("/memory/shmem-thp-is-huge-and-can-be-made-so-again", test_thp_is_huge);
    g_test_add_func("/memory/names-round-trip", test_names);
    return g_test_run();
}
