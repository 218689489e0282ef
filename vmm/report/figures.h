/* SPDX-License-Identifier: MIT */
/* Figures as a page sets them: results/units.h's, with a thin space before the unit. Free what is returned with g_free(). */
#pragma once

#include <glib.h>

#include "results/samples.h"

/** Median and interval of one quantity; all NaN when it was not measured. */
typedef struct {
    double median, low, high;
} Estimate;

/** estimate_of: @samples may be NULL. */
Estimate estimate_of(const Samples *samples);
gboolean estimate_known(const Estimate *estimate);

typedef char *(*FigureFormat)(double value);
char *figure_time(double nanoseconds);
char *figure_bytes(double bytes);
char *figure_percent(double percent); /* of 100 */
char *figure_ratio(double ratio);
char *figure_count(double count);

/** figure_tick: as @format, without decimals that are zero: `10 µs`. */
char *figure_tick(double value, FigureFormat format);

/** figure_estimate: `5.18 µs (4.90 µs to 5.62 µs)`. */
char *figure_estimate(const Estimate *estimate, FigureFormat format);
