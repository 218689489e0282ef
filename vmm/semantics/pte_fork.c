/* SPDX-License-Identifier: MIT */
/* A VMM forks a helper: page tables are copied, and the parent's record of writes and its protection must be as before. */
#include <sys/wait.h>
#include <unistd.h>

#include "semantics/cases.h"
#include "semantics/pte.h"

static gboolean
step(Scene *scene, GError **error)
{
    pid_t child = fork();

    if (child < 0)
        return cell_fail(error, "fork");
    if (child == 0) {
        volatile guint8 seen = *scene_address(scene, 0);
        (void)seen;
        _exit(0);
    }
    return waitpid(child, NULL, 0) == child || cell_fail(error, "waitpid");
}

static gboolean
run(Cell *cell, GError **error)
{
    return pte_run(cell, step, error);
}

const SemanticsCase case_pte_fork = {
    .name = "pte.fork",
    .required = PTE_REQUIRED,
    .left_out = "the fork",
    .run = run,
};
