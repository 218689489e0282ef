/* SPDX-License-Identifier: MIT */
/*
 * The handler is gone while a writer waits for it. Closing the userfaultfd, which the end of the handler's process does too, has to let the
 * writer go on; a handler that merely stands still lets it wait for ever.
 */
#include "dirtylog/private.h"
#include "semantics/cases.h"
#include "semantics/uffd_stage.h"

#define WAIT_US 50000
#define TRIES 40

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

static gboolean
run(Cell *cell, GError **error)
{
    /* Never freed: in the control a thread waits in it for ever. */
    UffdStage *stage = uffd_stage_open(cell, TRUE, error);

    if (!stage || !uffd_stage_connect(stage, 0, UFFDIO_REGISTER_MODE_WP, error) || !uffd_stage_protect(stage, error))
        return FALSE;
    static Writer writer; /* outlives this function, as the thread may */
    writer.page = uffd_stage_page(stage, 1);
    g_thread_unref(g_thread_new("writer", store, &writer));
    g_usleep(WAIT_US);
    gboolean waited = !g_atomic_int_get(&writer.done);
    if (cell_step(cell))
        dl_fd_clear(&stage->uffd);
    for (guint i = 0; i < TRIES && !g_atomic_int_get(&writer.done); i++)
        g_usleep(WAIT_US / 2);
    gboolean done = g_atomic_int_get(&writer.done);
    cell_say(cell, "the writer %s, and %s", waited ? "waited" : "did not wait", done ? "went on" : "never went on");
    cell_count(cell, 1, done && waited, !(done && waited), 0);
    return TRUE;
}

const SemanticsCase case_uffd_handler_killed = {
    .name = "uffd.handler-killed",
    .required = "a writer that waits for a handler goes on when the userfaultfd is closed",
    .left_out = "closing it",
    .trackers = "uffd-wp",
    .rams = UFFD_RAMS,
    .run = run,
};
