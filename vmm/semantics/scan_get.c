/* SPDX-License-Identifier: MIT */
/* The three modes: a get alone changes nothing; a get that protects reports and arms in one; protecting alone arms and tells nothing. */
#include "semantics/cases.h"
#include "semantics/scan.h"

#define PAGES 24

static gboolean
run_get(Cell *cell, GError **error)
{
    g_autoptr(Scan) scan = scan_open(cell, PAGES, error);

    if (!scan)
        return FALSE;
    for (guint round = 0; round < 2; round++) {
        scan_store_every(scan, 1, 3);
        if (!scan_get(scan, FALSE, error))
            return FALSE;
        scan_judge(scan);
        /* The second time nothing was stored: it has to be there still. */
        scan_store_every(scan, 1, 3);
        if (cell_step(cell) && !scan_get(scan, FALSE, error))
            return FALSE;
        scan_judge(scan);
    }
    return TRUE;
}

const SemanticsCase case_scan_get = {
    .name = "scan.get",
    .required = "a get reports what was written, and again until it is protected",
    .left_out = "the second get",
    .trackers = "pagemap-scan",
    .rams = SCAN_RAMS,
    .run = run_get,
};

static gboolean
run_protect(Cell *cell, GError **error)
{
    g_autoptr(Scan) scan = scan_open(cell, PAGES, error);

    if (!scan)
        return FALSE;
    for (guint round = 0; round < 3; round++) {
        scan_store_every(scan, round, 3);
        if (!scan_get(scan, cell_step(cell), error))
            return FALSE;
        scan_judge(scan);
    }
    return scan_get(scan, TRUE, error) ? (scan_judge(scan), TRUE) : FALSE;
}

const SemanticsCase case_scan_get_and_protect = {
    .name = "scan.get-and-protect",
    .required = "a get that protects reports what was written, once, and the next store again",
    .left_out = "protecting",
    .trackers = "pagemap-scan",
    .rams = SCAN_RAMS,
    .run = run_protect,
};

static gboolean
run_protect_only(Cell *cell, GError **error)
{
    g_autoptr(Scan) scan = scan_open(cell, PAGES, error);

    if (!scan)
        return FALSE;
    scan_store_every(scan, 1, 3);
    if (cell_step(cell) && !scan_all(scan, scan_arg(scan, PM_SCAN_WP_MATCHING | PM_SCAN_CHECK_WPASYNC, NULL, 0), error))
        return FALSE;
    if (!scan_get(scan, TRUE, error))
        return FALSE;
    scan_judge(scan);
    return TRUE;
}

const SemanticsCase case_scan_protect_only = {
    .name = "scan.protect-only",
    .required = "what a call protects it reports",
    .left_out = "the call without a vector",
    .finding =
        "PAGEMAP_SCAN that protects without a vector throws away what was written: only for arming, where nothing was tracked before.",
    .trackers = "pagemap-scan",
    .rams = SCAN_RAMS,
    .run = run_protect_only,
};
