/* SPDX-License-Identifier: MIT */
/* Matching cases, and judging their differences. */
#include "report/compare.h"

#include <math.h>

#include "report/permutation.h"
#include "results/bench_case.h"
#include "results/bench_json.h"
#include "results/migration_json.h"
#include "results/semantics_json.h"

#define FLOOR 1.10        /* below this factor nothing is said */
#define LIKELY 0.05       /* that chance alone did it */
#define DRIFT_LIMIT 1.25  /* of all costs together: beyond, it is a finding */
#define DRIFT_COMPARED 12 /* so many comparisons make a common factor */
#define DRIFT_QUANTITIES 4
#define MOST_PAIRS 4000 /* of one comparison */
#define MOST_DEALS 200000
#define BUDGET 3e9 /* samples that are dealt out in all: half a minute */

const char *
compare_verdict_name(CompareVerdict verdict)
{
    static const char *const names[] = {"same", "better", "worse", "too-few-samples"};

    g_assert((guint)verdict < G_N_ELEMENTS(names));
    return names[verdict];
}

/* What a Comparison is made from. @floor: the least difference of medians, in the quantity's unit. Runs: each one's median. */
typedef struct {
    Comparison result;
    Samples *old, *new;
    Samples *old_runs, *new_runs;
    double floor;
} Pair;

typedef struct {
    CompareResult *result;
    GArray *pairs; /* Pair */
} Builder;

static void
clear_comparison(gpointer data)
{
    g_free(((Comparison *)data)->name);
}

static void
clear_pair(gpointer data)
{
    Pair *pair = data;

    samples_free(pair->old);
    samples_free(pair->new);
    samples_free(pair->old_runs);
    samples_free(pair->new_runs);
    g_free(pair->result.name);
}

static Samples *
scaled_copy(const Samples *samples, double factor)
{
    Samples *copy = samples_new();

    for (guint i = 0; samples && i < samples_count(samples); i++)
        samples_add(copy, samples_at(samples, i) * factor);
    return copy;
}

/* Samples come run after run, as many of each; where they do not, they may as well be of one run. */
static Samples *
medians_of_runs(const Samples *samples, guint n_runs)
{
    guint n = samples_count(samples), each = n_runs && n >= n_runs && n % n_runs == 0 ? n / n_runs : n;
    Samples *medians = samples_new();

    for (guint run = 0; run < n / each; run++) {
        g_autoptr(Samples) one = samples_new();
        for (guint i = 0; i < each; i++)
            samples_add(one, samples_at(samples, run * each + i));
        samples_add(medians, samples_median(one));
    }
    return medians;
}

static void
add_pair(Builder *builder, const char *name, const char *quantity, const Samples *old, const Samples *new, const guint n_runs[2],
         double floor)
{
    if (!old || !new || !isfinite(samples_median(old)) || !isfinite(samples_median(new)))
        return;
    Pair pair = {.old = scaled_copy(old, 1), .new = scaled_copy(new, 1), .floor = floor};
    pair.result =
        (Comparison){.name = g_strdup(name), .quantity = quantity, .old = samples_median(old), .new = samples_median(new)};
    pair.result.n_old = samples_count(old);
    pair.result.n_new = samples_count(new);
    pair.old_runs = medians_of_runs(old, n_runs[0]);
    pair.new_runs = medians_of_runs(new, n_runs[1]);
    pair.result.ratio = permutation_ratio(old, new);
    g_array_append_val(builder->pairs, pair);
}

/* Numbers that are either right or wrong: one more is worse. */
static void
add_count(Builder *builder, const char *name, const char *quantity, guint64 old, guint64 new)
{
    Comparison comparison = {.name = g_strdup(name), .quantity = quantity, .old = (double)old, .new = (double)new};

    comparison.ratio = comparison.p = NAN;
    comparison.by_count = TRUE;
    comparison.verdict = new > old ? COMPARE_WORSE : new < old ? COMPARE_BETTER : COMPARE_SAME;
    g_array_append_val(builder->result->comparisons, comparison);
}

/* --- the benchmark --- */

