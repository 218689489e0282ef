/* SPDX-License-Identifier: MIT */
/* The test says what chance would do: not more, and not less. */
#include <math.h>

#include "report/permutation.h"

#define DEALS 200000

static Samples *
samples_of(const double *values, guint n)
{
    Samples *samples = samples_new();

    for (guint i = 0; i < n; i++)
        samples_add(samples, values[i]);
    return samples;
}

/* Around @middle, with a long tail upwards as times have it. */
static Samples *
times_around(double middle, guint n, GRand *random)
{
    Samples *samples = samples_new();

    for (guint i = 0; i < n; i++)
        samples_add(samples, middle * (1 - 0.05 * log(1 - g_rand_double(random))));
    return samples;
}

static void
the_exact_figure_is_met(void)
{
    /* Of the 70 ways to deal 8 values to 4 and 4, 2 lie as far apart as these do. */
    g_autoptr(Samples) low = samples_of((const double[]){1, 2, 3, 4}, 4);
    g_autoptr(Samples) high = samples_of((const double[]){5, 6, 7, 8}, 4);

    g_assert_cmpfloat_with_epsilon(permutation_p(low, high, DEALS), 2.0 / 70, 0.01);
    g_assert_cmpfloat_with_epsilon(permutation_p(high, low, DEALS), 2.0 / 70, 0.01);
    g_assert_cmpfloat_with_epsilon(permutation_least_p(4, 4), 2.0 / 70, 1e-9);
    g_assert_cmpfloat_with_epsilon(permutation_least_p(3, 3), 0.1, 1e-9);
}

static void
a_set_does_not_differ_from_itself(void)
{
    g_autoptr(Samples) one = samples_of((const double[]){3, 1, 4, 1, 5, 9, 2, 6}, 8);
    g_autoptr(Samples) same = samples_of((const double[]){7, 7, 7, 7}, 4);
    g_autoptr(Samples) empty = samples_new();

    g_assert_cmpfloat(permutation_p(one, one, DEALS), >, 0.9);
    g_assert_cmpfloat(permutation_p(same, same, DEALS), >, 0.99);
    g_assert_cmpfloat(permutation_p(one, empty, DEALS), ==, 1);
    g_assert_true(isnan(permutation_ratio(one, empty)));
}

/* Of many pairs from one source, as many have p < 0.05 as that says. */
static void
chance_is_not_called_a_difference(void)
{
    g_autoptr(GRand) random = g_rand_new_with_seed(1);
    guint called = 0, pairs = 600;

    for (guint i = 0; i < pairs; i++) {
        g_autoptr(Samples) old = times_around(1000, 15, random);
        g_autoptr(Samples) new = times_around(1000, 15, random);
        called += permutation_p(old, new, 5000) < 0.05;
    }
    g_assert_cmpuint(called, <, pairs * 8 / 100);
    g_assert_cmpuint(called, >, pairs * 2 / 100);
}

static void
what_is_slower_is_found(void)
{
    g_autoptr(GRand) random = g_rand_new_with_seed(2);
    guint found = 0;

    for (guint i = 0; i < 40; i++) {
        g_autoptr(Samples) old = times_around(1000, 15, random);
        g_autoptr(Samples) new = times_around(1200, 15, random);
        double ratio = permutation_ratio(old, new);
        g_assert_cmpfloat(ratio, >, 1.1);
        g_assert_cmpfloat(ratio, <, 1.3);
        found += permutation_p(old, new, DEALS) < 1e-4;
    }
    g_assert_cmpuint(found, >=, 38);
}

/* One sample of a million times the others', as an interrupt makes it. */
static void
one_outlier_makes_no_difference(void)
{
    g_autoptr(GRand) random = g_rand_new_with_seed(3);
    guint called = 0, pairs = 300;

    for (guint i = 0; i < pairs; i++) {
        g_autoptr(Samples) old = times_around(1000, 15, random);
        g_autoptr(Samples) new = times_around(1000, 14, random);
        samples_add(new, 1e9);
        samples_add(new, NAN);
        called += permutation_p(old, new, 5000) < 0.05;
        g_assert_cmpfloat(permutation_ratio(old, new), <, 1.15);
    }
    g_assert_cmpuint(called, <, pairs * 9 / 100);
}

static void
many_tests_are_corrected(void)
{
    double p[] = {0.04, 0.01, 0.03, 0.005, 0.9};
    const double expected[] = {0.09, 0.04, 0.09, 0.025, 0.9};

    permutation_holm(p, G_N_ELEMENTS(p));
    for (guint i = 0; i < G_N_ELEMENTS(p); i++)
        g_assert_cmpfloat_with_epsilon(p[i], expected[i], 1e-12);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/permutation/the exact figure is met", the_exact_figure_is_met);
    g_test_add_func("/permutation/a set does not differ from itself", a_set_does_not_differ_from_itself);
    g_test_add_func("/permutation/chance is not called a difference", chance_is_not_called_a_difference);
    g_test_add_func("/permutation/what is slower is found", what_is_slower_is_found);
    g_test_add_func("/permutation/one outlier makes no difference", one_outlier_makes_no_difference);
    g_test_add_func("/permutation/many tests are corrected", many_tests_are_corrected);
    return g_test_run();
}
