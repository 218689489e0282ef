/* SPDX-License-Identifier: MIT */
/* The range of a call ends inside a huge page: what is reported, what is protected, and is anything lost between the two calls? */
#include "semantics/cases.h"
#include "semantics/scan.h"

#define BACKING_PAGES 4

static gboolean
run(Cell *cell, GError **error)
{
    g_autoptr(Scan) scan = scan_open(cell, BACKING_PAGES, error);
    struct page_region vector[SCAN_VECTOR];

    if (!scan)
        return FALSE;
    for (guint64 page = 0; page < scan->pages; page += scan->backing)
        scan_store(scan, page + scan->backing - 1);
    struct pm_scan_arg half = scan_arg(scan, PM_SCAN_WP_MATCHING | PM_SCAN_CHECK_WPASYNC, vector, SCAN_VECTOR);
    half.end = half.start + scan->backing * DL_PAGE_SIZE * 3 / 2;
    if (cell_step(cell) && scan_once(scan, &half) < 0) {
        cell_refused(cell, "PAGEMAP_SCAN of half a huge page fails");
        return FALSE;
    }
    guint64 at_once = dl_bitmap_count(scan->found);
    if (!scan_get(scan, TRUE, error))
        return FALSE;
    cell_say(cell, "the first call reported %" G_GUINT64_FORMAT " pages", at_once);
    scan->duplicates = 0; /* half a page may come twice */
    scan_judge(scan);
    return TRUE;
}

const SemanticsCase case_scan_hugetlb_partial = {
    .name = "scan.hugetlb-partial",
    .required = "a huge page of which a call covers half is reported by that call or the next",
    .trackers = "pagemap-scan",
    .rams = "hugetlb-2M",
    .run = run,
};
