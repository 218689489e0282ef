/* SPDX-License-Identifier: MIT */
/*
 * A clean, protected page is loaded while it is punched. A punch flushes the page tables, then takes the page out of the file and flushes
 * once more: a load in between faults the page in again, protected, and the second flush takes that protection with it (the kernel drops
 * the marker with a page that leaves its file). From then on the place is unprotected, and the next store to it is lost.
 */
#include <fcntl.h>

#include "dirtylog/private.h"
#include "semantics/cases.h"
#include "semantics/scene.h"

#define PLACE 1
#define SECOND_NS (G_GINT64_CONSTANT(1000) * 1000 * 1000)
#define LASTS_S 2
#define SEARCH_S 8 /* for the loss: seen after 400 rounds, and after 38,000 */

enum {
    UNTOLD,
    TOLD,
};

typedef struct {
    Scene *scene;
    guint64 offset, size;
    gint stop;
} Reader;

static gpointer
load_on(gpointer user)
{
    Reader *reader = user;
    const volatile guint8 *byte = scene_address(reader->scene, PLACE);

    while (!g_atomic_int_get(&reader->stop))
        (void)*byte;
    return NULL;
}

static gboolean
punch(gpointer user, GError **error)
{
    const Reader *reader = user;

    return fallocate(reader->scene->memory->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)reader->offset,
                     (off_t)reader->size) == 0 ||
           cell_fail(error, "fallocate(FALLOC_FL_PUNCH_HOLE)");
}

/* A round more, judged. What the punch itself changed is of no interest here: the page is stored to in any case. */
static gboolean
punch_and_store(Cell *cell, Reader *reader, GError **error)
{
    gboolean punched = cell->about->variant == TOLD && cell_step(cell)
                           ? dl_log_discard(reader->scene->log, reader->offset, reader->size, punch, reader, error)
                           : punch(reader, error);

    if (!punched || (cell->about->variant == TOLD && !scene_skip(reader->scene, error)))
        return FALSE;
    scene_store(reader->scene, PLACE);
    return scene_harvest(reader->scene, error);
}

static gboolean
run(Cell *cell, GError **error)
{
    g_autoptr(Scene) scene = scene_open(cell, error);
    guint64 backing = dl_ram_kind_page_size(cell->ram);
    gboolean loads = cell->about->variant == TOLD || cell_step(cell);
    gboolean worked = TRUE;
    guint rounds = 0;

    if (!scene || !scene_arm(scene, error))
        return FALSE;
    Reader reader = {scene, scene_page(scene, PLACE) * DL_PAGE_SIZE / backing * backing, backing, !loads};
    GThread *thread = g_thread_new("reader", load_on, &reader);
    gint64 end = dl_now_ns() + (cell->about->variant == UNTOLD && cell_step(cell) ? SEARCH_S : LASTS_S) * SECOND_NS;
    while (worked && !cell->missed && dl_now_ns() < end) {
        worked = punch_and_store(cell, &reader, error);
        rounds++;
    }
    g_atomic_int_set(&reader.stop, 1);
    g_thread_join(thread);
    cell_say(cell, cell->missed ? "the first loss in round %u" : "%u rounds", rounds);
    return worked;
}

#define REQUIRED "a store is reported, though its page was punched before while others loaded it"

const SemanticsCase case_punch_reader = {
    .name = "punch.reader",
    .required = REQUIRED,
    .left_out = "the loads",
    .finding =
        "A page that is loaded while it is punched can lose uffd-wp's protection with the page: later stores to it are not seen. Whoever "
        "punches protects the range again afterwards (dl_log_discard does).",
    .trackers = "pagemap-scan,uffd-wp",
    .rams = "shmem,hugetlb-2M",
    .run = run,
    .variant = UNTOLD,
};
const SemanticsCase case_punch_reader_told = {
    .name = "punch.reader-told",
    .required = REQUIRED,
    .trackers = "pagemap-scan,uffd-wp",
    .rams = "shmem,hugetlb-2M",
    .run = run,
    .variant = TOLD,
};
