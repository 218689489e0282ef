/* SPDX-License-Identifier: MIT */
/* The lines around a table of benchmark results. */
#include "results/bench_verdict.h"
#include "results/bench_case.h"
#include "results/units.h"

#define ACCURACY(result, i) (&g_array_index((result)->accuracy, AccuracyResult, (i)))

static guint64
surplus(guint64 count, guint64 over)
{
    return count > over ? count - over : 0;
}

static guint64
undeclared_misses(const AccuracyResult *accuracy)
{
    return surplus(accuracy->missed_pages, accuracy->expected_missed_pages);
}

static guint64
absent_misses(const AccuracyResult *accuracy)
{
    return surplus(accuracy->expected_missed_pages, accuracy->missed_pages);
}

static gboolean
is_worse(guint64 amiss, guint64 pages, guint64 than_amiss, guint64 than_pages)
{
    return amiss != than_amiss ? amiss > than_amiss : pages > than_pages;
}

const AccuracyResult *
verdict_missed(const BenchResult *result)
{
    const AccuracyResult *worst = NULL;
    for (guint i = 0; i < result->accuracy->len; i++) {
        const AccuracyResult *other = ACCURACY(result, i);
        if (!worst || is_worse(undeclared_misses(other) + absent_misses(other), other->missed_pages,
                               undeclared_misses(worst) + absent_misses(worst), worst->missed_pages))
            worst = other;
    }
    return worst;
}

const AccuracyResult *
verdict_extra(const BenchResult *result)
{
    const AccuracyResult *worst = NULL;
    for (guint i = 0; i < result->accuracy->len; i++) {
        const AccuracyResult *other = ACCURACY(result, i);
        if (!worst || is_worse(other->extra[EXTRA_UNEXPLAINED], accuracy_extra_pages(other), worst->extra[EXTRA_UNEXPLAINED],
                               accuracy_extra_pages(worst)))
            worst = other;
    }
    return worst;
}

const char *
verdict_mark(const AccuracyResult *accuracy)
{
    if (!accuracy->expected_missed_pages)
        return "";
    return accuracy->missed_pages == accuracy->expected_missed_pages ? "*" : "!";
}

/* --- above --- */

/* The first result that knows its number of pages speaks for all: unsupported cases need not. */
static const BenchResult *
speaker(const GPtrArray *results)
{
    for (guint i = 0; i < results->len; i++) {
        const BenchResult *result = g_ptr_array_index(results, i);
        if (result->pages)
            return result;
    }
    return results->len ? g_ptr_array_index(results, 0) : NULL;
}

GPtrArray *
verdict_head(const GPtrArray *results, const DocumentInfo *info)
{
    GPtrArray *lines = g_ptr_array_new_with_free_func(g_free);
    const BenchResult *result = speaker(results);
    gboolean wanted[N_CASE_FIELDS] = {FALSE};

    g_ptr_array_add(lines, host_info_describe(&info->host));
    for (guint field = CASE_MEMORY; field < N_CASE_FIELDS; field++)
        wanted[field] = !case_field_varies(results, (CaseField)field);
    g_autofree char *common = result ? case_describe(result, wanted) : g_strdup("");
    g_ptr_array_add(lines, g_strdup_printf("Guest: %s%sseed %" G_GUINT64_FORMAT, common, *common ? ", " : "", info->seed));
    if (!info->complete)
        g_ptr_array_add(lines, g_strdup("Interrupted: this is what was measured until then."));
    return lines;
}

/* --- beneath --- */

static void
add_once(GPtrArray *words, const char *word)
{
    if (!g_ptr_array_find_with_equal_func(words, word, g_str_equal, NULL))
        g_ptr_array_add(words, g_strdup(word));
}

static char *
join(GPtrArray *words, const char *between)
{
    GString *text = g_string_new(NULL);
    for (guint i = 0; i < words->len; i++)
        g_string_append_printf(text, "%s%s", i ? between : "", (const char *)g_ptr_array_index(words, i));
    return g_string_free(text, FALSE);
}

