/* SPDX-License-Identifier: MIT */
/* What every pte case does. */
#include "semantics/pte.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "dirtylog/private.h"

#define FRAME_MASK ((UINT64_C(1) << 55) - 1)

guint64 *
pte_frames(const Scene *scene)
{
    gsize bytes = scene->pages * sizeof(guint64);
    guint64 *entries = g_malloc0(bytes);
    DlFd pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    off_t offset = (off_t)((guint64)(guintptr)scene->memory->hva / DL_PAGE_SIZE * sizeof(guint64));

    if (pagemap < 0 || pread(pagemap, entries, bytes, offset) != (gssize)bytes)
        memset(entries, 0, bytes);
    dl_fd_clear(&pagemap);
    for (guint64 page = 0; page < scene->pages; page++)
        entries[page] &= FRAME_MASK;
    return entries;
}

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
