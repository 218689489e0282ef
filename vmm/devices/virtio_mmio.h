/* SPDX-License-Identifier: MIT */
/*
 * The virtio-mmio transport (virtio 1.2, 4.2), version 2: PLATFORM_VIRTIO_SLOTS slots of registers in a row. A slot without a device
 * answers with the magic number and device id 0, as the standard wants it.
 */
#pragma once

#include <devices/virtio.h>
#include <machine/bus.h>

typedef struct VirtioMmio VirtioMmio;

/** virtio_mmio_new: the slots, all empty, on @bus, which uses them until it is freed. Errors: INVALID (the addresses are taken). */
VirtioMmio *virtio_mmio_new(Bus *bus, GError **error);
/** virtio_mmio_free: frees the devices as well; after their workers. */
void virtio_mmio_free(VirtioMmio *mmio);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VirtioMmio, virtio_mmio_free)

/** virtio_mmio_plug: @device is @mmio's from now on and sits in @slot, which was empty. */
void virtio_mmio_plug(VirtioMmio *mmio, guint slot, VirtioDevice *device);
VirtioDevice *virtio_mmio_device(VirtioMmio *mmio, guint slot); /* NULL: empty */

/** A slot's saved state: the selectors that the driver has set, then virtio_device_save(). */
#define VIRTIO_MMIO_SAVED_BYTES 12
void virtio_mmio_save(VirtioMmio *mmio, guint slot, GByteArray *out);
gboolean virtio_mmio_load(VirtioMmio *mmio, guint slot, const guint8 *bytes, gsize size, GError **error);
