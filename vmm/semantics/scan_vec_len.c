/* SPDX-License-Identifier: MIT */
/*
 * Vector lengths around 512 and around the number of ranges. The kernel collects up to 512 ranges before it copies them out, and a
 * vector that is longer takes several such rounds. walk_end has to be where the walk stopped, whatever the length: a caller resumes
 * there.
 */
#include "semantics/cases.h"
#include "semantics/scan.h"

#define MOST_RANGES UINT64_C(1025)
#define LONGEST (MOST_RANGES * 2)
#define SAFE UINT64_C(512) /* the kernel's own buffer */

/* Written: @ranges pages, no two of them neighbours. */
static gboolean
scan_with(Scan *scan, guint64 ranges, guint64 length, gboolean protect, GError **error)
{
    g_autofree struct page_region *vector = g_new0(struct page_region, length);

    for (guint64 i = 0; i < ranges; i++)
        scan_store(scan, 2 * i * scan->backing);
    if (!scan_all(scan, scan_arg(scan, protect ? PM_SCAN_WP_MATCHING | PM_SCAN_CHECK_WPASYNC : 0, vector, length), error))
        return FALSE;
    if (scan->duplicates)
        cell_say(scan->cell, "%" G_GUINT64_FORMAT " ranges, vec_len %" G_GUINT64_FORMAT, ranges, length);
    scan_judge(scan);
    /* The next length begins with nothing written. */
    if (!scan_get(scan, TRUE, error))
        return FALSE;
    dl_bitmap_clear_all(scan->found);
    scan->duplicates = 0;
    return TRUE;
}

/* Around the number of ranges, and around 512; those longer than 512 are another case's. */
static gboolean
scan_around(Scan *scan, guint64 ranges, gboolean beyond, GError **error)
{
    guint64 lengths[] = {1, 2, ranges - 1, ranges, ranges + 1, SAFE - 2, SAFE - 1, SAFE, SAFE + 1, SAFE + 2, 2 * SAFE, LONGEST};

    for (guint i = 0; i < G_N_ELEMENTS(lengths); i++) {
        if (!lengths[i] || (lengths[i] > SAFE) != beyond)
            continue;
        if (!scan_with(scan, ranges, lengths[i], FALSE, error) || !scan_with(scan, ranges, lengths[i], TRUE, error))
            return FALSE;
    }
    return TRUE;
}

static gboolean
run(Cell *cell, GError **error)
{
    static const guint64 many[] = {2, 11, SAFE - 1, SAFE, SAFE + 1, 2 * SAFE - 1, 2 * SAFE, MOST_RANGES, 0};
    static const guint64 few[] = {1, 2, 5, 11, 0};
    gboolean small = cell->ram == DL_RAM_SHMEM;
    const guint64 *ranges = small ? many : few;
    g_autoptr(Scan) scan = scan_open(cell, small ? 2 * MOST_RANGES : 24, error);

    for (guint i = 0; scan && ranges[i]; i++)
        if (!scan_around(scan, ranges[i], cell->about->variant && cell_step(cell), error))
            return FALSE;
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
    .rams = SCAN_RAMS,
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