static gboolean
same_bench_case(gconstpointer a, gconstpointer b)
{
    const BenchResult *left = a, *right = b;

    return case_same_group(left, right) && g_strcmp0(left->tracker, right->tracker) == 0 && left->pages == right->pages &&
           g_strcmp0(left->handler_cpu, right->handler_cpu) == 0;
}

static char *
bench_name(const BenchResult *result)
{
    static const gboolean wanted[N_CASE_FIELDS] = {TRUE, TRUE, TRUE, TRUE, TRUE};
    g_autofree char *words = case_describe(result, wanted);

    return result->handler_cpu ? g_strdup_printf("%s (%s), %s", result->tracker, result->handler_cpu, words)
                               : g_strdup_printf("%s, %s", result->tracker, words);
}

/* Harvest time a page says nothing that the two harvest times do not say. */
static double
floor_of(Cost cost)
{
    switch (cost) {
    case COST_GUEST_NS_PER_FIRST_WRITE:
        return 10;
    case COST_HOST_CPU_NS:
        return 20000;
    default:
        return 2000;
    }
}

static guint64
unsound_pages(const BenchResult *result)
{
    guint64 pages = 0;

    for (guint i = 0; i < result->accuracy->len; i++) {
        const AccuracyResult *accuracy = &g_array_index(result->accuracy, AccuracyResult, i);
        guint64 missed = accuracy->missed_pages, expected = accuracy->expected_missed_pages;
        pages += (missed > expected ? missed - expected : expected - missed) + accuracy->extra[EXTRA_UNEXPLAINED];
    }
    return pages;
}

/* As many as there really were: an interrupted benchmark has fewer than it was asked for. The host's time has one sample a run. */
static guint
runs_of(const BenchResult *result)
{
    return result->cost[COST_HOST_CPU_NS] ? samples_count(result->cost[COST_HOST_CPU_NS]) : result->runs;
}

static void
add_bench(Builder *builder, gconstpointer old_result, gconstpointer new_result)
{
    const BenchResult *old = old_result, *new = new_result;
    const guint n_runs[] = {runs_of(old), runs_of(new)}, first = builder->pairs->len;
    g_autofree char *name = bench_name(new);

    add_count(builder, name, "unsound_pages", unsound_pages(old), unsound_pages(new));
    add_count(builder, name, "failed", old->status == BENCH_FAILED, new->status == BENCH_FAILED);
    for (guint cost = 0; cost < N_COSTS; cost++) {
        if (cost != COST_HARVEST_NS_PER_PAGE)
            add_pair(builder, name, cost_name((Cost)cost), old->cost[cost], new->cost[cost], n_runs, floor_of((Cost)cost));
    }
    add_pair(builder, name, "guest_stall_ns", old->stall.samples, new->stall.samples, n_runs, 10);
    for (guint i = first; i < builder->pairs->len; i++)
        g_array_index(builder->pairs, Pair, i).result.untracked = g_strcmp0(new->tracker, "none") == 0;
}

/* --- migrations: the runs of a case are its samples --- */

static gboolean
same_migration_case(gconstpointer a, gconstpointer b)
{
    return migration_result_same_case(a, b);
}

static double
total_time(const MigrationResult *result)
{
    return result->total_time_ms;
}

static double
downtime(const MigrationResult *result)
{
    return result->downtime_ms;
}

static double
transferred(const MigrationResult *result)
{
    return (double)result->transferred_bytes;
}

static Samples *
collect_runs(const GPtrArray *results, const MigrationResult *like, double (*quantity)(const MigrationResult *))
{
    Samples *samples = samples_new();

    for (guint i = 0; i < results->len; i++) {
        const MigrationResult *result = g_ptr_array_index(results, i);
        if (migration_result_same_case(result, like) && result->status == MIGRATION_RESULT_COMPLETED)
            samples_add(samples, quantity(result));
    }
    return samples;
}

static guint64
count_unsound(const GPtrArray *results, const MigrationResult *like)
{
    guint64 unsound = 0;

    for (guint i = 0; i < results->len; i++) {
        const MigrationResult *result = g_ptr_array_index(results, i);
        unsound += migration_result_same_case(result, like) && !migration_result_is_sound(result);
    }
    return unsound;
}

