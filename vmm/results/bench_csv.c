/* SPDX-License-Identifier: MIT */
/*
 * The benchmark's results as CSV: the columns are the JSON's names, joined by underscores. What was not measured is empty. An oracle that
 * appears twice in a result (with two scopes) is shown with its first.
 */
#include <math.h>

#include "results/bench_table.h"
#include "results/csv.h"

static const char *const oracles[] = {"write-list", "replica"};

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
add_judged_count(CsvLine *line, const char *name, const AccuracyResult *accuracy, guint64 count)
{
    if (accuracy)
        csv_add_count(line, name, count);
    else
        csv_add_field(line, name, NULL);
}

static void
add_accuracy(CsvLine *line, const char *oracle, const AccuracyResult *accuracy)
{
    static const AccuracyResult none = {0};
    const AccuracyResult *counts = accuracy ? accuracy : &none;
    g_autofree char *prefix = g_strconcat(oracle, "_", NULL);

    line->prefix = prefix;
    csv_add_text(line, "scope", counts->scope);
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
    csv_add_number(line, "amplification", accuracy ? accuracy_amplification(counts) : NAN);
    line->prefix = "";
}

static void
add_cost(CsvLine *line, const char *name, const Samples *samples)
{
    g_autofree char *prefix = g_strconcat(name, "_", NULL);
    double low = NAN, high = NAN;

    if (samples)
        samples_ci95(samples, &low, &high);
    line->prefix = prefix;
    csv_add_number(line, "median", samples ? samples_median(samples) : NAN);
    csv_add_number(line, "ci95_low", low);
    csv_add_number(line, "ci95_high", high);
    line->prefix = "";
}

static void
add_stall(CsvLine *line, const StallResult *stall)
{
    add_cost(line, "guest_stall_ns", stall->samples);
    line->prefix = "guest_stall_ns_";
    csv_add_count(line, "count", stall->count);
    csv_add_number(line, "p50", stall->count ? stall->p50 : NAN);
    csv_add_number(line, "p99", stall->count ? stall->p99 : NAN);
    csv_add_number(line, "p999", stall->count ? stall->p999 : NAN);
    csv_add_number(line, "max", stall->count ? stall->max : NAN);
    line->prefix = "";
}

static void
add_line(const BenchResult *result, gboolean headings, GString *out)
{
    CsvLine line = {.out = out, .headings = headings, .prefix = ""};

    csv_add_text(&line, "tracker", result->tracker);
    csv_add_text(&line, "ram", result->ram);
    csv_add_count(&line, "unit_bytes", result->unit_bytes);
    csv_add_count(&line, "memory_bytes", result->memory_bytes);
    csv_add_count(&line, "vcpus", result->vcpus);
    csv_add_text(&line, "writer", result->writer);
    csv_add_text(&line, "pattern", result->pattern);
    csv_add_count(&line, "pages", result->pages);
    csv_add_count(&line, "passes", result->passes);
    csv_add_count(&line, "runs", result->runs);
    csv_add_count(&line, "warmup", result->warmup);
    csv_add_text(&line, "handler_cpu", result->handler_cpu);
    csv_add_text(&line, "status", bench_status_name(result->status));
    csv_add_text(&line, "reason", result->reason);
    for (guint i = 0; i < G_N_ELEMENTS(oracles); i++)
        add_accuracy(&line, oracles[i], of_oracle(result, oracles[i]));
    csv_add_count(&line, "ring_overflows", result->ring_overflows);
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
