/* SPDX-License-Identifier: MIT */
/*
 * A virtio-mmio slot's thread and its ties to the machine: doorbells (ioeventfd, or the bus where KVM has none), interrupts, a gate, the
 * saved section. The device's stores into guest RAM happen on this thread, inside the gate.
 */
#pragma once

#include <devices/virtio_mmio.h>
#include <machine/machine.h>

typedef struct VirtioWorker VirtioWorker;

/**
 * virtio_worker_new: serves the device that is plugged into @slot, once the machine has started. Before machine_start(). Errors: FAILED.
 */
VirtioWorker *virtio_worker_new(Machine *machine, VirtioMmio *mmio, guint slot, GError **error);
/** virtio_worker_free: after machine_stop(), which ends it; before machine_free() and virtio_mmio_free(), and before the log goes. */
void virtio_worker_free(VirtioWorker *worker);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VirtioWorker, virtio_worker_free)
