/* SPDX-License-Identifier: MIT */
/*
 * Samples and their statistics.
 *
 * The bootstrap draws n of the n samples 2,000 times with replacement, takes each draw's median, and the 2.5th and 97.5th
 * percentile of these. Over sorted samples a draw is a count of each rank, and its median is found by adding counts up: linear in
 * n, no sorting of draws. With a handful of samples the interval cannot reach beyond their range: it is then too narrow, as any is.
 *
 * Values that are not finite stay among the raw samples and take no part in the statistics.
 */
#include <math.h>
#include <string.h>

#include "results/samples.h"

#define RESAMPLES 2000
#define TAIL (RESAMPLES / 40) /* 2.5 % */
#define SEED 20250607

struct Samples {
    GArray *values; /* double */
};

Samples *
samples_new(void)
{
    Samples *samples = g_new0(Samples, 1);
    samples->values = g_array_new(FALSE, FALSE, sizeof(double));
    return samples;
}

void
samples_free(Samples *samples)
{
    if (!samples)
        return;
    g_array_unref(samples->values);
    g_free(samples);
}

void
samples_add(Samples *samples, double value)
{
    g_array_append_val(samples->values, value);
}

void
samples_add_all(Samples *samples, const Samples *more)
{
    for (guint i = 0; i < samples_count(more); i++)
        samples_add(samples, samples_at(more, i));
}

guint
samples_count(const Samples *samples)
{
    return samples->values->len;
}

double
samples_at(const Samples *samples, guint index)
{
    g_assert(index < samples->values->len);
    return g_array_index(samples->values, double, index);
}

static int
compare_doubles(gconstpointer a, gconstpointer b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

/* The finite samples in ascending order; free with g_array_unref(). */
static GArray *
sorted_copy(const Samples *samples)
{
    GArray *sorted = g_array_sized_new(FALSE, FALSE, sizeof(double), samples->values->len);
    for (guint i = 0; i < samples->values->len; i++) {
        double value = g_array_index(samples->values, double, i);
        if (isfinite(value))
            g_array_append_val(sorted, value);
    }
    g_array_sort(sorted, compare_doubles);
    return sorted;
}

/* Halved before they are added: the sum of two finite values need not be one. */
static double
middle(double low, double high)
{
    return low == high ? low : low / 2 + high / 2;
}

double
samples_median(const Samples *samples)
{
    g_autoptr(GArray) sorted = sorted_copy(samples);
    if (!sorted->len)
        return NAN;
    return middle(g_array_index(sorted, double, (sorted->len - 1) / 2), g_array_index(sorted, double, sorted->len / 2));
}

double
samples_min(const Samples *samples)
{
    g_autoptr(GArray) sorted = sorted_copy(samples);
    return sorted->len ? g_array_index(sorted, double, 0) : NAN;
}

double
samples_max(const Samples *samples)
{
    g_autoptr(GArray) sorted = sorted_copy(samples);
    return sorted->len ? g_array_index(sorted, double, sorted->len - 1) : NAN;
}

/* The rank that holds the draw's @nth value (from 0), starting at @rank with @before values in the ranks below it. */
static guint
rank_of(const guint *count, guint nth, guint rank, guint *before)
{
    while (*before + count[rank] <= nth)
        *before += count[rank++];
    return rank;
}

static double
resampled_median(const double *sorted, guint n, guint *count, GRand *random)
{
    guint before = 0;

    memset(count, 0, n * sizeof *count);
    for (guint i = 0; i < n; i++)
        count[g_rand_int_range(random, 0, (gint32)n)]++;
    guint low = rank_of(count, (n - 1) / 2, 0, &before);
    guint high = rank_of(count, n / 2, low, &before);
    return middle(sorted[low], sorted[high]);
}

void
samples_ci95(const Samples *samples, double *low, double *high)
{
    g_autoptr(GArray) sorted = sorted_copy(samples);
    const guint n = sorted->len;
    const double *values = (const double *)(gconstpointer)sorted->data;

    *low = *high = NAN;
    if (!n)
        return;

    g_autoptr(GRand) random = g_rand_new_with_seed(SEED);
    g_autofree guint *count = g_new(guint, n);
    g_autofree double *medians = g_new(double, RESAMPLES);
    for (guint i = 0; i < RESAMPLES; i++)
        medians[i] = resampled_median(values, n, count, random);
    qsort(medians, RESAMPLES, sizeof *medians, compare_doubles);
    *low = medians[TAIL];
    *high = medians[RESAMPLES - 1 - TAIL];
}
