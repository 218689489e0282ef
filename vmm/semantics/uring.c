/* SPDX-License-Identifier: MIT */
/* io_uring by the system calls themselves: no library for one read. */
#include "semantics/uring.h"

#include <errno.h>
#include <linux/io_uring.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "dirtylog/private.h"
#include "semantics/semantics.h"

struct Uring {
    DlFd fd;
    struct io_uring_params params;
    guint8 *rings; /* both, in one mapping */
    gsize rings_size;
    struct io_uring_sqe *entries;
};

static gboolean
map_rings(Uring *ring, GError **error)
{
    const struct io_uring_params *params = &ring->params;
    gsize sq = params->sq_off.array + params->sq_entries * sizeof(guint32);
    gsize cq = params->cq_off.cqes + params->cq_entries * sizeof(struct io_uring_cqe);

    if (!(params->features & IORING_FEAT_SINGLE_MMAP))
        return cell_unsupported(error, "io_uring before Linux 5.4");
    ring->rings_size = MAX(sq, cq);
    ring->rings = mmap(NULL, ring->rings_size, PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, IORING_OFF_SQ_RING);
    ring->entries = mmap(NULL, params->sq_entries * sizeof(struct io_uring_sqe), PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd,
                         IORING_OFF_SQES);
    return (ring->rings != MAP_FAILED && ring->entries != MAP_FAILED) || cell_fail(error, "mapping io_uring");
}

Uring *
uring_new(GError **error)
{
    g_autoptr(Uring) ring = g_new0(Uring, 1);

    ring->fd = (int)syscall(SYS_io_uring_setup, 4, &ring->params);
    if (ring->fd < 0) {
        cell_unsupported(error, "no io_uring here: %s", g_strerror(errno));
        return NULL;
    }
    return map_rings(ring, error) ? g_steal_pointer(&ring) : NULL;
}

void
uring_free(Uring *ring)
{
    if (ring->rings && ring->rings != MAP_FAILED)
        munmap(ring->rings, ring->rings_size);
    if (ring->entries && ring->entries != MAP_FAILED)
        munmap(ring->entries, ring->params.sq_entries * sizeof(struct io_uring_sqe));
    dl_fd_clear(&ring->fd);
    g_free(ring);
}

gboolean
uring_register(Uring *ring, gpointer buffer, gsize size, GError **error)
{
    struct iovec vector = {buffer, size};

    return syscall(SYS_io_uring_register, ring->fd, IORING_REGISTER_BUFFERS, &vector, 1) == 0 ||
           cell_fail(error, "IORING_REGISTER_BUFFERS");
}

static guint32 *
word(const Uring *ring, guint32 offset)
{
    return (guint32 *)(ring->rings + offset);
}

gboolean
uring_read(Uring *ring, int fd, gpointer to, guint32 size, gboolean fixed, GError **error)
{
    const struct io_sqring_offsets *sq = &ring->params.sq_off;
    const struct io_cqring_offsets *cq = &ring->params.cq_off;
    guint32 tail = *word(ring, sq->tail);
    guint32 slot = tail & *word(ring, sq->ring_mask);

    ring->entries[slot] = (struct io_uring_sqe){
        .opcode = fixed ? IORING_OP_READ_FIXED : IORING_OP_READ,
        .fd = fd,
        .addr = (guint64)(guintptr)to,
        .len = size,
    };
    word(ring, sq->array)[slot] = slot;
    __atomic_store_n(word(ring, sq->tail), tail + 1, __ATOMIC_RELEASE);
    if (syscall(SYS_io_uring_enter, ring->fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0)
        return cell_fail(error, "io_uring_enter");

    guint32 head = *word(ring, cq->head);
    const struct io_uring_cqe *done = (struct io_uring_cqe *)(ring->rings + cq->cqes) + (head & *word(ring, cq->ring_mask));
    gint32 result = done->res;
    __atomic_store_n(word(ring, cq->head), head + 1, __ATOMIC_RELEASE);
    if (result == (gint32)size)
        return TRUE;
    errno = result < 0 ? -result : EIO;
    return cell_fail(error, "a read by io_uring");
}
