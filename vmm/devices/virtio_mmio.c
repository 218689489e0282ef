/* SPDX-License-Identifier: MIT */
#include <devices/virtio_mmio.h>
#include <linux/virtio_mmio.h>
#include <machine/error.h>
#include <machine/platform.h>

#define MAGIC 0x74726976u  /* "virt" */
#define VENDOR 0x62616c64u /* "dlab" */

typedef struct {
    VirtioDevice *device;
    guint32 device_features_select;
    guint32 driver_features_select;
    guint32 queue_select;
} Slot;

struct VirtioMmio {
    Slot slots[PLATFORM_VIRTIO_SLOTS];
};

/* --- registers, with the device's lock held --- */

static guint32
read_device_features(const Slot *slot)
{
    guint32 word = slot->device_features_select;

    return word < 2 ? (guint32)(slot->device->features >> (32 * word)) : 0;
}

static guint32
read_register(const Slot *slot, guint64 offset)
{
    const VirtioDevice *device = slot->device;
    guint32 queue = slot->queue_select;
    gboolean known = queue < device->class->n_queues;

    switch (offset) {
    case VIRTIO_MMIO_DEVICE_FEATURES:
        return read_device_features(slot);
    case VIRTIO_MMIO_QUEUE_NUM_MAX:
        return known ? VIRTQUEUE_MAX_SIZE : 0;
    case VIRTIO_MMIO_QUEUE_READY:
        return known && device->queues[queue].enabled;
    case VIRTIO_MMIO_STATUS:
        return device->status;
    case VIRTIO_MMIO_SHM_LEN_LOW: /* no shared memory: length and base of all ones */
    case VIRTIO_MMIO_SHM_LEN_HIGH:
    case VIRTIO_MMIO_SHM_BASE_LOW:
    case VIRTIO_MMIO_SHM_BASE_HIGH:
        return G_MAXUINT32;
    default:
        return 0;
    }
}

static void
set_half(guint64 *address, gboolean high, guint32 value)
{
    *address = high ? (*address & 0xffffffff) | (guint64)value << 32 : (*address & ~UINT64_C(0xffffffff)) | value;
}

static void
write_queue_register(Slot *slot, guint64 offset, guint32 value)
{
    if (offset == VIRTIO_MMIO_QUEUE_READY) {
        virtio_device_enable_queue(slot->device, slot->queue_select, (value & 1) != 0);
        return;
    }
    if (!virtio_device_queue_open(slot->device, slot->queue_select))
        return;
    Virtqueue *queue = &slot->device->queues[slot->queue_select];

    switch (offset) {
    case VIRTIO_MMIO_QUEUE_NUM:
        queue->size = (guint16)MIN(value, G_MAXUINT16);
        break;
    case VIRTIO_MMIO_QUEUE_DESC_LOW:
    case VIRTIO_MMIO_QUEUE_DESC_HIGH:
        set_half(&queue->desc, offset == VIRTIO_MMIO_QUEUE_DESC_HIGH, value);
        break;
    case VIRTIO_MMIO_QUEUE_AVAIL_LOW:
    case VIRTIO_MMIO_QUEUE_AVAIL_HIGH:
        set_half(&queue->avail, offset == VIRTIO_MMIO_QUEUE_AVAIL_HIGH, value);
        break;
    case VIRTIO_MMIO_QUEUE_USED_LOW:
    case VIRTIO_MMIO_QUEUE_USED_HIGH:
        set_half(&queue->used, offset == VIRTIO_MMIO_QUEUE_USED_HIGH, value);
        break;
    default:
        break;
    }
}

static void
write_register(Slot *slot, guint64 offset, guint32 value)
{
    switch (offset) {
    case VIRTIO_MMIO_DEVICE_FEATURES_SEL:
        slot->device_features_select = value;
        break;
    case VIRTIO_MMIO_DRIVER_FEATURES_SEL:
        slot->driver_features_select = value;
        break;
    case VIRTIO_MMIO_DRIVER_FEATURES:
        virtio_device_set_features(slot->device, slot->driver_features_select, value);
        break;
    case VIRTIO_MMIO_QUEUE_SEL:
        slot->queue_select = value;
        break;
    case VIRTIO_MMIO_STATUS:
        virtio_device_set_status(slot->device, value);
        break;
    default:
        write_queue_register(slot, offset, value);
        break;
    }
}

/* --- accesses --- */

static guint64
read_config(VirtioDevice *device, guint64 offset, guint size)
{
    guint64 value = 0;

    g_mutex_lock(&device->lock);
    if (offset <= device->config_size && size <= device->config_size - offset)
        memcpy(&value, (const guint8 *)device->config + offset, size);
    g_mutex_unlock(&device->lock);
    return value;
}

static void
write_config(VirtioDevice *device, guint64 offset, guint size, guint32 value)
{
    g_mutex_lock(&device->lock);
    if (device->class->write_config && size <= sizeof value && offset <= device->config_size &&
        size <= device->config_size - offset)
        device->class->write_config(device, offset, size, value);
    g_mutex_unlock(&device->lock);
}

