/* SPDX-License-Identifier: MIT */
/* The migration benchmark's plan and its rounds. */
#include "bench/migration_bench.h"

#include "bench/host_check.h"
#include "bench/role.h"
#include "bench/rounds.h"
#include "bench/stall.h"

/* --- options --- */

void
migration_options_init(MigrationOptions *options)
{
    *options = (MigrationOptions){.downtime_limit_ms = 300};
    bench_options_init(&options->common);
    options->loads.values = g_array_new(FALSE, FALSE, sizeof(guint));
    options->transports.values = g_array_new(FALSE, FALSE, sizeof(guint));
    options->moves = g_array_new(FALSE, FALSE, sizeof(MigrationMove));
}

void
migration_options_clear(MigrationOptions *options)
{
    bench_options_clear(&options->common);
    g_array_unref(options->loads.values);
    g_array_unref(options->transports.values);
    g_array_unref(options->moves);
}

/* --- the plan --- */

static void
free_case(gpointer user)
{
    MigrationPlanCase *plan_case = user;

    migration_result_free(plan_case->model);
    g_ptr_array_unref(plan_case->results);
    g_free(plan_case);
}

void
migration_plan_free(MigrationPlan *plan)
{
    g_ptr_array_unref(plan->cases);
    g_free(plan);
}

static void
describe(const MigrationCase *migration, MigrationResult *result)
{
    result->tracker = g_strdup(migration->facts->name);
    result->ram = g_strdup(dl_ram_kind_name(migration->ram));
    result->transport = g_strdup(transport_name(migration->transport));
    result->load = g_strdup(load_name(migration->load));
    result->pattern = g_strdup(migration->load == LOAD_IDLE ? "idle" : pattern_name(migration->pattern));
    result->memory_bytes = migration->memory_bytes;
    result->pages = migration->pages;
    result->vcpus = migration->vcpus;
    result->bandwidth_limit = migration->bandwidth;
    result->downtime_limit_ms = migration->downtime_limit_ms;
}

/* A VM has rings or bitmaps; and what is moved to must be there too. NULL: it can be had. */
static char *
reason_against(HostCheck *host, const MigrationCase *migration)
{
    const DlProbe *probe = host_check_tracker(host, migration->facts, migration->ram);
    gboolean bitmaps = migration->facts->holds == DL_HOLDS_MEMSLOT_LOG;

    if (!probe->supported)
        return host_check_reason(probe);
    for (guint i = 0; i < migration->n_moves; i++) {
        const DlTrackerFacts *to = dl_tracker_facts_by_name(migration->moves[i].to);

        bitmaps = bitmaps || to->holds == DL_HOLDS_MEMSLOT_LOG;
        probe = host_check_tracker(host, to, migration->ram);
        if (!probe->supported)
            return host_check_reason(probe);
    }
    if (bitmaps && migration_case_ring(migration))
        return g_strdup("a VM has dirty rings or dirty bitmaps, chosen when it is made: no move leads from one to the other");
    return NULL;
}

static gboolean
add_case(MigrationPlan *plan, HostCheck *host, const MigrationOptions *options, const MigrationCase *migration, GError **error)
{
    gboolean by_name = !options->common.trackers.all && !options->common.rams.all;
    g_autofree char *reason = reason_against(host, migration);

    if (reason && by_name) {
        g_set_error(error, DL_ERROR, DL_ERROR_UNSUPPORTED, "%s on %s is not to be had here: %s", migration->facts->name,
                    dl_ram_kind_name(migration->ram), reason);
        return FALSE;
    }
    MigrationPlanCase *plan_case = g_new0(MigrationPlanCase, 1);
    plan_case->migration = *migration;
    plan_case->runnable = !reason;
    plan_case->results = g_ptr_array_new_with_free_func((GDestroyNotify)migration_result_free);
    plan_case->model = migration_result_new();
    describe(migration, plan_case->model);
    if (reason) {
        plan_case->model->status = MIGRATION_RESULT_UNSUPPORTED;
        plan_case->model->reason = g_steal_pointer(&reason);
    }
    plan->n_runnable += plan_case->runnable;
    g_ptr_array_add(plan->cases, plan_case);
    return TRUE;
}

