/* SPDX-License-Identifier: MIT */
/* Stalls of the guest's stores: for each tracker a line from p50 to p99.9 with its marks and, where the file has it, the histogram. */
#include <math.h>

#include "report/plot.h"
#include "report/plots.h"
#include "results/bench_case.h"

#define ROW 40.0
#define BARS 22.0 /* the highest bar */

static GPtrArray *
stall_results(const View *view, const ViewPanel *panel)
{
    GPtrArray *results = g_ptr_array_new();

    for (guint i = 0; i < view->bench->len; i++) {
        const BenchResult *result = view_bench(view, i);
        gboolean known = FALSE;

        if (view_entry(view, RESULT_BENCH, i)->host != panel->host || g_strcmp0(result->ram, panel->ram) != 0 ||
            !result->stall.count || !view_matches(result, view->reference, VIEW_MEMORY | VIEW_SHARE | VIEW_PATTERN))
            continue;
        for (guint j = 0; j < results->len && !known; j++) {
            const BenchResult *other = g_ptr_array_index(results, j);
            known = g_strcmp0(other->tracker, result->tracker) == 0 && g_strcmp0(other->handler_cpu, result->handler_cpu) == 0;
        }
        if (!known)
            g_ptr_array_add(results, (gpointer)result);
    }
    return results;
}

static char *
describe(const View *view, const GPtrArray *results)
{
    GString *text = g_string_new(NULL);

    for (guint i = 0; i < results->len; i++) {
        const BenchResult *result = g_ptr_array_index(results, i);
        g_autofree char *label = case_label(view->bench, result);
        g_autofree char *p50 = figure_time(result->stall.p50), *p99 = figure_time(result->stall.p99);
        g_autofree char *p999 = figure_time(result->stall.p999), *max = figure_time(result->stall.max);
        g_autofree char *count = figure_count((double)result->stall.count);
        g_string_append_printf(text, "%s%s: %s stores, median %s, p99 %s, p99.9 %s, longest %s", i ? "; " : "", label, count, p50,
                               p99, p999, max);
    }
    g_string_append_c(text, '.');
    return g_string_free(text, FALSE);
}

/* Bars as high as the logarithm of their count: one stall in a million is what matters, and would not be seen otherwise. */
static void
draw_histogram(Markup *markup, const StallResult *stall, guint style, const Axis *axis, double base)
{
    g_autofree char *class = g_strdup_printf("bar b%u", style);
    double most = 1;

    for (guint i = 0; stall->histogram && i < stall->histogram->len; i++)
        most = MAX(most, (double)g_array_index(stall->histogram, StallBucket, i).count);
    for (guint i = 0; stall->histogram && i < stall->histogram->len; i++) {
        const StallBucket *bucket = &g_array_index(stall->histogram, StallBucket, i);
        double from = axis_at(axis, bucket->from_ns), to = axis_at(axis, bucket->to_ns);
        double height = BARS * log1p((double)bucket->count) / log1p(most);
        if (to > from)
            svg_box(markup, class, from, base - height, to - from - 0.4, height);
    }
}

static void
draw_stall(Page *page, const BenchResult *result, const Axis *axis, double top)
{
    Markup *markup = page->markup;
    const StallResult *stall = &result->stall;
    guint style = view_tracker_style(result->tracker);
    double base = top + ROW - 9;
    g_autofree char *class = g_strdup_printf("ci s%u", style);
    g_autofree char *label = case_label(page->view->bench, result);
    const double marks[] = {stall->p99, stall->p999, stall->max};

    svg_label(markup, PLOT_LABELS - 10, base + 4, "end", label, PLOT_LABEL_COLUMNS);
    draw_histogram(markup, stall, style, axis, base - 6);
    svg_line(markup, class, axis_at(axis, stall->p50), base, axis_at(axis, stall->max), base);
    for (guint i = 0; i < G_N_ELEMENTS(marks); i++)
        svg_line(markup, class, axis_at(axis, marks[i]), base - 4.5, axis_at(axis, marks[i]), base + 4.5);
    svg_mark(markup, style, axis_at(axis, stall->p50), base);
}

static void
draw_panel(Page *page, const ViewPanel *panel, const GPtrArray *results, Axis axis)
{
    Markup *markup = page->markup;
    double bottom = 4 + ROW * results->len;
    g_autofree char *caption = view_panel_title(page->view, panel);
    g_autofree char *text = describe(page->view, results);
    g_autofree char *name = g_strdup_printf("%s: time of one store in the guest", caption);

    axis_place(&axis, PLOT_LABELS, PLOT_RIGHT - 10);
    plot_figure(page, caption);
    svg_open(markup, page->next_id++, PLOT_WIDTH, bottom + 38, name, text);
    svg_axis_below(markup, &axis, 2, bottom, figure_time, "time of one store (log scale)");
    for (guint i = 0; i < results->len; i++)
        draw_stall(page, g_ptr_array_index(results, i), &axis, 2 + ROW * i);
    svg_close(markup);
    markup_close(markup);
}

static void
cover(Axis *axis, const GPtrArray *results)
{
    for (guint i = 0; i < results->len; i++) {
        const StallResult *stall = &((const BenchResult *)g_ptr_array_index(results, i))->stall;
        axis_cover(axis, stall->p50);
        axis_cover(axis, stall->max);
        if (stall->histogram && stall->histogram->len)
            axis_cover(axis, g_array_index(stall->histogram, StallBucket, 0).from_ns);
    }
}

void
plots_stall(Page *page)
{
    const View *view = page->view;
    g_autoptr(GArray) panels = view_panels(view);
    g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func((GDestroyNotify)g_ptr_array_unref);
    Axis axis = AXIS_EMPTY(TRUE);

    for (guint i = 0; i < panels->len; i++) {
        g_ptr_array_add(all, stall_results(view, &g_array_index(panels, ViewPanel, i)));
        cover(&axis, g_ptr_array_index(all, i));
    }
    if (axis_is_empty(&axis))
        return;
    axis_settle(&axis);
    g_autofree char *fixed = view_describe(view->reference, VIEW_MEMORY | VIEW_SHARE | VIEW_PATTERN);
    g_autofree char *remark =
        g_strdup_printf("The mark is the median; the line goes on over p99 and p99.9 to the longest store. Bars: the "
                        "histogram, as high as the logarithm of the number of stores. %s.",
                        fixed);
    plot_group(page, "Stalls of the guest's stores", remark);
    for (guint i = 0; i < panels->len; i++) {
        const GPtrArray *results = g_ptr_array_index(all, i);
        if (results->len)
            draw_panel(page, &g_array_index(panels, ViewPanel, i), results, axis);
    }
    markup_close(page->markup);
    markup_close(page->markup);
}
