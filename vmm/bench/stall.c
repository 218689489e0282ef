/* SPDX-License-Identifier: MIT */
/* Percentiles of the log-linear histogram that the guest keeps. */
#include "bench/stall.h"

#include <x86intrin.h>

void
stall_add(struct abi_histogram *sum, const struct abi_histogram *more)
{
    for (guint i = 0; i < ABI_HISTOGRAM_BUCKETS; i++)
        sum->count[i] += more->count[i];
    sum->total_cycles += more->total_cycles;
    sum->max_cycles = MAX(sum->max_cycles, more->max_cycles);
}

void
stall_read(const GuestRam *ram, guint vcpus, struct abi_histogram *sum)
{
    for (guint vcpu = 0; vcpu < vcpus; vcpu++) {
        struct abi_histogram histogram;

        if (guest_ram_load(ram, ABI_HISTOGRAM_GPA(vcpu), &histogram, sizeof histogram))
            stall_add(sum, &histogram);
    }
}

void
stall_since(struct abi_histogram *now, const struct abi_histogram *before)
{
    for (guint i = 0; i < ABI_HISTOGRAM_BUCKETS; i++)
        now->count[i] -= MIN(now->count[i], before->count[i]);
    now->total_cycles -= MIN(now->total_cycles, before->total_cycles);
}

void
stall_clear_max(GuestRam *ram, guint vcpus)
{
    const guint64 zero = 0;

    for (guint vcpu = 0; vcpu < vcpus; vcpu++)
        guest_ram_store(ram, ABI_HISTOGRAM_GPA(vcpu) + offsetof(struct abi_histogram, max_cycles), &zero, sizeof zero);
}

static guint64
total_count(const struct abi_histogram *histogram)
{
    guint64 total = 0;

    for (guint i = 0; i < ABI_HISTOGRAM_BUCKETS; i++)
        total += histogram->count[i];
    return total;
}

double
stall_percentile(const struct abi_histogram *histogram, double share, double ns_per_cycle)
{
    double rank = share * (double)total_count(histogram), seen = 0;

    for (guint i = 0; i + 1 < ABI_HISTOGRAM_BUCKETS; i++) {
        seen += (double)histogram->count[i];
        if (histogram->count[i] && seen >= rank)
            return MIN((double)(abi_histogram_floor(i) + abi_histogram_floor(i + 1)) / 2, (double)histogram->max_cycles) *
                   ns_per_cycle;
    }
    return (double)histogram->max_cycles * ns_per_cycle;
}

/* Buckets whose bounds' ratio is below this are put together: the guest keeps them finer than anybody looks. */
#define COARSER 1.18

static GArray *
coarse_histogram(const struct abi_histogram *histogram, double ns_per_cycle)
{
    GArray *buckets = g_array_new(FALSE, FALSE, sizeof(StallBucket));

    for (guint i = 0; i < ABI_HISTOGRAM_BUCKETS; i++) {
        /* the guest's last bucket has no end but the longest store */
        guint64 end = i + 1 < ABI_HISTOGRAM_BUCKETS ? abi_histogram_floor(i + 1) : histogram->max_cycles + 1;
        StallBucket *last = buckets->len ? &g_array_index(buckets, StallBucket, buckets->len - 1) : NULL;
        StallBucket bucket = {(double)abi_histogram_floor(i) * ns_per_cycle, (double)end * ns_per_cycle, histogram->count[i]};

        if (!bucket.count)
            continue;
        if (last && bucket.to_ns <= last->from_ns * COARSER) {
            last->to_ns = bucket.to_ns;
            last->count += bucket.count;
        } else {
            g_array_append_val(buckets, bucket);
        }
    }
    return buckets;
}

void
stall_result(const struct abi_histogram *histogram, double ns_per_cycle, StallResult *result)
{
    result->count = total_count(histogram);
    result->p50 = stall_percentile(histogram, 0.5, ns_per_cycle);
    result->p99 = stall_percentile(histogram, 0.99, ns_per_cycle);
    result->p999 = stall_percentile(histogram, 0.999, ns_per_cycle);
    result->max = (double)histogram->max_cycles * ns_per_cycle;
    result->histogram = coarse_histogram(histogram, ns_per_cycle);
}

double
tsc_ns_per_cycle(void)
{
    gint64 start = g_get_monotonic_time();
    guint64 cycles = __rdtsc();

    g_usleep(20000);
    cycles = __rdtsc() - cycles;
    return (double)(g_get_monotonic_time() - start) * 1000.0 / (double)cycles;
}
