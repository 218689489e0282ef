/* SPDX-License-Identifier: MIT */
/*
 * Vector lengths around 512 and around the number of ranges. The kernel collects up to 512 ranges before it copies them out, and a
 * vector that is longer takes several such rounds. walk_end has to be where the walk stopped, whatever the length: a caller resumes
 * there.
 */
#include "semantics/cases.h"
#include "semantics/scan.h"

#define RANGES UINT64_C(513)
#define LONGEST 2048

static gboolean
scan_with(Scan *scan, guint64 length, gboolean protect, GError **error)
{
    g_autofree struct page_region *vector = g_new0(struct page_region, LONGEST);

    scan_store_every(scan, 0, 2);
    if (!scan_all(scan, scan_arg(scan, protect ? PM_SCAN_WP_MATCHING | PM_SCAN_CHECK_WPASYNC : 0, vector, length), error))
        return FALSE;
    if (scan->duplicates)
        cell_say(scan->cell, "vec_len %" G_GUINT64_FORMAT, length);
    scan_judge(scan);
    return TRUE;
}

static gboolean
run(Cell *cell, GError **error)
{
    static const guint64 safe[] = {1, 2, 511, 512, 0};
    static const guint64 unsafe[] = {513, 514, 1024, LONGEST, 0};
    const guint64 *lengths = cell->about->variant && cell_step(cell) ? unsafe : safe;
    g_autoptr(Scan) scan = scan_open(cell, 2 * RANGES, error);

    for (guint i = 0; scan && lengths[i]; i++) {
        if (!scan_with(scan, lengths[i], FALSE, error) || !scan_with(scan, lengths[i], TRUE, error))
            return FALSE;
    }
    return scan != NULL;
}

/* Said when the cell is not exact, which is safe, but costs. */
static gboolean
run_long(Cell *cell, GError **error)
{
    gboolean worked = run(cell, error);

    if (worked && cell->extra)
        cell_find(
            cell,
            "PAGEMAP_SCAN with a vector of more than 512 and more than 512 ranges to report returns a stale walk_end: a caller that "
            "resumes there counts pages twice, and one that takes it for the end of what was scanned is wrong about the rest. Use "
            "a vector of at most 512.");
    return worked;
}

const SemanticsCase case_scan_vec_len = {
    .name = "scan.vec-len",
    .required = SCAN_REQUIRED,
    .trackers = "pagemap-scan",
    .rams = "shmem",
    .run = run,
};
const SemanticsCase case_scan_walk_end = {
    .name = "scan.walk-end",
    .required = SCAN_REQUIRED ", with a vector longer than 512 too",
    .left_out = "the long vector",
    .trackers = "pagemap-scan",
    .rams = "shmem",
    .run = run_long,
    .variant = 1,
};
