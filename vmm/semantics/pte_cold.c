/* SPDX-License-Identifier: MIT */
/* MADV_COLD moves pages to the inactive list: what a working-set estimator does to a guest. */
#include <sys/mman.h>

#include "semantics/cases.h"
#include "semantics/pte.h"

static gboolean
step(Scene *scene, GError **error)
{
    return madvise(scene->memory->hva, scene->memory->size, MADV_COLD) == 0 || cell_fail(error, "madvise(MADV_COLD)");
}

static gboolean
run(Cell *cell, GError **error)
{
    return pte_run(cell, step, error);
}

const SemanticsCase case_pte_cold = {
    .name = "pte.cold",
    .required = PTE_REQUIRED,
    .left_out = "the madvise",
    .rams = "shmem,shmem-thp",
    .run = run,
};
