/* SPDX-License-Identifier: MIT */
/* The embedded guest: the file dirtylab-guest.elf, linked into the program. */
#pragma once

#include <glib.h>

extern const guint8 embedded_guest_start[], embedded_guest_end[];

/** Its size in bytes. */
static inline gsize
embedded_guest_size(void)
{
    return (gsize)(embedded_guest_end - embedded_guest_start);
}