/* What needs no lock: what does not change, and the interrupt status. */
static gboolean
read_constant(const Slot *slot, guint64 offset, guint64 *value)
{
    switch (offset) {
    case VIRTIO_MMIO_MAGIC_VALUE:
        *value = MAGIC;
        return TRUE;
    case VIRTIO_MMIO_VERSION:
        *value = 2;
        return TRUE;
    case VIRTIO_MMIO_DEVICE_ID:
        *value = slot->device ? slot->device->class->id : 0;
        return TRUE;
    case VIRTIO_MMIO_VENDOR_ID:
        *value = VENDOR;
        return TRUE;
    case VIRTIO_MMIO_INTERRUPT_STATUS:
        *value = slot->device ? __atomic_load_n(&slot->device->interrupt_status, __ATOMIC_SEQ_CST) : 0;
        return TRUE;
    default:
        *value = 0;
        return !slot->device;
    }
}

static guint64
mmio_read(gpointer user, guint vcpu, guint64 address, guint size)
{
    VirtioMmio *mmio = user;
    Slot *slot = &mmio->slots[address / PLATFORM_VIRTIO_STRIDE];
    guint64 offset = address % PLATFORM_VIRTIO_STRIDE, value;

    (void)vcpu;
    if (slot->device && offset >= VIRTIO_MMIO_CONFIG)
        return read_config(slot->device, offset - VIRTIO_MMIO_CONFIG, size);
    if (size != 4 || offset % 4)
        return 0;
    if (read_constant(slot, offset, &value))
        return value;
    g_mutex_lock(&slot->device->lock);
    value = read_register(slot, offset);
    g_mutex_unlock(&slot->device->lock);
    return value;
}

static void
mmio_write(gpointer user, guint vcpu, guint64 address, guint size, guint64 value)
{
    VirtioMmio *mmio = user;
    Slot *slot = &mmio->slots[address / PLATFORM_VIRTIO_STRIDE];
    guint64 offset = address % PLATFORM_VIRTIO_STRIDE;

    (void)vcpu;
    if (slot->device && offset >= VIRTIO_MMIO_CONFIG)
        write_config(slot->device, offset - VIRTIO_MMIO_CONFIG, size, (guint32)value);
    if (!slot->device || size != 4 || offset % 4 || offset >= VIRTIO_MMIO_CONFIG)
        return;
    if (offset == VIRTIO_MMIO_INTERRUPT_ACK) {
        __atomic_and_fetch(&slot->device->interrupt_status, ~(guint)value, __ATOMIC_SEQ_CST);
    } else if (offset == VIRTIO_MMIO_QUEUE_NOTIFY) {
        virtio_device_kick(slot->device); /* where no ioeventfd took it */
    } else {
        g_mutex_lock(&slot->device->lock);
        write_register(slot, offset, (guint32)value);
        g_mutex_unlock(&slot->device->lock);
    }
}

/* --- slots --- */

VirtioMmio *
virtio_mmio_new(Bus *bus, GError **error)
{
    static const BusHandler handler = {.read = mmio_read, .write = mmio_write};
    VirtioMmio *mmio = g_new0(VirtioMmio, 1);

    if (!bus_register(bus, BUS_MMIO, PLATFORM_VIRTIO_BASE, PLATFORM_VIRTIO_SLOTS * PLATFORM_VIRTIO_STRIDE, "virtio-mmio",
                      &handler, mmio, error))
        g_clear_pointer(&mmio, virtio_mmio_free);
    return mmio;
}

void
virtio_mmio_free(VirtioMmio *mmio)
{
    if (!mmio)
        return;
    for (guint i = 0; i < PLATFORM_VIRTIO_SLOTS; i++)
        virtio_device_free(mmio->slots[i].device);
    g_free(mmio);
}

void
virtio_mmio_plug(VirtioMmio *mmio, guint slot, VirtioDevice *device)
{
    g_assert(slot < PLATFORM_VIRTIO_SLOTS && !mmio->slots[slot].device);
    mmio->slots[slot].device = device;
}

VirtioDevice *
virtio_mmio_device(VirtioMmio *mmio, guint slot)
{
    return slot < PLATFORM_VIRTIO_SLOTS ? mmio->slots[slot].device : NULL;
}

/* --- saved state --- */

void
virtio_mmio_save(VirtioMmio *mmio, guint slot, GByteArray *out)
{
    const Slot *from = &mmio->slots[slot];

    wire_put_u32(out, from->device_features_select);
    wire_put_u32(out, from->driver_features_select);
    wire_put_u32(out, from->queue_select);
    virtio_device_save(from->device, out);
}

gboolean
virtio_mmio_load(VirtioMmio *mmio, guint slot, const guint8 *bytes, gsize size, GError **error)
{
    Slot *to = &mmio->slots[slot];
    WireReader reader = {.bytes = bytes, .left = size};

    if (size != VIRTIO_MMIO_SAVED_BYTES + virtio_device_saved_bytes(to->device)) {
        g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_INVALID,
                    "%s cannot be loaded: %" G_GSIZE_FORMAT " bytes are not its state", to->device->class->name, size);
        return FALSE;
    }
    /* any value may have been written to a selector */
    to->device_features_select = wire_get_u32(&reader);
    to->driver_features_select = wire_get_u32(&reader);
    to->queue_select = wire_get_u32(&reader);
    return virtio_device_load(to->device, &reader, error);
}
