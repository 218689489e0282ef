/* SPDX-License-Identifier: MIT */
/* max_pages ends a call early; resuming at walk_end has to bring the rest. On hugetlb the limit may fall inside a huge page. */
#include "semantics/cases.h"
#include "semantics/scan.h"

#define BACKING_PAGES 16

static gboolean
scan_limited(Scan *scan, guint64 max_pages, gboolean protect, GError **error)
{
    struct page_region vector[SCAN_VECTOR];
    struct pm_scan_arg arg = scan_arg(scan, protect ? PM_SCAN_WP_MATCHING | PM_SCAN_CHECK_WPASYNC : 0, vector, SCAN_VECTOR);

    scan_store_every(scan, 0, 1);
    arg.max_pages = cell_step(scan->cell) ? max_pages : 0;
    if (!scan_all(scan, arg, error))
        return FALSE;
    scan_judge(scan);
    return TRUE;
}

static gboolean
run(Cell *cell, GError **error)
{
    static const guint64 limits[] = {1, 2, 3, 5, 15, 16, 17, 700, 1024};
    g_autoptr(Scan) scan = scan_open(cell, BACKING_PAGES, error);

    for (guint i = 0; scan && i < G_N_ELEMENTS(limits); i++) {
        if (cell->ram == DL_RAM_HUGETLB_2M && limits[i] < 512)
            continue;
        if (!scan_limited(scan, limits[i], FALSE, error) || !scan_limited(scan, limits[i], TRUE, error))
            return FALSE;
    }
    return scan != NULL;
}

const SemanticsCase case_scan_max_pages = {
    .name = "scan.max-pages",
    .required = SCAN_REQUIRED,
    .left_out = "max_pages",
    .trackers = "pagemap-scan",
    .rams = "shmem",
    .run = run,
};
const SemanticsCase case_scan_hugetlb_max_pages = {
    .name = "scan.hugetlb-max-pages",
    .required = SCAN_REQUIRED,
    .left_out = "max_pages",
    .finding =
        "PAGEMAP_SCAN that protects hugetlb memory with a max_pages that ends inside a huge page skips written pages: never use max_pages.",
    .trackers = "pagemap-scan",
    .rams = "hugetlb-2M",
    .run = run,
};
