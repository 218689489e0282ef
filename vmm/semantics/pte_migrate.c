/* SPDX-License-Identifier: MIT */
/* Pages move to another place in memory, by move_pages() between nodes or by compaction: the migration entry must carry the record. */
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "semantics/cases.h"
#include "semantics/pte.h"

#define MOVE_ALL (1 << 2) /* MPOL_MF_MOVE_ALL */

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

static gboolean
run(Cell *cell, GError **error)
{
    if (cell->about->variant)
        return pte_run(cell, compact, error);
    if (access("/sys/devices/system/node/node1", F_OK))
        return cell_unsupported(error, "this host has one memory node");
    return pte_run(cell, move, error);
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
    .run = run,
    .variant = 1,
};
