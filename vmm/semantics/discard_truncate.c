/* SPDX-License-Identifier: MIT */
/* Truncation and growth again: another process with the memfd can do it at any time. */
#include <unistd.h>

#include "semantics/cases.h"
#include "semantics/discard.h"

static gboolean
truncate_and_grow(Scene *scene, guint64 offset, guint64 size, GError **error)
{
    return (ftruncate(scene->memory->fd, (off_t)offset) == 0 && ftruncate(scene->memory->fd, (off_t)(offset + size)) == 0) ||
           cell_fail(error, "ftruncate");
}

static gboolean
run(Cell *cell, GError **error)
{
    return discard_run(cell, truncate_and_grow, TRUE, error);
}

const SemanticsCase case_discard_truncate_clean = {
    .name = "discard.truncate-clean",
    .required = DISCARD_REQUIRED,
    .left_out = "the truncation",
    .finding = DISCARD_LOST,
    .rams = DISCARD_RAMS,
    .run = run,
    .limit_ms = DISCARD_LIMIT_MS,
};
const SemanticsCase case_discard_truncate_clean_told = {
    .name = "discard.truncate-clean-told",
    .required = DISCARD_REQUIRED,
    .left_out = "telling the log",
    .rams = DISCARD_RAMS,
    .run = run,
    .limit_ms = DISCARD_LIMIT_MS,
    .variant = DISCARD_TOLD,
};
const SemanticsCase case_discard_truncate_written = {
    .name = "discard.truncate-written",
    .required = DISCARD_REQUIRED,
    .left_out = "the truncation",
    .finding = DISCARD_LOST_WRITTEN,
    .rams = DISCARD_RAMS,
    .run = run,
    .limit_ms = DISCARD_LIMIT_MS,
    .variant = DISCARD_WRITTEN,
};
const SemanticsCase case_discard_truncate_written_told = {
    .name = "discard.truncate-written-told",
    .required = DISCARD_REQUIRED,
    .left_out = "telling the log",
    .rams = DISCARD_RAMS,
    .run = run,
    .limit_ms = DISCARD_LIMIT_MS,
    .variant = DISCARD_WRITTEN | DISCARD_TOLD,
};
