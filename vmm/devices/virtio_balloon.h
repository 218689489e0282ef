/* SPDX-License-Identifier: MIT */
/*
 * virtio-balloon: takes pages from the guest and gives their backing back to the host. Pages are 4 KiB for the guest, always; where the
 * RAM kind's pages are larger, a page goes back once the guest has given up all of it.
 */
#pragma once

#include <devices/virtio.h>

VirtioDevice *virtio_balloon_new(GuestRam *ram);

/** virtio_balloon_set_target: how many bytes the guest is to keep: rounded to pages, at most all of RAM. From any thread. */
void virtio_balloon_set_target(VirtioDevice *device, guint64 bytes);
/** virtio_balloon_actual: how many bytes the guest says that it has; all of RAM without a driver. From any thread. */
guint64 virtio_balloon_actual(VirtioDevice *device);
