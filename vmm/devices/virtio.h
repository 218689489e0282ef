/* SPDX-License-Identifier: MIT */
/*
 * What virtio devices share, whatever the transport: negotiation, status, queues, saved state. A device is a VirtioDeviceClass and an
 * instance whose first member is a VirtioDevice.
 *
 * The transport's registers are read and written on vCPU threads; requests are served on the device's worker (virtio_worker.h). Both
 * take the device's lock, the worker inside its machine gate and for one batch of requests at a time, so that a vCPU waits for a
 * batch at most. The interrupt status alone is atomic: the guest reads it in each interrupt.
 *
 * A guest that breaks the rules gets a device that is broken: DEVICE_NEEDS_RESET is set, a configuration interrupt sent, and nothing is
 * served until the driver resets it.
 */
#pragma once

#include <devices/virtqueue.h>
#include <machine/section.h>

#define VIRTIO_MAX_QUEUES 2

typedef struct VirtioDevice VirtioDevice;
typedef struct VirtioSettler VirtioSettler;

/**
 * VirtioDeviceClass:
 * @id: of linux/virtio_ids.h
 * @process: serves requests of @queue, a bounded batch, by virtqueue_take() and virtqueue_give(). TRUE: it waits for the driver, or left
 * requests because the batch was full; FALSE: it waits for something else, after which it is kicked (virtio_device_kick())
 * @after: on the worker, outside its gate and without the lock, after each round of process(): what may wait for a harvest. TRUE: process()
 * is to be called again at once. May be NULL
 * @write_config: @size bytes (1, 2 or 4) of the configuration space, which then changes; with the lock held. NULL: nothing can be written
 * @reset: forgets what a driver had begun. May be NULL
 * @save, @load: what the instance has beyond the queues; load() answers FALSE to what it did not or would not save; with the lock held. May be NULL
 * @settle: puts what the driver was told is done where another host finds it; nothing is being processed, the lock is not held. On a thread
 * of its own, which is given up when it takes too long: then it may still be there while the device works again. May be NULL
 * @state_bytes: save() writes exactly so many
 */
typedef struct {
    const char *name;
    guint32 id;
    guint n_queues;
    gboolean (*process)(VirtioDevice *device, guint queue);
    gboolean (*after)(VirtioDevice *device);
    void (*write_config)(VirtioDevice *device, guint64 offset, guint size, guint32 value);
    void (*reset)(VirtioDevice *device);
    void (*save)(VirtioDevice *device, GByteArray *out);
    gboolean (*load)(VirtioDevice *device, WireReader *reader);
    gboolean (*settle)(VirtioDevice *device, GError **error);
    gsize state_bytes;
    void (*free)(VirtioDevice *device);
} VirtioDeviceClass;

/**
 * VirtioDevice: the base of an instance.
 * @features: offered; VERSION_1, INDIRECT_DESC and EVENT_IDX are added
 * @config, @config_size: the configuration space; changes with the lock held only
 * @raise: sends the transport's interrupt; NULL: nobody listens
 * @kick: has the worker look at the queues; NULL: there is none
 * @enter, @leave: the worker's gate, for after(); enter() never waits, FALSE: RAM must not change now. NULL: there is none
 * @quiesced: atomic: process() is not called any more; set without the lock, which a request that hangs holds
 * @label: what a user calls it; NULL: its class's name does
 * @fault: why it is broken, in words, or NULL; of the queue that was, or of the driver's
 */
struct VirtioDevice {
    const VirtioDeviceClass *class;
    GuestRam *ram;
    const char *label;
    guint64 features;
    gconstpointer config;
    gsize config_size;
    void (*raise)(gpointer user);
    void (*kick)(gpointer user);
    gboolean (*enter)(gpointer user);
    void (*leave)(gpointer user);
    gpointer user;
    guint interrupt_status; /* atomic */
    gint quiesced;
    VirtioSettler *settler; /* NULL: no settle() was given up */

    GMutex lock; /* of all that follows */
    guint32 status;
    guint64 driver_features;
    Virtqueue queues[VIRTIO_MAX_QUEUES];
    const char *fault;
};

void virtio_device_init(VirtioDevice *device, const VirtioDeviceClass *class, GuestRam *ram, guint64 features,
                        gconstpointer config, gsize config_size);
/** virtio_device_free: by its class; after its worker. Waits for a settle() that was given up. */
void virtio_device_free(VirtioDevice *device);
/** virtio_device_kick: there is something new for process(). From any thread. */
void virtio_device_kick(VirtioDevice *device);

/** virtio_device_config_changed: tells the driver, if there is one. With the lock held. */
void virtio_device_config_changed(VirtioDevice *device);
/** virtio_device_running: whether a driver is served. With the lock held. */
gboolean virtio_device_running(const VirtioDevice *device);

/* --- for transports, on vCPU threads, with the lock held --- */

void virtio_device_set_status(VirtioDevice *device, guint32 status);
void virtio_device_set_features(VirtioDevice *device, guint32 word, guint32 value);
void virtio_device_enable_queue(VirtioDevice *device, guint queue, gboolean enable);
/** virtio_device_queue_open: whether the queue's size and addresses may be set now. */
gboolean virtio_device_queue_open(const VirtioDevice *device, guint queue);

/* --- for the worker, inside a gate --- */

/** virtio_device_process: a batch of every queue. TRUE: there is more to do at once. Takes the lock. */
gboolean virtio_device_process(VirtioDevice *device);

/* --- saved state --- */

/**
 * virtio_device_quiesce: serves no more, and settles. FALSE: that failed, or was not done when @patience ended; it serves on.
 * No two calls at a time.
 */
gboolean virtio_device_quiesce(VirtioDevice *device, const Patience *patience, GError **error);
/** virtio_device_unquiesce: never waits. */
void virtio_device_unquiesce(VirtioDevice *device);
/** virtio_device_end_settling: waits for a settle() that was given up. */
void virtio_device_end_settling(VirtioDevice *device);
/** virtio_device_save: takes the lock. */
void virtio_device_save(VirtioDevice *device, GByteArray *out);
/** virtio_device_load: FALSE: impossible or another device's state; the device is then reset. Errors: INVALID. */
gboolean virtio_device_load(VirtioDevice *device, WireReader *reader, GError **error);
/** virtio_device_saved_bytes: what virtio_device_save() writes. */
gsize virtio_device_saved_bytes(const VirtioDevice *device);
