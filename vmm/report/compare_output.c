/* SPDX-License-Identifier: MIT */
/* The comparison for people and for programs. */
#include <math.h>

#include "report/compare.h"
#include "results/fields.h"
#include "results/table.h"
#include "results/units.h"

#define COMPARE_SCHEMA "dirtylab.compare/1"

/* A quantity in its unit, which its name ends with. */
static char *
figure(const Comparison *comparison, double value)
{
    const char *quantity = comparison->quantity;

    if (comparison->by_count)
        return unit_digits((guint64)value);
    if (g_str_has_suffix(quantity, "_ms"))
        return unit_time(value * 1e6);
    if (g_str_has_suffix(quantity, "_bytes"))
        return unit_bytes((guint64)value);
    return unit_time(value);
}

static void
add_row(Table *table, const Comparison *comparison)
{
    g_autofree char *old = figure(comparison, comparison->old);
    g_autofree char *new = figure(comparison, comparison->new);
    g_autofree char *ratio = isfinite(comparison->ratio) ? g_strdup_printf("%.2f", comparison->ratio) : g_strdup("");
    g_autofree char *p = isfinite(comparison->p) ? g_strdup_printf("%.2g", comparison->p) : g_strdup("");
    g_autofree char *quantity = g_strdelimit(g_strdup(comparison->quantity), "_", ' ');
    const char *cells[] = {compare_verdict_name(comparison->verdict), quantity, old, new, ratio, p};

    table_add_row(table, cells, G_N_ELEMENTS(cells));
}

static Table *
new_table(void)
{
    Table *table = table_new();

    table_add_column(table, "", TABLE_LEFT);
    table_add_column(table, "quantity", TABLE_LEFT);
    table_add_column(table, "old", TABLE_RIGHT);
    table_add_column(table, "new", TABLE_RIGHT);
    table_add_column(table, "ratio", TABLE_RIGHT);
    table_add_column(table, "p", TABLE_RIGHT);
    return table;
}

static void
add_differences(const CompareResult *result, guint columns, GString *out)
{
    g_autoptr(Table) table = new_table();
    const char *last = NULL;

    for (guint i = 0; i < result->comparisons->len; i++) {
        const Comparison *comparison = &g_array_index(result->comparisons, Comparison, i);
        if (comparison->verdict != COMPARE_WORSE && comparison->verdict != COMPARE_BETTER)
            continue;
        if (g_strcmp0(last, comparison->name) != 0)
            table_add_heading(table, comparison->name);
        last = comparison->name;
        add_row(table, comparison);
    }
    if (last)
        table_format(table, columns, out);
}

static void add_line(GString *out, guint columns, const char *format, ...) G_GNUC_PRINTF(3, 4);

static void
add_line(GString *out, guint columns, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    g_autofree char *text = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    table_wrap(text, columns, 2, out);
}

void
compare_text(const CompareResult *result, const ResultFile *old, const ResultFile *new, guint columns, GString *out)
{
    guint few = compare_count(result, COMPARE_TOO_FEW);

    add_line(out, columns, "Old: %s, %s (%s)", old->path, old->info->started ? old->info->started : "?",
             old->info->revision ? old->info->revision : "?");
    add_line(out, columns, "New: %s, %s (%s)", new->path, new->info->started ? new->info->started : "?",
             new->info->revision ? new->info->revision : "?");
    if (!result->same_host)
        add_line(out, columns, "The hosts differ: so may the figures, whatever the program does.");
    if (result->only_old || result->only_new)
        add_line(out, columns, "Without a counterpart: %u cases of the old file, %u of the new one.", result->only_old,
                 result->only_new);
    if (fabs(log(result->drift)) > 0.05)
        add_line(out, columns, "All costs together are %.2f times the old ones: what follows is beyond that.", result->drift);
    if (compare_host_moved(result))
        add_line(
            out, columns,
            "The guest itself differs where nothing tracks it: the host was not the same in both runs, and what follows may be its "
            "doing. Run the two in turns.");
    g_string_append_c(out, '\n');
    add_differences(result, columns, out);
    if (few)
        add_line(out, columns, "%u comparisons have too few samples to find anything: give both runs more --runs.", few);
    add_line(out, columns, "%u comparisons: %u worse, %u better", result->comparisons->len, compare_count(result, COMPARE_WORSE),
             compare_count(result, COMPARE_BETTER));
}

char *
compare_json(const CompareResult *result, const ResultFile *old, const ResultFile *new, const char *command)
{
    DocumentInfo info = *new->info; /* borrows its strings */

    info.command = (char *)command;
    info.complete = old->info->complete && new->info->complete;
    g_autoptr(JsonBuilder) builder = document_begin(COMPARE_SCHEMA, &info);
    for (guint i = 0; i < result->comparisons->len; i++) {
        const Comparison *comparison = &g_array_index(result->comparisons, Comparison, i);
        json_builder_begin_object(builder);
        field_add_string(builder, "case", comparison->name);
        field_add_string(builder, "quantity", comparison->quantity);
        field_add_double(builder, "old", comparison->old);
        field_add_double(builder, "new", comparison->new);
        field_add_count(builder, "old_samples", comparison->n_old);
        field_add_count(builder, "new_samples", comparison->n_new);
        field_add_double(builder, "ratio", comparison->ratio);
        field_add_double(builder, "common_ratio", result->drift);
        field_add_double(builder, "p", comparison->p);
        field_add_string(builder, "verdict", compare_verdict_name(comparison->verdict));
        json_builder_end_object(builder);
    }
    return document_end(builder);
}
