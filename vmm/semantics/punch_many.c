/* SPDX-License-Identifier: MIT */
/*
 * Several processes map the file, one manages it, as a database does with its shared buffers. A userfaultfd is of one process: the manager's own
 * catches none of the others' faults. Where each of the others has registered one of its own before the punch, each late fault waits in it.
 */
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dirtylog/uapi.h"
#include "dirtylog/uffd.h"
#include "semantics/cases.h"
#include "semantics/punch_stage.h"

#define PROCESSES 3
#define ROUNDS 20
#define SETTLE_US 5000

enum {
    UNTOLD,
    TOLD,
};

static gboolean
register_missing(const PunchStage *stage, GError **error)
{
    int uffd = dl_uffd_open(UFFD_FEATURE_MISSING_SHMEM | UFFD_FEATURE_MISSING_HUGETLBFS, 0, FALSE, error);
    struct uffdio_register how = {.range = {(guint64)(guintptr)stage->memory->hva, stage->memory->size},
                                  .mode = UFFDIO_REGISTER_MODE_MISSING};

    return uffd >= 0 && (ioctl(uffd, UFFDIO_REGISTER, &how) == 0 || cell_fail(error, "UFFDIO_REGISTER"));
}

/* Says when it is ready: with its userfaultfd, if it is to have one. */
static pid_t
start_faulter(const PunchStage *stage, guint64 first, gboolean registers)
{
    int ready[2];
    char byte = 0;

    if (pipe(ready))
        return -1;
    pid_t child = fork();
    if (child != 0) {
        close(ready[1]);
        if (child > 0 && read(ready[0], &byte, 1) != 1)
            g_usleep(SETTLE_US);
        close(ready[0]);
        return child;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (registers && !register_missing(stage, NULL))
        _exit(1);
    if (write(ready[1], "r", 1) == 1)
        close(ready[1]);
    for (guint64 turn = first;; turn++) {
        *(volatile guint8 *)(stage->memory->hva + turn % PUNCH_PAGES * stage->backing) = (guint8)turn;
        if (turn % 4096 == 0)
            g_usleep(100); /* two cores have to do for all */
    }
}

static gboolean
punch_rounds(Cell *cell, const PunchStage *stage, GError **error)
{
    PunchLeft left = {0};

    if (!register_missing(stage, error))
        return FALSE;
    for (guint round = 0; round < ROUNDS; round++) {
        if (punch_stage_punch(stage, error) < 0)
            return FALSE;
        g_usleep(SETTLE_US);
        punch_stage_left(stage, &left);
    }
    punch_stage_judge(cell, (guint64)ROUNDS * PUNCH_PAGES, &left);
    cell_say(cell, "%u processes", PROCESSES);
    return TRUE;
}

static gboolean
run(Cell *cell, GError **error)
{
    g_autoptr(PunchStage) stage = punch_stage_open(cell, error);
    pid_t children[PROCESSES] = {0};

    if (!stage)
        return FALSE;
    /* The control of the prevented loss is the loss, and that of the loss is nobody there. */
    for (guint i = 0; (cell_step(cell) || cell->about->variant == TOLD) && i < PROCESSES; i++)
        children[i] = start_faulter(stage, (guint64)i * 5, cell->about->variant == TOLD && cell_step(cell));
    gboolean worked = punch_rounds(cell, stage, error);
    for (guint i = 0; i < PROCESSES; i++) {
        if (children[i] > 0) {
            kill(children[i], SIGKILL);
            waitpid(children[i], NULL, 0);
        }
    }
    return worked;
}

const SemanticsCase case_punch_many = {
    .name = "punch.many",
    .required = "pages that one process punched are free, though the others that map the file fault in the hole meanwhile",
    .left_out = "the other processes",
    .finding =
        "A manager's userfaultfd does not catch the faults of other processes that map the file: each has to register its own, before the "
        "punch, or be stopped.",
    .trackers = "-",
    .rams = "shmem,hugetlb-2M",
    .run = run,
};
const SemanticsCase case_punch_many_told = {
    .name = "punch.many-told",
    .required =
        "pages that one process punched are free, where every process that maps the file registered its own userfaultfd before",
    .left_out = "the other processes' userfaultfds",
    .trackers = "-",
    .rams = "shmem,hugetlb-2M",
    .run = run,
    .variant = TOLD,
};
