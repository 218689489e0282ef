/* SPDX-License-Identifier: MIT */
/*
 * MADV_DONTNEED of shared memory drops page tables and keeps the data. On hugetlb it drops the record of writes too: told to the log,
 * nothing is lost.
 */
#include <sys/mman.h>

#include "semantics/cases.h"
#include "semantics/pte.h"

static gboolean
dontneed(gpointer user, GError **error)
{
    const Scene *scene = user;

    return madvise(scene->memory->hva, scene->memory->size, MADV_DONTNEED) == 0 || cell_fail(error, "madvise(MADV_DONTNEED)");
}

static gboolean
step(Scene *scene, GError **error)
{
    if (scene->cell->about->variant)
        return dl_log_discard(scene->log, 0, scene->memory->size, dontneed, scene, error);
    return dontneed(scene, error);
}

static gboolean
run(Cell *cell, GError **error)
{
    return pte_run(cell, step, error);
}

const SemanticsCase case_pte_dontneed = {
    .name = "pte.dontneed",
    .required = PTE_REQUIRED,
    .left_out = "the madvise",
    .finding =
        "MADV_DONTNEED of written hugetlb memory forgets that it was written, with the data still in the file: a VMM has to "
        "tell its log (dl_log_discard) or leave it.",
    .run = run,
};
const SemanticsCase case_pte_dontneed_told = {
    .name = "pte.dontneed-told",
    .required = PTE_REQUIRED,
    .left_out = "the madvise and telling the log",
    .run = run,
    .variant = 1,
};
