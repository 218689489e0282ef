/* SPDX-License-Identifier: MIT */
/*
 * One request at a time is in flight, so nothing is when the worker has left its gate. Requests that are waiting are taken together:
 * reads, or writes, whose sectors follow each other become one preadv or pwritev.
 *
 * With O_DIRECT the file is opened twice. The kernel keeps the page cache coherent with direct transfers, and requests go one after
 * the other, so those that are not aligned may take the other way.
 *
 * System calls: openat, fstat, ioctl, lseek, statx, preadv, pwritev, fdatasync, close.
 */
#include <devices/virtio_blk.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_ids.h>
#include <machine/error.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECTOR UINT64_C(512)
#define FEATURE(bit) (UINT64_C(1) << (bit))
#define BATCH_REQUESTS 64
#define BATCH_BYTES (UINT64_C(8) << 20)
#define SEGMENTS (VIRTQUEUE_MAX_SIZE - 2) /* header and status take two descriptors */
#define SEGMENT_BYTES (UINT64_C(128) << 10)
G_STATIC_ASSERT(SEGMENT_BYTES <= (VIRTQUEUE_MAX_BYTES - sizeof(struct virtio_blk_outhdr) - 1) / SEGMENTS);
#define DIRECT_ALIGNMENT_UNKNOWN 4096u

/** A request that was taken: @data is its part of the batch's pieces. */
typedef struct {
    VirtqueueChain chain;
    guint32 type;
    guint64 sector;
    guint64 bytes; /* of data */
    guint8 status;
} Request;

typedef struct {
    VirtioDevice base;
    char *path;
    char *label;
    int fd;        /* through the page cache */
    int direct_fd; /* O_DIRECT, or -1 */
    guint alignment;
    gboolean read_only;
    guint64 sectors;
    char serial[VIRTIO_BLK_ID_BYTES];
    struct virtio_blk_config config;

    Request *waiting; /* BATCH_REQUESTS of them; in use during process() only */
} VirtioBlk;

/* --- transfers --- */

static gboolean
aligned(const VirtioBlk *blk, const GuestRamPiece *pieces, guint n_pieces, guint64 offset)
{
    guint64 bits = offset;

    /* RAM is mapped at multiples of 2 MiB: what is aligned for the guest is for the host */
    for (guint i = 0; i < n_pieces; i++)
        bits |= pieces[i].gpa | pieces[i].size;
    return !(bits & (blk->alignment - 1));
}

/* @pieces are used up. A call may do a part of it: before a signal, at the file's end. */
static gboolean
transfer(VirtioBlk *blk, guint32 type, GuestRamPiece *pieces, guint n_pieces, guint64 offset, guint64 bytes)
{
    g_autoptr(GError) error = NULL;

    while (bytes) {
        int fd = blk->direct_fd >= 0 && aligned(blk, pieces, n_pieces, offset) ? blk->direct_fd : blk->fd;
        gssize done = type == VIRTIO_BLK_T_IN ? guest_ram_preadv(blk->base.ram, fd, pieces, n_pieces, (gint64)offset, &error)
                                              : guest_ram_pwritev(blk->base.ram, fd, pieces, n_pieces, (gint64)offset, &error);
        if (done <= 0) {
            g_info("%s: %s of %" G_GUINT64_FORMAT " bytes at %" G_GUINT64_FORMAT " failed: %s", blk->path,
                   type == VIRTIO_BLK_T_IN ? "a read" : "a write", bytes, offset, error ? error->message : "the file ends there");
            return FALSE;
        }
        bytes -= (guint64)done;
        offset += (guint64)done;
        n_pieces = virtqueue_slice(pieces, n_pieces, (gsize)done, bytes, pieces);
    }
    return TRUE;
}

static guint
data_pieces(const Request *request, GuestRamPiece *out)
{
    const VirtqueueChain *chain = &request->chain;

    if (request->type == VIRTIO_BLK_T_OUT)
        return virtqueue_slice(chain->pieces, chain->n_out, sizeof(struct virtio_blk_outhdr), request->bytes, out);
    return virtqueue_slice(chain->pieces + chain->n_out, chain->n_in, 0, request->bytes, out);
}