static void
add_migration(Builder *builder, const GPtrArray *old, const GPtrArray *new, const MigrationResult *like)
{
    static const struct {
        const char *quantity;
        double (*read)(const MigrationResult *);
        double floor;
    } quantities[] = {
        {"total_time_ms", total_time, 5}, {"downtime_ms", downtime, 0.2}, {"transferred_bytes", transferred, 1 << 20}};
    g_autofree char *name =
        g_strdup_printf("%s%s%s, %s, %u vCPU%s, %s", like->tracker, like->moved_to ? " → " : "",
                        like->moved_to ? like->moved_to : "", like->ram, like->vcpus, like->vcpus == 1 ? "" : "s", like->load);

    add_count(builder, name, "unsound_runs", count_unsound(old, like), count_unsound(new, like));
    for (guint i = 0; i < G_N_ELEMENTS(quantities); i++) {
        g_autoptr(Samples) before = collect_runs(old, like, quantities[i].read);
        g_autoptr(Samples) after = collect_runs(new, like, quantities[i].read);
        const guint n_runs[] = {samples_count(before), samples_count(after)};
        add_pair(builder, name, quantities[i].quantity, before, after, n_runs, quantities[i].floor);
    }
}

/* --- semantics --- */

static gboolean
same_semantics_case(gconstpointer a, gconstpointer b)
{
    const SemanticsRow *left = a, *right = b;

    return g_str_equal(left->name, right->name) && g_str_equal(left->tracker, right->tracker) &&
           g_str_equal(left->ram, right->ram);
}

static void
add_semantics(Builder *builder, gconstpointer old_row, gconstpointer new_row)
{
    const SemanticsRow *old = old_row, *new = new_row;
    g_autofree char *name = g_strdup_printf("%s, %s, %s", new->name, new->tracker, new->ram);

    add_count(builder, name, "missed", old->verdict == SEMANTICS_MISSED, new->verdict == SEMANTICS_MISSED);
    add_count(builder, name, "without_verdict", old->verdict == SEMANTICS_NONE, new->verdict == SEMANTICS_NONE);
}

/* --- matching --- */

typedef gboolean (*SameCase)(gconstpointer a, gconstpointer b);

/* The first in @results from @from on that is the same case; NULL if none is. Files of one program are in the same order. */
static gconstpointer
find_case(const GPtrArray *results, gconstpointer like, SameCase same, guint from)
{
    for (guint i = 0; i < results->len; i++) {
        gconstpointer other = g_ptr_array_index(results, (from + i) % results->len);
        if (same(other, like))
            return other;
    }
    return NULL;
}

static gboolean
is_repeated(const GPtrArray *results, guint index, SameCase same)
{
    for (guint i = 0; i < index; i++) {
        if (same(g_ptr_array_index(results, i), g_ptr_array_index(results, index)))
            return TRUE;
    }
    return FALSE;
}

static void
match(Builder *builder, const ResultFile *old, const ResultFile *new, SameCase same)
{
    for (guint i = 0; i < new->results->len; i++) {
        gconstpointer result = g_ptr_array_index(new->results, i);
        if (is_repeated(new->results, i, same))
            continue;
        gconstpointer before = find_case(old->results, result, same, i);
        if (!before)
            builder->result->only_new++;
        else if (new->kind == RESULT_BENCH)
            add_bench(builder, before, result);
        else if (new->kind == RESULT_MIGRATION)
            add_migration(builder, old->results, new->results, result);
        else
            add_semantics(builder, before, result);
    }
    for (guint i = 0; i < old->results->len; i++) {
        gconstpointer result = g_ptr_array_index(old->results, i);
        if (!is_repeated(old->results, i, same) && !find_case(new->results, result, same, i))
            builder->result->only_old++;
    }
}

/* --- judging --- */

