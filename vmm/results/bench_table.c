/* SPDX-License-Identifier: MIT */
/*
 * The benchmark's table. The narrow form has a line of its own for each group of cases and fits 80 columns with any figures; the wide
 * one, and Markdown, has a column for whatever varies and an interval with each median.
 */
#include <math.h>

#include "results/bench_case.h"
#include "results/bench_table.h"
#include "results/bench_verdict.h"
#include "results/table.h"
#include "results/units.h"

#define NARROWEST 80
#define LONGEST_LABEL 16

static const char legend[] =
    "amp: bytes reported / bytes of the pages written. run, stop: one harvest with the guest running, stopped. "
    "1st write: guest time per page first written. stall: 99th percentile of the guest's stores. cpu: the host's, without the guest's.";

typedef struct {
    const GPtrArray *results;
    gboolean wide;
    gboolean varies[N_CASE_FIELDS];
    GPtrArray *cells; /* of the row that is being built */
} Builder;

static void
add_cell(Builder *builder, char *cell)
{
    g_ptr_array_add(builder->cells, cell);
}

/* --- cells --- */

static char *
missed_cell(const BenchResult *result)
{
    const AccuracyResult *accuracy = verdict_missed(result);
    if (!accuracy)
        return g_strdup(UNIT_NOTHING);
    g_autofree char *count = unit_count(accuracy->missed_pages);
    return g_strconcat(count, verdict_mark(accuracy), NULL);
}

static char *
extra_cell(const BenchResult *result)
{
    const AccuracyResult *accuracy = verdict_extra(result);
    if (!accuracy)
        return g_strdup(UNIT_NOTHING);
    g_autofree char *count = unit_count(accuracy_extra_pages(accuracy));
    return g_strconcat(count, accuracy->extra[EXTRA_UNEXPLAINED] ? "!" : "", NULL);
}

/* Of the first oracle that knows of writes. */
static char *
amplification_cell(const BenchResult *result)
{
    for (guint i = 0; i < result->accuracy->len; i++) {
        const AccuracyResult *accuracy = &g_array_index(result->accuracy, AccuracyResult, i);
        if (accuracy->written_pages)
            return unit_ratio(accuracy_amplification(accuracy));
    }
    return g_strdup(UNIT_NOTHING);
}

/* The median; in the wide form with the farther end of its interval in per cent of it. */
static char *
time_cell(const Builder *builder, const Samples *samples)
{
    double low, high;
    double median = samples ? samples_median(samples) : NAN;
    g_autofree char *time = unit_time(median);

    if (!builder->wide || !isfinite(median) || median <= 0)
        return g_steal_pointer(&time);
    samples_ci95(samples, &low, &high);
    double percent = MAX(high - median, median - low) / median * 100;
    return percent < 999.5 ? g_strdup_printf("%s ±%.0f%%", time, percent) : g_strdup_printf("%s ±>999%%", time);
}

static char *
stall_cell(const BenchResult *result, double value)
{
    return unit_time(result->stall.count ? value : NAN);
}

/* --- columns, and a row of the same shape --- */

/* The narrow form names the group in a line of its own. */
static gboolean
has_column(const Builder *builder, guint field)
{
    return builder->wide && field < N_CASE_KEYS && (field == CASE_RAM || builder->varies[field]);
}

static void
add_columns(const Builder *builder, Table *table)
{
    for (guint field = 0; field < N_CASE_FIELDS; field++) {
        if (has_column(builder, field))
            table_add_column(table, case_field_name((CaseField)field), TABLE_LEFT);
    }
    table_add_column(table, "tracker", TABLE_LEFT);
    table_add_column(table, "missed", TABLE_RIGHT);
    table_add_column(table, "extra", TABLE_RIGHT);
    table_add_column(table, "amp", TABLE_RIGHT);
    table_add_column(table, "arm", TABLE_RIGHT);
    table_add_column(table, builder->wide ? "harvest\nrun" : "run", TABLE_RIGHT);
    table_add_column(table, builder->wide ? "harvest\nstop" : "stop", TABLE_RIGHT);
    if (builder->wide)
        table_add_column(table, "harvest\nper page", TABLE_RIGHT);
    table_add_column(table, "1st\nwrite", TABLE_RIGHT);
    if (builder->wide)
        table_add_column(table, "stall\np50", TABLE_RIGHT);
    table_add_column(table, "stall\np99", TABLE_RIGHT);
    if (builder->wide)
        table_add_column(table, "stall\nmax", TABLE_RIGHT);
    table_add_column(table, "host\ncpu", TABLE_RIGHT);
}

static void
add_case_cells(Builder *builder, const BenchResult *result)
{
    for (guint field = 0; field < N_CASE_FIELDS; field++) {
        if (has_column(builder, field))
            add_cell(builder, case_field_value(result, (CaseField)field));
    }
    g_autofree char *label = case_label(builder->results, result);
    if (!builder->wide && g_utf8_strlen(label, -1) > LONGEST_LABEL) {
        g_autofree char *start = g_utf8_substring(label, 0, LONGEST_LABEL - 1);
        add_cell(builder, g_strconcat(start, "…", NULL));
    } else {
        add_cell(builder, g_steal_pointer(&label));
    }
}