/* Those of the @n waiting requests, from the first on, that are one transfer; @bytes of data in @pieces. */
static guint
merge(const VirtioBlk *blk, guint first, guint n, GuestRamPiece *pieces, guint *n_pieces, guint64 *bytes)
{
    const Request *begin = &blk->waiting[first];
    guint64 next = begin->sector + begin->bytes / SECTOR;
    guint taken = 1;

    *n_pieces = data_pieces(begin, pieces);
    *bytes = begin->bytes;
    for (; first + taken < n; taken++) {
        const Request *request = &blk->waiting[first + taken];
        guint most = request->type == VIRTIO_BLK_T_IN ? request->chain.n_in : request->chain.n_out;
        if (request->type != begin->type || request->sector != next || request->status != VIRTIO_BLK_S_OK || !request->bytes ||
            most > GUEST_RAM_MAX_PIECES - *n_pieces)
            break;
        *n_pieces += data_pieces(request, pieces + *n_pieces);
        *bytes += request->bytes;
        next += request->bytes / SECTOR;
    }
    return taken;
}

/* --- requests --- */

static gboolean
in_range(const VirtioBlk *blk, const Request *request)
{
    guint64 count = request->bytes / SECTOR;

    return request->bytes % SECTOR == 0 && request->sector <= blk->sectors && count <= blk->sectors - request->sector;
}

/* FALSE: no request at all. */
static gboolean
parse(VirtioBlk *blk, Virtqueue *queue, Request *request)
{
    struct virtio_blk_outhdr header;

    if (!virtqueue_chain_gather(queue, &request->chain, 0, &header, sizeof header) || !request->chain.in_bytes)
        return FALSE;
    request->type = GUINT32_FROM_LE(header.type);
    request->sector = GUINT64_FROM_LE(header.sector);
    request->bytes = 0;
    request->status = VIRTIO_BLK_S_OK;
    switch (request->type) {
    case VIRTIO_BLK_T_IN:
        request->bytes = request->chain.in_bytes - 1;
        break;
    case VIRTIO_BLK_T_OUT:
        request->bytes = request->chain.out_bytes - sizeof header;
        if (blk->read_only)
            request->status = VIRTIO_BLK_S_IOERR;
        break;
    case VIRTIO_BLK_T_FLUSH:
    case VIRTIO_BLK_T_GET_ID:
        break;
    default:
        request->status = VIRTIO_BLK_S_UNSUPP;
        break;
    }
    if (!in_range(blk, request) && request->status == VIRTIO_BLK_S_OK && request->type <= VIRTIO_BLK_T_OUT)
        request->status = VIRTIO_BLK_S_IOERR;
    return TRUE;
}

static void
finish(VirtioBlk *blk, Virtqueue *queue, Request *request)
{
    const VirtqueueChain *chain = &request->chain;
    gsize written = 1;

    if (request->type == VIRTIO_BLK_T_IN && request->status == VIRTIO_BLK_S_OK)
        written += request->bytes;
    if (request->type == VIRTIO_BLK_T_GET_ID) {
        gsize size = MIN(chain->in_bytes - 1, sizeof blk->serial);
        virtqueue_chain_scatter(queue, chain, 0, blk->serial, size);
        written += size;
    }
    virtqueue_chain_scatter(queue, chain, chain->in_bytes - 1, &request->status, 1);
    virtqueue_give(queue, chain, written);
}

static void
flush(VirtioBlk *blk, Request *request)
{
    if (!blk->read_only && fdatasync(blk->fd) < 0) {
        g_info("%s: cannot be flushed: %s", blk->path, g_strerror(errno));
        request->status = VIRTIO_BLK_S_IOERR;
    }
}

