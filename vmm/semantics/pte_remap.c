/* SPDX-License-Identifier: MIT */
/*
 * The memory is unmapped and mapped anew in the same place, or moved away and back. The new mapping has nothing of the old one's
 * registration, and must not inherit its protection; so a tracker that was armed for the old one has to report everything or to
 * say that it cannot see. A harvest that says neither loses whatever is written from then on.
 */
#include <string.h>
#include <sys/mman.h>

#include "semantics/cases.h"
#include "semantics/pte.h"

static gboolean
map_anew(Scene *scene, GError **error)
{
    void *address = scene->memory->hva;

    return (munmap(address, scene->memory->size) == 0 && mmap(address, scene->memory->size, PROT_READ | PROT_WRITE,
                                                              MAP_SHARED | MAP_FIXED, scene->memory->fd, 0) == address) ||
           cell_fail(error, "mapping the memory anew");
}

static gboolean
move_and_back(Scene *scene, GError **error)
{
    gsize size = scene->memory->size;
    guint64 align = MAX(dl_ram_kind_page_size(scene->cell->ram), UINT64_C(2) << 20);
    guint8 *room = mmap(NULL, size + align, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (room == MAP_FAILED)
        return cell_fail(error, "mmap");
    guint8 *there = (guint8 *)(((guintptr)room + align - 1) / align * align);
    if (mremap(scene->memory->hva, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, there) != there ||
        mremap(there, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, scene->memory->hva) != scene->memory->hva)
        return cell_fail(error, "mremap");
    return TRUE;
}

static gboolean
run(Cell *cell, GError **error)
{
    g_autoptr(Scene) scene = scene_open(cell, error);
    g_autoptr(GError) refusal = NULL;

    if (!scene || !scene_arm(scene, error))
        return FALSE;
    scene_store(scene, 0);
    if (cell_step(cell) && !(cell->about->variant ? move_and_back : map_anew)(scene, error))
        return FALSE;
    scene_store(scene, 1);
    if (!scene_harvest(scene, &refusal))
        cell_refused(cell, "the harvest fails: %s", refusal->message);
    return TRUE;
}

#define LOST                                                                                                                              \
    "A mapping that replaces a tracked one is not tracked, and write-protecting it may fail in silence: a VMM that remaps guest RAM has " \
    "to stop tracking before and begin anew after."

const SemanticsCase case_pte_remap = {
    .name = "pte.remap",
    .required = "stores to a mapping that took the tracked one's place are reported, or the harvest fails",
    .left_out = "the new mapping",
    .finding = LOST,
    .run = run,
};
const SemanticsCase case_pte_mremap = {
    .name = "pte.mremap",
    .required = "stores to memory that was moved away and back are reported, or the harvest fails",
    .left_out = "the move",
    .finding = LOST,
    .run = run,
    .variant = 1,
};