static void
choose_moves(const MigrationOptions *options, MigrationCase *migration)
{
    gboolean starts = FALSE;

    for (guint i = 0; i < options->moves->len; i++)
        starts = starts || g_str_equal(g_array_index(options->moves, MigrationMove, i).from, migration->facts->name);
    migration->moves = starts ? (const MigrationMove *)(gpointer)options->moves->data : NULL;
    migration->n_moves = starts ? options->moves->len : 0;
}

static gboolean
add_trackers(MigrationPlan *plan, HostCheck *host, const MigrationOptions *options, MigrationCase *migration, GError **error)
{
    g_autoptr(GArray) trackers = g_array_new(FALSE, FALSE, sizeof(guint));

    plan_list_complete(&options->common.trackers, dl_n_trackers(), trackers);
    for (guint i = 0; i < trackers->len; i++) {
        migration->facts = dl_tracker_facts(g_array_index(trackers, guint, i));
        if (migration->facts->holds == DL_HOLDS_NOTHING) {
            if (options->common.trackers.all)
                continue;
            g_set_error_literal(error, DL_ERROR, DL_ERROR_UNSUPPORTED,
                                "none tracks nothing: a guest that runs on could not be moved with it; name another tracker");
            return FALSE;
        }
        choose_moves(options, migration);
        if (!add_case(plan, host, options, migration, error))
            return FALSE;
    }
    return TRUE;
}

/* An idle guest knows no pattern: the first stands for all. */
static gboolean
add_loads(MigrationPlan *plan, HostCheck *host, const MigrationOptions *options, MigrationCase *migration, GError **error)
{
    const GArray *loads = options->loads.values, *patterns = options->common.patterns.values;

    for (guint l = 0; l < loads->len; l++) {
        migration->load = (Load)g_array_index(loads, guint, l);
        for (guint p = 0; p < (migration->load == LOAD_IDLE ? 1 : patterns->len); p++) {
            migration->pattern = g_array_index(patterns, guint, p);
            migration->pages = migration->load == LOAD_IDLE ? 0 : plan_pages(&options->common, WRITER_GUEST, migration->pattern);
            if (!add_trackers(plan, host, options, migration, error))
                return FALSE;
        }
    }
    return TRUE;
}

static gboolean
add_all(MigrationPlan *plan, HostCheck *host, const MigrationOptions *options, MigrationCase *migration, GError **error)
{
    g_autoptr(GArray) rams = g_array_new(FALSE, FALSE, sizeof(guint));

    plan_list_complete(&options->common.rams, DL_N_RAM_KINDS, rams);
    for (guint r = 0; r < rams->len; r++) {
        for (guint t = 0; t < options->transports.values->len; t++) {
            migration->ram = (DlRamKind)g_array_index(rams, guint, r);
            migration->transport = (Transport)g_array_index(options->transports.values, guint, t);
            if (!add_loads(plan, host, options, migration, error))
                return FALSE;
        }
    }
    return TRUE;
}

MigrationPlan *
migration_plan_new(const MigrationOptions *options, GError **error)
{
    const BenchOptions *common = &options->common;
    g_autoptr(MigrationPlan) plan = g_new0(MigrationPlan, 1);
    g_autoptr(HostCheck) host = host_check_new(2 * common->memory_bytes, common->with_replica ? common->memory_bytes : 0);
    MigrationCase migration = {.memory_bytes = common->memory_bytes,
                               .vcpus = common->vcpus,
                               .seed = common->seed,
                               .bandwidth = options->bandwidth,
                               .downtime_limit_ms = options->downtime_limit_ms,
                               .limit_ms = options->limit_ms,
                               .auto_converge = options->auto_converge,
                               .with_write_list = common->with_write_list,
                               .with_replica = common->with_replica};

    plan->cases = g_ptr_array_new_with_free_func(free_case);
    if (!host_check_vcpus(common->vcpus, error) || !add_all(plan, host, options, &migration, error))
        return NULL;
    if (plan->cases->len && !plan->n_runnable) {
        const MigrationPlanCase *first = g_ptr_array_index(plan->cases, 0);
        g_set_error(error, DL_ERROR, DL_ERROR_UNSUPPORTED, "none of this is to be had here: %s on %s: %s", first->model->tracker,
                    first->model->ram, first->model->reason);
        return NULL;
    }
    return g_steal_pointer(&plan);
}