/* One by one: of several that could not be had together, some may be had. */
static void
transfer_each(VirtioBlk *blk, Request *requests, guint n)
{
    GuestRamPiece pieces[GUEST_RAM_MAX_PIECES];

    for (guint i = 0; i < n; i++) {
        guint n_pieces = data_pieces(&requests[i], pieces);
        if (!transfer(blk, requests[i].type, pieces, n_pieces, requests[i].sector * SECTOR, requests[i].bytes))
            requests[i].status = VIRTIO_BLK_S_IOERR;
    }
}

static void
serve(VirtioBlk *blk, Virtqueue *queue, guint n)
{
    GuestRamPiece pieces[GUEST_RAM_MAX_PIECES];
    guint64 bytes;
    guint n_pieces, count;

    for (guint i = 0; i < n; i += count) {
        Request *request = &blk->waiting[i];
        count = 1;
        if (request->type == VIRTIO_BLK_T_FLUSH) {
            flush(blk, request);
        } else if (request->bytes && request->status == VIRTIO_BLK_S_OK) {
            count = merge(blk, i, n, pieces, &n_pieces, &bytes);
            if (!transfer(blk, request->type, pieces, n_pieces, request->sector * SECTOR, bytes))
                transfer_each(blk, request, count);
        }
        for (guint j = 0; j < count; j++)
            finish(blk, queue, &request[j]);
    }
}

static gboolean
blk_process(VirtioDevice *device, guint index)
{
    VirtioBlk *blk = (VirtioBlk *)device;
    Virtqueue *queue = &device->queues[index];
    guint64 bytes = 0;
    guint n = 0;

    while (n < BATCH_REQUESTS && bytes < BATCH_BYTES && virtqueue_take(queue, &blk->waiting[n].chain) == VIRTQUEUE_TAKEN) {
        if (!parse(blk, queue, &blk->waiting[n])) {
            virtqueue_reject(queue, "a request without a header or without room for its status");
            break;
        }
        bytes += blk->waiting[n++].bytes;
    }
    serve(blk, queue, n);
    return TRUE;
}

/* --- saved state --- */

/* What was written may be in this host's page cache only, and the guest goes on where there is none of it. */
static gboolean
blk_settle(VirtioDevice *device, GError **error)
{
    const VirtioBlk *blk = (VirtioBlk *)device;

    if (blk->read_only || fdatasync(blk->fd) == 0)
        return TRUE;
    g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_FAILED, "disk %s cannot be flushed, and must be before it is handed over: %s",
                blk->path, g_strerror(errno));
    return FALSE;
}

static void
blk_save(VirtioDevice *device, GByteArray *out)
{
    wire_put_u64(out, ((VirtioBlk *)device)->sectors);
    wire_put_u8(out, ((VirtioBlk *)device)->read_only ? 1 : 0);
}

/* The image is the same one, by whatever path: it has the same size, and its driver knows whether it may write. */
static gboolean
blk_load(VirtioDevice *device, WireReader *reader)
{
    const VirtioBlk *blk = (VirtioBlk *)device;
    guint64 sectors = wire_get_u64(reader);

    return wire_get_u8(reader) == (blk->read_only ? 1 : 0) && sectors == blk->sectors;
}

/* --- the image --- */

static int
open_image(const char *path, int flags, GError **error)
{
    int fd = open(path, flags | O_CLOEXEC);

    if (fd >= 0)
        return fd;
    if (errno == EINVAL && flags & O_DIRECT)
        g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_UNSUPPORTED,
                    "disk %s: its file system has no O_DIRECT: leave `direct` out", path);
    else if (errno == EROFS || errno == EACCES)
        g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_FAILED, "disk %s cannot be opened%s: %s%s", path,
                    flags & O_RDWR ? " for writing" : "", g_strerror(errno), flags & O_RDWR ? ": read-only is `,ro`" : "");
    else
        g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_FAILED, "disk %s cannot be opened: %s", path, g_strerror(errno));
    return -1;
}

