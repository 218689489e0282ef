/* SPDX-License-Identifier: MIT */
/* What every writer case does. */
#include "semantics/writer.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define ROUNDS 2

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
    return TRUE;
}

gboolean
writer_run(Cell *cell, Writer writer, GError **error)
{
    g_autoptr(Scene) scene = scene_open(cell, error);

    return scene && writer_run_on(scene, writer, error);
}
