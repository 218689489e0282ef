/* SPDX-License-Identifier: MIT */
/* Every operation against a plain array of booleans, with random ranges that start and end inside words. */
#include <dirtylog/bitmap.h>
#include <string.h>

#define MOST_BITS 400

typedef struct {
    guint n_bits;
    gboolean bits[MOST_BITS];
    DlBitmap *bitmap;
} Pair;

static Pair *
pair_new(guint n_bits)
{
    Pair *pair = g_new0(Pair, 1);

    pair->n_bits = n_bits;
    pair->bitmap = dl_bitmap_new(n_bits);
    return pair;
}

static void
pair_free(Pair *pair)
{
    dl_bitmap_free(pair->bitmap);
    g_free(pair);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Pair, pair_free)

static DlPageRange
random_range(guint n_bits)
{
    guint first = (guint)g_test_rand_int_range(0, (gint)n_bits + 1);

    return (DlPageRange){first, (guint)g_test_rand_int_range(0, (gint)(n_bits - first) + 1)};
}

static void
change_at_random(Pair *pair)
{
    DlPageRange range = random_range(pair->n_bits);
    gboolean on = g_test_rand_bit();

    (on ? dl_bitmap_set_range : dl_bitmap_clear_range)(pair->bitmap, range);
    for (guint64 i = range.first; i < range.first + range.count; i++)
        pair->bits[i] = on;
    if (pair->n_bits) {
        guint bit = (guint)g_test_rand_int_range(0, (gint)pair->n_bits);
        on = g_test_rand_bit();
        (on ? dl_bitmap_set : dl_bitmap_clear)(pair->bitmap, bit);
        pair->bits[bit] = on;
    }
}

static void
check_pair(const Pair *pair)
{
    DlPageRange range = random_range(pair->n_bits);
    guint64 all = 0;
    guint64 inside = 0;

    for (guint i = 0; i < pair->n_bits; i++) {
        g_assert_cmpint(dl_bitmap_test(pair->bitmap, i), ==, pair->bits[i]);
        all += pair->bits[i];
        inside += pair->bits[i] && i >= range.first && i < range.first + range.count;
    }
    g_assert_cmpuint(dl_bitmap_count(pair->bitmap), ==, all);
    g_assert_cmpuint(dl_bitmap_count_range(pair->bitmap, range), ==, inside);
    g_assert_cmpint(dl_bitmap_is_empty(pair->bitmap), ==, all == 0);
}

static void
check_runs(const Pair *pair)
{
    guint from = (guint)g_test_rand_int_range(0, (gint)pair->n_bits + 1);
    guint end = (guint)g_test_rand_int_range(0, (gint)pair->n_bits + 70);
    guint i = from;

    for (DlPageRange run = {.first = from}; dl_bitmap_next_run(pair->bitmap, run.first + run.count, end, &run);) {
        while (!pair->bits[i])
            i++;
        g_assert_cmpuint(run.first, ==, i);
        while (i < MIN(end, pair->n_bits) && pair->bits[i])
            i++;
        g_assert_cmpuint(run.first + run.count, ==, i);
    }
    for (; i < MIN(end, pair->n_bits); i++)
        g_assert_false(pair->bits[i]);
}

static void
test_ranges(void)
{
    for (guint n_bits = 0; n_bits < MOST_BITS; n_bits += 1 + n_bits % 7) {
        g_autoptr(Pair) pair = pair_new(n_bits);
        for (guint round = 0; round < 20; round++) {
            change_at_random(pair);
            check_pair(pair);
            check_runs(pair);
        }
    }
}

static void
test_sets(void)
{
    for (guint round = 0; round < 200; round++) {
        guint n_bits = (guint)g_test_rand_int_range(1, MOST_BITS);
        g_autoptr(Pair) a = pair_new(n_bits);
        g_autoptr(Pair) b = pair_new(n_bits);
        for (guint i = 0; i < 4; i++) {
            change_at_random(a);
            change_at_random(b);
        }
        g_autoptr(DlBitmap) either = dl_bitmap_copy(a->bitmap);
        g_autoptr(DlBitmap) both = dl_bitmap_copy(a->bitmap);
        g_autoptr(DlBitmap) only = dl_bitmap_copy(a->bitmap);
        g_assert_true(dl_bitmap_equal(either, a->bitmap));
        dl_bitmap_or(either, b->bitmap);
        dl_bitmap_and(both, b->bitmap);
        dl_bitmap_and_not(only, b->bitmap);
        g_assert_cmpint(dl_bitmap_equal(a->bitmap, b->bitmap), ==, memcmp(a->bits, b->bits, sizeof(a->bits)) == 0);
        for (guint i = 0; i < n_bits; i++) {
            g_assert_cmpint(dl_bitmap_test(either, i), ==, a->bits[i] || b->bits[i]);
            g_assert_cmpint(dl_bitmap_test(both, i), ==, a->bits[i] && b->bits[i]);
            g_assert_cmpint(dl_bitmap_test(only, i), ==, a->bits[i] && !b->bits[i]);
        }
    }
}

static void
test_outside(void)
{
    if (g_test_subprocess()) {
        g_autoptr(DlBitmap) bitmap = dl_bitmap_new(100);
        dl_bitmap_set_range(bitmap, (DlPageRange){90, G_MAXUINT64 - 80});
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_failed();
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/bitmap/ranges-counts-and-runs-match-an-array-of-booleans", test_ranges);
    g_test_add_func("/bitmap/set-operations-match-an-array-of-booleans", test_sets);
    g_test_add_func("/bitmap/a-range-outside-aborts", test_outside);
    return g_test_run();
}
