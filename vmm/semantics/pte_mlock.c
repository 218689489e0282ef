/* SPDX-License-Identifier: MIT */
/* A VMM locks its guest's memory while it is tracked: populating must not take the protection off, nor the record away. */
#include <sys/mman.h>

#include "semantics/cases.h"
#include "semantics/pte.h"

static gboolean
step(Scene *scene, GError **error)
{
    return (mlock(scene->memory->hva, scene->memory->size) == 0 && munlock(scene->memory->hva, scene->memory->size) == 0) ||
           cell_fail(error, "mlock");
}

static gboolean
run(Cell *cell, GError **error)
{
    return pte_run(cell, step, error);
}

const SemanticsCase case_pte_mlock = {
    .name = "pte.mlock",
    .required = PTE_REQUIRED,
    .left_out = "the mlock",
    .run = run,
};
