/* SPDX-License-Identifier: MIT */
/* Migrations as CSV: the columns are the JSON's names; of the passes' figures the sums over those that were judged. */
#include <math.h>

#include "results/csv.h"
#include "results/migration_table.h"

static void
add_times(CsvLine *line, const MigrationResult *result)
{
    csv_add_number(line, "total_time_ms", result->total_time_ms);
    csv_add_number(line, "setup_time_ms", result->setup_time_ms);
    csv_add_number(line, "downtime_ms", result->downtime_ms);
    line->prefix = "downtime_breakdown_ns_";
    for (guint part = 0; part < N_DOWNTIME_PARTS; part++)
        csv_add_number(line, downtime_part_name((DowntimePart)part), result->downtime_ns[part]);
    line->prefix = "guest_stall_ns_";
    csv_add_count(line, "count", result->stall.count);
    csv_add_number(line, "p50", result->stall.count ? result->stall.p50 : NAN);
    csv_add_number(line, "p99", result->stall.count ? result->stall.p99 : NAN);
    csv_add_number(line, "p999", result->stall.count ? result->stall.p999 : NAN);
    csv_add_number(line, "max", result->stall.count ? result->stall.max : NAN);
    line->prefix = "";
}

static void
add_passes(CsvLine *line, const MigrationResult *result)
{
    MigrationAccuracy accuracy = {0};

    migration_result_add_accuracy(result, &accuracy);
    csv_add_count(line, "iterations", result->iterations->len);
    csv_add_count(line, "judged_iterations", accuracy.passes);
    csv_add_count(line, "written_pages", accuracy.written_pages);
    csv_add_count(line, "reported_pages", accuracy.reported_pages);
    csv_add_count(line, "missed_pages", accuracy.missed_pages);
    line->prefix = "extra_";
    for (guint cause = 0; cause < N_EXTRA_CAUSES; cause++)
        csv_add_count(line, extra_cause_name((ExtraCause)cause), accuracy.extra[cause]);
    line->prefix = "";
}

static void
add_line(const MigrationResult *result, gboolean headings, GString *out)
{
    CsvLine line = {.out = out, .headings = headings, .prefix = ""};

    csv_add_text(&line, "tracker", result->tracker);
    csv_add_text(&line, "moved_to", result->moved_to);
    csv_add_text(&line, "ram", result->ram);
    csv_add_count(&line, "memory_bytes", result->memory_bytes);
    csv_add_count(&line, "vcpus", result->vcpus);
    csv_add_text(&line, "transport", result->transport);
    csv_add_text(&line, "load", result->load);
    csv_add_text(&line, "pattern", result->pattern);
    csv_add_count(&line, "pages", result->pages);
    csv_add_count(&line, "bandwidth_limit", result->bandwidth_limit);
    csv_add_count(&line, "downtime_limit_ms", result->downtime_limit_ms);
    csv_add_count(&line, "run", result->run);
    csv_add_text(&line, "status", migration_result_status_name(result->status));
    csv_add_text(&line, "reason", result->reason);
    csv_add_field(&line, "verified", !result->ram_compared ? NULL : result->verified ? "true" : "false");
    csv_add_count(&line, "mismatched_pages", result->mismatched_pages);
    add_times(&line, result);
    csv_add_count(&line, "transferred_bytes", result->transferred_bytes);
    csv_add_count(&line, "normal_pages", result->normal_pages);
    csv_add_count(&line, "duplicate_pages", result->duplicate_pages);
    csv_add_number(&line, "dirty_pages_rate", result->dirty_pages_rate);
    csv_add_count(&line, "throttle_percent", result->throttle_percent);
    csv_add_count(&line, "ring_overflows", result->ring_overflows);
    add_passes(&line, result);
    g_string_append_c(out, '\n');
}

void
migration_table_csv(const GPtrArray *results, GString *out)
{
    g_autoptr(MigrationResult) empty = migration_result_new();

    add_line(empty, TRUE, out);
    for (guint i = 0; i < results->len; i++)
        add_line(g_ptr_array_index(results, i), FALSE, out);
}
