/* SPDX-License-Identifier: MIT */
/*
 * Protect-scanning memory that has no page yet. On hugetlb the thread took a lock twice and hung for good on kernels before 6.12.97
 * (e92d92bbafb2): libdirtylog arms by UFFDIO_WRITEPROTECT and never protect-scans what is not populated.
 */
#include <fcntl.h>

#include "semantics/cases.h"
#include "semantics/scan.h"

#define BACKING_PAGES 8
#define LIMIT_MS 4000

static gboolean
run(Cell *cell, GError **error)
{
    g_autoptr(Scan) scan = scan_open(cell, BACKING_PAGES, error);

    if (!scan)
        return FALSE;
    if (fallocate(scan->memory->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)scan->memory->size))
        return cell_fail(error, "fallocate(FALLOC_FL_PUNCH_HOLE)");
    if (cell_step(cell) && !scan_get(scan, TRUE, error))
        return FALSE;
    dl_bitmap_clear_all(scan->found);
    scan->duplicates = 0;
    scan_store_every(scan, 1, 3);
    if (!scan_get(scan, TRUE, error))
        return FALSE;
    scan_judge(scan);
    return TRUE;
}

const SemanticsCase case_scan_unpopulated = {
    .name = "scan.unpopulated",
    .required = "protect-scanning unpopulated memory ends, and the first store after it is reported",
    .left_out = "the scan of what is unpopulated",
    .trackers = "pagemap-scan",
    .rams = SCAN_RAMS,
    .run = run,
    .limit_ms = LIMIT_MS,
    .hang =
        "Protect-scanning unpopulated hugetlb memory hangs the thread for good on this kernel: arm with UFFDIO_WRITEPROTECT, and never "
        "protect-scan what a discard may have emptied.",
};
