/* SPDX-License-Identifier: MIT */
/*
 * A bitmap of 4 KiB pages, one bit a page, in 64-bit words, bit 0 of word 0 first: the layout of KVM_GET_DIRTY_LOG on a
 * little-endian host. Bits are numbered as DlLayout numbers pages. Not thread-safe; the owner locks.
 */
#pragma once

#include <glib.h>
#include <stdint.h>

G_BEGIN_DECLS
#pragma GCC visibility push(default)

#define DL_PAGE_SHIFT 12
#define DL_PAGE_SIZE (UINT64_C(1) << DL_PAGE_SHIFT)

/**
 * DlPageRange:
 * @first: the first page's bit
 * @count: how many pages; 0 is the empty range
 */
typedef struct {
    guint64 first;
    guint64 count;
} DlPageRange;

typedef struct DlBitmap DlBitmap;

/** dl_bitmap_new: a bitmap of @n_bits, all clear. Memory: n_bits / 8 bytes, rounded up to words. */
DlBitmap *dl_bitmap_new(guint64 n_bits);
DlBitmap *dl_bitmap_copy(const DlBitmap *bitmap);
void dl_bitmap_free(DlBitmap *bitmap);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DlBitmap, dl_bitmap_free)

guint64 dl_bitmap_size(const DlBitmap *bitmap); /* bits */
guint64 *dl_bitmap_words(DlBitmap *bitmap);     /* (size + 63) / 64 words */
const guint64 *dl_bitmap_words_const(const DlBitmap *bitmap);

void dl_bitmap_set(DlBitmap *bitmap, guint64 bit);
void dl_bitmap_clear(DlBitmap *bitmap, guint64 bit);
gboolean dl_bitmap_test(const DlBitmap *bitmap, guint64 bit);

/** The range forms clip nothing: a range outside the bitmap is a programming error and aborts. */
void dl_bitmap_set_range(DlBitmap *bitmap, DlPageRange range);
void dl_bitmap_clear_range(DlBitmap *bitmap, DlPageRange range);
void dl_bitmap_clear_all(DlBitmap *bitmap);
guint64 dl_bitmap_count(const DlBitmap *bitmap);
guint64 dl_bitmap_count_range(const DlBitmap *bitmap, DlPageRange range);

/** Set operations; both bitmaps have the same size. */
void dl_bitmap_or(DlBitmap *bitmap, const DlBitmap *other);
void dl_bitmap_and(DlBitmap *bitmap, const DlBitmap *other);
void dl_bitmap_and_not(DlBitmap *bitmap, const DlBitmap *other);
gboolean dl_bitmap_equal(const DlBitmap *bitmap, const DlBitmap *other);
gboolean dl_bitmap_is_empty(const DlBitmap *bitmap);

/**
 * dl_bitmap_next_run: the first run of set bits at or after @from, clipped to @end.
 * Returns FALSE when there is none. This walks them all:
 *   for (DlPageRange run = {.first = 0}; dl_bitmap_next_run(bitmap, run.first + run.count, end, &run);)
 */
gboolean dl_bitmap_next_run(const DlBitmap *bitmap, guint64 from, guint64 end, DlPageRange *run);

#pragma GCC visibility pop
G_END_DECLS
