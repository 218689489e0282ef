/* SPDX-License-Identifier: MIT */
/*
 * One result of the dirty-log benchmark, as interfaces.md names its fields in JSON (schema dirtylab.bench/1). bench/ fills it in,
 * results/ writes, reads and tabulates it. Times in ns, sizes in bytes, page counts in 4 KiB pages.
 */
#pragma once

#include <glib.h>

#include "results/samples.h"

/** Why a page was reported though the oracle knows of no write to it. A page counts for the first cause whose set holds it. */
typedef enum {
    EXTRA_GRANULARITY,   /* another page of the same unit was written */
    EXTRA_FIRST_HARVEST, /* a tracker whose first harvest reports more than was written */
    EXTRA_READ_FAULT,    /* the page was read, and KVM installed a writable entry */
    EXTRA_IN_FLIGHT,     /* a stopped vCPU had faulted on it and not yet stored */
    EXTRA_PAGE_WALK,     /* a page of the guest's page tables */
    EXTRA_KVM_MAPPING,   /* a page that KVM had mapped for writing and not yet written */
    EXTRA_RING_OVERFLOW, /* a ring overflowed: all RAM was reported */
    EXTRA_UNEXPLAINED,   /* none of these: a defect */
} ExtraCause;
#define N_EXTRA_CAUSES 8
/** The name in the JSON: `granularity`, `first_harvest`, … */
const char *extra_cause_name(ExtraCause cause);

/**
 * AccuracyResult: what one oracle found, summed over passes and runs.
 * @oracle: `write-list` or `replica`
 * @scope: `arena`, `ram` (all of RAM) or what else the oracle covered
 * @judged_pages: page observations: pages in scope × harvests judged
 */
typedef struct {
    const char *oracle;
    const char *scope;
    guint64 judged_pages;
    guint64 written_pages;
    guint64 reported_pages;
    guint64 missed_pages;
    guint64 expected_missed_pages;
    guint64 extra[N_EXTRA_CAUSES];
} AccuracyResult;

typedef enum {
    BENCH_MEASURED,
    BENCH_UNSUPPORTED,
    BENCH_FAILED,
    BENCH_INTERRUPTED,
} BenchStatus;
const char *bench_status_name(BenchStatus status); /* `measured`, … */

/** Costs, in the order and by the names of the JSON. */
typedef enum {
    COST_ARM_NS,
    COST_RELEASE_NS,
    COST_HARVEST_RUNNING_NS,
    COST_HARVEST_STOPPED_NS,
    COST_HARVEST_NS_PER_PAGE, /* per page of guest RAM */
    COST_GUEST_NS_PER_FIRST_WRITE,
    COST_HOST_CPU_NS,
} Cost;
#define N_COSTS 7
const char *cost_name(Cost cost); /* `arm_ns`, … */

/** So many stores took from @from_ns to less than @to_ns. */
typedef struct {
    double from_ns, to_ns;
    guint64 count;
} StallBucket;

/** Stores timed in the guest, over all runs. */
typedef struct {
    guint64 count;
    double p50, p99, p999, max;
    Samples *samples;  /* each run's median */
    GArray *histogram; /* StallBucket, ascending, none of them empty; NULL: not known */
} StallResult;
/** stall_result_clear: frees what it owns. */
void stall_result_clear(StallResult *stall);

typedef struct {
    /* the case */
    char *tracker, *ram, *writer, *pattern;
    char *handler_cpu; /* `same`, `other`, a CPU's number or `unpinned`; NULL for trackers without a handler */
    guint64 unit_bytes, memory_bytes;
    guint vcpus;
    guint64 pages; /* distinct a pass, as run */
    guint passes, runs, warmup;

    BenchStatus status;
    char *reason; /* NULL when measured */

    GArray *accuracy; /* AccuracyResult */
    guint64 ring_overflows;
    Samples *cost[N_COSTS]; /* NULL: not measured */
    StallResult stall;
} BenchResult;

BenchResult *bench_result_new(void);
void bench_result_free(BenchResult *result);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BenchResult, bench_result_free)

/** Sum of @extra. */
guint64 accuracy_extra_pages(const AccuracyResult *accuracy);
/** reported bytes ÷ bytes of the pages really written; 0 when nothing was written. */
double accuracy_amplification(const AccuracyResult *accuracy);
/** TRUE unless an undeclared miss, a declared miss that did not occur, or an unexplained extra page was found, or the case failed. */
gboolean bench_result_is_sound(const BenchResult *result);
