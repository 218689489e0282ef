/* SPDX-License-Identifier: MIT */
/*
 * Threads fault in the hole while it is made. Nothing keeps their pages out of it, unless a userfaultfd in MISSING mode stands before the
 * punch: then each late fault waits for the manager, and what was punched is free. Registered after the punch it comes too late for those that
 * were faster.
 */
#include <sys/ioctl.h>

#include "dirtylog/uapi.h"
#include "dirtylog/uffd.h"
#include "semantics/cases.h"
#include "semantics/punch_stage.h"

#define ROUNDS 20
#define SETTLE_US 2000

enum {
    NEVER,
    BEFORE,
    AFTER,
};

static gboolean
register_missing(const PunchStage *stage, int uffd, GError **error)
{
    struct uffdio_register how = {.range = {(guint64)(guintptr)stage->memory->hva, stage->memory->size},
                                  .mode = UFFDIO_REGISTER_MODE_MISSING};

    return ioctl(uffd, UFFDIO_REGISTER, &how) == 0 || cell_fail(error, "UFFDIO_REGISTER");
}

/* Wakes who waits; the pages come back. */
static void
unregister(const PunchStage *stage, int uffd)
{
    struct uffdio_range range = {(guint64)(guintptr)stage->memory->hva, stage->memory->size};

    ioctl(uffd, UFFDIO_UNREGISTER, &range);
    g_usleep(SETTLE_US);
}

static gboolean
punch_round(const Cell *cell, const PunchStage *stage, int uffd, PunchLeft *left, guint *raced, GError **error)
{
    int variant = cell->about->variant;
    gboolean before = variant == BEFORE && cell_step(cell);

    if (before && !register_missing(stage, uffd, error))
        return FALSE;
    if (punch_stage_punch(stage, error) < 0)
        return FALSE;
    if (variant == AFTER) {
        g_usleep(SETTLE_US / 2); /* the manager's way from one call to the other */
        if (!register_missing(stage, uffd, error))
            return FALSE;
        /* The control punches again, now that nothing can come in. */
        if (!cell_step(cell) && punch_stage_punch(stage, error) < 0)
            return FALSE;
    }
    g_usleep(SETTLE_US);
    *raced += punch_stage_left(stage, left) > 0;
    unregister(stage, uffd);
    return TRUE;
}

static gboolean
run(Cell *cell, GError **error)
{
    g_autoptr(PunchStage) stage = punch_stage_open(cell, error);
    PunchLeft left = {0};
    guint raced = 0;
    int uffd = stage ? dl_uffd_open(UFFD_FEATURE_MISSING_SHMEM | UFFD_FEATURE_MISSING_HUGETLBFS, 0, FALSE, error) : -1;

    if (uffd < 0)
        return FALSE;
    if (cell->about->variant != NEVER || cell_step(cell))
        punch_stage_start(stage);
    for (guint round = 0; round < ROUNDS; round++) {
        if (!punch_round(cell, stage, uffd, &left, &raced, error))
            return FALSE;
    }
    punch_stage_stop(stage);
    punch_stage_judge(cell, (guint64)ROUNDS * PUNCH_PAGES, &left);
    cell_say(cell, "%u of %u rounds had a race", raced, ROUNDS);
    return TRUE;
}

#define REQUIRED "pages that were punched are free, though others fault in the hole meanwhile"

const SemanticsCase case_punch_race = {
    .name = "punch.race",
    .required = REQUIRED,
    .left_out = "the faults",
    .finding =
        "A hole that is punched under faults fills again at once: a manager that counts what it punched as free has given it away twice. "
        "Register a userfaultfd in MISSING mode before the punch.",
    .trackers = "-",
    .rams = "shmem,hugetlb-2M",
    .run = run,
    .variant = NEVER,
};
const SemanticsCase case_punch_missing_before = {
    .name = "punch.missing-before",
    .required = REQUIRED,
    .left_out = "the userfaultfd",
    .trackers = "-",
    .rams = "shmem,hugetlb-2M",
    .run = run,
    .variant = BEFORE,
};
const SemanticsCase case_punch_missing_after = {
    .name = "punch.missing-after",
    .required = REQUIRED,
    .left_out = "leaving out a second punch",
    .finding = "A userfaultfd that is registered after the punch misses the faults in between: register before, or punch again.",
    .trackers = "-",
    .rams = "shmem,hugetlb-2M",
    .run = run,
    .variant = AFTER,
};
