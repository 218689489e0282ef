/* SPDX-License-Identifier: MIT */
/*
 * A split virtqueue (virtio 1.2, 2.7), the device's side. The rings lie in guest RAM and the guest may write to them at any time, so
 * each index, address, length and flag is read once, into a copy of ours, and checked there. What is nonsense marks the queue broken:
 * `fault` says why, in words, and nothing more is taken from it. What was taken before is given back still: nothing is in flight then.
 *
 * The device loads through a pointer that was checked when the queue was enabled; it stores to the used ring through machine/ram.h
 * only, so that DlLog learns of it. One thread at a time uses a queue, inside a machine gate.
 */
#pragma once

#include <machine/ram.h>
#include <machine/wire.h>

#define VIRTQUEUE_MAX_SIZE 256
#define VIRTQUEUE_MAX_BYTES (UINT64_C(32) << 20) /* of one chain: bounds the time of one request */
G_STATIC_ASSERT(VIRTQUEUE_MAX_SIZE <= GUEST_RAM_MAX_PIECES);

/**
 * Virtqueue: zeroed, with ram set, is a queue that is not enabled.
 * @size: entries, as the driver set it; checked by virtqueue_enable()
 * @desc, @avail, @used: gpa of the three parts
 * @indirect, @event_idx: negotiated features
 * @fault: NULL, or why the queue is broken: a constant string
 * @next_avail: index of the next available entry that the device takes
 * @next_used: index of the next used entry, @published: as the driver sees it
 */
typedef struct {
    GuestRam *ram;
    guint16 size;
    guint64 desc;
    guint64 avail;
    guint64 used;
    gboolean indirect;
    gboolean event_idx;

    gboolean enabled;
    const char *fault;
    const guint8 *desc_bytes;
    const guint8 *avail_bytes;
    guint16 next_avail;
    guint16 next_used;
    guint16 published;
} Virtqueue;

/**
 * VirtqueueChain: one request. Pieces 0 … n_out - 1 are for the device to read, those after them for it to write; each lies inside RAM.
 */
typedef struct {
    guint16 head;
    guint n_out;
    guint n_in;
    gsize out_bytes;
    gsize in_bytes;
    GuestRamPiece pieces[VIRTQUEUE_MAX_SIZE];
} VirtqueueChain;

/** virtqueue_enable: checks size, alignment and place of the rings and starts at index 0. FALSE: the queue is broken. */
gboolean virtqueue_enable(Virtqueue *queue);
/** virtqueue_reset: as after power-on; keeps the RAM. */
void virtqueue_reset(Virtqueue *queue);

typedef enum {
    VIRTQUEUE_EMPTY,
    VIRTQUEUE_TAKEN,
    VIRTQUEUE_BROKEN,
} VirtqueueResult;

/** virtqueue_take: the next request, if there is one. Work is bounded by VIRTQUEUE_MAX_SIZE, bytes by VIRTQUEUE_MAX_BYTES. */
VirtqueueResult virtqueue_take(Virtqueue *queue, VirtqueueChain *chain);
/** virtqueue_take_back: the request that was taken last has not been taken. */
void virtqueue_take_back(Virtqueue *queue);
/** virtqueue_reject: the request that was taken last is nonsense: it has not been taken, and the queue is broken. @fault: a constant */
void virtqueue_reject(Virtqueue *queue, const char *fault);

/** virtqueue_give: the request is done, @written bytes of its writable part were stored. The driver sees it at the next publish. */
void virtqueue_give(Virtqueue *queue, const VirtqueueChain *chain, gsize written);
/** virtqueue_publish: shows the driver what was given since the last time. TRUE: it wants an interrupt. */
gboolean virtqueue_publish(Virtqueue *queue);
/**
 * virtqueue_await: asks the driver for a notification of what comes next (it sends none while the device is busy, where EVENT_IDX was
 * negotiated). TRUE: something came meanwhile, take it.
 */
gboolean virtqueue_await(Virtqueue *queue);

/* --- the bytes of a chain --- */

/** virtqueue_chain_gather: copies @size bytes of the readable part, from byte @offset of it on; FALSE: it is not so long. */
gboolean virtqueue_chain_gather(const Virtqueue *queue, const VirtqueueChain *chain, gsize offset, gpointer to, gsize size);
/** virtqueue_chain_scatter: stores @size bytes to the writable part, from byte @offset of it on, and notes them; FALSE: as above. */
gboolean virtqueue_chain_scatter(const Virtqueue *queue, const VirtqueueChain *chain, gsize offset, gconstpointer from,
                                 gsize size);
/**
 * virtqueue_slice: the @size bytes from byte @offset of @pieces on, as pieces. @out has room for @n_pieces, and may
 * be @pieces. Returns how many; the caller has checked that there are so many bytes.
 */
guint virtqueue_slice(const GuestRamPiece *pieces, guint n_pieces, gsize offset, gsize size, GuestRamPiece *out);

/* --- saved state --- */

#define VIRTQUEUE_SAVED_BYTES (1 + 2 + 3 * 8 + 2 * 2)
void virtqueue_save(const Virtqueue *queue, GByteArray *out);
/** virtqueue_load: into a queue with ram and features set. FALSE: impossible state; the queue is then reset. */
gboolean virtqueue_load(Virtqueue *queue, WireReader *reader);
