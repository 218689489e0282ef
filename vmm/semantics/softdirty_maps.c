/* SPDX-License-Identifier: MIT */
/* Mappings come, grow and are replaced beside or in place of a tracked one. False reports are safe; a write that goes unreported is not. */
#include <sys/mman.h>

#include "semantics/cases.h"
#include "semantics/softdirty_meter.h"

enum {
    NEW,
    EXPANDED,
    REMAPPED,
    MERGED,
};

#define SEEN (2 * METER_PAGES)

static gboolean
change(const Meter *meter, GError **error)
{
    gsize size = METER_PAGES * DL_PAGE_SIZE;

    switch (meter->cell->about->variant) {
    case NEW: /* one page apart, so that nothing merges */
        return meter_map(meter, METER_PAGES + 1, METER_PAGES - 1) || cell_fail(error, "mmap");
    case EXPANDED:
        munmap(meter->room + size, size);
        return mremap(meter->room, size, 2 * size, 0) == meter->room || cell_fail(error, "mremap");
    case REMAPPED:
        return meter_map(meter, 4, 4) || cell_fail(error, "mmap");
    default: /* side by side, of the same protection: the kernel makes one VMA of them */
        return meter_map(meter, METER_PAGES, METER_PAGES) || cell_fail(error, "mmap");
    }
}

static gboolean
run(Cell *cell, GError **error)
{
    g_autoptr(Meter) meter = meter_open(cell, error);

    if (!meter || !meter_arm(meter, error) || (cell_step(cell) && !change(meter, error)))
        return FALSE;
    meter_store(meter, 1);
    meter_store(meter, 5);
    if (cell_step(cell) && cell->about->variant != REMAPPED)
        meter_store(meter, METER_PAGES + 3);
    return meter_judge(meter, cell_step(cell) && cell->about->variant != REMAPPED ? SEEN : METER_PAGES, error);
}

#define TRACKERS "soft-dirty,pagemap-scan"

const SemanticsCase case_softdirty_new_mapping = {
    .name = "softdirty.new-mapping",
    .required = "stores to a tracked mapping, and to a new one beside it, are reported",
    .left_out = "the new mapping",
    .finding = "A mapping made after arming is not tracked: arm it too.",
    .trackers = TRACKERS,
    .rams = "shmem",
    .run = run,
    .variant = NEW,
};
const SemanticsCase case_softdirty_expanded = {
    .name = "softdirty.expanded",
    .required = "stores to a tracked mapping, and to what it was expanded by, are reported",
    .left_out = "the expansion",
    .finding = "What a tracked mapping was expanded by is not tracked: arm it too.",
    .trackers = TRACKERS,
    .rams = "shmem",
    .run = run,
    .variant = EXPANDED,
};
const SemanticsCase case_softdirty_remapped = {
    .name = "softdirty.remapped",
    .required = "stores to a mapping that took the place of a part of a tracked one are reported",
    .left_out = "the new mapping",
    .finding = "A mapping that replaces a tracked one is not tracked: arm it too.",
    .trackers = TRACKERS,
    .rams = "shmem",
    .run = run,
    .variant = REMAPPED,
};
const SemanticsCase case_softdirty_merged = {
    .name = "softdirty.merged",
    .required = "stores to a tracked mapping are reported though the kernel merges it with a new one",
    .left_out = "the mapping that it merges with",
    .trackers = TRACKERS,
    .rams = "shmem",
    .run = run,
    .variant = MERGED,
};
