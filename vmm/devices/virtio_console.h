/* SPDX-License-Identifier: MIT */
/* virtio-console: one port, in and out. */
#pragma once

#include <devices/console.h>
#include <devices/virtio.h>

VirtioDevice *virtio_console_new(GuestRam *ram, ConsoleOutput output, gpointer user);

/** virtio_console_set_room: whom to tell that refused input may be offered again. Before anything is received. */
void virtio_console_set_room(VirtioDevice *device, ConsoleRoom room, gpointer user);
/** virtio_console_receive: input for the guest, from any thread; returns how many bytes were taken. */
gsize virtio_console_receive(VirtioDevice *device, const guint8 *bytes, gsize n_bytes);
/** virtio_console_output_ready: the output takes bytes again. From any thread. */
void virtio_console_output_ready(VirtioDevice *device);
