/* SPDX-License-Identifier: MIT */
/* The driver: rounds of shuffled cases, and the sums of their runs as results. */
#include "bench/bench.h"

#include "bench/stall.h"

typedef struct {
    Plan *plan;
    const BenchOptions *options;
    const volatile gint *cancelled;
    BenchProgress progress;
    gpointer user;
    GPtrArray *figures; /* LabFigures, a case each */
    guint *runs_done;   /* a case each, warm-ups excluded */
    double *seconds;    /* a case each: its last run */
    double ns_per_cycle;
    guint done, total;
} Bench;

static void
shuffle(guint *order, guint n, GRand *rand)
{
    for (guint i = n; i > 1; i--) {
        guint other = (guint)g_rand_int_range(rand, 0, (gint32)i), kept = order[i - 1];
        order[i - 1] = order[other];
        order[other] = kept;
    }
}

/* What is left, from what each case took the last time; before that, from the plan's guess. */
static double
seconds_left(const Bench *bench, guint rounds_left, const guint *order, guint position)
{
    guint n_cases = bench->plan->cases->len;
    double a_round = 0, of_this_round = 0;

    if (!bench->done)
        return plan_estimate_seconds(bench->plan, bench->options);
    for (guint i = 0; i < n_cases; i++) {
        a_round += bench->seconds[order[i]];
        of_this_round += i >= position ? bench->seconds[order[i]] : 0;
    }
    if (bench->done < bench->plan->n_runnable) /* the first round: nothing is known of the others */
        return a_round / bench->done * (bench->total - bench->done);
    return of_this_round + rounds_left * a_round;
}

static void
run_case(Bench *bench, guint index, guint round)
{
    PlanCase *plan_case = g_ptr_array_index(bench->plan->cases, index);
    g_autoptr(LabFigures) warm_up = round < bench->options->warmup ? lab_figures_new() : NULL;
    g_autoptr(GError) error = NULL;
    LabConfig lab = plan_case->lab;
    gint64 start = g_get_monotonic_time();

    lab.seed += round; /* other pages, other stops */
    lab.cancelled = bench->cancelled;
    if (lab_run(&lab, bench->ns_per_cycle, warm_up ? warm_up : g_ptr_array_index(bench->figures, index), &error)) {
        bench->runs_done[index] += !warm_up;
    } else if (!g_error_matches(error, STAGE_ERROR, STAGE_ERROR_CANCELLED)) {
        plan_case->runnable = FALSE;
        plan_case->result->status = BENCH_FAILED;
        plan_case->result->reason = g_strdup(error->message);
    }
    bench->seconds[index] = (double)(g_get_monotonic_time() - start) / G_USEC_PER_SEC;
    bench->done++;
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
    PlanCase *plan_case = g_ptr_array_index(bench->plan->cases, index);
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

static gboolean
run_rounds(Bench *bench, GRand *rand)
{
    guint n_cases = bench->plan->cases->len, rounds = bench->options->warmup + bench->options->runs;
    g_autofree guint *order = g_new(guint, n_cases);

    for (guint i = 0; i < n_cases; i++)
        order[i] = i;
    for (guint round = 0; round < rounds; round++) {
        shuffle(order, n_cases, rand);
        for (guint i = 0; i < n_cases; i++) {
            const PlanCase *plan_case = g_ptr_array_index(bench->plan->cases, order[i]);

            if (!plan_case->runnable)
                continue;
            if (bench->cancelled && *bench->cancelled)
                return FALSE;
            if (bench->progress)
                bench->progress(bench->done, bench->total, plan_case, seconds_left(bench, rounds - round - 1, order, i),
                                bench->user);
            run_case(bench, order[i], round);
        }
    }
    return !bench->cancelled || !*bench->cancelled;
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
    g_autofree double *seconds = g_new0(double, plan->cases->len);
    g_autoptr(GRand) rand = g_rand_new_with_seed((guint32)options->seed);
    Bench bench = {plan, options, cancelled, progress, user, figures, runs_done, seconds, tsc_ns_per_cycle(), 0, 0};
    gboolean complete;

    for (guint i = 0; i < plan->cases->len; i++)
        g_ptr_array_add(figures, lab_figures_new());
    bench.total = plan->n_runnable * (options->warmup + options->runs);
    complete = run_rounds(&bench, rand);
    for (guint i = 0; i < plan->cases->len; i++)
        finish_case(&bench, i);
    return complete;
}
