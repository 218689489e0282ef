/* SPDX-License-Identifier: MIT */
/* The file is cut inside a huge page, or right behind a page: what is left of it was written and must stay so. The cut itself is told. */
#include <unistd.h>

#include "semantics/cases.h"
#include "semantics/pte.h"

static gboolean
cut(gpointer user, GError **error)
{
    const Scene *scene = user;
    off_t size = (off_t)scene->memory->size;

    return (ftruncate(scene->memory->fd, size - (off_t)DL_PAGE_SIZE) == 0 && ftruncate(scene->memory->fd, size) == 0) ||
           cell_fail(error, "ftruncate");
}

static gboolean
step(Scene *scene, GError **error)
{
    scene_store(scene, SCENE_PLACES - 1);
    scene_mark_page(scene, scene->pages - 1);
    return dl_log_discard(scene->log, scene->memory->size - DL_PAGE_SIZE, DL_PAGE_SIZE, cut, scene, error);
}

static gboolean
run(Cell *cell, GError **error)
{
    return pte_run(cell, step, error);
}

const SemanticsCase case_pte_truncate_neighbour = {
    .name = "pte.truncate-neighbour",
    .required = "a written page beside one that is truncated is reported",
    .left_out = "the truncation",
    .rams = "shmem,shmem-thp",
    .run = run,
};
