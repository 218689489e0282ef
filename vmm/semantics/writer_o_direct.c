/* SPDX-License-Identifier: MIT */
/* A disk's DMA: O_DIRECT pins the page for writing through the mapping, which faults as a store does, and the device writes it later. */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "semantics/cases.h"
#include "semantics/writer.h"

/* Not in the default temporary folder, which may be a tmpfs. */
static int
open_source(GError **error)
{
    char name[] = "/var/tmp/dirtylab-semantics-XXXXXX";
    guint8 bytes[DL_PAGE_SIZE] = {0xfe};
    int fd = mkostemp(name, O_CLOEXEC);

    if (fd < 0 || write(fd, bytes, sizeof(bytes)) != (gssize)sizeof(bytes)) {
        cell_unsupported(error, "no file in /var/tmp: %s", g_strerror(errno));
        return -1;
    }
    fsync(fd);
    close(fd);
    fd = open(name, O_RDONLY | O_DIRECT | O_CLOEXEC);
    if (fd < 0)
        cell_unsupported(error, "no O_DIRECT in /var/tmp: %s", g_strerror(errno));
    unlink(name);
    return fd;
}

static gboolean
read_direct(Scene *scene, guint place, GError **error)
{
    int fd = open_source(error);

    if (fd < 0)
        return FALSE;
    gssize got = pread(fd, scene_address(scene, place), DL_PAGE_SIZE, 0);
    close(fd);
    return got == (gssize)DL_PAGE_SIZE || cell_fail(error, "reading with O_DIRECT");
}

static gboolean
run(Cell *cell, GError **error)
{
    return writer_run(cell, read_direct, error);
}

const SemanticsCase case_writer_o_direct = {
    .name = "writer.o-direct",
    .required = WRITER_REQUIRED,
    .left_out = "the read",
    .trackers = ALL_TRACKERS,
    .kvm_rams = "shmem",
    .run = run,
};
