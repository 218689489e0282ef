/* SPDX-License-Identifier: MIT */
/* Figures for people. */
#include <math.h>

#include "results/units.h"

/* Three digits that count of a number below 999.5. */
static char *
three_digits(double value)
{
    char digits[G_ASCII_DTOSTR_BUF_SIZE];
    const char *format = value < 9.995 ? "%.2f" : value < 99.95 ? "%.1f" : "%.0f";
    return g_strdup(g_ascii_formatd(digits, sizeof digits, format, value));
}

/* Divides by 1000 until three digits are enough, or no suffix is left: then whole numbers, and beyond 99999 only that it is more. */
static char *
scaled(double value, const char *const *suffixes, guint n_suffixes)
{
    guint suffix = 0;
    while (value >= 999.5 && suffix + 1 < n_suffixes) {
        value /= 1000;
        suffix++;
    }
    if (value > 99999)
        return g_strconcat(">99k", suffixes[suffix], NULL);
    if (value >= 999.5)
        return g_strdup_printf("%u%s", (guint)(value + 0.5), suffixes[suffix]);
    g_autofree char *digits = three_digits(value);
    return g_strconcat(digits, suffixes[suffix], NULL);
}

char *
unit_time(double nanoseconds)
{
    static const char *const suffixes[] = {"ns", "µs", "ms", "s"};
    if (!isfinite(nanoseconds) || nanoseconds < 0)
        return g_strdup(UNIT_NOTHING);
    if (nanoseconds == 0)
        return g_strdup("0");
    return scaled(nanoseconds, suffixes, G_N_ELEMENTS(suffixes));
}

char *
unit_count(guint64 count)
{
    static const char *const suffixes[] = {"", "k", "M", "G", "T", "P", "E"};
    if (count <= 99999)
        return g_strdup_printf("%" G_GUINT64_FORMAT, count);
    return scaled((double)count, suffixes, G_N_ELEMENTS(suffixes));
}

char *
unit_ratio(double ratio)
{
    if (!isfinite(ratio) || ratio <= 0)
        return g_strdup(UNIT_NOTHING);
    if (ratio < 999.5)
        return three_digits(ratio);
    return unit_count(ratio < 1e18 ? (guint64)(ratio + 0.5) : G_MAXUINT64);
}

char *
unit_bytes(guint64 bytes)
{
    static const char *const suffixes[] = {" B", " KiB", " MiB", " GiB", " TiB", " PiB", " EiB"};
    char digits[G_ASCII_DTOSTR_BUF_SIZE];
    double value = (double)bytes;
    guint suffix = 0;

    while (value >= 1024 && suffix + 1 < G_N_ELEMENTS(suffixes)) {
        value /= 1024;
        suffix++;
    }
    gboolean whole = fabs(value - floor(value + 0.5)) < 0.05;
    g_ascii_formatd(digits, sizeof digits, whole ? "%.0f" : "%.1f", value);
    return g_strconcat(digits, suffixes[suffix], NULL);
}

char *
unit_digits(guint64 count)
{
    g_autofree char *plain = g_strdup_printf("%" G_GUINT64_FORMAT, count);
    GString *grouped = g_string_new(plain);
    for (gssize at = (gssize)grouped->len - 3; at > 0; at -= 3)
        g_string_insert_c(grouped, at, ',');
    return g_string_free(grouped, FALSE);
}
