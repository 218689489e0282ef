/* SPDX-License-Identifier: MIT */
#include <devices/virtio.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_ring.h>
#include <machine/error.h>

#define FEATURE(bit) (UINT64_C(1) << (bit))
#define STATUS_BITS                                                                                                   \
    (VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_DRIVER_OK | VIRTIO_CONFIG_S_FEATURES_OK | \
     VIRTIO_CONFIG_S_NEEDS_RESET | VIRTIO_CONFIG_S_FAILED)

void
virtio_device_init(VirtioDevice *device, const VirtioDeviceClass *class, GuestRam *ram, guint64 features, gconstpointer config,
                   gsize config_size)
{
    g_assert(class->n_queues <= VIRTIO_MAX_QUEUES);
    device->class = class;
    device->ram = ram;
    device->features =
        features | FEATURE(VIRTIO_F_VERSION_1) | FEATURE(VIRTIO_RING_F_INDIRECT_DESC) | FEATURE(VIRTIO_RING_F_EVENT_IDX);
    device->config = config;
    device->config_size = config_size;
    g_mutex_init(&device->lock);
    for (guint i = 0; i < VIRTIO_MAX_QUEUES; i++)
        device->queues[i].ram = ram;
}

void
virtio_device_free(VirtioDevice *device)
{
    if (!device)
        return;
    virtio_device_end_settling(device);
    g_mutex_clear(&device->lock);
    device->class->free(device);
}

void
virtio_device_kick(VirtioDevice *device)
{
    if (device->kick)
        device->kick(device->user);
}

/* --- interrupts and faults --- */

static void
interrupt(VirtioDevice *device, guint cause)
{
    __atomic_or_fetch(&device->interrupt_status, cause, __ATOMIC_SEQ_CST);
    if (device->raise)
        device->raise(device->user);
}

static void
break_device(VirtioDevice *device, const char *fault)
{
    if (device->status & VIRTIO_CONFIG_S_NEEDS_RESET)
        return;
    g_info("%s: the driver broke the rules: %s; the device needs a reset", device->class->name, fault);
    device->fault = fault;
    device->status |= VIRTIO_CONFIG_S_NEEDS_RESET;
    if (device->status & VIRTIO_CONFIG_S_DRIVER_OK)
        interrupt(device, VIRTIO_MMIO_INT_CONFIG);
}

void
virtio_device_config_changed(VirtioDevice *device)
{
    if (device->status & VIRTIO_CONFIG_S_DRIVER_OK)
        interrupt(device, VIRTIO_MMIO_INT_CONFIG);
}

/* --- status and negotiation --- */

static void
reset(VirtioDevice *device)
{
    device->status = 0;
    device->driver_features = 0;
    device->fault = NULL;
    __atomic_store_n(&device->interrupt_status, 0, __ATOMIC_SEQ_CST);
    for (guint i = 0; i < VIRTIO_MAX_QUEUES; i++)
        virtqueue_reset(&device->queues[i]);
    if (device->class->reset)
        device->class->reset(device);
}

static gboolean
features_acceptable(const VirtioDevice *device)
{
    return !(device->driver_features & ~device->features) && device->driver_features & FEATURE(VIRTIO_F_VERSION_1);
}

static void
apply_features(VirtioDevice *device)
{
    for (guint i = 0; i < device->class->n_queues; i++) {
        device->queues[i].indirect = (device->driver_features & FEATURE(VIRTIO_RING_F_INDIRECT_DESC)) != 0;
        device->queues[i].event_idx = (device->driver_features & FEATURE(VIRTIO_RING_F_EVENT_IDX)) != 0;
    }
}

void
virtio_device_set_status(VirtioDevice *device, guint32 status)
{
    guint32 kept = device->status & VIRTIO_CONFIG_S_NEEDS_RESET;
    guint32 fresh = status & ~device->status & STATUS_BITS & ~(guint32)VIRTIO_CONFIG_S_NEEDS_RESET;

    if (!status) {
        reset(device);
        return;
    }
    if (device->status & ~kept & ~status) {
        break_device(device, "it took back a status bit");
        return;
    }
    if (fresh & VIRTIO_CONFIG_S_FEATURES_OK && !features_acceptable(device))
        fresh &= ~(guint32)(VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK);
    device->status |= fresh;
    if (fresh & VIRTIO_CONFIG_S_FEATURES_OK)
        apply_features(device);
    if (fresh & VIRTIO_CONFIG_S_DRIVER_OK && !(device->status & VIRTIO_CONFIG_S_FEATURES_OK)) {
        device->status &= ~(guint32)VIRTIO_CONFIG_S_DRIVER_OK;
        break_device(device, "it is ready before the features are agreed on");
    } else if (fresh & VIRTIO_CONFIG_S_DRIVER_OK) {
        virtio_device_kick(device); /* what was made available before */
    }
}

