/* SPDX-License-Identifier: MIT */
/*
 * Clearing the whole process against tracking a range; and the pattern of mprotect in which a reader that goes by the entries alone, and not by the
 * VMA's flag, loses writes: the kernel need not mark the entries of a VMA that is flagged as a whole.
 */
#include <sys/mman.h>

#include "semantics/cases.h"
#include "semantics/softdirty_meter.h"

#define OTHER (METER_PAGES / 2) /* the second half is somebody else's, who has not looked yet */

static gboolean
run_clear(Cell *cell, GError **error)
{
    g_autoptr(Meter) meter = meter_open(cell, error);

    if (!meter || !meter_arm(meter, error))
        return FALSE;
    meter_store(meter, OTHER + 1);
    /* The first user clears what it knows: a range where that can be had. */
    if (cell_step(cell) && meter->soft_dirty && !meter_arm(meter, error))
        return FALSE;
    meter_store(meter, 1);
    return meter_judge(meter, METER_PAGES, error);
}

const SemanticsCase case_softdirty_clear_whole = {
    .name = "softdirty.clear-whole",
    .required = "clearing for one part of the memory keeps the record of another",
    .left_out = "the clear",
    .finding =
        "clear_refs clears the whole process: two users of the soft-dirty bits in one process take each other's writes away.",
    .trackers = "soft-dirty,pagemap-scan",
    .rams = "shmem",
    .run = run_clear,
};

static gboolean
run_mprotect(Cell *cell, GError **error)
{
    g_autoptr(Meter) meter = meter_open(cell, error);
    gsize size = METER_PAGES * DL_PAGE_SIZE;

    if (!meter || !meter_arm(meter, error))
        return FALSE;
    if (cell_step(cell)) {
        if (!meter_map(meter, METER_PAGES, METER_PAGES)) /* merged: the VMA is flagged again */
            return cell_fail(error, "mmap");
        if (mprotect(meter->room, size, PROT_READ) || mprotect(meter->room, size, PROT_READ | PROT_WRITE))
            return cell_fail(error, "mprotect");
    }
    meter_store(meter, 1);
    meter_store(meter, 5);
    return meter_judge_entries(meter, METER_PAGES, error);
}

const SemanticsCase case_softdirty_mprotect = {
    .name = "softdirty.mprotect",
    .required = "stores after an mprotect are reported by the page table's entries",
    .left_out = "the merge and the mprotect",
    .finding =
        "In a mapping that is flagged soft-dirty as a whole the entries' own bits may stay clear: to ignore the flag loses writes.",
    .trackers = "soft-dirty,pagemap-scan",
    .rams = "shmem",
    .run = run_mprotect,
};

/* hugetlb: the library refuses soft-dirty there. */
static gboolean
run_hugetlb(Cell *cell, GError **error)
{
    DlHost host = {.vm_fd = -1};
    g_autoptr(DlMemory) memory = dl_memory_new(cell->ram, dl_ram_kind_page_size(cell->ram), error);

    if (!memory)
        return FALSE;
    DlRegion region = {.size = memory->size, .hva = memory->hva, .kind = cell->ram};
    g_autoptr(DlLayout) layout = dl_layout_new(&region, 1, error);
    g_autoptr(DlLog) log = layout ? dl_log_new(layout, &host, error) : NULL;
    g_autoptr(GError) refusal = NULL;
    if (!log)
        return FALSE;
    /* The control arms a tracker that knows hugetlb. */
    if (dl_log_move(log, cell_step(cell) ? "soft-dirty" : "uffd-wp", NULL, NULL, &refusal)) {
        cell_count(cell, 0, 0, 0, 0);
        cell_say(cell, "armed");
        return TRUE;
    }
    cell_refused(cell, "%s", refusal->message);
    return FALSE;
}

const SemanticsCase case_softdirty_hugetlb = {
    .name = "softdirty.hugetlb",
    .required = "soft-dirty, which knows no hugetlb memory, is refused there",
    .left_out = "choosing it (uffd-wp instead)",
    .trackers = "soft-dirty",
    .rams = "hugetlb-2M",
    .run = run_hugetlb,
};
