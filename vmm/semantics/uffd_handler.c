/* SPDX-License-Identifier: MIT */
/*
 * The handler is gone while a writer waits for it. Closing the userfaultfd, which the end of the handler's process does too, has to let the
 * writer go on; a handler that merely stands still lets it wait for ever. From then on nothing is protected: whoever depends on a handler in
 * another process has to watch that process.
 */
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dirtylog/private.h"
#include "semantics/cases.h"
#include "semantics/uffd_stage.h"

#define WAIT_US 50000
#define TRIES 40
#define HANDLER_S 10

enum {
    CLOSED,
    PROCESS_KILLED,
};

typedef struct {
    guint8 *page;
    gint done;
} Writer;

static gpointer
store(gpointer user)
{
    Writer *writer = user;

    *(volatile guint8 *)writer->page += 1;
    g_atomic_int_set(&writer->done, 1);
    return NULL;
}

/* The only one that holds the userfaultfd from here on; it reads nothing. Ends with the case at the latest. */
static pid_t
hand_to_process(UffdStage *stage)
{
    pid_t child = fork();

    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        sleep(HANDLER_S);
        _exit(0);
    }
    dl_fd_clear(&stage->uffd);
    return child;
}

static void
end_handler(UffdStage *stage, pid_t process)
{
    if (process > 0) {
        kill(process, SIGKILL);
        waitpid(process, NULL, 0);
    }
    dl_fd_clear(&stage->uffd);
}

static gboolean
run(Cell *cell, GError **error)
{
    /* Never freed: in the control a thread waits in it for ever. */
    UffdStage *stage = uffd_stage_open(cell, TRUE, error);

    if (!stage || !uffd_stage_connect(stage, 0, UFFDIO_REGISTER_MODE_WP, error) || !uffd_stage_protect(stage, error))
        return FALSE;
    static Writer writer; /* outlives this function, as the thread may */
    writer.page = uffd_stage_page(stage, 1);
    pid_t process = cell->about->variant == PROCESS_KILLED ? hand_to_process(stage) : 0;
    if (process < 0)
        return cell_fail(error, "fork");
    g_thread_unref(g_thread_new("writer", store, &writer));
    g_usleep(WAIT_US);
    gboolean waited = !g_atomic_int_get(&writer.done);
    if (cell_step(cell))
        end_handler(stage, process);
    for (guint i = 0; i < TRIES && !g_atomic_int_get(&writer.done); i++)
        g_usleep(WAIT_US / 2);
    gboolean done = g_atomic_int_get(&writer.done);
    cell_say(cell, "the writer %s, and %s", waited ? "waited" : "did not wait", done ? "went on" : "never went on");
    cell_count(cell, 1, done && waited, !(done && waited), 0);
    return TRUE;
}

const SemanticsCase case_uffd_handler_closed = {
    .name = "uffd.handler-closed",
    .required = "a writer that waits for a handler goes on when the userfaultfd is closed",
    .left_out = "closing it",
    .trackers = "uffd-wp",
    .rams = UFFD_RAMS,
    .run = run,
    .variant = CLOSED,
};
const SemanticsCase case_uffd_handler_killed = {
    .name = "uffd.handler-killed",
    .required = "a writer that waits for a handler goes on when the handler's process is killed",
    .left_out = "the kill",
    .trackers = "uffd-wp",
    .rams = UFFD_RAMS,
    .run = run,
    .variant = PROCESS_KILLED,
};
