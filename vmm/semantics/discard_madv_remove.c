/* SPDX-License-Identifier: MIT */
/* MADV_REMOVE: the same hole, made through the mapping. */
#include <sys/mman.h>

#include "semantics/cases.h"
#include "semantics/discard.h"

static gboolean
madv_remove(Scene *scene, guint64 offset, guint64 size, GError **error)
{
    return madvise(scene->memory->hva + offset, size, MADV_REMOVE) == 0 || cell_fail(error, "madvise(MADV_REMOVE)");
}

static gboolean
run(Cell *cell, GError **error)
{
    return discard_run(cell, madv_remove, FALSE, error);
}

const SemanticsCase case_discard_madv_remove_clean = {
    .name = "discard.madv-remove-clean",
    .required = DISCARD_REQUIRED,
    .left_out = "the discard",
    .finding = DISCARD_LOST,
    .rams = DISCARD_RAMS,
    .run = run,
    .limit_ms = DISCARD_LIMIT_MS,
};
const SemanticsCase case_discard_madv_remove_clean_told = {
    .name = "discard.madv-remove-clean-told",
    .required = DISCARD_REQUIRED,
    .left_out = "telling the log",
    .rams = DISCARD_RAMS,
    .run = run,
    .limit_ms = DISCARD_LIMIT_MS,
    .variant = DISCARD_TOLD,
};
const SemanticsCase case_discard_madv_remove_written = {
    .name = "discard.madv-remove-written",
    .required = DISCARD_REQUIRED,
    .left_out = "the discard",
    .finding = DISCARD_LOST_WRITTEN,
    .rams = DISCARD_RAMS,
    .run = run,
    .limit_ms = DISCARD_LIMIT_MS,
    .variant = DISCARD_WRITTEN,
};
const SemanticsCase case_discard_madv_remove_written_told = {
    .name = "discard.madv-remove-written-told",
    .required = DISCARD_REQUIRED,
    .left_out = "telling the log",
    .rams = DISCARD_RAMS,
    .run = run,
    .limit_ms = DISCARD_LIMIT_MS,
    .variant = DISCARD_WRITTEN | DISCARD_TOLD,
};
