/* SPDX-License-Identifier: MIT */
/*
 * The permutation test.
 *
 * If old and new are the same, each way of dealing the pooled samples out to two sets of these sizes is as likely as any other. The
 * statistic is the distance of a set's rank sum from what is expected: ranks, so that one sample that an interrupt made a hundred times
 * as long weighs no more than any that is the largest. Ties share their mean rank.
 *
 * Most tests find nothing and need not be precise about it: dealing ends as soon as enough deals lie as far apart (Besag and Clifford).
 * What is rare is followed to the end, since a correction for many tests asks for small figures.
 */
#include "report/permutation.h"

#include <math.h>
#include <string.h>

#define ENOUGH 100 /* deals as far apart as what was seen */
#define SEED 20250607

/* The finite samples above zero; of very many a selection at even distances. Free with g_array_unref(). */
static GArray *
usable(const Samples *samples)
{
    GArray *values = g_array_new(FALSE, FALSE, sizeof(double));
    guint n = samples ? samples_count(samples) : 0;
    guint stride = MAX((n + PERMUTATION_MOST_SAMPLES - 1) / PERMUTATION_MOST_SAMPLES, 1);

    for (guint i = 0; i < n; i += stride) {
        double value = samples_at(samples, i);
        if (isfinite(value) && value >= 0)
            g_array_append_val(values, value);
    }
    return values;
}

static int
compare_doubles(gconstpointer a, gconstpointer b)
{
    double left = *(const double *)a, right = *(const double *)b;

    return (left > right) - (left < right);
}

/* Twice the mean rank of each pooled value: whole numbers, so that sums are exact and equal ones compare as equal. */
static GArray *
doubled_ranks(const GArray *old, const GArray *new)
{
    g_autoptr(GArray) sorted = g_array_sized_new(FALSE, FALSE, sizeof(double), old->len + new->len);
    GArray *ranks = g_array_sized_new(FALSE, FALSE, sizeof(gint64), old->len + new->len);

    g_array_append_vals(sorted, old->data, old->len);
    g_array_append_vals(sorted, new->data, new->len);
    g_autoptr(GArray) pooled = g_array_copy(sorted);
    g_array_sort(sorted, compare_doubles);
    for (guint i = 0; i < pooled->len; i++) {
        double value = g_array_index(pooled, double, i);
        gint64 below = 0, equal = 0;
        for (guint j = 0; j < sorted->len && g_array_index(sorted, double, j) <= value; j++) {
            below += g_array_index(sorted, double, j) < value;
            equal++;
        }
        equal -= below;
        gint64 rank = 2 * below + equal + 1;
        g_array_append_val(ranks, rank);
    }
    return ranks;
}

/* How far twice the sum of the first @n of the ranks lies from what is expected of that many. */
static gint64
distance(const gint64 *ranks, guint n, guint total)
{
    gint64 sum = 0;

    for (guint i = 0; i < n; i++)
        sum += ranks[i];
    return ABS(sum - (gint64)n * (total + 1));
}

/* Deals the first @n anew: as much of Fisher and Yates's shuffle as is needed. */
static void
deal(gint64 *ranks, guint n, guint total, GRand *random)
{
    for (guint i = 0; i < n; i++) {
        guint other = (guint)g_rand_int_range(random, (gint32)i, (gint32)total);
        gint64 swapped = ranks[i];
        ranks[i] = ranks[other];
        ranks[other] = swapped;
    }
}

double
permutation_p(const Samples *old, const Samples *new, guint most_deals)
{
    g_autoptr(GArray) left = usable(old), right = usable(new);

    if (!left->len || !right->len)
        return 1;
    g_autoptr(GArray) all = doubled_ranks(left, right);
    g_autoptr(GRand) random = g_rand_new_with_seed(SEED);
    gint64 *ranks = (gint64 *)(gpointer)all->data;
    gint64 seen = distance(ranks, left->len, all->len);
    guint as_far = 0, deals = 0;

    while (deals < most_deals && as_far < ENOUGH) {
        deal(ranks, left->len, all->len, random);
        as_far += distance(ranks, left->len, all->len) >= seen;
        deals++;
    }
    return as_far >= ENOUGH ? (double)as_far / deals : (as_far + 1.0) / (deals + 1.0);
}

double
permutation_least_p(guint n_old, guint n_new)
{
    if (!n_old || !n_new)
        return 1;
    double ways = exp(lgamma(n_old + n_new + 1.0) - lgamma(n_old + 1.0) - lgamma(n_new + 1.0));
    return MIN(2 / ways, 1);
}

double
permutation_ratio(const Samples *old, const Samples *new)
{
    g_autoptr(GArray) left = usable(old), right = usable(new);
    g_autoptr(GArray) ratios = g_array_new(FALSE, FALSE, sizeof(double));

    for (guint i = 0; i < left->len; i++) {
        for (guint j = 0; j < right->len; j++) {
            double ratio = log(g_array_index(right, double, j) / g_array_index(left, double, i));
            if (isfinite(ratio))
                g_array_append_val(ratios, ratio);
        }
    }
    if (!ratios->len)
        return NAN;
    g_array_sort(ratios, compare_doubles);
    guint low = (ratios->len - 1) / 2, high = ratios->len / 2;
    return exp((g_array_index(ratios, double, low) + g_array_index(ratios, double, high)) / 2);
}

typedef struct {
    double p;
    guint place;
} Ranked;

void
permutation_holm(double *p, guint n)
{
    g_autoptr(GArray) ranked = g_array_sized_new(FALSE, FALSE, sizeof(Ranked), n);
    double least = 0;

    for (guint i = 0; i < n; i++) {
        Ranked one = {p[i], i};
        g_array_append_val(ranked, one);
    }
    g_array_sort(ranked, compare_doubles); /* the figure stands first */
    for (guint i = 0; i < n; i++) {
        const Ranked *one = &g_array_index(ranked, Ranked, i);
        least = MAX(least, MIN(one->p * (n - i), 1));
        p[one->place] = least;
    }
}
