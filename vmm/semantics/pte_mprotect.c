/* SPDX-License-Identifier: MIT */
/* The whole memory becomes read-only and writable again: the permission that returns must not be taken for a write, nor undo the armed state. */
#include <sys/mman.h>

#include "semantics/cases.h"
#include "semantics/pte.h"

static gboolean
step(Scene *scene, GError **error)
{
    return (mprotect(scene->memory->hva, scene->memory->size, PROT_READ) == 0 &&
            mprotect(scene->memory->hva, scene->memory->size, PROT_READ | PROT_WRITE) == 0) ||
           cell_fail(error, "mprotect");
}

static gboolean
run(Cell *cell, GError **error)
{
    return pte_run(cell, step, error);
}

const SemanticsCase case_pte_mprotect = {
    .name = "pte.mprotect",
    .required = PTE_REQUIRED,
    .left_out = "the mprotect",
    .run = run,
};