/* The median over the quantities of the median over their cases: one cost that is slower everywhere does not pass for the host. */
static double
find_drift(const GArray *pairs)
{
    g_autoptr(GHashTable) by_quantity = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)samples_free);
    g_autoptr(Samples) medians = samples_new();
    GHashTableIter iter;
    gpointer value;

    for (guint i = 0; i < pairs->len; i++) {
        const Pair *pair = &g_array_index(pairs, Pair, i);
        Samples *ratios = g_hash_table_lookup(by_quantity, pair->result.quantity);
        if (MAX(pair->result.old, pair->result.new) < pair->floor)
            continue;
        if (!ratios) {
            ratios = samples_new();
            g_hash_table_insert(by_quantity, (gpointer)pair->result.quantity, ratios);
        }
        samples_add(ratios, log(pair->result.ratio));
    }
    g_hash_table_iter_init(&iter, by_quantity);
    while (g_hash_table_iter_next(&iter, NULL, &value))
        samples_add(medians, samples_median(value));
    if (pairs->len < DRIFT_COMPARED || samples_count(medians) < DRIFT_QUANTITIES)
        return 1;
    double drift = exp(samples_median(medians));
    return isfinite(drift) ? drift : 1;
}

/* Whether the difference is one that is worth saying, were it no chance. */
static gboolean
above_floor(const Pair *pair, double drift)
{
    double beyond = pair->result.ratio / drift;

    return isfinite(beyond) && MAX(beyond, 1 / beyond) > FLOOR && fabs(pair->result.new - pair->result.old) > pair->floor &&
           fabs(pair->result.new / drift - pair->result.old) > pair->floor;
}

/*
 * The samples of one run have more in common with each other than with another run's: the same guest, the same pages of the host, the same
 * minute. So whole runs are dealt, by their medians, where there are enough of them. Where there are not, samples are; and then the runs of
 * one file have to lie beyond those of the other by more than either file's runs lie from each other.
 */
static gboolean
has_enough_runs(const Pair *pair, guint n_pairs)
{
    return permutation_least_p(samples_count(pair->old_runs), samples_count(pair->new_runs)) * n_pairs < LIKELY / 2;
}

static double
spread(const Samples *runs)
{
    return samples_max(runs) / samples_min(runs);
}

static gboolean
runs_lie_apart(const Pair *pair, double drift)
{
    double up = samples_min(pair->new_runs) / drift / samples_max(pair->old_runs);
    double down = samples_min(pair->old_runs) / (samples_max(pair->new_runs) / drift);

    return MAX(up, down) > MAX(spread(pair->old_runs), spread(pair->new_runs));
}

static CompareVerdict
verdict_of(const Pair *pair, guint n_pairs, double drift)
{
    const Comparison *result = &pair->result;

    /* one run says nothing of how runs scatter */
    if (permutation_least_p(result->n_old, result->n_new) * n_pairs > LIKELY || samples_count(pair->old_runs) < 2 ||
        samples_count(pair->new_runs) < 2)
        return COMPARE_TOO_FEW;
    if (result->p >= LIKELY || !above_floor(pair, drift) || (!has_enough_runs(pair, n_pairs) && !runs_lie_apart(pair, drift)))
        return COMPARE_SAME;
    return result->ratio > drift ? COMPARE_WORSE : COMPARE_BETTER;
}

static double
chance_of(const Pair *pair, guint n_pairs, double drift, guint deals)
{
    gboolean by_run = has_enough_runs(pair, n_pairs);
    g_autoptr(Samples) new = scaled_copy(by_run ? pair->new_runs : pair->new, 1 / drift);

    return permutation_p(by_run ? pair->old_runs : pair->old, new, deals);
}

