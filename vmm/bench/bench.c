/* SPDX-License-Identifier: MIT */
/* The driver: the plan's cases in rounds, and the sums of their runs as results. */
#include "bench/bench.h"

#include "bench/rounds.h"
#include "bench/stall.h"

typedef struct {
    Plan *plan;
    const BenchOptions *options;
    const volatile gint *cancelled;
    BenchProgress progress;
    gpointer user;
    GPtrArray *figures; /* LabFigures, a case each */
    guint *runs_done;   /* a case each, warm-ups excluded */
    double ns_per_cycle;
} Bench;

static PlanCase *
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
    Bench *bench = user;
    PlanCase *plan_case = case_at(bench, index);
    g_autoptr(LabFigures) warm_up = round < bench->options->warmup ? lab_figures_new() : NULL;
    g_autoptr(GError) error = NULL;
    LabConfig lab = plan_case->lab;

    lab.seed += round; /* other pages, other stops */
    lab.cancelled = bench->cancelled;
    if (lab_run(&lab, bench->ns_per_cycle, warm_up ? warm_up : g_ptr_array_index(bench->figures, index), &error)) {
        bench->runs_done[index] += !warm_up;
    } else if (!g_error_matches(error, STAGE_ERROR, STAGE_ERROR_CANCELLED)) {
        plan_case->runnable = FALSE;
        plan_case->result->status = BENCH_FAILED;
        plan_case->result->reason = g_strdup(error->message);
    }
}

static void
add_accuracy(BenchResult *result, gboolean wanted, const AccuracyResult *accuracy)
{
    if (wanted)
        g_array_append_val(result->accuracy, *accuracy);
}

static Samples *
copy_samples(const Samples *samples)
{
    Samples *copy = samples_new();

    samples_add_all(copy, samples);
    return copy;
}

static void
finish_case(const Bench *bench, guint index)
{
    PlanCase *plan_case = case_at(bench, index);
    LabFigures *figures = g_ptr_array_index(bench->figures, index);
    BenchResult *result = plan_case->result;

    if (result->status == BENCH_UNSUPPORTED)
        return;
    if (result->status == BENCH_MEASURED && bench->runs_done[index] < bench->options->runs) {
        result->status = BENCH_INTERRUPTED;
        result->reason = g_strdup_printf("interrupted after %u of %u runs", bench->runs_done[index], bench->options->runs);
    }
    if (!bench->runs_done[index])
        return;
    add_accuracy(result, plan_case->lab.with_write_list, &figures->write_list);
    add_accuracy(result, plan_case->lab.with_replica, &figures->replica);
    result->ring_overflows = figures->ring_overflows;
    for (guint i = 0; i < N_COSTS; i++) {
        if (samples_count(figures->cost[i]))
            result->cost[i] = copy_samples(figures->cost[i]);
    }
    stall_result(&figures->stalls, bench->ns_per_cycle, &result->stall);
    if (result->stall.count)
        result->stall.samples = copy_samples(figures->stall_medians);
}

static void
free_figures(gpointer figures)
{
    lab_figures_free(figures);
}

gboolean
bench_run(Plan *plan, const BenchOptions *options, const volatile gint *cancelled, BenchProgress progress, gpointer user)
{
    g_autoptr(GPtrArray) figures = g_ptr_array_new_with_free_func(free_figures);
    g_autofree guint *runs_done = g_new0(guint, plan->cases->len);
    Bench bench = {plan, options, cancelled, progress, user, figures, runs_done, tsc_ns_per_cycle()};
    const Rounds rounds = {
        .n_cases = plan->cases->len,
        .n_rounds = options->warmup + options->runs,
        .seed = options->seed,
        .estimate_seconds = plan_estimate_seconds(plan, options),
        .cancelled = cancelled,
        .runnable = is_runnable,
        .run = run_case,
        .progress = show_progress,
        .user = &bench,
    };

    for (guint i = 0; i < plan->cases->len; i++)
        g_ptr_array_add(figures, lab_figures_new());
    gboolean complete = rounds_run(&rounds);
    for (guint i = 0; i < plan->cases->len; i++)
        finish_case(&bench, i);
    return complete;
}