/* One footnote a writer, naming the trackers that declare it. */
static void
add_declared(GPtrArray *lines, const GPtrArray *results)
{
    g_autoptr(GPtrArray) writers = g_ptr_array_new_with_free_func(g_free);
    for (guint i = 0; i < results->len; i++) {
        const BenchResult *result = g_ptr_array_index(results, i);
        const AccuracyResult *accuracy = verdict_missed(result);
        if (accuracy && accuracy->expected_missed_pages)
            add_once(writers, result->writer);
    }
    for (guint w = 0; w < writers->len; w++) {
        const char *writer = g_ptr_array_index(writers, w);
        g_autoptr(GPtrArray) trackers = g_ptr_array_new_with_free_func(g_free);
        for (guint i = 0; i < results->len; i++) {
            const BenchResult *result = g_ptr_array_index(results, i);
            const AccuracyResult *accuracy = verdict_missed(result);
            if (accuracy && accuracy->expected_missed_pages && g_str_equal(result->writer, writer))
                add_once(trackers, result->tracker);
        }
        g_autofree char *names = join(trackers, ", ");
        g_ptr_array_add(lines, g_strdup_printf("* declared: blind to the writer %s: %s", writer, names));
    }
}

static void
add_words(GPtrArray *words, guint64 count, const char *what)
{
    g_autofree char *digits = unit_digits(count);
    if (count)
        g_ptr_array_add(words, g_strdup_printf("%s %s", digits, what));
}

/* What is amiss with one oracle's counts, in words; NULL when nothing is. */
static char *
amiss(const AccuracyResult *accuracy)
{
    g_autoptr(GPtrArray) words = g_ptr_array_new_with_free_func(g_free);
    add_words(words, undeclared_misses(accuracy), "undeclared misses");
    add_words(words, absent_misses(accuracy), "declared misses that did not occur");
    add_words(words, accuracy->extra[EXTRA_UNEXPLAINED], "unexplained extra pages");
    return words->len ? join(words, ", ") : NULL;
}

static void
add_unsound(GPtrArray *lines, const GPtrArray *results)
{
    static const gboolean keys[N_CASE_FIELDS] = {TRUE, FALSE, TRUE, TRUE, TRUE};

    for (guint i = 0; i < results->len; i++) {
        const BenchResult *result = g_ptr_array_index(results, i);
        g_autofree char *label = case_label(results, result);
        g_autofree char *words = case_describe(result, keys);
        for (guint j = 0; j < result->accuracy->len; j++) {
            const AccuracyResult *accuracy = ACCURACY(result, j);
            g_autofree char *what = amiss(accuracy);
            if (what)
                g_ptr_array_add(
                    lines, g_strdup_printf("! %s, %s: %s (%s of %s)", label, words, what, accuracy->oracle, accuracy->scope));
        }
    }
}

typedef struct {
    const char *oracle;
    const char *scope;
    guint64 pages;
} Judged;

static void
add_judged(GPtrArray *lines, const GPtrArray *results)
{
    g_autoptr(GArray) sums = g_array_new(FALSE, TRUE, sizeof(Judged));
    g_autoptr(GPtrArray) words = g_ptr_array_new_with_free_func(g_free);

    for (guint i = 0; i < results->len; i++) {
        const BenchResult *result = g_ptr_array_index(results, i);
        for (guint j = 0; j < result->accuracy->len; j++) {
            const AccuracyResult *accuracy = ACCURACY(result, j);
            guint at = 0;
            while (at < sums->len && (g_strcmp0(g_array_index(sums, Judged, at).oracle, accuracy->oracle) != 0 ||
                                      g_strcmp0(g_array_index(sums, Judged, at).scope, accuracy->scope) != 0))
                at++;
            if (at == sums->len) {
                Judged judged = {.oracle = accuracy->oracle, .scope = accuracy->scope};
                g_array_append_val(sums, judged);
            }
            g_array_index(sums, Judged, at).pages += accuracy->judged_pages;
        }
    }
    for (guint i = 0; i < sums->len; i++) {
        const Judged *judged = &g_array_index(sums, Judged, i);
        g_autofree char *pages = unit_digits(judged->pages);
        g_ptr_array_add(words, g_strdup_printf("%s by the %s (%s)", pages, judged->oracle, judged->scope));
    }
    g_autofree char *all = join(words, ", ");
    if (words->len)
        g_ptr_array_add(lines, g_strdup_printf("Page observations judged: %s", all));
}

