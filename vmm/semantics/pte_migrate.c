/* SPDX-License-Identifier: MIT */
/* Pages move to another place in memory, by move_pages() between nodes or by compaction: the migration entry must carry the record. */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "semantics/cases.h"
#include "semantics/pte.h"

#define SPACER (UINT64_C(128) << 20)
#define TRIES 4           /* where the free pages lie is not ours to say */
#define MOVE_ALL (1 << 2) /* MPOL_MF_MOVE_ALL */

/* How many pages of the cell had another frame after a step than before it: a step that moves nothing proves nothing. */
static guint64 moved;

static void
populate(const Scene *scene)
{
    for (guint64 page = 0; page < scene->pages; page++) {
        volatile guint8 seen = scene->memory->hva[page * DL_PAGE_SIZE];
        (void)seen;
    }
}

static gboolean
compact(Scene *scene, GError **error)
{
    int fd = open("/proc/sys/vm/compact_memory", O_WRONLY | O_CLOEXEC);

    (void)scene;
    if (fd < 0)
        return cell_unsupported(error, "compaction cannot be asked for: /proc/sys/vm/compact_memory: %s", g_strerror(errno));
    gboolean done = write(fd, "1", 1) == 1;
    close(fd);
    return done || cell_fail(error, "compact_memory");
}

static gboolean
move(Scene *scene, GError **error)
{
    static int node;

    node = !node;
    for (guint place = 0; place < SCENE_PLACES; place++) {
        void *address = scene_address(scene, place);
        int status = 0;
        if (syscall(SYS_move_pages, 0, 1UL, &address, &node, &status, MOVE_ALL))
            return cell_fail(error, "move_pages");
    }
    return TRUE;
}

/*
 * Memory with every second page free, which is what the next pages come from: compaction has a reason to move them. It stands until the
 * case's process ends.
 */
static gboolean
fragment_memory(GError **error)
{
    guint8 *spacer = mmap(NULL, SPACER, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (spacer == MAP_FAILED)
        return cell_fail(error, "mmap");
    madvise(spacer, SPACER, MADV_NOHUGEPAGE);
    for (gsize offset = 0; offset < SPACER; offset += DL_PAGE_SIZE)
        spacer[offset] = 1;
    for (gsize offset = 0; offset < SPACER; offset += 2 * DL_PAGE_SIZE)
        madvise(spacer + offset, DL_PAGE_SIZE, MADV_DONTNEED);
    return TRUE;
}

static gboolean
step(Scene *scene, GError **error)
{
    populate(scene);
    g_autofree guint64 *before = pte_frames(scene);
    if (!(scene->cell->about->variant ? compact : move)(scene, error))
        return FALSE;
    populate(scene); /* what compaction unmapped is looked up again */
    g_autofree guint64 *after = pte_frames(scene);
    for (guint64 page = 0; page < scene->pages; page++)
        moved += before[page] && after[page] && before[page] != after[page];
    return TRUE;
}

static gboolean
run(Cell *cell, GError **error)
{
    if (!cell->about->variant && access("/sys/devices/system/node/node1", F_OK))
        return cell_unsupported(error, "this host has one memory node");
    for (guint tries = 0; tries < TRIES && !moved; tries++) {
        if (cell->about->variant && !fragment_memory(error))
            return FALSE;
        if (!pte_run(cell, step, error))
            return FALSE;
    }
    if (cell->take == TAKE_REAL && !moved)
        return cell_unsupported(error, "no page moved: the kernel had no reason to, or frames are not shown to this user");
    cell_say(cell, "%" G_GUINT64_FORMAT " pages moved", moved);
    return TRUE;
}

const SemanticsCase case_pte_migrate = {
    .name = "pte.migrate",
    .required = PTE_REQUIRED,
    .left_out = "the move",
    .run = run,
};
const SemanticsCase case_pte_compact = {
    .name = "pte.compact",
    .required = PTE_REQUIRED,
    .left_out = "the compaction",
    .rams = "shmem", /* it moves small pages */
    .run = run,
    .variant = 1,
};
