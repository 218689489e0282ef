/* SPDX-License-Identifier: MIT */
/* The plan: which cases a benchmark has, which of them this host cannot do and why, and how long the rest will take. */
#pragma once

#include <dirtylog/dirtylog.h>

#include "bench/lab.h"
#include "bench/workload.h"
#include "results/bench_result.h"

/** A list from the command line: what was named, or all that the host supports. */
typedef struct {
    gboolean all;
    GArray *values; /* guint: an index of dl_tracker_facts(), a DlRamKind, a Writer or a pattern */
} PlanList;

/**
 * BenchOptions: sizes in bytes.
 * @pages: distinct pages a pass, or 0: @pages_percent of the arena
 */
typedef struct {
    PlanList trackers, rams, writers, patterns;
    guint64 memory_bytes;
    guint vcpus;
    guint64 pages;
    double pages_percent;
    guint passes, runs, warmup;
    guint64 seed;
    gboolean handler_same, handler_other; /* which places of uffd-wp's handler to try: any of the three */
    gint handler_cpu;                     /* a CPU, or -1 */
    gboolean with_write_list, with_replica;
} BenchOptions;

void bench_options_init(BenchOptions *options);
void bench_options_clear(BenchOptions *options);

/** bench_options_quick: turns @options, defaults so far, into what `--quick` means: some 45 s on two slow cores. */
void bench_options_quick(BenchOptions *options);

typedef struct {
    LabConfig lab;
    BenchResult *result; /* status and reason are filled in for what cannot be had */
    gboolean runnable;
} PlanCase;

typedef struct {
    GPtrArray *cases; /* PlanCase, in the order of tables */
    guint n_runnable;
} Plan;

/**
 * plan_new: probes the host. With `all`, what this host cannot do is a case that says so; by name it is an error.
 * Errors: MACHINE_ERROR and DL_ERROR, UNSUPPORTED, PERMISSION or RESOURCE (exit status 3).
 */
Plan *plan_new(const BenchOptions *options, GError **error);
void plan_free(Plan *plan);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Plan, plan_free)

/** plan_list_complete: what the list means: its own values, or with `all` every one of @n_values. */
void plan_list_complete(const PlanList *list, guint n_values, GArray *out);
/** plan_pages: distinct pages a pass of such a case, from what was asked for. */
guint64 plan_pages(const BenchOptions *options, Writer writer, guint pattern);

/** plan_estimate_seconds: a guess from sizes and counts, made before anything was measured. */
double plan_estimate_seconds(const Plan *plan, const BenchOptions *options);
