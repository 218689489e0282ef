/* SPDX-License-Identifier: MIT */
/* Figures for people. Three digits that count, a decimal point in every locale. Free what is returned with g_free(). */
#pragma once

#include <glib.h>

#define UNIT_NOTHING "-" /* was not measured, or means nothing here */

/** unit_time: `25.3ns`, `1.52ms`; at most 6 columns. NaN and below zero: UNIT_NOTHING. */
char *unit_time(double nanoseconds);
/** unit_count: exact up to 99999, then `131k`, `1.05M`; at most 5 columns. */
char *unit_count(guint64 count);
/** unit_ratio: `1.00`, `12.3`, `512`, `262k`; 0 and NaN: UNIT_NOTHING. */
char *unit_ratio(double ratio);
/** unit_bytes: `256 MiB`, `1.5 GiB`. */
char *unit_bytes(guint64 bytes);
/** unit_digits: every digit, in groups of three: `1,234,567`. */
char *unit_digits(guint64 count);
