/* SPDX-License-Identifier: MIT */
/*
 * A part of a tracked mapping is replaced by a new one, which reads as zero: its content has changed, though nobody stores. The new VMA's flag says
 * so; then an mprotect makes its protection the neighbour's, the kernel merges the two, and the flag that stays is one of them. The merge that
 * forgets is what the discussion of PAGEMAP_SCAN began with (linux-mm, 2022).
 */
#include <sys/mman.h>

#include "semantics/cases.h"
#include "semantics/softdirty_meter.h"

#define FIRST (METER_PAGES / 2)
#define COUNT 4

/* Read-only, so that it stays a VMA of its own for now; populated. */
static gboolean
replace(const Meter *meter, GError **error)
{
    guint8 *start = meter->room + FIRST * DL_PAGE_SIZE;

    if (mmap(start, COUNT * DL_PAGE_SIZE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != start)
        return cell_fail(error, "mmap");
    for (guint page = 0; page < COUNT; page++) {
        volatile guint8 seen = start[page * DL_PAGE_SIZE];
        (void)seen;
    }
    return TRUE;
}

static gboolean
run(Cell *cell, GError **error)
{
    g_autoptr(Meter) meter = meter_open(cell, error);

    if (!meter || !meter_arm(meter, error) || !replace(meter, error))
        return FALSE;
    for (guint page = FIRST; page < FIRST + COUNT; page++)
        dl_bitmap_set(meter->must, page);
    if (cell_step(cell) && mprotect(meter->room + FIRST * DL_PAGE_SIZE, COUNT * DL_PAGE_SIZE, PROT_READ | PROT_WRITE))
        return cell_fail(error, "mprotect");
    return meter_judge(meter, METER_PAGES, error);
}

const SemanticsCase case_softdirty_merged_by_mprotect = {
    .name = "softdirty.merged-by-mprotect",
    .required = "pages that a new mapping took the place of are reported, though an mprotect merges it with a tracked one",
    .left_out = "the mprotect",
    .finding = "A merge of two VMAs keeps the soft-dirty flag of one: what a new mapping changed is reported clean.",
    .trackers = "soft-dirty,pagemap-scan",
    .rams = "shmem",
    .run = run,
};
