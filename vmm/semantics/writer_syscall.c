/* SPDX-License-Identifier: MIT */
/*
 * The kernel writes into the tracked mapping on behalf of a system call. The fault is the kernel's, so a userfaultfd that was opened
 * for user faults only cannot resolve it (uffd.user-mode-only).
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "semantics/cases.h"
#include "semantics/writer.h"

enum {
    READ,
    PREADV,
    VM_WRITEV,
    PROC_MEM,
    RECEIVE,
    TOLD = 8, /* and the log is told */
};

#define BYTES 64

static gssize
receive(guint8 *to)
{
    int ends[2];
    guint8 bytes[BYTES] = {0xfe};

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends))
        return -1;
    gssize got = send(ends[0], bytes, sizeof(bytes), 0) < 0 ? -1 : recv(ends[1], to, sizeof(bytes), 0);
    close(ends[0]);
    close(ends[1]);
    return got;
}

static gssize
write_proc_mem(const guint8 *to)
{
    guint8 bytes[BYTES] = {0xfe};
    int fd = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
    gssize done = fd < 0 ? -1 : pwrite(fd, bytes, sizeof(bytes), (off_t)(guintptr)to);

    if (fd >= 0)
        close(fd);
    return done;
}

static gssize
vm_writev(gpointer to)
{
    guint8 bytes[BYTES] = {0xfe};
    struct iovec from = {bytes, BYTES}, there = {to, BYTES};

    return process_vm_writev(getpid(), &from, 1, &there, 1, 0);
}

static gboolean
write_by(Scene *scene, guint place, GError **error)
{
    guint8 *to = scene_address(scene, place) + 512;
    struct iovec vector = {to, BYTES};
    int source = writer_source(error);
    gssize done = -1;

    if (source < 0)
        return FALSE;
    switch (scene->cell->about->variant & ~TOLD) {
    case READ:
        done = lseek(source, 0, SEEK_SET) < 0 ? -1 : read(source, to, BYTES);
        break;
    case PREADV:
        done = preadv(source, &vector, 1, 0);
        break;
    case VM_WRITEV:
        done = vm_writev(to);
        break;
    case PROC_MEM:
        done = write_proc_mem(to);
        break;
    default:
        done = receive(to);
    }
    int saved_errno = errno;
    close(source);
    if (done == BYTES)
        return !(scene->cell->about->variant & TOLD) ||
               dl_log_note_written(scene->log, (guint64)(to - scene->memory->hva), BYTES);
    errno = saved_errno;
    /* A remote access waits for no handler: it fails, and has written nothing. */
    if (errno != EIO)
        return cell_fail(error, "the system call");
    cell_refused(scene->cell, "the write fails: %s", g_strerror(errno));
    return FALSE;
}

static gboolean
run(Cell *cell, GError **error)
{
    return writer_run(cell, write_by, error);
}

const SemanticsCase case_writer_read = {
    .name = "writer.read",
    .required = WRITER_REQUIRED,
    .left_out = "the read",
    .trackers = ALL_TRACKERS,
    .kvm_rams = "shmem",
    .run = run,
    .variant = READ,
};
const SemanticsCase case_writer_read_told = {
    .name = "writer.read-told",
    .required = WRITER_REQUIRED,
    .left_out = "the read",
    .trackers = ALL_TRACKERS,
    .kvm_rams = "shmem",
    .run = run,
    .variant = READ | TOLD,
};
const SemanticsCase case_writer_preadv = {
    .name = "writer.preadv",
    .required = WRITER_REQUIRED,
    .left_out = "the preadv",
    .trackers = ALL_TRACKERS,
    .kvm_rams = "shmem",
    .run = run,
    .variant = PREADV,
};
const SemanticsCase case_writer_process_vm_writev = {
    .name = "writer.process-vm-writev",
    .required = WRITER_REQUIRED,
    .left_out = "the process_vm_writev",
    .trackers = ALL_TRACKERS,
    .kvm_rams = "shmem",
    .run = run,
    .variant = VM_WRITEV,
};
const SemanticsCase case_writer_proc_mem = {
    .name = "writer.proc-mem",
    .required = WRITER_REQUIRED,
    .left_out = "the write to /proc/self/mem",
    .trackers = ALL_TRACKERS,
    .kvm_rams = "shmem",
    .run = run,
    .variant = PROC_MEM,
};
const SemanticsCase case_writer_recv = {
    .name = "writer.recv",
    .required = WRITER_REQUIRED,
    .left_out = "the recv",
    .trackers = ALL_TRACKERS,
    .kvm_rams = "shmem",
    .run = run,
    .variant = RECEIVE,
};
