/* SPDX-License-Identifier: MIT */
/*
 * The verdict: which tracker for which share of dirty pages and which kind of RAM, on each host, and by how much.
 *
 * What is compared is what a dirty page costs: the guest's time for its first write, less what that takes without tracking, and its
 * part of one harvest. A tracker that missed a page which it had not declared is out, and so is one that declares not to see this
 * writer. Two whose intervals overlap are level.
 */
#include <math.h>

#include "report/figures.h"
#include "report/page.h"
#include "results/bench_case.h"
#include "results/bench_verdict.h"
#include "results/units.h"

#define MOST_ROWS 64

/* A tracker's cost in one cell (host, RAM kind, share). */
typedef struct {
    const BenchResult *result;
    Estimate page; /* ns for a dirty page */
} Contender;

typedef struct {
    ViewPanel panel;
    const BenchResult *like; /* share of dirty pages and size of RAM */
    GArray *contenders;      /* Contender, cheapest first */
} Contest;

static void
clear_contest(gpointer data)
{
    g_array_unref(((Contest *)data)->contenders);
}

static gboolean
in_contest(const View *view, guint index, const Contest *contest)
{
    const BenchResult *result = view_bench(view, index);

    return view_entry(view, RESULT_BENCH, index)->host == contest->panel.host &&
           g_strcmp0(result->ram, contest->panel.ram) == 0 && view_matches(result, contest->like, VIEW_MEMORY | VIEW_SHARE) &&
           view_matches(result, view->reference, VIEW_PATTERN);
}

static gboolean
is_eligible(const BenchResult *result)
{
    const AccuracyResult *missed = verdict_missed(result);

    return result->status == BENCH_MEASURED && bench_result_is_sound(result) && missed && !missed->missed_pages &&
           result->pages && result->cost[COST_GUEST_NS_PER_FIRST_WRITE] && result->cost[COST_HARVEST_STOPPED_NS];
}

/* What a first write takes without tracking; 0 when it was not measured. */
static double
baseline_of(const View *view, const Contest *contest)
{
    for (guint i = 0; i < view->bench->len; i++) {
        const BenchResult *result = view_bench(view, i);
        if (g_strcmp0(result->tracker, "none") == 0 && in_contest(view, i, contest) &&
            result->cost[COST_GUEST_NS_PER_FIRST_WRITE])
            return samples_median(result->cost[COST_GUEST_NS_PER_FIRST_WRITE]);
    }
    return 0;
}

static Estimate
cost_of_page(const BenchResult *result, double baseline)
{
    Estimate write = estimate_of(result->cost[COST_GUEST_NS_PER_FIRST_WRITE]);
    Estimate harvest = estimate_of(result->cost[COST_HARVEST_STOPPED_NS]);
    double pages = (double)result->pages;

    return (Estimate){MAX(write.median - baseline, 0) + harvest.median / pages,
                      MAX(write.low - baseline, 0) + harvest.low / pages, MAX(write.high - baseline, 0) + harvest.high / pages};
}

static int
compare_contenders(gconstpointer a, gconstpointer b)
{
    double left = ((const Contender *)a)->page.median, right = ((const Contender *)b)->page.median;

    return (left > right) - (left < right);
}

static void
add_contenders(const View *view, Contest *contest)
{
    double baseline = baseline_of(view, contest);

    for (guint i = 0; i < view->bench->len; i++) {
        const BenchResult *result = view_bench(view, i);
        gboolean known = FALSE;

        if (!in_contest(view, i, contest) || !is_eligible(result))
            continue;
        Contender contender = {result, cost_of_page(result, baseline)};
        for (guint j = 0; j < contest->contenders->len && !known; j++) {
            const BenchResult *other = g_array_index(contest->contenders, Contender, j).result;
            known = g_strcmp0(other->tracker, result->tracker) == 0 && g_strcmp0(other->handler_cpu, result->handler_cpu) == 0;
        }
        if (!known && estimate_known(&contender.page))
            g_array_append_val(contest->contenders, contender);
    }
    g_array_sort(contest->contenders, compare_contenders);
}

