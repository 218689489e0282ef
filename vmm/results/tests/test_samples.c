/* SPDX-License-Identifier: MIT */
/* Statistics against values worked out by hand, and the interval against what an interval promises. */
#include <math.h>

#include "results/samples.h"

static Samples *
samples_of(const double *values, guint n)
{
    Samples *samples = samples_new();
    for (guint i = 0; i < n; i++)
        samples_add(samples, values[i]);
    return samples;
}
#define SAMPLES(...) samples_of((const double[]){__VA_ARGS__}, G_N_ELEMENTS(((const double[]){__VA_ARGS__})))

static void
test_none_is_nan(void)
{
    g_autoptr(Samples) samples = samples_new();
    double low = 0, high = 0;
    samples_ci95(samples, &low, &high);
    g_assert_true(isnan(samples_median(samples)) && isnan(samples_min(samples)) && isnan(samples_max(samples)));
    g_assert_true(isnan(low) && isnan(high));
    g_assert_cmpuint(samples_count(samples), ==, 0);
}

static void
test_known_values(void)
{
    g_autoptr(Samples) one = SAMPLES(7), odd = SAMPLES(9, -1, 4), even = SAMPLES(8, 2, 4, 100), huge = SAMPLES(1.7e308, 1.6e308);
    double low, high;

    samples_ci95(one, &low, &high);
    g_assert_true(samples_median(one) == 7 && low == 7 && high == 7);
    g_assert_true(samples_median(odd) == 4 && samples_min(odd) == -1 && samples_max(odd) == 9);
    g_assert_true(samples_median(even) == 6 && samples_min(even) == 2 && samples_max(even) == 100);
    g_assert_true(isfinite(samples_median(huge)));
}

static void
test_order_is_kept(void)
{
    g_autoptr(Samples) samples = SAMPLES(3, 1, 2);
    g_assert_true(samples_median(samples) == 2);
    g_assert_true(samples_at(samples, 0) == 3 && samples_at(samples, 1) == 1 && samples_at(samples, 2) == 2);

    g_autoptr(Samples) more = SAMPLES(9, 8), none = samples_new();
    samples_add_all(samples, more);
    samples_add_all(samples, none);
    g_assert_cmpuint(samples_count(samples), ==, 5);
    g_assert_true(samples_at(samples, 2) == 2 && samples_at(samples, 3) == 9 && samples_at(samples, 4) == 8);
}

static void
test_not_finite_is_kept_and_not_judged(void)
{
    g_autoptr(Samples) samples = SAMPLES(NAN, 5, INFINITY, 1, 3);
    double low, high;
    samples_ci95(samples, &low, &high);
    g_assert_cmpuint(samples_count(samples), ==, 5);
    g_assert_true(samples_median(samples) == 3 && samples_max(samples) == 5);
    g_assert_true(low == 1 && high == 5);
}

/*
 * Three values: a resample's median is the smallest with probability P(at least two of three draws are it) = 3·(1/3)²·(2/3) + (1/3)³
 * = 7/27, far above 2.5 %, so the interval is the whole range. With nine it is narrower than the range: P(median is the smallest)
 * = P(at least 5 of 9 draws) = 0.13 %, P(one of the two smallest) = 2.5 % at 2/9: low is the second or third. With six, an even number,
 * a median lies between two values: P(-5) = 0.9 %, P(-5 or -4) = 3.5 %, with a standard error of 0.4 %: low is -4, high 4 or just 3.
 */
static void
test_interval_of_few(void)
{
    g_autoptr(Samples) three = SAMPLES(10, 20, 30), nine = SAMPLES(1, 2, 3, 4, 5, 6, 7, 8, 9), six = SAMPLES(-5, -3, -1, 1, 3, 5);
    double low, high;

    samples_ci95(three, &low, &high);
    g_assert_true(low == 10 && high == 30);
    samples_ci95(nine, &low, &high);
    g_assert_true(low >= 2 && low <= 3 && high >= 7 && high <= 8);
    samples_ci95(six, &low, &high);
    g_assert_true(low == -4 && high >= 3 && high <= 4);
}

static void
test_interval_is_repeatable(void)
{
    g_autoptr(Samples) samples = samples_new();
    double low[2], high[2];
    for (guint i = 0; i < 50; i++)
        samples_add(samples, i * 37 % 50);
    samples_ci95(samples, &low[0], &high[0]);
    samples_ci95(samples, &low[1], &high[1]);
    g_assert_true(low[0] == low[1] && high[0] == high[1] && low[0] < high[0]);
}

/* How often the interval of @n draws from a skewed distribution (exponential, median ln 2) holds the true median. */
static double
coverage(guint n, guint rounds)
{
    g_autoptr(GRand) random = g_rand_new_with_seed(7);
    guint held = 0;
    for (guint round = 0; round < rounds; round++) {
        g_autoptr(Samples) samples = samples_new();
        double low, high;
        for (guint i = 0; i < n; i++)
            samples_add(samples, -log(1 - g_rand_double(random)));
        samples_ci95(samples, &low, &high);
        held += low <= M_LN2 && M_LN2 <= high;
    }
    return (double)held / rounds;
}

static void
test_interval_covers(void)
{
    double odd = coverage(31, 300), even = coverage(60, 200);
    g_test_message("coverage: %.3f of 31 samples, %.3f of 60", odd, even);
    g_assert_cmpfloat(odd, >, 0.91);
    g_assert_cmpfloat(odd, <, 0.99);
    g_assert_cmpfloat(even, >, 0.90);
    g_assert_cmpfloat(even, <, 0.99);
}

static void
test_many_are_quick(void)
{
    g_autoptr(Samples) samples = samples_new();
    double low, high;
    for (guint i = 0; i < 10000; i++)
        samples_add(samples, (i * 7919) % 10007);
    gint64 start = g_get_monotonic_time();
    samples_ci95(samples, &low, &high);
    g_assert_cmpint(g_get_monotonic_time() - start, <, 10 * G_TIME_SPAN_SECOND);
    g_assert_true(low < samples_median(samples) && samples_median(samples) < high);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/samples/none-is-nan", test_none_is_nan);
    g_test_add_func("/samples/known-values", test_known_values);
    g_test_add_func("/samples/order-is-kept", test_order_is_kept);
    g_test_add_func("/samples/not-finite-is-kept-and-not-judged", test_not_finite_is_kept_and_not_judged);
    g_test_add_func("/samples/interval-of-few", test_interval_of_few);
    g_test_add_func("/samples/interval-is-repeatable", test_interval_is_repeatable);
    g_test_add_func("/samples/interval-covers", test_interval_covers);
    g_test_add_func("/samples/many-are-quick", test_many_are_quick);
    return g_test_run();
}
