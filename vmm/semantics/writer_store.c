/* SPDX-License-Identifier: MIT */
/* User code stores through the tracked mapping: the plainest writer of all, and beside it a load and a populate, which write nothing. */
#include <sys/mman.h>

#include "semantics/cases.h"
#include "semantics/writer.h"

static gboolean
store(Scene *scene, guint place, GError **error)
{
    (void)error;
    scene_store(scene, place);
    return TRUE;
}

static gboolean
run_store(Cell *cell, GError **error)
{
    return writer_run(cell, store, error);
}

const SemanticsCase case_writer_store = {
    .name = "writer.store",
    .required = WRITER_REQUIRED,
    .left_out = "the store",
    .rams = PLAIN_RAMS ",hugetlb-1G",
    .run = run_store,
};

/* Nothing of it is a write; a store beside it has to be reported all the same. */
static gboolean
run_read(Cell *cell, GError **error)
{
    g_autoptr(Scene) scene = scene_open(cell, error);

    if (!scene || !scene_arm(scene, error))
        return FALSE;
    if (cell->about->variant && madvise(scene->memory->hva, scene->memory->size, MADV_POPULATE_WRITE))
        return cell_fail(error, "madvise(MADV_POPULATE_WRITE)");
    for (guint place = 1; place < SCENE_PLACES; place++) {
        volatile guint8 seen = *scene_address(scene, place);
        (void)seen;
    }
    scene_store(scene, 0);
    return scene_harvest(scene, error);
}

const SemanticsCase case_writer_load = {
    .name = "writer.load",
    .required = "a page that is only read need not be reported, one that is written beside it is",
    .run = run_read,
};
const SemanticsCase case_writer_populate = {
    .name = "writer.populate",
    .required = "MADV_POPULATE_WRITE writes nothing and need not be reported; a store beside it is",
    .run = run_read,
    .variant = 1,
};
