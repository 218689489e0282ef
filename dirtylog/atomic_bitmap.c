/* SPDX-License-Identifier: MIT */
/*
 * The flag `any` spares a drain the walk when nobody set a bit. A setter sets its bits first and the flag after; a drain takes
 * the flag first and looks at the words after. So a drain that starts when a set has returned sees the flag or an earlier drain
 * saw the bits; a set that overlaps a drain is found by it or leaves the flag for the next one.
 */
#include "dirtylog/atomic_bitmap.h"

struct DlAtomicBitmap {
    guint64 n_bits;
    guint64 n_words;
    guint any;
    guint64 words[];
};

DlAtomicBitmap *
dl_atomic_bitmap_new(guint64 n_bits)
{
    guint64 n_words = n_bits / 64 + (n_bits % 64 != 0);
    DlAtomicBitmap *bitmap = g_malloc0(sizeof(*bitmap) + n_words * sizeof(guint64));

    bitmap->n_bits = n_bits;
    bitmap->n_words = n_words;
    return bitmap;
}

void
dl_atomic_bitmap_free(DlAtomicBitmap *bitmap)
{
    g_free(bitmap);
}

void
dl_atomic_bitmap_set_range(DlAtomicBitmap *bitmap, DlPageRange range)
{
    guint64 end = range.first + range.count;

    g_assert(range.first <= bitmap->n_bits && range.count <= bitmap->n_bits - range.first);
    if (range.count == 0)
        return;

    for (guint64 word = range.first / 64; word * 64 < end; word++) {
        guint64 mask = ~UINT64_C(0);
        if (range.first > word * 64)
            mask <<= range.first - word * 64;
        if (end < word * 64 + 64)
            mask &= ~UINT64_C(0) >> (word * 64 + 64 - end);
        __atomic_fetch_or(&bitmap->words[word], mask, __ATOMIC_SEQ_CST);
    }
    __atomic_store_n(&bitmap->any, 1, __ATOMIC_SEQ_CST);
}

gboolean
dl_atomic_bitmap_drain(DlAtomicBitmap *bitmap, DlWordFunc found, gpointer user)
{
    if (!__atomic_load_n(&bitmap->any, __ATOMIC_SEQ_CST))
        return FALSE;
    __atomic_store_n(&bitmap->any, 0, __ATOMIC_SEQ_CST);
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* the words are looked at after, on any CPU */

    for (guint64 word = 0; word < bitmap->n_words; word++) {
        /* A locked exchange for each clean word would cost more than all the rest of a harvest. */
        if (!__atomic_load_n(&bitmap->words[word], __ATOMIC_RELAXED))
            continue;
        guint64 bits = __atomic_exchange_n(&bitmap->words[word], 0, __ATOMIC_SEQ_CST);
        if (bits)
            found(user, word, bits);
    }
    return TRUE;
}

static void
or_word(gpointer user, guint64 word, guint64 bits)
{
    ((guint64 *)user)[word] |= bits;
}

gboolean
dl_atomic_bitmap_drain_into(DlAtomicBitmap *bitmap, DlBitmap *out)
{
    g_assert(dl_bitmap_size(out) == bitmap->n_bits);
    return dl_atomic_bitmap_drain(bitmap, or_word, dl_bitmap_words(out));
}
