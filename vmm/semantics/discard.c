/* SPDX-License-Identifier: MIT */
/* What every discard case does. */
#include "semantics/discard.h"

#define PLACE (SCENE_PLACES - 1) /* the last: a truncation takes nothing else */

typedef struct {
    Scene *scene;
    DiscardOperation operation;
    guint64 offset, size;
} Discard;

static gboolean
punch(gpointer user, GError **error)
{
    Discard *discard = user;

    return discard->operation(discard->scene, discard->offset, discard->size, error);
}

/* The control of a told discard is the same discard untold; that of an untold one is none at all. */
static gboolean
do_discard(Cell *cell, Discard *discard, GError **error)
{
    gboolean told = cell->about->variant & DISCARD_TOLD;

    if (told && cell_step(cell))
        return dl_log_discard(discard->scene->log, discard->offset, discard->size, punch, discard, error);
    if (told || cell_step(cell))
        return punch(discard, error);
    return TRUE;
}

gboolean
discard_run(Cell *cell, DiscardOperation operation, gboolean to_end, GError **error)
{
    g_autoptr(Scene) scene = scene_open(cell, error);
    guint64 backing = dl_ram_kind_page_size(cell->ram);

    if (!scene || !scene_arm(scene, error))
        return FALSE;
    guint64 offset = scene_page(scene, PLACE) * DL_PAGE_SIZE / backing * backing;
    Discard discard = {scene, operation, offset, to_end ? scene->memory->size - offset : backing};

    if (cell->about->variant & DISCARD_WRITTEN)
        scene_store(scene, PLACE);
    scene_remember(scene);
    if (!do_discard(cell, &discard, error))
        return FALSE;
    scene_mark_changed(scene);
    if (!scene_harvest(scene, error))
        return FALSE;
    scene_store(scene, PLACE);
    return scene_harvest(scene, error);
}
