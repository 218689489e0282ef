/* SPDX-License-Identifier: MIT */
/*
 * A guest's virtio driver, run by a test on the host: it sets registers through the bus and writes rings into guest RAM. It stores as a
 * guest does: straight into memory, so that DlLog learns nothing of it, or through the store path where a test watches the log.
 */
#pragma once

#include <devices/virtio_mmio.h>
#include <linux/virtio_ring.h>
#include <machine/machine.h>

#define DRIVER_QUEUE_SIZE 64u
#define DRIVER_QUEUE_PAGES 8u /* of each queue: descriptors, available ring, used ring, each on pages of its own */
#define DRIVER_RINGS UINT64_C(0x10000)
#define DRIVER_ARENA UINT64_C(0x40000) /* tests put their buffers here and above */

typedef struct {
    GuestRam *ram;
    Bus *bus;
    guint slot;
    guint64 features; /* what was agreed on */
    gboolean noted;   /* its stores are noted with the log */
    struct {
        guint16 size;
        guint16 next; /* the descriptor that is used next; requests are few */
        guint16 available;
        guint16 seen; /* used entries that were taken */
    } queue[VIRTIO_MAX_QUEUES];
} Driver;

guint32 driver_read(Driver *driver, guint64 offset);
void driver_write(Driver *driver, guint64 offset, guint32 value);
void driver_store(Driver *driver, guint64 gpa, gconstpointer bytes, gsize size);
guint64 driver_ring(guint queue, guint part); /* gpa; part 0: descriptors, 1: available, 2: used */

/** driver_negotiate: reset up to FEATURES_OK, with those of @features that the device offers. */
void driver_negotiate(Driver *driver, guint64 features);
void driver_set_up_queue(Driver *driver, guint queue, guint16 size);
void driver_ready(Driver *driver);
/** driver_start: all of the above, for @n_queues. */
void driver_start(Driver *driver, guint64 features, guint n_queues);

/** driver_describe: writes descriptor @index of @queue. */
void driver_describe(Driver *driver, guint queue, guint index, struct vring_desc descriptor);
/** driver_add: a chain of @n buffers, those from @n_out on writable, made available; returns its head. */
guint16 driver_add(Driver *driver, guint queue, const GuestRamPiece *pieces, guint n, guint n_out);
/** driver_make_available: descriptor @head, whatever it holds. */
void driver_make_available(Driver *driver, guint queue, guint16 head);
void driver_kick(Driver *driver, guint queue);
/** driver_take_used: FALSE: nothing new. */
gboolean driver_take_used(Driver *driver, guint queue, struct vring_used_elem *element);

/** driver_deadline: of the monotonic clock, for what must not hang but may take a while. */
gint64 driver_deadline(void);

/** driver_start_machine: starts @machine, whose one vCPU halts for ever: the driver is its only guest. */
void driver_start_machine(Machine *machine);