static void
add_causes(GPtrArray *lines, const GPtrArray *results)
{
    for (guint cause = 0; cause < N_EXTRA_CAUSES; cause++) {
        g_autoptr(GPtrArray) trackers = g_ptr_array_new_with_free_func(g_free);
        guint64 pages = 0;
        for (guint i = 0; i < results->len; i++) {
            const BenchResult *result = g_ptr_array_index(results, i);
            const AccuracyResult *accuracy = verdict_extra(result);
            if (accuracy && accuracy->extra[cause]) {
                pages += accuracy->extra[cause];
                add_once(trackers, result->tracker);
            }
        }
        if (!trackers->len)
            continue;
        g_autofree char *digits = unit_digits(pages);
        g_autofree char *names = join(trackers, ", ");
        g_autofree char *name = g_strdelimit(g_strdup(extra_cause_name((ExtraCause)cause)), "_", ' ');
        g_ptr_array_add(lines, g_strdup_printf("Extra, %s: %s (%s)", name, digits, names));
    }
}

static void
add_overflows(GPtrArray *lines, const GPtrArray *results)
{
    guint64 overflows = 0;
    for (guint i = 0; i < results->len; i++)
        overflows += ((const BenchResult *)g_ptr_array_index(results, i))->ring_overflows;
    g_autofree char *digits = unit_digits(overflows);
    if (overflows)
        g_ptr_array_add(lines, g_strdup_printf("Ring overflows: %s; each time all RAM was reported dirty", digits));
}

static void
add_verdict(GPtrArray *lines, const GPtrArray *results)
{
    guint64 judged = 0, undeclared = 0, absent = 0, unexplained = 0;
    guint failed = 0;

    for (guint i = 0; i < results->len; i++) {
        const BenchResult *result = g_ptr_array_index(results, i);
        failed += result->status == BENCH_FAILED;
        for (guint j = 0; j < result->accuracy->len; j++) {
            judged += ACCURACY(result, j)->judged_pages;
            undeclared += undeclared_misses(ACCURACY(result, j));
            absent += absent_misses(ACCURACY(result, j));
            unexplained += ACCURACY(result, j)->extra[EXTRA_UNEXPLAINED];
        }
    }
    g_autofree char *undeclared_text = unit_digits(undeclared);
    g_autofree char *absent_text = unit_digits(absent);
    g_autofree char *unexplained_text = unit_digits(unexplained);
    g_autofree char *judged_text = unit_digits(judged);
    GString *text = g_string_new(NULL);
    if (judged)
        g_string_printf(text, "%s undeclared misses, %s unexplained extra pages in %s observations", undeclared_text,
                        unexplained_text, judged_text);
    else
        g_string_assign(text, "No page was judged");
    if (absent)
        g_string_append_printf(text, "; %s declared misses did not occur", absent_text);
    if (failed)
        g_string_append_printf(text, "; %u case%s failed", failed, failed == 1 ? "" : "s");
    g_ptr_array_add(lines, g_string_free(text, FALSE));
}

GPtrArray *
verdict_lines(const GPtrArray *results)
{
    GPtrArray *lines = g_ptr_array_new_with_free_func(g_free);
    add_declared(lines, results);
    add_unsound(lines, results);
    add_judged(lines, results);
    add_causes(lines, results);
    add_overflows(lines, results);
    add_verdict(lines, results);
    return lines;
}
