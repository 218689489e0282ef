/* SPDX-License-Identifier: MIT */
/* virtio-rng: the host's random numbers. */
#pragma once

#include <devices/virtio.h>

VirtioDevice *virtio_rng_new(GuestRam *ram);