static void
judge(Builder *builder)
{
    GArray *pairs = builder->pairs;
    g_autofree double *p = g_new(double, MAX(pairs->len, 1));
    double drift = builder->result->drift = find_drift(pairs);
    guint samples = 1;

    for (guint i = 0; i < pairs->len; i++)
        samples += MIN(g_array_index(pairs, Pair, i).result.n_old, PERMUTATION_MOST_SAMPLES);
    guint deals = (guint)CLAMP(BUDGET / samples, 1000, MOST_DEALS);
    for (guint i = 0; i < pairs->len; i++)
        p[i] = chance_of(&g_array_index(pairs, Pair, i), pairs->len, drift, deals);
    permutation_holm(p, pairs->len);
    for (guint i = 0; i < pairs->len; i++) {
        Pair *pair = &g_array_index(pairs, Pair, i);
        pair->result.p = p[i];
        pair->result.verdict = verdict_of(pair, pairs->len, drift);
        g_array_append_val(builder->result->comparisons, pair->result);
        pair->result.name = NULL; /* the other one has it */
    }
}

/* --- the whole --- */

static gboolean
same_text(const char *a, const char *b)
{
    return g_strcmp0(a, b) == 0;
}

static gboolean
same_host(const HostInfo *a, const HostInfo *b)
{
    return same_text(a->kernel, b->kernel) && same_text(a->kvm, b->kvm) && same_text(a->cpu, b->cpu) && a->cores == b->cores;
}

static SameCase
same_case_of(const ResultFile *old, const ResultFile *new, GError **error)
{
    static const SameCase by_kind[N_RESULT_KINDS] = {
        [RESULT_BENCH] = same_bench_case, [RESULT_MIGRATION] = same_migration_case, [RESULT_SEMANTICS] = same_semantics_case};

    if (old->kind != new->kind)
        g_set_error(error, RESULTS_ERROR, RESULTS_ERROR_FORMAT,
                    "%s and %s are of different kinds: give two of the same benchmark", old->path, new->path);
    else if (!by_kind[new->kind])
        g_set_error(error, RESULTS_ERROR, RESULTS_ERROR_FORMAT,
                    "%s has nothing to compare: give results of bench, bench-migration or semantics", new->path);
    else
        return by_kind[new->kind];
    return NULL;
}

CompareResult *
compare_files(const ResultFile *old, const ResultFile *new, GError **error)
{
    SameCase same = same_case_of(old, new, error);

    if (!same)
        return NULL;
    g_autoptr(CompareResult) result = g_new0(CompareResult, 1);
    g_autoptr(GArray) pairs = g_array_new(FALSE, FALSE, sizeof(Pair));
    Builder builder = {result, pairs};

    g_array_set_clear_func(pairs, clear_pair);
    result->comparisons = g_array_new(FALSE, FALSE, sizeof(Comparison));
    g_array_set_clear_func(result->comparisons, clear_comparison);
    result->same_host = same_host(&old->info->host, &new->info->host);
    match(&builder, old, new, same);
    if (pairs->len > MOST_PAIRS) {
        g_set_error(error, RESULTS_ERROR, RESULTS_ERROR_FORMAT, "%s and %s have %u figures to compare: give files of fewer cases",
                    old->path, new->path, pairs->len);
        return NULL;
    }
    judge(&builder);
    if (result->comparisons->len)
        return g_steal_pointer(&result);
    g_set_error(error, RESULTS_ERROR, RESULTS_ERROR_FORMAT, "%s and %s have no case in common: run both with the same options",
                old->path, new->path);
    return NULL;
}

void
compare_result_free(CompareResult *result)
{
    if (!result)
        return;
    g_array_unref(result->comparisons);
    g_free(result);
}

gboolean
compare_host_moved(const CompareResult *result)
{
    for (guint i = 0; i < result->comparisons->len; i++) {
        const Comparison *comparison = &g_array_index(result->comparisons, Comparison, i);
        if (comparison->untracked && g_str_has_prefix(comparison->quantity, "guest_") && comparison->verdict != COMPARE_SAME &&
            comparison->verdict != COMPARE_TOO_FEW)
            return TRUE;
    }
    return FALSE;
}

guint
compare_count(const CompareResult *result, CompareVerdict verdict)
{
    guint count = 0;

    for (guint i = 0; i < result->comparisons->len; i++)
        count += g_array_index(result->comparisons, Comparison, i).verdict == verdict;
    if (verdict == COMPARE_WORSE)
        count += result->drift > DRIFT_LIMIT;
    return count;
}
