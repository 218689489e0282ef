/* SPDX-License-Identifier: MIT */
/* Raw samples of one quantity, and what is said of them: median, range, a bootstrap 95 % interval of the median. */
#pragma once

#include <glib.h>

typedef struct Samples Samples;

Samples *samples_new(void);
void samples_free(Samples *samples);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Samples, samples_free)

void samples_add(Samples *samples, double value);
/** samples_add_all: appends @more's samples, in their order. */
void samples_add_all(Samples *samples, const Samples *more);
guint samples_count(const Samples *samples);
double samples_at(const Samples *samples, guint index); /* in the order in which they were added */

/** All are NaN of no samples. */
double samples_median(const Samples *samples);
double samples_min(const Samples *samples);
double samples_max(const Samples *samples);
/** samples_ci95: percentile bootstrap of the median, 2,000 resamples, seeded by a constant: the same samples give the same interval. */
void samples_ci95(const Samples *samples, double *low, double *high);
