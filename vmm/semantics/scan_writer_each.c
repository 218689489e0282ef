/* SPDX-License-Identifier: MIT */
/* The same race in each of the call's other forms: a vector too short, max_pages, masks, several mappings, a hole. The control reports without protecting first. */
#include <sys/mman.h>

#include "semantics/cases.h"
#include "semantics/scan_race.h"

enum {
    SHORT_VECTOR,
    MAX_PAGES,
    INVERTED,
    ANY_OF,
    SEVERAL_VMAS,
    HOLE,
};

static struct pm_scan_arg
form(const Scan *scan, struct page_region *vector)
{
    struct pm_scan_arg arg = scan_arg(scan, PM_SCAN_WP_MATCHING | PM_SCAN_CHECK_WPASYNC, vector, SCAN_VECTOR);

    switch (scan->cell->about->variant) {
    case SHORT_VECTOR: /* ends in the middle, and is resumed */
        arg.vec_len = 1;
        break;
    case MAX_PAGES:
        arg.max_pages = 3;
        break;
    case INVERTED:
        scan_ask_inverted(&arg);
        break;
    case ANY_OF:
        scan_ask_any_of(&arg);
        break;
    default:
        break;
    }
    return arg;
}

static gboolean
pass(Scan *scan, guint8 *copy, GError **error)
{
    struct page_region vector[SCAN_VECTOR];
    struct pm_scan_arg arg = form(scan, vector);

    if (!cell_step(scan->cell)) {
        if (!scan_get(scan, FALSE, error))
            return FALSE;
        scan_race_copy_found(scan, copy);
        g_thread_yield();
        arg.vec = arg.vec_len = 0;
        arg.max_pages = 0;
    }
    if (!scan_all(scan, arg, error))
        return FALSE;
    scan_race_copy_found(scan, copy);
    return TRUE;
}

/* The second quarter: its flags differ from its neighbours', or it is not there. */
static gboolean
take_apart(Scan *scan, GError **error)
{
    guint64 pages = scan->pages / scan->backing, quarter = pages / 4;
    guint64 size = quarter * scan->backing * DL_PAGE_SIZE;
    guint8 *start = scan->memory->hva + size;

    switch (scan->cell->about->variant) {
    case SEVERAL_VMAS:
        return madvise(start, size, MADV_DONTFORK) == 0 || cell_fail(error, "madvise(MADV_DONTFORK)");
    case HOLE:
        scan->gap_first = quarter;
        scan->gap_end = 2 * quarter;
        return munmap(start, size) == 0 || cell_fail(error, "munmap");
    default:
        return TRUE;
    }
}

static gboolean
run(Cell *cell, GError **error)
{
    g_autoptr(Scan) scan = scan_open(cell, SCAN_RACE_PAGES(cell), error);

    return scan && take_apart(scan, error) && scan_race_run(scan, pass, error);
}

#define LEFT_OUT "protecting before the copy"

const SemanticsCase case_scan_writer_vec_len = {
    .name = "scan.writer-vec-len",
    .required = SCAN_RACE_REQUIRED,
    .left_out = LEFT_OUT,
    .trackers = "pagemap-scan",
    .rams = SCAN_RAMS,
    .run = run,
    .variant = SHORT_VECTOR,
    .limit_ms = SCAN_RACE_LIMIT_MS,
};
const SemanticsCase case_scan_writer_max_pages = {
    .name = "scan.writer-max-pages",
    .required = SCAN_RACE_REQUIRED,
    .left_out = LEFT_OUT,
    .trackers = "pagemap-scan",
    .rams = "shmem",
    .run = run,
    .variant = MAX_PAGES,
    .limit_ms = SCAN_RACE_LIMIT_MS,
};
const SemanticsCase case_scan_writer_inverted = {
    .name = "scan.writer-inverted",
    .required = SCAN_RACE_REQUIRED,
    .left_out = LEFT_OUT,
    .trackers = "pagemap-scan",
    .rams = SCAN_RAMS,
    .run = run,
    .variant = INVERTED,
    .limit_ms = SCAN_RACE_LIMIT_MS,
};
const SemanticsCase case_scan_writer_any_of = {
    .name = "scan.writer-any-of",
    .required = SCAN_RACE_REQUIRED,
    .left_out = LEFT_OUT,
    .trackers = "pagemap-scan",
    .rams = SCAN_RAMS,
    .run = run,
    .variant = ANY_OF,
    .limit_ms = SCAN_RACE_LIMIT_MS,
};
const SemanticsCase case_scan_writer_several_vmas = {
    .name = "scan.writer-several-vmas",
    .required = SCAN_RACE_REQUIRED,
    .left_out = LEFT_OUT,
    .trackers = "pagemap-scan",
    .rams = SCAN_RAMS,
    .run = run,
    .variant = SEVERAL_VMAS,
    .limit_ms = SCAN_RACE_LIMIT_MS,
};
const SemanticsCase case_scan_writer_hole = {
    .name = "scan.writer-hole",
    .required = SCAN_RACE_REQUIRED,
    .left_out = LEFT_OUT,
    .trackers = "pagemap-scan",
    .rams = SCAN_RAMS,
    .run = run,
    .variant = HOLE,
    .limit_ms = SCAN_RACE_LIMIT_MS,
};
