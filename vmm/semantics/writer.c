/* SPDX-License-Identifier: MIT */
/* What every writer case does. */
#include "semantics/writer.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define ROUNDS 2
#define RING_ENTRIES 4096

int
writer_source(GError **error)
{
    guint8 bytes[DL_PAGE_SIZE];
    int fd = memfd_create("source", MFD_CLOEXEC);

    memset(bytes, 0xfe, sizeof(bytes));
    if (fd >= 0 && write(fd, bytes, sizeof(bytes)) == (gssize)sizeof(bytes))
        return fd;
    cell_fail(error, "a file to read from");
    return -1;
}

static gboolean
is_of_kvm(const Cell *cell)
{
    return cell->tracker->holds == DL_HOLDS_MEMSLOT_LOG || cell->tracker->holds == DL_HOLDS_RING;
}

Scene *
writer_open(Cell *cell, GError **error)
{
    return is_of_kvm(cell) ? scene_open_vm(cell, RING_ENTRIES, error) : scene_open(cell, error);
}

/* Whatever the case's own finding is for a tracker on page tables. */
static void
explain(Cell *cell)
{
    if (cell->missed && is_of_kvm(cell))
        cell_find(cell,
                  "KVM's logs hold what vCPUs and KVM wrote, never what the VMM, a system call of its or another process wrote: "
                  "whoever writes has to tell (dl_log_note_written).");
}

gboolean
writer_run_on(Scene *scene, Writer writer, GError **error)
{
    if (!scene_arm(scene, error))
        return FALSE;
    for (guint round = 0; round < ROUNDS; round++) {
        for (guint place = 0; cell_step(scene->cell) && place < 2; place++) {
            if (!writer(scene, place, error))
                return FALSE;
            scene_mark(scene, place);
        }
        if (!scene_harvest(scene, error))
            return FALSE;
    }
    explain(scene->cell);
    return TRUE;
}

gboolean
writer_run(Cell *cell, Writer writer, GError **error)
{
    g_autoptr(Scene) scene = writer_open(cell, error);

    return scene && writer_run_on(scene, writer, error);
}
