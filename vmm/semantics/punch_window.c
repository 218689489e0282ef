/* SPDX-License-Identifier: MIT */
/*
 * A page is written between the flush of its page table entry and its removal: the store goes to a page that is about to be thrown away, and the
 * next load reads zeroes. No tracker can say so; told to the log, the range is reported, and a copy that is read afterwards is right.
 *
 * There is worse for uffd-wp: the removal flushes the page table once more, and that flush forgets the write-protection (it seems that the
 * kernel leaves no marker for a page that it takes out of the file). A page that was faulted in again in between, by a load, is unprotected from then
 * on, and its next store is lost: seen in 6 of 4,800 runs of the control. The log's discard protects the range again after the punch.
 */
#include <fcntl.h>
#include <string.h>

#include "semantics/cases.h"
#include "semantics/scene.h"

#define ROUNDS 60
#define PLACE 1

typedef struct {
    Scene *scene;
    guint64 offset, size;
    gint stop;
} Window;

static gboolean
punch(gpointer user, GError **error)
{
    const Window *window = user;

    return fallocate(window->scene->memory->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)window->offset,
                     (off_t)window->size) == 0 ||
           cell_fail(error, "fallocate(FALLOC_FL_PUNCH_HOLE)");
}

static gpointer
write_on(gpointer user)
{
    Window *window = user;
    volatile guint64 *counter = (volatile guint64 *)scene_address(window->scene, PLACE);

    while (!g_atomic_int_get(&window->stop))
        *counter += 1;
    return NULL;
}

/* As a migration would: after the re-arm, the pages that were reported are read. */
static gboolean
harvest_and_copy(Scene *scene, GError **error)
{
    if (!scene_skip(scene, error))
        return FALSE;
    for (guint64 page = 0; page < scene->pages; page++)
        if (dl_bitmap_test(scene->found, page))
            memcpy(scene->copy + page * DL_PAGE_SIZE, scene->memory->hva + page * DL_PAGE_SIZE, DL_PAGE_SIZE);
    return TRUE;
}

static gboolean
punch_it(const Cell *cell, Window *window, GError **error)
{
    if (cell_step(cell))
        return dl_log_discard(window->scene->log, window->offset, window->size, punch, window, error);
    return punch(window, error);
}

static guint64
stale_pages(const Scene *scene)
{
    guint64 stale = 0;

    for (guint64 offset = 0; offset < scene->memory->size; offset += DL_PAGE_SIZE)
        stale += memcmp(scene->copy + offset, scene->memory->hva + offset, DL_PAGE_SIZE) != 0;
    return stale;
}

/* Rounds under a writer. */
static gboolean
race(const Cell *cell, Window *window, GError **error)
{
    gboolean worked = TRUE;

    for (guint round = 0; worked && round < ROUNDS; round++)
        worked = punch_it(cell, window, error) && harvest_and_copy(window->scene, error);
    return worked;
}

static gboolean
run(Cell *cell, GError **error)
{
    g_autoptr(Scene) scene = scene_open(cell, error);
    guint64 backing = dl_ram_kind_page_size(cell->ram);

    if (!scene || !scene_arm(scene, error))
        return FALSE;
    scene_remember(scene);
    Window window = {scene, scene_page(scene, PLACE) * DL_PAGE_SIZE / backing * backing, backing, 0};
    GThread *writer = g_thread_new("writer", write_on, &window);
    gboolean worked = race(cell, &window, error);
    g_atomic_int_set(&window.stop, 1);
    g_thread_join(writer);
    /* With nobody left to write: the last store is in the copy, and then that page is punched while it is clean. */
    scene_store(scene, PLACE);
    if (!worked || !harvest_and_copy(scene, error))
        return FALSE;
    guint64 stale = stale_pages(scene);
    if (!punch_it(cell, &window, error) || !harvest_and_copy(scene, error))
        return FALSE;
    stale += stale_pages(scene);
    cell_count(cell, stale, 0, stale, 0);
    cell_say(cell, "%u rounds, %" G_GUINT64_FORMAT " stale pages in the copy", ROUNDS, stale);
    return TRUE;
}

const SemanticsCase case_punch_window = {
    .name = "punch.window",
    .required = "a copy that is fed by harvests equals memory, though pages were punched while they were written",
    .left_out = "telling the log",
    .trackers = "pagemap-scan,uffd-wp",
    .rams = "shmem,hugetlb-2M",
    .run = run,
    .limit_ms = 60000,
};
