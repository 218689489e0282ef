/* SPDX-License-Identifier: MIT */
/*
 * Watches the clocks, from a thread on each vCPU: neither CLOCK_MONOTONIC nor CLOCK_REALTIME nor CLOCK_BOOTTIME nor the TSC may ever go back
 * there. Clocks of different vCPUs are not compared: some hosts' emulated TSCs differ. How long a vCPU saw nothing (a migration's downtime, for
 * one) and how far the wall clock was moved against the monotonic one are measured, not judged.
 */
#include "clock_names.h"
#include "workload.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#define LOOK_EVERY_NS 5000000

struct clock_thread {
    pthread_t thread;
    uint32_t vcpu;
    atomic_uint_fast64_t gap_ns, shift_ns;
};

struct clocks {
    uint32_t n_threads;
    struct clock_thread thread[];
};

struct reading {
    uint64_t value[N_CLOCKS];
};

static uint64_t
clock_ns(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

static struct reading
read_clocks(void)
{
    struct reading reading;

    reading.value[MONOTONIC] = clock_ns(CLOCK_MONOTONIC);
    reading.value[REALTIME] = clock_ns(CLOCK_REALTIME);
    reading.value[BOOTTIME] = clock_ns(CLOCK_BOOTTIME);
    __builtin_ia32_lfence();
    reading.value[TSC] = __builtin_ia32_rdtsc();
    return reading;
}

static void
raise_to(atomic_uint_fast64_t *most, uint64_t value)
{
    if (value > atomic_load(most))
        atomic_store(most, value);
}

static void
judge(struct clock_thread *thread, const struct reading *before, const struct reading *now)
{
    int64_t passed[N_CLOCKS];

    for (int i = 0; i < N_CLOCKS; i++) {
        passed[i] = (int64_t)(now->value[i] - before->value[i]);
        if (passed[i] < 0)
            report_error("clock: %s of vCPU %u went back by %lld%s", clock_names[i], thread->vcpu, (long long)-passed[i],
                         i == TSC ? "" : " ns");
    }
    if (passed[MONOTONIC] > 0)
        raise_to(&thread->gap_ns, (uint64_t)passed[MONOTONIC]);
    raise_to(&thread->shift_ns, (uint64_t)llabs(passed[REALTIME] - passed[MONOTONIC]));
}

static void *
clock_main(void *data)
{
    struct clock_thread *thread = data;
    const struct timespec pause = {0, LOOK_EVERY_NS};

    pin_to_vcpu(thread->vcpu);
    for (struct reading before = read_clocks(); !atomic_load(&stop);) {
        nanosleep(&pause, NULL);
        struct reading now = read_clocks();
        judge(thread, &before, &now);
        before = now;
    }
    return NULL;
}

struct clocks *
clocks_start(uint32_t vcpus)
{
    struct clocks *clocks = calloc(1, sizeof *clocks + vcpus * sizeof *clocks->thread);

    for (uint32_t i = 0; clocks && i < vcpus; i++) {
        clocks->thread[i].vcpu = i;
        if (pthread_create(&clocks->thread[i].thread, NULL, clock_main, &clocks->thread[i]))
            break;
        clocks->n_threads++;
    }
    if (clocks && clocks->n_threads == vcpus)
        return clocks;
    say("note: there is no thread to be had for the clocks");
    atomic_store(&stop, true);
    if (clocks)
        clocks_finish(clocks);
    return NULL;
}

struct clock_counters
clocks_read(struct clocks *clocks)
{
    struct clock_counters counters = {0};

    for (uint32_t i = 0; i < clocks->n_threads; i++) {
        uint64_t gap = atomic_exchange(&clocks->thread[i].gap_ns, 0), shift = atomic_load(&clocks->thread[i].shift_ns);
        counters.gap_ns = gap > counters.gap_ns ? gap : counters.gap_ns;
        counters.shift_ns = shift > counters.shift_ns ? shift : counters.shift_ns;
    }
    return counters;
}

void
clocks_say(const char *question, uint32_t vcpus)
{
    for (uint32_t i = 0; i < vcpus; i++) {
        pin_to_vcpu(i);
        struct reading now = read_clocks();
        say("clock %s vcpu=%u monotonic=%" PRIu64 " realtime=%" PRIu64 " boottime=%" PRIu64 " tsc=%" PRIu64, question, i,
            now.value[MONOTONIC], now.value[REALTIME], now.value[BOOTTIME], now.value[TSC]);
    }
}

void
clocks_finish(struct clocks *clocks)
{
    for (uint32_t i = 0; i < clocks->n_threads; i++)
        pthread_join(clocks->thread[i].thread, NULL);
    free(clocks);
}
