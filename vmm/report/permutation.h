/* SPDX-License-Identifier: MIT */
/* Two sets of raw samples: by how much one lies above the other, and how likely chance alone makes it so. */
#pragma once

#include "results/samples.h"

#define PERMUTATION_MOST_SAMPLES 400 /* of a set: more say no more, and take long; they are chosen at even distances */

/**
 * permutation_p: of a two-sided permutation test on the rank sum: the share of random relabellings in which the two sets lie at least as far
 * apart. 1 when either set has no finite sample. It is good to a tenth of itself, or rougher where it is near the least that @most_deals
 * relabellings can show. The same samples give the same figure.
 */
double permutation_p(const Samples *old, const Samples *new, guint most_deals);

/** permutation_least_p: the smallest that sets of this size can give: with 3 and 3 samples it is 0.1, however far they lie apart. */
double permutation_least_p(guint n_old, guint n_new);

/** permutation_ratio: by how much @new is larger: the median over all pairs of new ÷ old (Hodges and Lehmann, of logarithms). NaN: unknown. */
double permutation_ratio(const Samples *old, const Samples *new);

/** permutation_holm: makes @p of @n tests what each is worth among the others (Holm); none above 1. */
void permutation_holm(double *p, guint n);
