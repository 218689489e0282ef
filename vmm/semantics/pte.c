/* SPDX-License-Identifier: MIT */
/* What every pte case does. */
#include "semantics/pte.h"

static gboolean
do_step(Scene *scene, PteStep step, GError **error)
{
    return !cell_step(scene->cell) || step(scene, error);
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
    return scene_harvest(scene, error);
}
