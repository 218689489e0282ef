/* SPDX-License-Identifier: MIT */
/* Numbering and translating, with a hole at 3 GiB, sizes that are no multiple of 64 pages, and questions that mean harm. */
#include <dirtylog/dirtylog.h>

#define GIB (UINT64_C(1) << 30)
#define HVA(address) ((guint8 *)(guintptr)(address))

/* Nothing is mapped there: a layout only counts. Given out of order on purpose. */
static const DlRegion pc[] = {
    {.gpa = 4 * GIB, .size = 43 * DL_PAGE_SIZE, .hva = HVA(0x500000000), .slot = 1, .kind = DL_RAM_SHMEM},
    {.gpa = 0, .size = 3 * GIB, .hva = HVA(0x400000000), .slot = 0, .kind = DL_RAM_SHMEM},
    {.gpa = 5 * GIB, .size = 65 * DL_PAGE_SIZE, .hva = HVA(0x300000000), .slot = 7, .kind = DL_RAM_SHMEM},
};

static DlLayout *
layout_of(const DlRegion *regions, guint n_regions)
{
    g_autoptr(GError) error = NULL;
    DlLayout *layout = dl_layout_new(regions, n_regions, &error);

    g_assert_no_error(error);
    return layout;
}

static void
test_numbering(void)
{
    g_autoptr(DlLayout) layout = layout_of(pc, G_N_ELEMENTS(pc));
    const DlPageRange expected[] = {{0, 786432}, {786432, 43}, {786496, 65}};

    g_assert_cmpuint(dl_layout_n_regions(layout), ==, 3);
    for (guint i = 0; i < 3; i++) {
        DlPageRange pages = dl_layout_region_pages(layout, i);
        g_assert_cmpuint(pages.first, ==, expected[i].first);
        g_assert_cmpuint(pages.count, ==, expected[i].count);
        g_assert_cmpuint(pages.first % 64, ==, 0);
    }
    g_assert_cmpuint(dl_layout_n_pages(layout), ==, 786432 + 43 + 65);
    g_assert_cmpuint(dl_layout_n_bits(layout), ==, 786496 + 128);

    g_autoptr(DlBitmap) all = dl_bitmap_new(dl_layout_n_bits(layout));
    dl_layout_fill(layout, all);
    g_assert_cmpuint(dl_bitmap_count(all), ==, dl_layout_n_pages(layout));
    g_assert_false(dl_bitmap_test(all, 786432 + 43));
}

static void
test_translations(void)
{
    g_autoptr(DlLayout) layout = layout_of(pc, G_N_ELEMENTS(pc));

    for (guint round = 0; round < 10000; round++) {
        const DlRegion *region = &pc[g_test_rand_int_range(0, G_N_ELEMENTS(pc))];
        guint64 offset = (guint64)(g_test_rand_double() * (double)region->size);
        guint64 size = 1 + (guint64)(g_test_rand_double() * (double)MIN(region->size - offset, 3 * DL_PAGE_SIZE) * 0.999);
        DlPageRange by_gpa, by_hva;
        guint64 gpa;
        guint index;

        g_assert_true(dl_layout_pages_of_gpa(layout, region->gpa + offset, size, &by_gpa));
        g_assert_true(dl_layout_pages_of_hva(layout, region->hva + offset, size, &by_hva));
        g_assert_cmpuint(by_gpa.first, ==, by_hva.first);
        g_assert_cmpuint(by_gpa.count, ==, by_hva.count);
        g_assert_cmpuint(by_gpa.count, ==, (offset + size - 1) / DL_PAGE_SIZE - offset / DL_PAGE_SIZE + 1);
        g_assert_true(dl_layout_gpa_of_page(layout, by_gpa.first, &gpa));
        g_assert_cmpuint(gpa, ==, (region->gpa + offset) / DL_PAGE_SIZE * DL_PAGE_SIZE);
        g_assert_true(dl_layout_hva_of_page(layout, by_gpa.first) == region->hva + offset / DL_PAGE_SIZE * DL_PAGE_SIZE);
        g_assert_true(dl_layout_hva_of_gpa(layout, region->gpa + offset, size) == region->hva + offset);
        g_assert_true(dl_layout_region_of_page(layout, by_gpa.first, &index));
        g_assert_cmpuint(dl_layout_region(layout, index)->slot, ==, region->slot);
    }
}

