/* SPDX-License-Identifier: MIT */
/* io_uring, as far as the cases need it: one read at a time, into plain or registered memory, by the system calls themselves. */
#pragma once

#include <glib.h>

typedef struct Uring Uring;

/** uring_new: UNSUPPORTED where io_uring is not to be had. */
Uring *uring_new(GError **error);
void uring_free(Uring *ring);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Uring, uring_free)

/** uring_register: fixed buffer 0; the kernel pins its pages for as long as the ring lives. */
gboolean uring_register(Uring *ring, gpointer buffer, gsize size, GError **error);
/** uring_read: @size bytes of @fd from its start into @to, which lies in the fixed buffer if @fixed. */
gboolean uring_read(Uring *ring, int fd, gpointer to, guint32 size, gboolean fixed, GError **error);