void
virtio_device_set_features(VirtioDevice *device, guint32 word, guint32 value)
{
    if (device->status & VIRTIO_CONFIG_S_FEATURES_OK)
        return;
    if (word < 2)
        device->driver_features = (device->driver_features & ~(UINT64_C(0xffffffff) << (32 * word))) | (guint64)value
                                                                                                           << (32 * word);
    else if (value)
        break_device(device, "it wants features that no device has");
}

gboolean
virtio_device_queue_open(const VirtioDevice *device, guint queue)
{
    return queue < device->class->n_queues && device->status & VIRTIO_CONFIG_S_FEATURES_OK && !device->queues[queue].enabled;
}

void
virtio_device_enable_queue(VirtioDevice *device, guint queue, gboolean enable)
{
    if (queue >= device->class->n_queues)
        return;
    if (!enable) {
        device->queues[queue].enabled = FALSE;
        return;
    }
    if (device->queues[queue].enabled)
        return;
    if (!(device->status & VIRTIO_CONFIG_S_FEATURES_OK))
        break_device(device, "it enables a queue before the features are agreed on");
    else if (!virtqueue_enable(&device->queues[queue]))
        break_device(device, device->queues[queue].fault);
}

/* --- serving --- */

gboolean
virtio_device_running(const VirtioDevice *device)
{
    return !g_atomic_int_get(&device->quiesced) && device->status & VIRTIO_CONFIG_S_DRIVER_OK &&
           !(device->status & VIRTIO_CONFIG_S_NEEDS_RESET);
}

gboolean
virtio_device_process(VirtioDevice *device)
{
    gboolean more = FALSE, wanted = FALSE;

    g_mutex_lock(&device->lock);
    for (guint i = 0; i < device->class->n_queues && virtio_device_running(device); i++) {
        Virtqueue *queue = &device->queues[i];
        gboolean awaits = device->class->process(device, i);
        wanted |= virtqueue_publish(queue);
        more |= awaits && virtqueue_await(queue);
        if (queue->fault)
            break_device(device, queue->fault);
    }
    if (wanted)
        interrupt(device, VIRTIO_MMIO_INT_VRING);
    g_mutex_unlock(&device->lock);
    return more;
}

/* --- saved state --- */

gsize
virtio_device_saved_bytes(const VirtioDevice *device)
{
    return 3 * sizeof(guint32) + sizeof(guint64) + (gsize)device->class->n_queues * VIRTQUEUE_SAVED_BYTES +
           device->class->state_bytes;
}

void
virtio_device_save(VirtioDevice *device, GByteArray *out)
{
    g_mutex_lock(&device->lock); /* the machine is paused, but what is typed, and a balloon's target, come all the same */
    wire_put_u32(out, device->class->id);
    wire_put_u32(out, device->status);
    wire_put_u32(out, __atomic_load_n(&device->interrupt_status, __ATOMIC_SEQ_CST));
    wire_put_u64(out, device->driver_features);
    for (guint i = 0; i < device->class->n_queues; i++)
        virtqueue_save(&device->queues[i], out);
    if (device->class->save)
        device->class->save(device, out);
    g_mutex_unlock(&device->lock);
}

static const char *
load(VirtioDevice *device, WireReader *reader)
{
    if (wire_get_u32(reader) != device->class->id)
        return "it is the state of another kind of device";
    device->status = wire_get_u32(reader);
    guint32 interrupts = wire_get_u32(reader);
    device->driver_features = wire_get_u64(reader);
    gboolean agreed = (device->status & VIRTIO_CONFIG_S_FEATURES_OK) != 0;

    if (device->status & ~(guint32)STATUS_BITS || interrupts & ~(guint32)(VIRTIO_MMIO_INT_VRING | VIRTIO_MMIO_INT_CONFIG))
        return "its status cannot be";
    if (device->status & VIRTIO_CONFIG_S_DRIVER_OK && !agreed)
        return "its status cannot be";
    if (agreed && !features_acceptable(device))
        return "its driver uses features that this device does not have";
    apply_features(device);
    for (guint i = 0; i < device->class->n_queues; i++) {
        if (!virtqueue_load(&device->queues[i], reader) || (device->queues[i].enabled && !agreed))
            return "a queue's state cannot be";
    }
    if (device->class->load && !device->class->load(device, reader))
        return "the device's own state does not fit this device";
    __atomic_store_n(&device->interrupt_status, interrupts, __ATOMIC_SEQ_CST);
    return reader->overrun ? "it is too short" : NULL;
}

gboolean
virtio_device_load(VirtioDevice *device, WireReader *reader, GError **error)
{
    g_mutex_lock(&device->lock);
    reset(device);
    const char *fault = load(device, reader);
    if (fault)
        reset(device);
    g_mutex_unlock(&device->lock);
    if (!fault)
        return TRUE;
    g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_INVALID, "%s cannot be loaded: %s", device->class->name, fault);
    return FALSE;
}