/* One for each host, kind of RAM and share of dirty pages, at the reference's size of RAM where it was measured. */
static GArray *
find_contests(const View *view)
{
    GArray *contests = g_array_new(FALSE, FALSE, sizeof(Contest));

    g_array_set_clear_func(contests, clear_contest);
    for (guint i = 0; i < view->bench->len && contests->len < MOST_ROWS; i++) {
        const BenchResult *result = view_bench(view, i);
        Contest contest = {{view_entry(view, RESULT_BENCH, i)->host, result->ram}, result, NULL};
        gboolean known = !view_matches(result, view->reference, VIEW_PATTERN) || !is_eligible(result);

        for (guint j = 0; j < contests->len && !known; j++) {
            const Contest *other = &g_array_index(contests, Contest, j);
            known = other->panel.host == contest.panel.host && g_strcmp0(other->panel.ram, result->ram) == 0 &&
                    view_matches(result, other->like, VIEW_MEMORY | VIEW_SHARE);
        }
        if (known)
            continue;
        contest.contenders = g_array_new(FALSE, FALSE, sizeof(Contender));
        add_contenders(view, &contest);
        g_array_append_val(contests, contest);
    }
    return contests;
}

/* --- in words --- */

/* How many contenders cannot be told from the first. */
static guint
count_level(const Contest *contest)
{
    const Contender *first = &g_array_index(contest->contenders, Contender, 0);
    guint level = 1;

    while (level < contest->contenders->len && g_array_index(contest->contenders, Contender, level).page.low <= first->page.high)
        level++;
    return level;
}

/* `kvm-bitmap-clear`, or `kvm-bitmap and kvm-ring`. */
static void
add_winners(Page *page, const Contest *contest)
{
    guint level = count_level(contest);

    for (guint i = 0; i < level; i++) {
        g_autofree char *label = case_label(page->view->bench, g_array_index(contest->contenders, Contender, i).result);
        markup_text(page->markup, i == 0 ? "" : i + 1 == level ? " and " : ", ");
        markup_element(page->markup, "span", "name", label);
    }
}

/* What all contenders behind the winners have to bear, as `1.4 to 18 times`; NULL when nobody is behind. */
static char *
margin_of(const Contest *contest)
{
    guint level = count_level(contest), n = contest->contenders->len;
    double best = g_array_index(contest->contenders, Contender, 0).page.median;

    if (level == n || best <= 0)
        return NULL;
    g_autofree char *next = figure_ratio(g_array_index(contest->contenders, Contender, level).page.median / best);
    g_autofree char *last = figure_ratio(g_array_index(contest->contenders, Contender, n - 1).page.median / best);
    return g_str_equal(next, last) ? g_strdup_printf("%s times", next) : g_strdup_printf("%s to %s times", next, last);
}

static void
say_contest(Page *page, const Contest *contest)
{
    Markup *markup = page->markup;
    g_autofree char *cost = figure_time(g_array_index(contest->contenders, Contender, 0).page.median);
    g_autofree char *margin = margin_of(contest);
    const AccuracyResult *accuracy = verdict_extra(g_array_index(contest->contenders, Contender, 0).result);
    guint level = count_level(contest);

    markup_open(markup, "li");
    markup_text(markup, "on ");
    markup_element(markup, "b", NULL, contest->panel.ram);
    if (page->view->hosts->len > 1)
        markup_text_format(markup, " (%s)", view_host(page->view, contest->panel.host)->label);
    markup_text(markup, ", ");
    add_winners(page, contest);
    markup_text_format(markup, ": %s for a dirty page", cost);
    if (accuracy && accuracy_amplification(accuracy) > 1.5) {
        g_autofree char *figure = figure_ratio(accuracy_amplification(accuracy));
        markup_text_format(markup, ", with %s times the bytes reported that were written", figure);
    }
    if (margin)
        markup_text_format(markup, "; the others take %s as long", margin);
    else if (level > 1)
        markup_text(markup, "; their intervals overlap");
    markup_text(markup, ".");
    markup_close(markup);
}

/* In the sentence each host and kind of RAM has its case nearest to the reference; the table beneath has the others. */
static gboolean
is_for_sentence(const View *view, const Contest *contest)
{
    return contest->contenders->len && view_matches(contest->like, view->reference, VIEW_MEMORY | VIEW_SHARE);
}

static void
say_accuracy(Page *page)
{
    const View *view = page->view;
    g_autoptr(GPtrArray) lines = verdict_lines(view->bench);
    guint unsound = 0;

    for (guint i = 0; i < view->bench->len; i++)
        unsound += (guint)!bench_result_is_sound(view_bench(view, i));
    g_autofree char *text = g_strdup_printf("%s.", (const char *)g_ptr_array_index(lines, lines->len - 1));
    markup_element(page->markup, "p", unsound ? "lead bad" : "lead", text);
}

