/* SPDX-License-Identifier: MIT */
/*
 * A bitmap that any thread sets without a lock and one thread at a time drains: the log of the program's own stores, and the
 * pages that a write-protect handler let through.
 */
#pragma once

#include <dirtylog/bitmap.h>

typedef struct DlAtomicBitmap DlAtomicBitmap;

DlAtomicBitmap *dl_atomic_bitmap_new(guint64 n_bits);
void dl_atomic_bitmap_free(DlAtomicBitmap *bitmap);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DlAtomicBitmap, dl_atomic_bitmap_free)

/** When it returns, the next drain that starts will find the range. */
void dl_atomic_bitmap_set_range(DlAtomicBitmap *bitmap, DlPageRange range);

/** Takes all bits out and hands each word that has any to @found; FALSE: nothing. One drain at a time: the caller sees to it. */
typedef void (*DlWordFunc)(gpointer user, guint64 word, guint64 bits);
gboolean dl_atomic_bitmap_drain(DlAtomicBitmap *bitmap, DlWordFunc found, gpointer user);

/** The same, ORed into a bitmap of the same size. FALSE: there was nothing. */
gboolean dl_atomic_bitmap_drain_into(DlAtomicBitmap *bitmap, DlBitmap *out);
