/* SPDX-License-Identifier: MIT */
/* The kernel's bits on hugetlb memory themselves, which the library refuses to go by (softdirty.hugetlb), and the same stores under a scan. */
#include <sys/mman.h>

#include "semantics/cases.h"
#include "semantics/softdirty_meter.h"

#define HUGE_PAGES 512
#define STORED 3

/* One huge page in the meter's place: a store to it makes all of it written. */
static gboolean
use_huge_page(Meter *meter, GError **error)
{
    gsize size = (gsize)HUGE_PAGES * DL_PAGE_SIZE;
    guint8 *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | (21 << 26), -1, 0);

    if (memory == MAP_FAILED)
        return cell_unsupported(error, "no free hugepage of 2 MiB");
    meter->room = memory;
    memory[0] = 1;
    return TRUE;
}

static gboolean
run(Cell *cell, GError **error)
{
    g_autoptr(Meter) meter = meter_open(cell, error);

    if (!meter || !use_huge_page(meter, error))
        return FALSE;
    meter->armed_pages = HUGE_PAGES;
    if (!meter_arm(meter, error))
        return FALSE;
    if (cell_step(cell))
        meter_store(meter, STORED);
    dl_bitmap_set_range(meter->allowed, (DlPageRange){0, METER_PAGES});
    return meter_judge(meter, METER_PAGES, error);
}

const SemanticsCase case_softdirty_hugetlb_bits = {
    .name = "softdirty.hugetlb-bits",
    .required = "a store to hugetlb memory is reported by the kernel's own bits",
    .left_out = "the store",
    .finding =
        "The kernel keeps no soft-dirty bits for hugetlb memory, and says neither yes nor no: libdirtylog refuses (softdirty.hugetlb).",
    .trackers = "soft-dirty,pagemap-scan",
    .rams = "hugetlb-2M",
    .run = run,
};
