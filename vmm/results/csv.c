/* SPDX-License-Identifier: MIT */
/* Fields of a CSV line. */
#include "results/csv.h"

#include <math.h>
#include <string.h>

void
csv_add_field(CsvLine *line, const char *name, const char *text)
{
    g_autofree char *heading = line->headings ? g_strdelimit(g_strconcat(line->prefix, name, NULL), "-", '_') : NULL;
    const char *field = heading ? heading : text ? text : "";

    if (line->begun)
        g_string_append_c(line->out, ',');
    line->begun = TRUE;
    if (!strpbrk(field, ",\"\r\n")) {
        g_string_append(line->out, field);
        return;
    }
    g_string_append_c(line->out, '"');
    for (; *field; field++) {
        if (*field == '"')
            g_string_append_c(line->out, '"');
        g_string_append_c(line->out, *field);
    }
    g_string_append_c(line->out, '"');
}

void
csv_add_text(CsvLine *line, const char *name, const char *text)
{
    g_autofree char *valid = text ? g_utf8_make_valid(text, -1) : NULL;
    csv_add_field(line, name, valid);
}

void
csv_add_count(CsvLine *line, const char *name, guint64 count)
{
    g_autofree char *text = g_strdup_printf("%" G_GUINT64_FORMAT, count);
    csv_add_field(line, name, text);
}

void
csv_add_number(CsvLine *line, const char *name, double value)
{
    char text[G_ASCII_DTOSTR_BUF_SIZE];
    csv_add_field(line, name, isfinite(value) ? g_ascii_formatd(text, sizeof text, "%.9g", value) : NULL);
}