static void
add_figures(Builder *builder, const BenchResult *result)
{
    add_cell(builder, missed_cell(result));
    add_cell(builder, extra_cell(result));
    add_cell(builder, amplification_cell(result));
    add_cell(builder, time_cell(builder, result->cost[COST_ARM_NS]));
    add_cell(builder, time_cell(builder, result->cost[COST_HARVEST_RUNNING_NS]));
    add_cell(builder, time_cell(builder, result->cost[COST_HARVEST_STOPPED_NS]));
    if (builder->wide)
        add_cell(builder, time_cell(builder, result->cost[COST_HARVEST_NS_PER_PAGE]));
    add_cell(builder, time_cell(builder, result->cost[COST_GUEST_NS_PER_FIRST_WRITE]));
    if (builder->wide)
        add_cell(builder, stall_cell(result, result->stall.p50));
    add_cell(builder, stall_cell(result, result->stall.p99));
    if (builder->wide)
        add_cell(builder, stall_cell(result, result->stall.max));
    add_cell(builder, time_cell(builder, result->cost[COST_HOST_CPU_NS]));
}

static void
add_result(Builder *builder, Table *table, const BenchResult *result)
{
    g_ptr_array_set_size(builder->cells, 0);
    add_case_cells(builder, result);
    if (result->status == BENCH_MEASURED) {
        add_figures(builder, result);
        table_add_row(table, (const char *const *)builder->cells->pdata, builder->cells->len);
        return;
    }
    g_autofree char *text = g_strdup_printf("%s%s%s", bench_status_name(result->status), result->reason ? ": " : "",
                                            result->reason ? result->reason : "");
    table_add_span(table, (const char *const *)builder->cells->pdata, builder->cells->len, text);
}

/* The group's heading: its RAM kind, and what else of it differs from other groups. */
static void
add_group_heading(const Builder *builder, Table *table, guint first)
{
    const BenchResult *result = g_ptr_array_index(builder->results, first);
    gboolean wanted[N_CASE_FIELDS];

    for (guint field = 0; field < N_CASE_FIELDS; field++)
        wanted[field] = field == CASE_RAM || builder->varies[field];
    /* An unsupported case need not know its pages: one that does speaks for the group. */
    for (guint i = first; i < builder->results->len && !result->pages; i++) {
        const BenchResult *other = g_ptr_array_index(builder->results, i);
        if (other->pages && case_same_group(other, result))
            result = other;
    }
    g_autofree char *text = case_describe(result, wanted);
    table_add_heading(table, text);
}

/* Groups in the order of first appearance, and within a group the order that was given. */
static void
add_groups(Builder *builder, Table *table)
{
    const GPtrArray *results = builder->results;
    g_autofree gboolean *shown = g_new0(gboolean, results->len + 1);

    for (guint first = 0; first < results->len; first++) {
        if (shown[first])
            continue;
        if (!builder->wide)
            add_group_heading(builder, table, first);
        for (guint i = first; i < results->len; i++) {
            if (shown[i] || !case_same_group(g_ptr_array_index(results, first), g_ptr_array_index(results, i)))
                continue;
            shown[i] = TRUE;
            add_result(builder, table, g_ptr_array_index(results, i));
        }
    }
}

static Table *
build(const GPtrArray *results, gboolean wide)
{
    g_autoptr(GPtrArray) cells = g_ptr_array_new_with_free_func(g_free);
    Builder builder = {.results = results, .wide = wide, .cells = cells};
    Table *table = table_new();

    for (guint field = 0; field < N_CASE_FIELDS; field++)
        builder.varies[field] = case_field_varies(results, (CaseField)field);
    add_columns(&builder, table);
    add_groups(&builder, table);
    return table;
}

/* --- the whole --- */

void
bench_table_text(const GPtrArray *results, const DocumentInfo *info, guint columns, GString *out)
{
    g_autoptr(GPtrArray) head = verdict_head(results, info);
    g_autoptr(GPtrArray) lines = verdict_lines(results);

    columns = MAX(columns, NARROWEST);
    table_wrap_lines(head, columns, out);
    g_string_append_c(out, '\n');
    if (results->len) {
        g_autoptr(Table) table = build(results, TRUE);
        if (table_width(table) > columns) {
            table_free(table);
            table = build(results, FALSE);
        }
        table_format(table, columns, out);
        table_wrap(legend, columns, 2, out);
        g_string_append_c(out, '\n');
    }
    table_wrap_lines(lines, columns, out);
}

void
bench_table_markdown(const GPtrArray *results, const DocumentInfo *info, GString *out)
{
    g_autoptr(GPtrArray) head = verdict_head(results, info);
    g_autoptr(GPtrArray) lines = verdict_lines(results);
    g_autoptr(Table) table = build(results, TRUE);

    table_markdown_items(head, out);
    g_string_append_c(out, '\n');
    table_format_markdown(table, out);
    g_string_append_c(out, '\n');
    table_markdown_items(lines, out);
}
