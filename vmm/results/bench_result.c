/* SPDX-License-Identifier: MIT */
/* A benchmark result's names, life and what follows from its counts. */
#include "results/bench_result.h"

const char *
extra_cause_name(ExtraCause cause)
{
    static const char *const names[] = {
        [EXTRA_GRANULARITY] = "granularity",     [EXTRA_FIRST_HARVEST] = "first_harvest", [EXTRA_READ_FAULT] = "read_fault",
        [EXTRA_IN_FLIGHT] = "in_flight",         [EXTRA_PAGE_WALK] = "page_walk",         [EXTRA_KVM_MAPPING] = "kvm_mapping",
        [EXTRA_RING_OVERFLOW] = "ring_overflow", [EXTRA_UNEXPLAINED] = "unexplained",
    };
    G_STATIC_ASSERT(G_N_ELEMENTS(names) == N_EXTRA_CAUSES);
    g_assert((guint)cause < N_EXTRA_CAUSES);
    return names[cause];
}

const char *
bench_status_name(BenchStatus status)
{
    static const char *const names[] = {
        [BENCH_MEASURED] = "measured",
        [BENCH_UNSUPPORTED] = "unsupported",
        [BENCH_FAILED] = "failed",
        [BENCH_INTERRUPTED] = "interrupted",
    };
    g_assert((guint)status < G_N_ELEMENTS(names));
    return names[status];
}

const char *
cost_name(Cost cost)
{
    static const char *const names[] = {
        [COST_ARM_NS] = "arm_ns",
        [COST_RELEASE_NS] = "release_ns",
        [COST_HARVEST_RUNNING_NS] = "harvest_running_ns",
        [COST_HARVEST_STOPPED_NS] = "harvest_stopped_ns",
        [COST_HARVEST_NS_PER_PAGE] = "harvest_ns_per_page",
        [COST_GUEST_NS_PER_FIRST_WRITE] = "guest_ns_per_first_write",
        [COST_HOST_CPU_NS] = "host_cpu_ns",
    };
    G_STATIC_ASSERT(G_N_ELEMENTS(names) == N_COSTS);
    g_assert((guint)cost < N_COSTS);
    return names[cost];
}

BenchResult *
bench_result_new(void)
{
    BenchResult *result = g_new0(BenchResult, 1);
    result->accuracy = g_array_new(FALSE, TRUE, sizeof(AccuracyResult));
    return result;
}

void
stall_result_clear(StallResult *stall)
{
    samples_free(stall->samples);
    g_clear_pointer(&stall->histogram, g_array_unref);
    *stall = (StallResult){0};
}

void
bench_result_free(BenchResult *result)
{
    if (!result)
        return;
    g_free(result->tracker);
    g_free(result->ram);
    g_free(result->writer);
    g_free(result->pattern);
    g_free(result->handler_cpu);
    g_free(result->reason);
    g_array_unref(result->accuracy);
    for (guint cost = 0; cost < N_COSTS; cost++)
        samples_free(result->cost[cost]);
    stall_result_clear(&result->stall);
    g_free(result);
}

guint64
accuracy_extra_pages(const AccuracyResult *accuracy)
{
    guint64 pages = 0;
    for (guint cause = 0; cause < N_EXTRA_CAUSES; cause++)
        pages += accuracy->extra[cause];
    return pages;
}

double
accuracy_amplification(const AccuracyResult *accuracy)
{
    if (!accuracy->written_pages)
        return 0;
    return (double)accuracy->reported_pages / (double)accuracy->written_pages;
}

gboolean
bench_result_is_sound(const BenchResult *result)
{
    if (result->status == BENCH_FAILED)
        return FALSE;
    for (guint i = 0; i < result->accuracy->len; i++) {
        const AccuracyResult *accuracy = &g_array_index(result->accuracy, AccuracyResult, i);
        if (accuracy->missed_pages != accuracy->expected_missed_pages || accuracy->extra[EXTRA_UNEXPLAINED])
            return FALSE;
    }
    return TRUE;
}