static void
test_hostile_questions(void)
{
    g_autoptr(DlLayout) layout = layout_of(pc, G_N_ELEMENTS(pc));
    DlPageRange pages = {12, 34};
    guint64 gpa = 56;
    guint index = 78;
    const struct {
        guint64 gpa, size;
    } outside[] = {
        {3 * GIB, 1},
        {3 * GIB - 1, 2},
        {0, 3 * GIB + 1},
        {0, G_MAXUINT64},
        {1, G_MAXUINT64},
        {4 * GIB - 1, 1},
        {G_MAXUINT64, 1},
        {G_MAXUINT64, G_MAXUINT64},
        {4 * GIB, UINT64_C(44) * 4096},
        {4 * GIB + UINT64_C(43) * 4096, 0},
        {5 * GIB + 4096, -4096},
        {6 * GIB, 4096},
    };

    for (guint i = 0; i < G_N_ELEMENTS(outside); i++) {
        g_assert_false(dl_layout_pages_of_gpa(layout, outside[i].gpa, outside[i].size, &pages));
        g_assert_null(dl_layout_hva_of_gpa(layout, outside[i].gpa, outside[i].size));
    }
    g_assert_false(dl_layout_pages_of_hva(layout, HVA(0x2ffffffff), 1, &pages));
    g_assert_false(dl_layout_pages_of_hva(layout, HVA(0x300000000), UINT64_C(66) * 4096, &pages));
    g_assert_false(dl_layout_pages_of_hva(layout, HVA(G_MAXUINT64), G_MAXUINT64, &pages));
    const guint64 padding[] = {786432 + 43, 786495, 786496 + 65, 786496 + 128, G_MAXUINT64};
    for (guint i = 0; i < G_N_ELEMENTS(padding); i++) {
        g_assert_false(dl_layout_gpa_of_page(layout, padding[i], &gpa));
        g_assert_false(dl_layout_region_of_page(layout, padding[i], &index));
        g_assert_null(dl_layout_hva_of_page(layout, padding[i]));
    }
    g_assert_cmpuint(pages.first + pages.count + gpa + index, ==, 12 + 34 + 56 + 78);
}

static void
test_refusals(void)
{
    const DlRegion good = {.gpa = 0, .size = 8 * DL_PAGE_SIZE, .hva = HVA(0x40000000), .kind = DL_RAM_SHMEM};
    DlRegion bad[][2] = {
        {good, good},                                                  /* the same gpa */
        {good, {.gpa = 0x7000, .size = 4096, .hva = HVA(0x50000000)}}, /* overlap in gpa */
        {good, {.gpa = 0x8000, .size = 4096, .hva = HVA(0x40007000)}}, /* overlap in hva */
        {good, {.gpa = 0x8000, .size = 0, .hva = HVA(0x50000000)}},
        {good, {.gpa = 0x8000, .size = 4095, .hva = HVA(0x50000000)}},
        {good, {.gpa = 0x8001, .size = 4096, .hva = HVA(0x50000000)}},
        {good, {.gpa = 0x8000, .size = 4096, .hva = HVA(0x50000001)}},
        {good, {.gpa = 0x8000, .size = 4096, .hva = NULL}},
        {good, {.gpa = 0x8000, .size = 4096, .hva = HVA(0x50001000), .kind = DL_RAM_HUGETLB_2M}},
        {good, {.gpa = 0x8000, .size = 4096, .hva = HVA(0x50000000), .kind = (DlRamKind)9}},
        {good, {.gpa = -UINT64_C(4096), .size = 8192, .hva = HVA(0x50000000)}}, /* wraps */
        {good, {.gpa = 0x8000, .size = -UINT64_C(4096), .hva = HVA(0x50000000)}},
        {good, {.gpa = 0x8000, .size = G_MAXINT64 - 4095, .hva = HVA(0x50000000)}},
    };

    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(dl_layout_new(bad[i], 2, &error));
        g_assert_error(error, DL_ERROR, DL_ERROR_INVALID);
    }
    g_autoptr(GError) error = NULL;
    g_assert_null(dl_layout_new(&good, 0, &error));
    g_assert_error(error, DL_ERROR, DL_ERROR_INVALID);
}

static void
test_slots(void)
{
    DlRegion regions[] = {pc[0], pc[1]};
    DlHost process = {.vm_fd = -1};
    DlHost vm = {.vm_fd = 0};
    g_autoptr(GError) error = NULL;

    regions[0].slot = regions[1].slot = 3;
    g_autoptr(DlLayout) layout = layout_of(regions, 2);
    g_autoptr(DlLog) log = dl_log_new(layout, &process, &error);
    g_assert_no_error(error);
    g_assert_null(dl_log_new(layout, &vm, &error));
    g_assert_error(error, DL_ERROR, DL_ERROR_INVALID);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/layout/regions-are-sorted-and-start-at-multiples-of-64-bits", test_numbering);
    g_test_add_func("/layout/gpa-hva-and-page-translate-into-each-other", test_translations);
    g_test_add_func("/layout/questions-outside-are-answered-no-and-change-nothing", test_hostile_questions);
    g_test_add_func("/layout/bad-regions-are-refused", test_refusals);
    g_test_add_func("/layout/a-vm-may-not-have-two-regions-in-one-slot", test_slots);
    return g_test_run();
}
