/* SPDX-License-Identifier: MIT */
/* One scan over several mappings: with a hole between them, of different protections, and with one that was never registered. */
#include <errno.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "semantics/cases.h"
#include "semantics/scan.h"

#define PAGES 24
#define MIDDLE 8 /* pages 8 to 15 are what the case takes out */

enum {
    HOLE,
    READ_ONLY,
    UNREGISTERED,
    UNCHECKED,
};

static gboolean
take_out(const Scan *scan, GError **error)
{
    guint64 page_size = scan->backing * DL_PAGE_SIZE;
    guint8 *middle = scan->memory->hva + MIDDLE * page_size;
    struct uffdio_range range = {.start = (guint64)(guintptr)middle, .len = MIDDLE * page_size};

    switch (scan->cell->about->variant) {
    case HOLE:
        return munmap(middle, range.len) == 0 || cell_fail(error, "munmap");
    case READ_ONLY:
        return mprotect(middle, range.len, PROT_READ) == 0 || cell_fail(error, "mprotect");
    default:
        return ioctl(scan->uffd, UFFDIO_UNREGISTER, &range) == 0 || cell_fail(error, "UFFDIO_UNREGISTER");
    }
}

static void
store_around(Scan *scan)
{
    for (guint64 page = 0; page < PAGES; page += 3) {
        gboolean middle = page >= MIDDLE && page < (guint64)2 * MIDDLE;
        if (!middle || !cell_step(scan->cell) || scan->cell->about->variant >= UNREGISTERED)
            scan_store(scan, page * scan->backing);
    }
}

static gboolean
run(Cell *cell, GError **error)
{
    g_autoptr(Scan) scan = scan_open(cell, PAGES, error);
    guint64 flags = cell->about->variant == UNCHECKED ? PM_SCAN_WP_MATCHING : PM_SCAN_WP_MATCHING | PM_SCAN_CHECK_WPASYNC;
    struct page_region vector[SCAN_VECTOR];
    g_autoptr(GError) refusal = NULL;

    if (!scan || (cell_step(cell) && !take_out(scan, error)))
        return FALSE;
    for (guint round = 0; round < 2; round++) {
        store_around(scan);
        if (!scan_all(scan, scan_arg(scan, flags, vector, SCAN_VECTOR), &refusal)) {
            cell_refused(cell, "%s", refusal->message);
            return FALSE;
        }
        scan_judge(scan);
    }
    return TRUE;
}

const SemanticsCase case_scan_hole = {
    .name = "scan.hole",
    .required = "written pages on both sides of an unmapped range are reported",
    .left_out = "the hole",
    .trackers = "pagemap-scan",
    .rams = SCAN_RAMS,
    .run = run,
    .variant = HOLE,
};
const SemanticsCase case_scan_several_vmas = {
    .name = "scan.several-vmas",
    .required = "written pages of several mappings side by side are reported",
    .left_out = "the mapping of another protection",
    .trackers = "pagemap-scan",
    .rams = SCAN_RAMS,
    .run = run,
    .variant = READ_ONLY,
};
const SemanticsCase case_scan_unregistered = {
    .name = "scan.unregistered",
    .required = "a scan that protects fails over a mapping that cannot be protected",
    .left_out = "unregistering",
    .trackers = "pagemap-scan",
    .rams = SCAN_RAMS,
    .run = run,
    .variant = UNREGISTERED,
};
const SemanticsCase case_scan_unregistered_unchecked = {
    .name = "scan.unregistered-unchecked",
    .required = "a scan that protects fails over a mapping that cannot be protected, or reports it",
    .left_out = "unregistering",
    .finding = "PM_SCAN_WP_MATCHING without PM_SCAN_CHECK_WPASYNC skips in silence what is not registered: always give both.",
    .trackers = "pagemap-scan",
    .rams = SCAN_RAMS,
    .run = run,
    .variant = UNCHECKED,
};
