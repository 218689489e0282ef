/* SPDX-License-Identifier: MIT */
/*
 * The benchmark's results as CSV (RFC 4180, lines ended by a newline alone): the columns are the JSON's names, joined by underscores.
 * What was not measured is empty. An oracle that appears twice in a result (with two scopes) is shown with its first.
 */
#include <math.h>
#include <string.h>

#include "results/bench_table.h"

static const char *const oracles[] = {"write-list", "replica"};

/* A line that is being written. Headings and values go through the same functions, so they cannot fall out of step. */
typedef struct {
    GString *out;
    gboolean headings;
    gboolean begun;
    const char *prefix; /* of the columns' names */
} Line;

static void
add_field(Line *line, const char *name, const char *text)
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

static void
add_text(Line *line, const char *name, const char *text)
{
    g_autofree char *valid = text ? g_utf8_make_valid(text, -1) : NULL;
    add_field(line, name, valid);
}

static void
add_count(Line *line, const char *name, guint64 count)
{
    g_autofree char *text = g_strdup_printf("%" G_GUINT64_FORMAT, count);
    add_field(line, name, text);
}

static void
add_number(Line *line, const char *name, double value)
{
    char text[G_ASCII_DTOSTR_BUF_SIZE];
    add_field(line, name, isfinite(value) ? g_ascii_formatd(text, sizeof text, "%.9g", value) : NULL);
}

static const AccuracyResult *
of_oracle(const BenchResult *result, const char *oracle)
{
    for (guint i = 0; i < result->accuracy->len; i++) {
        const AccuracyResult *accuracy = &g_array_index(result->accuracy, AccuracyResult, i);
        if (g_strcmp0(accuracy->oracle, oracle) == 0)
            return accuracy;
    }
    return NULL;
}

/* What this oracle did not judge is empty, not zero. */
static void
add_judged_count(Line *line, const char *name, const AccuracyResult *accuracy, guint64 count)
{
    if (accuracy)
        add_count(line, name, count);
    else
        add_field(line, name, NULL);
}

static void
add_accuracy(Line *line, const char *oracle, const AccuracyResult *accuracy)
{
    static const AccuracyResult none = {0};
    const AccuracyResult *counts = accuracy ? accuracy : &none;
    g_autofree char *prefix = g_strconcat(oracle, "_", NULL);

    line->prefix = prefix;
    add_text(line, "scope", counts->scope);
    add_judged_count(line, "judged_pages", accuracy, counts->judged_pages);
    add_judged_count(line, "written_pages", accuracy, counts->written_pages);
    add_judged_count(line, "reported_pages", accuracy, counts->reported_pages);
    add_judged_count(line, "missed_pages", accuracy, counts->missed_pages);
    add_judged_count(line, "expected_missed_pages", accuracy, counts->expected_missed_pages);
    add_judged_count(line, "extra_pages", accuracy, accuracy_extra_pages(counts));
    for (guint cause = 0; cause < N_EXTRA_CAUSES; cause++) {
        g_autofree char *name = g_strconcat("extra_", extra_cause_name((ExtraCause)cause), NULL);
        add_judged_count(line, name, accuracy, counts->extra[cause]);
    }
    add_number(line, "amplification", accuracy ? accuracy_amplification(counts) : NAN);
    line->prefix = "";
}

static void
add_cost(Line *line, const char *name, const Samples *samples)
{
    g_autofree char *prefix = g_strconcat(name, "_", NULL);
    double low = NAN, high = NAN;

    if (samples)
        samples_ci95(samples, &low, &high);
    line->prefix = prefix;
    add_number(line, "median", samples ? samples_median(samples) : NAN);
    add_number(line, "ci95_low", low);
    add_number(line, "ci95_high", high);
    line->prefix = "";
}

static void
add_stall(Line *line, const StallResult *stall)
{
    add_cost(line, "guest_stall_ns", stall->samples);
    line->prefix = "guest_stall_ns_";
    add_count(line, "count", stall->count);
    add_number(line, "p50", stall->count ? stall->p50 : NAN);
    add_number(line, "p99", stall->count ? stall->p99 : NAN);
    add_number(line, "p999", stall->count ? stall->p999 : NAN);
    add_number(line, "max", stall->count ? stall->max : NAN);
    line->prefix = "";
}

static void
add_line(const BenchResult *result, gboolean headings, GString *out)
{
    Line line = {.out = out, .headings = headings, .prefix = ""};

    add_text(&line, "tracker", result->tracker);
    add_text(&line, "ram", result->ram);
    add_count(&line, "unit_bytes", result->unit_bytes);
    add_count(&line, "memory_bytes", result->memory_bytes);
    add_count(&line, "vcpus", result->vcpus);
    add_text(&line, "writer", result->writer);
    add_text(&line, "pattern", result->pattern);
    add_count(&line, "pages", result->pages);
    add_count(&line, "passes", result->passes);
    add_count(&line, "runs", result->runs);
    add_count(&line, "warmup", result->warmup);
    add_text(&line, "handler_cpu", result->handler_cpu);
    add_text(&line, "status", bench_status_name(result->status));
    add_text(&line, "reason", result->reason);
    for (guint i = 0; i < G_N_ELEMENTS(oracles); i++)
        add_accuracy(&line, oracles[i], of_oracle(result, oracles[i]));
    add_count(&line, "ring_overflows", result->ring_overflows);
    for (guint cost = 0; cost < N_COSTS; cost++)
        add_cost(&line, cost_name((Cost)cost), result->cost[cost]);
    add_stall(&line, &result->stall);
    g_string_append_c(out, '\n');
}

void
bench_table_csv(const GPtrArray *results, GString *out)
{
    g_autoptr(BenchResult) empty = bench_result_new();
    add_line(empty, TRUE, out);
    for (guint i = 0; i < results->len; i++)
        add_line(g_ptr_array_index(results, i), FALSE, out);
}
