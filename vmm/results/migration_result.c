/* SPDX-License-Identifier: MIT */
/* A migration's result: names, life and what follows from its counts. */
#include "results/migration_result.h"

#include <math.h>

const char *
migration_result_status_name(MigrationResultStatus status)
{
    static const char *const names[] = {
        [MIGRATION_RESULT_COMPLETED] = "completed",     [MIGRATION_RESULT_FAILED] = "failed",
        [MIGRATION_RESULT_CANCELLED] = "cancelled",     [MIGRATION_RESULT_UNSUPPORTED] = "unsupported",
        [MIGRATION_RESULT_INTERRUPTED] = "interrupted",
    };
    g_assert((guint)status < G_N_ELEMENTS(names));
    return names[status];
}

const char *
downtime_part_name(DowntimePart part)
{
    static const char *const names[] = {
        [DOWNTIME_FINAL_HARVEST] = "final_harvest", [DOWNTIME_FINAL_SEND] = "final_send", [DOWNTIME_STATE_SAVE] = "state_save",
        [DOWNTIME_STATE_SEND] = "state_send",       [DOWNTIME_STATE_LOAD] = "state_load", [DOWNTIME_RESUME] = "resume",
    };
    G_STATIC_ASSERT(G_N_ELEMENTS(names) == N_DOWNTIME_PARTS);
    g_assert((guint)part < N_DOWNTIME_PARTS);
    return names[part];
}

static void
clear_iteration(gpointer user)
{
    g_free(((MigrationIteration *)user)->tracker);
}

MigrationResult *
migration_result_new(void)
{
    MigrationResult *result = g_new0(MigrationResult, 1);

    result->iterations = g_array_new(FALSE, TRUE, sizeof(MigrationIteration));
    g_array_set_clear_func(result->iterations, clear_iteration);
    result->total_time_ms = result->setup_time_ms = result->downtime_ms = result->dirty_pages_rate = NAN;
    for (guint part = 0; part < N_DOWNTIME_PARTS; part++)
        result->downtime_ns[part] = NAN;
    return result;
}

void
migration_result_free(MigrationResult *result)
{
    if (!result)
        return;
    char *texts[] = {result->tracker, result->moved_to, result->ram,   result->transport,
                     result->load,    result->pattern,  result->reason};
    for (guint i = 0; i < G_N_ELEMENTS(texts); i++)
        g_free(texts[i]);
    stall_result_clear(&result->stall);
    g_array_unref(result->iterations);
    g_free(result);
}

gboolean
migration_result_same_case(const MigrationResult *a, const MigrationResult *b)
{
    return g_strcmp0(a->tracker, b->tracker) == 0 && g_strcmp0(a->moved_to, b->moved_to) == 0 && g_strcmp0(a->ram, b->ram) == 0 &&
           g_strcmp0(a->transport, b->transport) == 0 && g_strcmp0(a->load, b->load) == 0 &&
           g_strcmp0(a->pattern, b->pattern) == 0 && a->memory_bytes == b->memory_bytes && a->pages == b->pages &&
           a->vcpus == b->vcpus && a->bandwidth_limit == b->bandwidth_limit && a->downtime_limit_ms == b->downtime_limit_ms;
}

void
migration_result_add_accuracy(const MigrationResult *result, MigrationAccuracy *sum)
{
    for (guint i = 0; i < result->iterations->len; i++) {
        const MigrationIteration *iteration = &g_array_index(result->iterations, MigrationIteration, i);

        if (!iteration->judged)
            continue;
        sum->passes++;
        sum->written_pages += iteration->written_pages;
        sum->reported_pages += iteration->reported_pages;
        sum->missed_pages += iteration->missed_pages;
        for (guint cause = 0; cause < N_EXTRA_CAUSES; cause++)
            sum->extra[cause] += iteration->extra[cause];
    }
}

double
migration_iteration_amplification(const MigrationIteration *iteration)
{
    if (!iteration->judged || !iteration->written_pages)
        return NAN;
    return (double)iteration->reported_pages / (double)iteration->written_pages;
}

gboolean
migration_result_is_sound(const MigrationResult *result)
{
    MigrationAccuracy accuracy = {0};

    migration_result_add_accuracy(result, &accuracy);
    if (accuracy.missed_pages || accuracy.extra[EXTRA_UNEXPLAINED] || result->mismatched_pages)
        return FALSE;
    switch (result->status) {
    case MIGRATION_RESULT_COMPLETED:
        return result->verified;
    case MIGRATION_RESULT_UNSUPPORTED:
    case MIGRATION_RESULT_INTERRUPTED:
        return TRUE;
    default:
        return FALSE;
    }
}