static void
add_contest_row(Page *page, const Contest *contest)
{
    const View *view = page->view;
    g_autofree char *share = figure_percent(view_share(contest->like));
    g_autofree char *memory = figure_bytes((double)contest->like->memory_bytes);
    const Contender *first = &g_array_index(contest->contenders, Contender, 0);
    g_autofree char *cost = figure_time(first->page.median);
    g_autofree char *margin = margin_of(contest);

    markup_open(page->markup, "tr");
    if (view->hosts->len > 1)
        page_text_cell(page, view_host(view, contest->panel.host)->label);
    page_text_cell(page, contest->panel.ram);
    page_number_cell(page, "memory", (double)contest->like->memory_bytes, memory);
    page_number_cell(page, "share", view_share(contest->like), share);
    markup_open_class(page->markup, "td", "strong");
    add_winners(page, contest);
    markup_close(page->markup);
    page_number_cell(page, "page_ns", first->page.median, cost);
    page_text_cell(page, margin ? margin : "level");
    markup_close(page->markup);
}

static void
add_contest_table(Page *page, const GArray *contests)
{
    page_table(
        page, "sortable",
        "Least cost of a dirty page: its first write above what that takes untracked, and its part of a harvest. Trackers whose "
        "intervals overlap are level.");
    markup_open(page->markup, "thead");
    markup_open(page->markup, "tr");
    if (page->view->hosts->len > 1)
        page_heading_cell(page, NULL, "host");
    page_heading_cell(page, NULL, "RAM");
    page_heading_cell(page, "n", "memory");
    page_heading_cell(page, "n", "dirty a pass");
    page_heading_cell(page, NULL, "tracker");
    page_heading_cell(page, "n", "a dirty page");
    page_heading_cell(page, NULL, "the others");
    markup_close(page->markup);
    markup_close(page->markup);
    markup_open(page->markup, "tbody");
    for (guint i = 0; i < contests->len; i++) {
        const Contest *contest = &g_array_index(contests, Contest, i);
        if (contest->contenders->len)
            add_contest_row(page, contest);
    }
    markup_close(page->markup);
    page_table_end(page);
}

/* By host, kind of RAM, size and share. */
static int
compare_contests(gconstpointer a, gconstpointer b, gpointer user G_GNUC_UNUSED)
{
    const Contest *left = a, *right = b;
    int by_ram = g_strcmp0(left->panel.ram, right->panel.ram);
    double by_share = view_share(left->like) - view_share(right->like);

    if (left->panel.host != right->panel.host)
        return left->panel.host < right->panel.host ? -1 : 1;
    if (by_ram)
        return by_ram;
    if (left->like->memory_bytes != right->like->memory_bytes)
        return left->like->memory_bytes < right->like->memory_bytes ? -1 : 1;
    return (by_share > 0) - (by_share < 0);
}

static void
say_contests(Page *page, const GArray *contests)
{
    gboolean open = FALSE;

    for (guint i = 0; i < contests->len; i++) {
        const Contest *contest = &g_array_index(contests, Contest, i);
        if (!is_for_sentence(page->view, contest))
            continue;
        if (!open) {
            g_autofree char *share = figure_percent(view_share(page->view->reference));
            g_autofree char *memory = figure_bytes((double)page->view->reference->memory_bytes);
            g_autofree char *text = g_strdup_printf("With %s of %s written a pass, tracking costs least by", share, memory);
            markup_element(page->markup, "p", "lead", text);
            markup_open_class(page->markup, "ul", "lead");
            open = TRUE;
        }
        say_contest(page, contest);
    }
    if (open)
        markup_close(page->markup);
}

void
page_verdict(Page *page)
{
    const View *view = page->view;

    if (!view->bench->len)
        return;
    page_section(page, "verdict", "Verdict");
    say_accuracy(page);
    g_autoptr(GArray) contests = view->reference ? find_contests(view) : g_array_new(FALSE, FALSE, sizeof(Contest));
    g_array_sort_with_data(contests, compare_contests, NULL);
    say_contests(page, contests);
    if (contests->len > 1)
        add_contest_table(page, contests);
    markup_close(page->markup);
}
