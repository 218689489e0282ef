/* SPDX-License-Identifier: MIT */
/* What every pte case does. */
#include "semantics/pte.h"

static gboolean
do_step(Scene *scene, PteStep step, GError **error)
{
    return !cell_step(scene->cell) || step(scene, error);
}

/* The bits stand in the page table and nowhere else. */
static void
explain(Cell *cell)
{
    if (cell->missed && cell->tracker->holds == DL_HOLDS_PROCESS)
        cell_find(
            cell,
            "The soft-dirty bit of shared memory goes with its page table entry: whatever drops the entry (MADV_DONTNEED, a split or "
            "a collapse of a huge page, paging out) loses the record of a write. Soft-dirty is not for guest RAM on a file.");
}

gboolean
pte_run(Cell *cell, PteStep step, GError **error)
{
    g_autoptr(Scene) scene = scene_open(cell, error);

    if (!scene || !scene_arm(scene, error))
        return FALSE;
    scene_store(scene, 0);
    if (!do_step(scene, step, error))
        return FALSE;
    scene_store(scene, 1);
    if (!scene_harvest(scene, error) || !do_step(scene, step, error) || !scene_harvest(scene, error) ||
        !do_step(scene, step, error))
        return FALSE;
    scene_store(scene, 0);
    scene_store(scene, 2);
    gboolean worked = scene_harvest(scene, error);
    explain(cell);
    return worked;
}
