/* SPDX-License-Identifier: MIT */
/* Figures as a page sets them. */
#include "report/figures.h"

#include <math.h>
#include <string.h>

#include "results/units.h"

#define THIN_SPACE "\u202f"

Estimate
estimate_of(const Samples *samples)
{
    Estimate estimate = {NAN, NAN, NAN};

    if (samples) {
        estimate.median = samples_median(samples);
        samples_ci95(samples, &estimate.low, &estimate.high);
    }
    return estimate;
}

gboolean
estimate_known(const Estimate *estimate)
{
    return isfinite(estimate->median);
}

/* The space goes between the last digit and what follows. */
static char *
spaced(char *figure)
{
    g_autofree char *plain = figure;
    gsize digits = strspn(plain, "0123456789.>");

    if (!digits || !plain[digits] || plain[digits] == ' ')
        return g_steal_pointer(&plain);
    return g_strdup_printf("%.*s" THIN_SPACE "%s", (int)digits, plain, plain + digits);
}

char *
figure_time(double nanoseconds)
{
    return spaced(unit_time(nanoseconds));
}

char *
figure_bytes(double bytes)
{
    return isfinite(bytes) && bytes >= 0 && bytes < 0x1p63 ? unit_bytes((guint64)bytes) : g_strdup(UNIT_NOTHING);
}

char *
figure_percent(double percent)
{
    if (!isfinite(percent) || percent <= 0)
        return g_strdup(UNIT_NOTHING);
    return g_strdup_printf(percent < 99.5 ? "%.2g" THIN_SPACE "%%" : "%.0f" THIN_SPACE "%%", percent);
}

char *
figure_ratio(double ratio)
{
    return unit_ratio(ratio);
}

char *
figure_count(double count)
{
    return isfinite(count) && count >= 0 && count < 0x1p63 ? spaced(unit_count((guint64)(count + 0.5))) : g_strdup(UNIT_NOTHING);
}

char *
figure_tick(double value, FigureFormat format)
{
    g_autofree char *figure = format(value);
    char *point = strchr(figure, '.');
    gsize zeros = point ? strspn(point + 1, "0") : 0;

    if (!point || g_ascii_isdigit(point[1 + zeros]))
        return g_steal_pointer(&figure);
    return g_strdup_printf("%.*s%s", (int)(point - figure), figure, point + 1 + zeros);
}

char *
figure_estimate(const Estimate *estimate, FigureFormat format)
{
    g_autofree char *median = format(estimate->median);
    g_autofree char *low = format(estimate->low);
    g_autofree char *high = format(estimate->high);

    if (!isfinite(estimate->low) || g_str_equal(low, high))
        return g_steal_pointer(&median);
    return g_strdup_printf("%s (%s to %s)", median, low, high);
}
