/* SPDX-License-Identifier: MIT */
/* The category masks. Those that a dirty log can use: written and nothing else. The others are judged by what they promise. */
#include <sys/mman.h>

#include "semantics/cases.h"
#include "semantics/scan.h"

#define PAGES 24

enum {
    INVERTED,
    ANY_OF,
    PRESENT,
};

static struct pm_scan_arg
masked(const Scan *scan, struct page_region *vector)
{
    struct pm_scan_arg arg = scan_arg(scan, 0, vector, SCAN_VECTOR);

    if (!cell_step(scan->cell))
        return arg;
    switch (scan->cell->about->variant) {
    case INVERTED:
        scan_ask_inverted(&arg);
        break;
    case ANY_OF:
        scan_ask_any_of(&arg);
        break;
    default:
        arg.category_mask = PAGE_IS_WRITTEN | PAGE_IS_PRESENT;
    }
    return arg;
}

static gboolean
run(Cell *cell, GError **error)
{
    g_autoptr(Scan) scan = scan_open(cell, PAGES, error);
    struct page_region vector[SCAN_VECTOR];

    if (!scan)
        return FALSE;
    scan_store_every(scan, 1, 3);
    /* The data stays in the file and the pages stay written; only the PTEs go. */
    if (cell->about->variant == PRESENT && madvise(scan->memory->hva, scan->memory->size, MADV_DONTNEED))
        return cell_fail(error, "madvise(MADV_DONTNEED)");
    if (!scan_all(scan, masked(scan, vector), error))
        return FALSE;
    scan_judge(scan);
    return TRUE;
}

const SemanticsCase case_scan_inverted = {
    .name = "scan.inverted",
    .required = "written pages are reported under a mask with an inverted category that holds of all",
    .left_out = "the inverted category",
    .trackers = "pagemap-scan",
    .rams = SCAN_RAMS,
    .run = run,
    .variant = INVERTED,
};
const SemanticsCase case_scan_any_of = {
    .name = "scan.any-of",
    .required = "written pages are reported where one of several categories suffices",
    .left_out = "the any-of mask",
    .trackers = "pagemap-scan",
    .rams = SCAN_RAMS,
    .run = run,
    .variant = ANY_OF,
};
const SemanticsCase case_scan_present = {
    .name = "scan.present",
    .required = "written pages whose PTEs are gone are reported",
    .left_out = "the mask PRESENT",
    .finding =
        "A scan for written pages that also asks for PRESENT leaves out those whose PTE was dropped (MADV_DONTNEED, swap): ask for "
        "WRITTEN and nothing else.",
    .trackers = "pagemap-scan",
    .rams = "shmem",
    .run = run,
    .variant = PRESENT,
};
