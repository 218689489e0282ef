/* SPDX-License-Identifier: MIT */
/*
 * virtio-blk over a raw file or a block device. Reads go by preadv straight into guest RAM and writes by pwritev out of it, on the
 * device's worker; neighbouring requests that wait together become one call.
 */
#pragma once

#include <devices/virtio.h>

#define VIRTIO_BLK_SERIAL_MAX 20

/**
 * VirtioBlkConfig:
 * @path: the image: raw, a multiple of 512 bytes
 * @read_only: opened for reading only; the driver is told
 * @direct: O_DIRECT; requests that its alignment does not allow go through the page cache
 * @serial: what the driver gets as the disk's name; at most VIRTIO_BLK_SERIAL_MAX bytes count; NULL: none
 */
typedef struct {
    const char *path;
    gboolean read_only;
    gboolean direct;
    const char *serial;
} VirtioBlkConfig;

/**
 * virtio_blk_new: opens the image. Errors, one line each that names the file: FAILED (cannot be opened), INVALID (its size), UNSUPPORTED
 * (O_DIRECT is not to be had on its file system).
 */
VirtioDevice *virtio_blk_new(GuestRam *ram, const VirtioBlkConfig *config, GError **error);