/* Two guests are made and their RAM is compared; the constants are a slow host's. */
double
migration_plan_estimate_seconds(const MigrationPlan *plan, const MigrationOptions *options)
{
    double gib = (double)options->common.memory_bytes / (double)(1 << 30), seconds = 0;

    for (guint i = 0; i < plan->cases->len; i++) {
        const MigrationPlanCase *plan_case = g_ptr_array_index(plan->cases, i);
        double run = 0.5 + 6 * gib + (plan_case->migration.load == LOAD_HEAVY ? 2 : 0);
        if (options->bandwidth)
            run += 2 * (double)options->common.memory_bytes / (double)options->bandwidth;
        seconds += plan_case->runnable ? run * (options->common.runs + options->common.warmup) : 0;
    }
    return seconds;
}

GPtrArray *
migration_plan_results(const MigrationPlan *plan)
{
    GPtrArray *results = g_ptr_array_new();

    for (guint i = 0; i < plan->cases->len; i++) {
        const MigrationPlanCase *plan_case = g_ptr_array_index(plan->cases, i);

        for (guint run = 0; run < plan_case->results->len; run++)
            g_ptr_array_add(results, g_ptr_array_index(plan_case->results, run));
        if (!plan_case->results->len)
            g_ptr_array_add(results, plan_case->model);
    }
    return results;
}

/* --- running --- */

typedef struct {
    MigrationPlan *plan;
    const MigrationOptions *options;
    const volatile gint *cancelled;
    MigrationProgress progress;
    gpointer user;
    double ns_per_cycle;
} Bench;

static MigrationPlanCase *
case_at(const Bench *bench, guint index)
{
    return g_ptr_array_index(bench->plan->cases, index);
}

static gboolean
is_runnable(guint index, gpointer user)
{
    return case_at(user, index)->runnable;
}

static void
show_progress(guint done, guint total, guint index, double seconds_left, gpointer user)
{
    const Bench *bench = user;

    if (bench->progress)
        bench->progress(done, total, case_at(bench, index), seconds_left, bench->user);
}

static void
run_case(guint index, guint round, gpointer user)
{
    const Bench *bench = user;
    MigrationPlanCase *plan_case = case_at(bench, index);
    g_autoptr(MigrationResult) result = migration_result_new();
    g_autoptr(GError) error = NULL;
    MigrationCase migration = plan_case->migration;
    gboolean warm_up = round < bench->options->common.warmup;

    migration.seed += round;
    migration.cancelled = bench->cancelled;
    describe(&migration, result);
    result->run = warm_up ? 0 : round - bench->options->common.warmup + 1;
    if (!migration_case_run(&migration, bench->ns_per_cycle, result, &error)) {
        if (g_error_matches(error, ROLE_ERROR, ROLE_ERROR_CANCELLED))
            return;
        plan_case->runnable = FALSE;
        result->status = MIGRATION_RESULT_FAILED;
        result->reason = g_strdup(error->message);
        warm_up = FALSE; /* to be seen */
    }
    /* what is wrong is shown, warm-up or not */
    if (!warm_up || !migration_result_is_sound(result))
        g_ptr_array_add(plan_case->results, g_steal_pointer(&result));
}

static void
mark_interrupted(const Bench *bench)
{
    for (guint i = 0; i < bench->plan->cases->len; i++) {
        MigrationPlanCase *plan_case = case_at(bench, i);

        if (!plan_case->runnable || plan_case->results->len)
            continue;
        plan_case->model->status = MIGRATION_RESULT_INTERRUPTED;
        plan_case->model->reason = g_strdup("interrupted before its first run");
    }
}

gboolean
migration_bench_run(MigrationPlan *plan, const MigrationOptions *options, const volatile gint *cancelled,
                    MigrationProgress progress, gpointer user)
{
    Bench bench = {plan, options, cancelled, progress, user, tsc_ns_per_cycle()};
    const Rounds rounds = {
        .n_cases = plan->cases->len,
        .n_rounds = options->common.warmup + options->common.runs,
        .seed = options->common.seed,
        .estimate_seconds = migration_plan_estimate_seconds(plan, options),
        .cancelled = cancelled,
        .runnable = is_runnable,
        .run = run_case,
        .progress = show_progress,
        .user = &bench,
    };
    gboolean complete = rounds_run(&rounds);

    if (!complete)
        mark_interrupted(&bench);
    return complete;
}
