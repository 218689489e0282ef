/* SPDX-License-Identifier: MIT */
/* FALLOC_FL_PUNCH_HOLE: the balloon and free page reporting of every VMM with shared RAM. */
#include <fcntl.h>

#include "semantics/cases.h"
#include "semantics/discard.h"

static gboolean
punch_hole(Scene *scene, guint64 offset, guint64 size, GError **error)
{
    return fallocate(scene->memory->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)size) == 0 ||
           cell_fail(error, "fallocate(FALLOC_FL_PUNCH_HOLE)");
}

static gboolean
run(Cell *cell, GError **error)
{
    return discard_run(cell, punch_hole, FALSE, error);
}

const SemanticsCase case_discard_punch_hole_clean = {
    .name = "discard.punch-hole-clean",
    .required = DISCARD_REQUIRED,
    .left_out = "the punch",
    .finding = DISCARD_LOST,
    .rams = DISCARD_RAMS,
    .run = run,
    .limit_ms = DISCARD_LIMIT_MS,
};
const SemanticsCase case_discard_punch_hole_clean_told = {
    .name = "discard.punch-hole-clean-told",
    .required = DISCARD_REQUIRED,
    .left_out = "telling the log",
    .rams = DISCARD_RAMS,
    .run = run,
    .limit_ms = DISCARD_LIMIT_MS,
    .variant = DISCARD_TOLD,
};
const SemanticsCase case_discard_punch_hole_written = {
    .name = "discard.punch-hole-written",
    .required = DISCARD_REQUIRED,
    .left_out = "the punch",
    .finding = DISCARD_LOST_WRITTEN,
    .rams = DISCARD_RAMS,
    .run = run,
    .limit_ms = DISCARD_LIMIT_MS,
    .variant = DISCARD_WRITTEN,
};
const SemanticsCase case_discard_punch_hole_written_told = {
    .name = "discard.punch-hole-written-told",
    .required = DISCARD_REQUIRED,
    .left_out = "telling the log",
    .rams = DISCARD_RAMS,
    .run = run,
    .limit_ms = DISCARD_LIMIT_MS,
    .variant = DISCARD_WRITTEN | DISCARD_TOLD,
};
