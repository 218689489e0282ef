/* SPDX-License-Identifier: MIT */
/*
 * The passes of one vCPU. Between two writes lie the computation of the next one, the histogram and the progress counter; only
 * the store itself (or the load of pattern `read`) stands between the two time stamps. A store that faults makes the CPU begin
 * again at the store, so the second stamp is taken after the fault was resolved.
 */
#include "guest.h"

static inline void
account(struct abi_histogram *histogram, uint64_t cycles, uint64_t times)
{
    histogram->count[abi_histogram_bucket(cycles)] += times;
    histogram->total_cycles += cycles * times;
    if (cycles > histogram->max_cycles)
        histogram->max_cycles = cycles;
}

/*
 * Waits until @cycles have passed since @since. After a migration the TSC may be behind: what then looks like a very long time ends
 * the wait.
 */
static inline void
keep_pace(uint64_t since, uint64_t cycles)
{
    while (read_tsc() - since < cycles)
        spin_hint();
}

/* Inlined once for each kind of access, so that no branch lies between the stamps. */
static inline __attribute__((always_inline)) void
timed_access(const struct abi_workload *workload, const struct abi_arena *arena, uint32_t vcpu, uint64_t pass, uint64_t writes,
             enum ring0_loop kind)
{
    volatile struct abi_vcpu *progress = (volatile struct abi_vcpu *)(uintptr_t)ABI_VCPU_GPA(vcpu);
    struct abi_histogram *histogram = (struct abi_histogram *)(uintptr_t)ABI_HISTOGRAM_GPA(vcpu);
    uint64_t position = progress->position;

    for (uint64_t i = 0; i < writes; i++) {
        struct abi_write write = abi_write_at(workload, vcpu, pass, i);
        volatile uint64_t *target = (volatile uint64_t *)(uintptr_t)(abi_arena_gpa(arena, write.page) + write.offset);
        uint64_t start = read_tsc();
        if (kind == RING0_STORE)
            *target = write.value;
        else if (kind == RING0_SILENT)
            *target = *target;
        else
            (void)*target;
        uint64_t end = read_tsc();
        progress->position = ++position;
        account(histogram, end - start, 1);
        if (workload->pace)
            keep_pace(start, workload->pace);
    }
}

/*
 * ring=0: ring 3 lists the addresses of up to a page of writes, one breakpoint executes them. A stamp around each store would
 * double the emulated instructions: the histogram gets the mean of the call, once for each write.
 */
static void
ring0_access(const struct abi_workload *workload, const struct abi_arena *arena, uint32_t vcpu, uint64_t pass, uint64_t writes,
             enum ring0_loop kind)
{
    volatile struct abi_vcpu *progress = (volatile struct abi_vcpu *)(uintptr_t)ABI_VCPU_GPA(vcpu);
    uint64_t *list = (uint64_t *)(uintptr_t)ABI_RING0_LIST_GPA(vcpu);

    for (uint64_t done = 0; done < writes;) {
        uint64_t first_value = 0, n = 0;
        for (; n < GUEST_RING0_LIST_ENTRIES && done + n < writes; n++) {
            struct abi_write write = abi_write_at(workload, vcpu, pass, done + n);
            if (!n)
                first_value = write.value;
            else if (write.value !=
                     first_value + n * workload->vcpus) /* the loop only adds: end the list where that is not enough */
                break;
            list[n] = abi_arena_gpa(arena, write.page) + write.offset;
        }
        uint64_t start = read_tsc();
        ring0_writes(kind, n, list, &progress->position, first_value, workload->vcpus);
        account((struct abi_histogram *)(uintptr_t)ABI_HISTOGRAM_GPA(vcpu), (read_tsc() - start) / n, n);
        done += n;
    }
}

static void
run_pass(const struct abi_workload *workload, const struct abi_arena *arena, uint32_t vcpu, uint64_t pass)
{
    uint64_t writes = abi_vcpu_writes(workload, vcpu);

    if (workload->pattern == ABI_IDLE) {
        while (!mailbox()->stop)
            spin_hint();
        return;
    }
    enum ring0_loop kind = workload->pattern == ABI_READ     ? RING0_READ
                           : workload->pattern == ABI_SILENT ? RING0_SILENT
                                                             : RING0_STORE;
    if (workload->ring == 0)
        ring0_access(workload, arena, vcpu, pass, writes, kind);
    else if (kind == RING0_STORE)
        timed_access(workload, arena, vcpu, pass, writes, RING0_STORE);
    else if (kind == RING0_SILENT)
        timed_access(workload, arena, vcpu, pass, writes, RING0_SILENT);
    else
        timed_access(workload, arena, vcpu, pass, writes, RING0_READ);
}

/* This vCPU's share of the arena; RAM is all zero, so nothing changes. */
static void
touch_arena(const struct abi_workload *workload, const struct abi_arena *arena, uint32_t vcpu)
{
    for (uint64_t page = vcpu; page < workload->arena_pages; page += workload->vcpus)
        *(volatile uint64_t *)(uintptr_t)abi_arena_gpa(arena, page) = 0;
}

void
run_passes(const struct guest_options *options, const struct abi_arena *arena, uint32_t vcpu)
{
    const struct abi_workload *workload = &options->workload;
    volatile struct abi_vcpu *progress = (volatile struct abi_vcpu *)(uintptr_t)ABI_VCPU_GPA(vcpu);

    if (options->touch)
        touch_arena(workload, arena, vcpu);
    for (uint64_t pass = 0; !workload->passes || pass < workload->passes; pass++) {
        doorbell(ABI_DOORBELL_READY);
        uint64_t start = read_tsc();
        run_pass(workload, arena, vcpu, pass);
        uint64_t cycles = read_tsc() - start;
        progress->busy_cycles += cycles;
        progress->passes = pass + 1;
        if (options->serial) {
            console_line((const struct console_item[]){{"vcpu", vcpu, 1},
                                                       {"pass", pass + 1, 1},
                                                       {"writes", abi_vcpu_writes(workload, vcpu), 1},
                                                       {"cycles", cycles, 1}},
                         4);
        }
    }
}
