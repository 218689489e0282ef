/* SPDX-License-Identifier: MIT */
/* A huge page of the file is taken apart under the tracker: the record of its writes must be handed on to its pieces. */
#include <fcntl.h>

#include "semantics/cases.h"
#include "semantics/pte_split.h"

#define PUNCHED 500
#define HUGE_PAGES 512

typedef struct {
    Scene *scene;
    guint64 page;
} Hole;

static gboolean
punch(gpointer user, GError **error)
{
    const Hole *hole = user;

    return fallocate(hole->scene->memory->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)(hole->page * DL_PAGE_SIZE),
                     (off_t)DL_PAGE_SIZE) == 0 ||
           cell_fail(error, "fallocate(FALLOC_FL_PUNCH_HOLE)");
}

gboolean
pte_split(Scene *scene, GError **error)
{
    for (guint64 page = PUNCHED; page < scene->pages; page += HUGE_PAGES) {
        Hole hole = {scene, page};
        if (!dl_log_discard(scene->log, page * DL_PAGE_SIZE, DL_PAGE_SIZE, punch, &hole, error))
            return FALSE;
        scene_mark_page(scene, page);
    }
    return TRUE;
}

static gboolean
run(Cell *cell, GError **error)
{
    return pte_run(cell, pte_split, error);
}

const SemanticsCase case_pte_thp_split = {
    .name = "pte.thp-split",
    .required = PTE_REQUIRED,
    .left_out = "the split",
    .rams = "shmem-thp",
    .run = run,
};
