/* SPDX-License-Identifier: MIT */
/* words.h. A stretch is 32 blocks, a block 32 words: a mask says which blocks of the stretch have a bit. */
#include "dirtylog/words.h"

#include <stdint.h>

#define BLOCK_WORDS UINT64_C(32)
#define LINE_WORDS 8
#define STRETCH_BLOCKS 32

static gboolean
is_clear(const guint64 *words, guint64 n_words)
{
    typedef guint64 Vector __attribute__((vector_size(16), aligned(8), may_alias));
    const Vector *vectors = (const Vector *)words;
    Vector any = {0};
    guint64 rest = n_words % 2 ? words[n_words - 1] : 0;

    for (guint64 i = 0; i < n_words / 2; i++)
        any |= vectors[i];
    return (any[0] | any[1] | rest) == 0;
}

/* Only the lines that will be written: the guest's pages are scattered. */
static void
ask_for(guint64 *const *into, guint n_into, const guint64 *from, guint64 first, guint64 end)
{
    for (guint64 word = first; word < end; word += LINE_WORDS) {
        if (is_clear(from + word, MIN(LINE_WORDS, end - word)))
            continue;
        for (guint i = 0; i < n_into; i++)
            __builtin_prefetch(into[i] + word, 1);
    }
}

static void
or_block(guint64 *const *into, guint n_into, guint64 *from, guint64 first, guint64 end, gboolean clear)
{
    for (guint64 word = first; word < end; word++) {
        guint64 bits = from[word];
        if (!bits)
            continue;
        for (guint i = 0; i < n_into; i++)
            into[i][word] |= bits;
        if (clear)
            from[word] = 0;
    }
}

void
dl_or_words(guint64 *const *into, guint n_into, guint64 *from, guint64 n_words, gboolean clear)
{
    for (guint64 stretch = 0; stretch < n_words; stretch += STRETCH_BLOCKS * BLOCK_WORDS) {
        guint64 end = MIN(stretch + STRETCH_BLOCKS * BLOCK_WORDS, n_words);
        guint32 dirty = 0;

        for (guint64 first = stretch; first < end; first += BLOCK_WORDS) {
            guint64 count = end - first;
            /* The constant length lets the compiler unroll what is nearly always the case. */
            if (count >= BLOCK_WORDS ? is_clear(from + first, BLOCK_WORDS) : is_clear(from + first, count))
                continue;
            dirty |= UINT32_C(1) << (first - stretch) / BLOCK_WORDS;
            ask_for(into, n_into, from, first, MIN(first + BLOCK_WORDS, end));
        }
        for (; dirty; dirty &= dirty - 1) {
            guint64 first = stretch + (guint64)__builtin_ctz(dirty) * BLOCK_WORDS;
            or_block(into, n_into, from, first, MIN(first + BLOCK_WORDS, end), clear);
        }
    }
}
