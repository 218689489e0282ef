/* SPDX-License-Identifier: MIT */
/*
 * A forked child writes through the mapping that it inherited. Its page tables are registered nowhere, unless the parent's userfaultfd asked
 * for the event of the fork: then it comes with a userfaultfd of the child's.
 */
#include <sys/wait.h>
#include <unistd.h>

#include "semantics/cases.h"
#include "semantics/uffd_stage.h"

enum {
    WITHOUT_EVENT,
    WITH_EVENT,
};

static gboolean
store_in_child(const UffdStage *stage, guint index, GError **error)
{
    int status = 0;
    pid_t child = fork();

    if (child == 0) {
        *(volatile guint8 *)uffd_stage_page(stage, index) += 1;
        _exit(0);
    }
    return (child > 0 && waitpid(child, &status, 0) == child && status == 0) || cell_fail(error, "a child process");
}

static gboolean
run(Cell *cell, GError **error)
{
    g_autoptr(UffdStage) stage = uffd_stage_open(cell, TRUE, error);
    gboolean with_event = cell->about->variant == WITH_EVENT && cell_step(cell);

    if (!stage || !uffd_stage_connect(stage, with_event ? UFFD_FEATURE_EVENT_FORK : 0, UFFDIO_REGISTER_MODE_WP, error) ||
        !uffd_stage_protect(stage, error))
        return FALSE;
    uffd_stage_handle(stage);
    if (cell_step(cell) || cell->about->variant == WITH_EVENT) {
        if (!store_in_child(stage, 1, error))
            return FALSE;
        uffd_stage_mark(stage, 1);
    }
    uffd_stage_store(stage, 3);
    uffd_stage_judge(stage);
    return TRUE;
}

const SemanticsCase case_uffd_fork_no_event = {
    .name = "uffd.fork-no-event",
    .required = "what a forked child writes through the inherited mapping is reported, and the parent's stores still are",
    .left_out = "the child's store",
    .finding =
        "A forked child writes past its parent's userfaultfd: ask for UFFD_FEATURE_EVENT_FORK, or MADV_DONTFORK guest RAM.",
    .trackers = "uffd-wp",
    .rams = UFFD_RAMS,
    .run = run,
    .variant = WITHOUT_EVENT,
};
const SemanticsCase case_uffd_fork_event = {
    .name = "uffd.fork-event",
    .required = "what a forked child writes through the inherited mapping is reported, and the parent's stores still are",
    .left_out = "the event of the fork",
    .trackers = "uffd-wp",
    .rams = UFFD_RAMS,
    .run = run,
    .variant = WITH_EVENT,
};
