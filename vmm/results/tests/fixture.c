/* SPDX-License-Identifier: MIT */
/* Results and a document's head as a benchmark would have them. */
#include "fixture.h"

DocumentInfo *
fixture_info(void)
{
    DocumentInfo *info = document_info_new();
    info->host.kernel = g_strdup("6.18.44");
    info->host.kvm = g_strdup("PVM");
    info->host.mmu = g_strdup("shadow");
    info->host.cpu = g_strdup("A Processor with a \"quoted\" name");
    info->host.cores = 2;
    info->host.memory_bytes = G_GUINT64_CONSTANT(25165824000);
    info->version = g_strdup("0.1.0");
    info->revision = g_strdup("abcdef1");
    info->command = g_strdup("dirtylab bench --quick");
    info->seed = 42;
    info->started = g_strdup("2025-06-07T08:09:10+02:00");
    info->complete = TRUE;
    return info;
}

AccuracyResult *
fixture_accuracy(BenchResult *result, guint index)
{
    return &g_array_index(result->accuracy, AccuracyResult, index);
}

static BenchResult *
new_case(const char *tracker, const char *ram)
{
    BenchResult *result = bench_result_new();
    result->tracker = g_strdup(tracker);
    result->ram = g_strdup(ram);
    result->writer = g_strdup("guest");
    result->pattern = g_strdup("random");
    result->handler_cpu = g_str_equal(tracker, "uffd-wp") ? g_strdup("same") : NULL;
    result->unit_bytes = 4096;
    result->memory_bytes = 256 << 20;
    result->vcpus = 1;
    result->pages = 6451;
    result->passes = 5;
    result->runs = 3;
    result->warmup = 1;
    return result;
}

BenchResult *
fixture_measured(const char *tracker, const char *ram, double scale)
{
    static const double typical[N_COSTS] = {1.8e6, 3.1e5, 2.4e6, 6.2e4, 36.7, 41250.5, 1.3e9};
    BenchResult *result = new_case(tracker, ram);
    AccuracyResult list = {
        .oracle = "write-list",
        .scope = "arena",
        .judged_pages = 1935360,
        .written_pages = 96765,
        .reported_pages = 96765,
    };
    AccuracyResult replica = list;

    replica.oracle = "replica";
    replica.scope = "ram";
    replica.judged_pages = 1966080;
    g_array_append_val(result->accuracy, list);
    g_array_append_val(result->accuracy, replica);
    for (guint cost = 0; cost < N_COSTS; cost++) {
        result->cost[cost] = samples_new();
        for (guint run = 0; run < 3; run++)
            samples_add(result->cost[cost], typical[cost] * scale * (1 + 0.01 * run));
    }
    result->stall =
        (StallResult){.count = 96765, .p50 = 210 * scale, .p99 = 88000.25 * scale, .p999 = 1.2e5 * scale, .max = 3e6 * scale};
    result->stall.samples = samples_new();
    samples_add(result->stall.samples, 210 * scale);
    return result;
}

BenchResult *
fixture_unsupported(const char *tracker, const char *ram, const char *reason)
{
    BenchResult *result = new_case(tracker, ram);
    result->status = BENCH_UNSUPPORTED;
    result->reason = g_strdup(reason);
    result->pages = 0;
    return result;
}

GPtrArray *
fixture_quick(double scale)
{
    static const char *const trackers[] = {"none", "kvm-bitmap", "kvm-bitmap-clear", "kvm-ring", "uffd-wp", "pagemap-scan"};
    static const char *const rams[] = {"shmem", "hugetlb-2M"};
    GPtrArray *results = g_ptr_array_new_with_free_func((GDestroyNotify)bench_result_free);

    for (guint ram = 0; ram < G_N_ELEMENTS(rams); ram++) {
        for (guint tracker = 0; tracker < G_N_ELEMENTS(trackers); tracker++)
            g_ptr_array_add(results, fixture_measured(trackers[tracker], rams[ram], scale));
        g_ptr_array_add(results,
                        fixture_unsupported("soft-dirty", rams[ram],
                                            "this kernel keeps no soft-dirty bits: clear_refs takes the request and does "
                                            "nothing (CONFIG_MEM_SOFT_DIRTY is off)"));
    }
    return results;
}
