/* SPDX-License-Identifier: MIT */
/*
 * A bitmap of pages in 64-bit words. Bits past the size in the last word are never set by these functions, so counting and
 * comparing need not mask; whoever writes the words directly (the KVM trackers) masks them.
 */
#include <dirtylog/bitmap.h>

#include <string.h>

struct DlBitmap {
    guint64 n_bits;
    guint64 n_words;
    guint64 *words;
};

DlBitmap *
dl_bitmap_new(guint64 n_bits)
{
    DlBitmap *bitmap = g_new(DlBitmap, 1);

    bitmap->n_bits = n_bits;
    bitmap->n_words = n_bits / 64 + (n_bits % 64 != 0);
    bitmap->words = g_new0(guint64, MAX(bitmap->n_words, 1));
    return bitmap;
}

DlBitmap *
dl_bitmap_copy(const DlBitmap *bitmap)
{
    DlBitmap *copy = dl_bitmap_new(bitmap->n_bits);

    memcpy(copy->words, bitmap->words, bitmap->n_words * sizeof(guint64));
    return copy;
}

void
dl_bitmap_free(DlBitmap *bitmap)
{
    if (!bitmap)
        return;
    g_free(bitmap->words);
    g_free(bitmap);
}

guint64
dl_bitmap_size(const DlBitmap *bitmap)
{
    return bitmap->n_bits;
}

guint64 *
dl_bitmap_words(DlBitmap *bitmap)
{
    return bitmap->words;
}

const guint64 *
dl_bitmap_words_const(const DlBitmap *bitmap)
{
    return bitmap->words;
}

void
dl_bitmap_set(DlBitmap *bitmap, guint64 bit)
{
    g_assert(bit < bitmap->n_bits);
    bitmap->words[bit / 64] |= UINT64_C(1) << (bit % 64);
}

void
dl_bitmap_clear(DlBitmap *bitmap, guint64 bit)
{
    g_assert(bit < bitmap->n_bits);
    bitmap->words[bit / 64] &= ~(UINT64_C(1) << (bit % 64));
}

gboolean
dl_bitmap_test(const DlBitmap *bitmap, guint64 bit)
{
    g_assert(bit < bitmap->n_bits);
    return (bitmap->words[bit / 64] >> (bit % 64) & 1) != 0;
}

static void
check_range(const DlBitmap *bitmap, DlPageRange range)
{
    g_assert(range.first <= bitmap->n_bits && range.count <= bitmap->n_bits - range.first);
}

/* The bits of word @word that lie in [first, end); the word holds at least one of them. */
static guint64
word_mask(guint64 word, guint64 first, guint64 end)
{
    guint64 mask = ~UINT64_C(0);

    if (first > word * 64)
        mask <<= first - word * 64;
    if (end < word * 64 + 64)
        mask &= ~UINT64_C(0) >> (word * 64 + 64 - end);
    return mask;
}

void
dl_bitmap_set_range(DlBitmap *bitmap, DlPageRange range)
{
    guint64 end = range.first + range.count;

    check_range(bitmap, range);
    for (guint64 word = range.first / 64; word * 64 < end; word++)
        bitmap->words[word] |= word_mask(word, range.first, end);
}

void
dl_bitmap_clear_range(DlBitmap *bitmap, DlPageRange range)
{
    guint64 end = range.first + range.count;

    check_range(bitmap, range);
    for (guint64 word = range.first / 64; word * 64 < end; word++)
        bitmap->words[word] &= ~word_mask(word, range.first, end);
}

void
dl_bitmap_clear_all(DlBitmap *bitmap)
{
    memset(bitmap->words, 0, bitmap->n_words * sizeof(guint64));
}

guint64
dl_bitmap_count(const DlBitmap *bitmap)
{
    return dl_bitmap_count_range(bitmap, (DlPageRange){0, bitmap->n_bits});
}

guint64
dl_bitmap_count_range(const DlBitmap *bitmap, DlPageRange range)
{
    guint64 end = range.first + range.count;
    guint64 count = 0;

    check_range(bitmap, range);
    for (guint64 word = range.first / 64; word * 64 < end; word++) {
        if (bitmap->words[word])
            count += (guint64)__builtin_popcountll(bitmap->words[word] & word_mask(word, range.first, end));
    }
    return count;
}

void
dl_bitmap_or(DlBitmap *bitmap, const DlBitmap *other)
{
    g_assert(bitmap->n_bits == other->n_bits);
    for (guint64 word = 0; word < bitmap->n_words; word++)
        bitmap->words[word] |= other->words[word];
}

void
dl_bitmap_and(DlBitmap *bitmap, const DlBitmap *other)
{
    g_assert(bitmap->n_bits == other->n_bits);
    for (guint64 word = 0; word < bitmap->n_words; word++)
        bitmap->words[word] &= other->words[word];
}

void
dl_bitmap_and_not(DlBitmap *bitmap, const DlBitmap *other)
{
    g_assert(bitmap->n_bits == other->n_bits);
    for (guint64 word = 0; word < bitmap->n_words; word++)
        bitmap->words[word] &= ~other->words[word];
}

gboolean
dl_bitmap_equal(const DlBitmap *bitmap, const DlBitmap *other)
{
    g_assert(bitmap->n_bits == other->n_bits);
    return memcmp(bitmap->words, other->words, bitmap->n_words * sizeof(guint64)) == 0;
}

gboolean
dl_bitmap_is_empty(const DlBitmap *bitmap)
{
    for (guint64 word = 0; word < bitmap->n_words; word++) {
        if (bitmap->words[word])
            return FALSE;
    }
    return TRUE;
}

/* The first bit in [from, end) whose word, XORed with @flip, has it set; @end when there is none. */
static guint64
next_bit(const DlBitmap *bitmap, guint64 from, guint64 end, guint64 flip)
{
    while (from < end) {
        guint64 rest = (bitmap->words[from / 64] ^ flip) >> (from % 64);
        if (rest)
            return MIN(from + (guint64)__builtin_ctzll(rest), end);
        from = (from / 64 + 1) * 64;
    }
    return end;
}

gboolean
dl_bitmap_next_run(const DlBitmap *bitmap, guint64 from, guint64 end, DlPageRange *run)
{
    end = MIN(end, bitmap->n_bits);
    if (from >= end)
        return FALSE;

    guint64 first = next_bit(bitmap, from, end, 0);
    if (first == end)
        return FALSE;
    run->first = first;
    run->count = next_bit(bitmap, first, end, ~UINT64_C(0)) - first;
    return TRUE;
}
