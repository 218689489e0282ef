/* SPDX-License-Identifier: MIT */
/* The migration benchmark: which cases there are, which of them this host cannot have and why, and running the rest in rounds. */
#pragma once

#include "bench/migration_case.h"
#include "bench/plan.h"

/**
 * MigrationOptions: initialised by migration_options_init().
 * @common: trackers, RAM kinds, patterns, sizes, runs and oracles, as in the other benchmark; the writer is always the guest
 * @loads, @transports: PlanList of Load and Transport
 * @moves: MigrationMove, names static; a case makes them if one of them starts from its tracker
 */
typedef struct {
    BenchOptions common;
    PlanList loads, transports;
    GArray *moves;
    guint64 bandwidth, downtime_limit_ms;
    gboolean auto_converge;
    guint limit_ms;
} MigrationOptions;

void migration_options_init(MigrationOptions *options);
void migration_options_clear(MigrationOptions *options);

/**
 * MigrationPlanCase:
 * @model: a result with the case's own fields; status and reason are filled in for what cannot be had
 * @results: of MigrationResult, one a run that counts
 */
typedef struct {
    MigrationCase migration;
    MigrationResult *model;
    GPtrArray *results;
    gboolean runnable;
} MigrationPlanCase;

typedef struct {
    GPtrArray *cases; /* MigrationPlanCase, in the order of tables */
    guint n_runnable;
} MigrationPlan;

/** migration_plan_new: as plan_new(). @options outlives the plan. */
MigrationPlan *migration_plan_new(const MigrationOptions *options, GError **error);
void migration_plan_free(MigrationPlan *plan);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MigrationPlan, migration_plan_free)
double migration_plan_estimate_seconds(const MigrationPlan *plan, const MigrationOptions *options);

/** migration_plan_results: of MigrationResult, borrowed: what was measured, and what cannot be had. */
GPtrArray *migration_plan_results(const MigrationPlan *plan);

typedef void (*MigrationProgress)(guint done, guint total, const MigrationPlanCase *next, double seconds_left, gpointer user);

/** migration_bench_run: as bench_run(): rounds, warm-ups first; a case that cannot be set up is not run again. FALSE: cancelled. */
gboolean migration_bench_run(MigrationPlan *plan, const MigrationOptions *options, const volatile gint *cancelled,
                             MigrationProgress progress, gpointer user);
