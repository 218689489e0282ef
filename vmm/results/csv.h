/* SPDX-License-Identifier: MIT */
/*
 * A line of CSV (RFC 4180, ended by a newline alone) that is being written. Headings and values go through the same calls, so they
 * cannot fall out of step: a caller runs them once with @headings set, then once for each result.
 */
#pragma once

#include <glib.h>

/**
 * CsvLine:
 * @headings: write the columns' names instead of the values
 * @prefix: of the names; not NULL
 */
typedef struct {
    GString *out;
    gboolean headings;
    gboolean begun;
    const char *prefix;
} CsvLine;

/** csv_add_field: @text as it is (NULL: empty), quoted where it must be. */
void csv_add_field(CsvLine *line, const char *name, const char *text);
/** csv_add_text: made valid UTF-8 first. */
void csv_add_text(CsvLine *line, const char *name, const char *text);
void csv_add_count(CsvLine *line, const char *name, guint64 count);
/** csv_add_number: what is no number (NaN, infinity) is empty. */
void csv_add_number(CsvLine *line, const char *name, double value);