static gboolean
measure(VirtioBlk *blk, GError **error)
{
    struct stat info;
    gint64 size = -1;

    if (fstat(blk->fd, &info) == 0 && (S_ISREG(info.st_mode) || S_ISBLK(info.st_mode)))
        size = lseek(blk->fd, 0, SEEK_END);
    if (size < 0)
        g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_INVALID, "disk %s is neither a file nor a block device", blk->path);
    else if (!size || size % SECTOR)
        g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_INVALID,
                    "disk %s has %" G_GINT64_FORMAT " bytes: a raw image is a multiple of 512, and not empty", blk->path, size);
    else
        blk->sectors = (guint64)size / SECTOR;
    return blk->sectors != 0;
}

/* What O_DIRECT asks of offsets, lengths and addresses: a power of two. */
static guint
direct_alignment(int fd)
{
#ifdef STATX_DIOALIGN /* Linux 6.1 */
    struct statx info;

    if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &info) == 0 && info.stx_mask & STATX_DIOALIGN && info.stx_dio_offset_align) {
        guint alignment = MAX(info.stx_dio_offset_align, info.stx_dio_mem_align);
        if (!(alignment & (alignment - 1)))
            return MAX(alignment, (guint)SECTOR);
    }
#else
    (void)fd;
#endif
    return DIRECT_ALIGNMENT_UNKNOWN;
}

static gboolean
open_disk(VirtioBlk *blk, const VirtioBlkConfig *config, GError **error)
{
    int mode = config->read_only ? O_RDONLY : O_RDWR;

    blk->fd = open_image(config->path, mode, error);
    if (blk->fd < 0 || !measure(blk, error))
        return FALSE;
    if (!config->direct)
        return TRUE;
    blk->direct_fd = open_image(config->path, mode | O_DIRECT, error);
    blk->alignment = blk->direct_fd >= 0 ? direct_alignment(blk->direct_fd) : 0;
    return blk->direct_fd >= 0;
}

static void
blk_free(VirtioDevice *device)
{
    VirtioBlk *blk = (VirtioBlk *)device;

    if (blk->fd >= 0)
        close(blk->fd);
    if (blk->direct_fd >= 0)
        close(blk->direct_fd);
    g_free(blk->waiting);
    g_free(blk->path);
    g_free(blk->label);
    g_free(blk);
}

static const VirtioDeviceClass blk_class = {
    .name = "virtio-blk",
    .id = VIRTIO_ID_BLOCK,
    .n_queues = 1,
    .process = blk_process,
    .save = blk_save,
    .load = blk_load,
    .settle = blk_settle,
    .state_bytes = sizeof(guint64) + 1,
    .free = blk_free,
};

VirtioDevice *
virtio_blk_new(GuestRam *ram, const VirtioBlkConfig *config, GError **error)
{
    VirtioBlk *blk = g_new0(VirtioBlk, 1);
    guint64 features = FEATURE(VIRTIO_BLK_F_SIZE_MAX) | FEATURE(VIRTIO_BLK_F_SEG_MAX) | FEATURE(VIRTIO_BLK_F_BLK_SIZE) |
                       FEATURE(VIRTIO_BLK_F_FLUSH);

    blk->path = g_strdup(config->path);
    blk->base.label = blk->label = g_strdup_printf("disk %s", config->path);
    blk->direct_fd = -1;
    blk->read_only = config->read_only;
    blk->waiting = g_new(Request, BATCH_REQUESTS);
    if (config->read_only)
        features |= FEATURE(VIRTIO_BLK_F_RO);
    if (config->serial)
        memcpy(blk->serial, config->serial, MIN(strlen(config->serial), sizeof blk->serial));
    gboolean open = open_disk(blk, config, error);
    blk->config = (struct virtio_blk_config){.capacity = GUINT64_TO_LE(blk->sectors),
                                             .size_max = GUINT32_TO_LE((guint32)SEGMENT_BYTES),
                                             .seg_max = GUINT32_TO_LE(SEGMENTS),
                                             .blk_size = GUINT32_TO_LE((guint32)SECTOR)};
    virtio_device_init(&blk->base, &blk_class, ram, features, &blk->config, sizeof blk->config);
    if (open)
        return &blk->base;
    virtio_device_free(&blk->base);
    return NULL;
}
