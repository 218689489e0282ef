/* SPDX-License-Identifier: MIT */
/*
 * The plots of the benchmark: guest time, harvest time, amplification. Each group has a panel for each host and kind of RAM, on the
 * same axes, so that they can be compared with the eye.
 */
#include <math.h>

#include "report/plot.h"
#include "report/plots.h"
#include "results/bench_case.h"
#include "results/units.h"

/* --- what belongs on a panel --- */

static gboolean
on_panel_like(const View *view, guint index, const ViewPanel *panel, const BenchResult *like, guint match)
{
    const BenchResult *result = view_bench(view, index);

    return view_entry(view, RESULT_BENCH, index)->host == panel->host && g_strcmp0(result->ram, panel->ram) == 0 &&
           view_matches(result, like, match);
}

static gboolean
on_panel(const View *view, guint index, const ViewPanel *panel, guint match)
{
    return on_panel_like(view, index, panel, view->reference, match);
}

static gboolean
has_label(const GArray *rows, const char *label)
{
    for (guint i = 0; i < rows->len; i++) {
        if (g_strcmp0(g_array_index(rows, PlotRow, i).label, label) == 0)
            return TRUE;
    }
    return FALSE;
}

/* --- guest time per first write --- */

static GArray *
first_write_rows(const View *view, const ViewPanel *panel)
{
    GArray *rows = plot_rows_new();

    for (guint i = 0; i < view->bench->len; i++) {
        const BenchResult *result = view_bench(view, i);
        g_autofree char *label = case_label(view->bench, result);
        PlotRow row = {.style = view_tracker_style(result->tracker),
                       .value = estimate_of(result->cost[COST_GUEST_NS_PER_FIRST_WRITE])};
        if (!on_panel(view, i, panel, VIEW_MEMORY | VIEW_SHARE | VIEW_PATTERN) || !estimate_known(&row.value) ||
            has_label(rows, label))
            continue;
        row.label = g_steal_pointer(&label);
        g_array_append_val(rows, row);
    }
    return rows;
}

void
plots_first_write(Page *page)
{
    const View *view = page->view;
    g_autoptr(GArray) panels = view_panels(view);
    g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func((GDestroyNotify)g_array_unref);
    Axis axis = AXIS_EMPTY(TRUE);

    for (guint i = 0; i < panels->len; i++) {
        GArray *rows = first_write_rows(view, &g_array_index(panels, ViewPanel, i));
        g_ptr_array_add(all, rows);
        for (guint j = 0; j < rows->len; j++) {
            const Estimate *value = &g_array_index(rows, PlotRow, j).value;
            axis_cover(&axis, value->median);
            axis_cover(&axis, value->low);
            axis_cover(&axis, value->high);
        }
    }
    if (axis_is_empty(&axis))
        return;
    axis_settle(&axis);
    g_autofree char *fixed = view_describe(view->reference, VIEW_MEMORY | VIEW_SHARE | VIEW_PATTERN);
    g_autofree char *remark = g_strdup_printf("Medians with 95 %% intervals. %s.", fixed);
    plot_group(page, "Guest time for each page first written", remark);
    for (guint i = 0; i < panels->len; i++) {
        GArray *rows = g_ptr_array_index(all, i);
        g_autofree char *caption = view_panel_title(view, &g_array_index(panels, ViewPanel, i));
        if (rows->len)
            plot_rows(page, caption, rows, axis, figure_time, "guest time a page (log scale)", NAN);
    }
    markup_close(page->markup);
    markup_close(page->markup);
}

/* --- harvest time against a quantity --- */

#define MOST_PLACES 64
#define MOST_CANDIDATES 1000

typedef struct {
    const char *heading, *x_title, *y_title;
    FigureFormat x_format;
    guint match;
    Cost cost;
    double (*x)(const BenchResult *result);
} CurveKind;

static double
memory_of(const BenchResult *result)
{
    return (double)result->memory_bytes;
}

static PlotSeries *
find_or_add_series(GArray *series, const View *view, const BenchResult *result)
{
    g_autofree char *label = case_label(view->bench, result);

    for (guint i = 0; i < series->len; i++) {
        if (g_strcmp0(g_array_index(series, PlotSeries, i).label, label) == 0)
            return &g_array_index(series, PlotSeries, i);
    }
    PlotSeries one = {g_steal_pointer(&label), view_tracker_style(result->tracker), g_array_new(FALSE, FALSE, sizeof(PlotPoint))};
    g_array_append_val(series, one);
    return &g_array_index(series, PlotSeries, series->len - 1);
}

/* In ascending order; of two results at one place the first counts. */
static void
insert_point(GArray *points, const PlotPoint *point)
{
    guint at = 0;

    while (at < points->len && g_array_index(points, PlotPoint, at).x < point->x)
        at++;
    if (at < points->len && g_array_index(points, PlotPoint, at).x <= point->x)
        return;
    g_array_insert_vals(points, at, point, 1);
}

/* At how many places something was measured like @like. */
static guint
count_places(const View *view, const BenchResult *like, const CurveKind *kind)
{
    g_autoptr(GArray) places = g_array_new(FALSE, FALSE, sizeof(double));

    for (guint i = 0; i < view->bench->len && places->len < MOST_PLACES; i++) {
        const BenchResult *result = view_bench(view, i);
        double x = kind->x(result);
        gboolean known = !view_matches(result, like, kind->match) || !result->cost[kind->cost];
        for (guint j = 0; j < places->len && !known; j++)
            known = fabs(g_array_index(places, double, j) / x - 1) < 0.01;
        if (!known)
            g_array_append_val(places, x);
    }
    return places->len;
}

/* The results whose curve is the longest; the page's reference if it is as long. */
static const BenchResult *
longest_curve(const View *view, const CurveKind *kind)
{
    const BenchResult *best = view->reference;
    guint most = count_places(view, best, kind);

    for (guint i = 0; i < MIN(view->bench->len, MOST_CANDIDATES); i++) {
        const BenchResult *candidate = view_bench(view, i);
        guint places = view_matches(candidate, best, kind->match) ? 0 : count_places(view, candidate, kind);
        if (places > most) {
            most = places;
            best = candidate;
        }
    }
    return best;
}

/* Trackers that were measured at one place only make no curve. */
static GArray *
curve_series(const View *view, const ViewPanel *panel, const BenchResult *like, const CurveKind *kind)
{
    GArray *series = plot_series_new();

    for (guint i = 0; i < view->bench->len; i++) {
        const BenchResult *result = view_bench(view, i);
        PlotPoint point = {kind->x(result), estimate_of(result->cost[kind->cost])};
        if (on_panel_like(view, i, panel, like, kind->match) && point.x > 0 && point.y.median > 0)
            insert_point(find_or_add_series(series, view, result)->points, &point);
    }
    for (guint i = series->len; i-- > 0;) {
        if (g_array_index(series, PlotSeries, i).points->len < 2)
            g_array_remove_index(series, i);
    }
    return series;
}

static void
cover_series(const GArray *series, PlotCurves *curves)
{
    for (guint i = 0; i < series->len; i++) {
        const GArray *points = g_array_index(series, PlotSeries, i).points;
        for (guint j = 0; j < points->len; j++) {
            const PlotPoint *point = &g_array_index(points, PlotPoint, j);
            axis_cover(&curves->x, point->x);
            axis_cover(&curves->y, point->y.median);
            axis_cover(&curves->y, point->y.low);
            axis_cover(&curves->y, point->y.high);
        }
    }
}

static void
plot_curve_kind(Page *page, const CurveKind *kind)
{
    const View *view = page->view;
    const BenchResult *like = longest_curve(view, kind);
    g_autoptr(GArray) panels = view_panels(view);
    g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func((GDestroyNotify)g_array_unref);
    PlotCurves curves = {AXIS_EMPTY(TRUE), AXIS_EMPTY(TRUE), kind->x_format, figure_time, kind->x_title, kind->y_title};

    for (guint i = 0; i < panels->len; i++) {
        g_ptr_array_add(all, curve_series(view, &g_array_index(panels, ViewPanel, i), like, kind));
        cover_series(g_ptr_array_index(all, i), &curves);
    }
    if (axis_is_empty(&curves.y))
        return;
    axis_settle(&curves.y); /* the other one has its ticks where something was measured */
    g_autofree char *fixed = view_describe(like, kind->match);
    g_autofree char *remark = g_strdup_printf("Medians with 95 %% intervals, both axes logarithmic. %s.", fixed);
    plot_group(page, kind->heading, remark);
    for (guint i = 0; i < panels->len; i++) {
        const GArray *series = g_ptr_array_index(all, i);
        g_autofree char *caption = view_panel_title(view, &g_array_index(panels, ViewPanel, i));
        if (series->len)
            plot_curves(page, caption, series, &curves);
    }
    markup_close(page->markup);
    markup_close(page->markup);
}

void
plots_harvest(Page *page)
{
    static const CurveKind kinds[] = {
        {"Harvest time against RAM size", "guest RAM", "one harvest, guest stopped", figure_bytes, VIEW_SHARE | VIEW_PATTERN,
         COST_HARVEST_STOPPED_NS, memory_of},
        {"Harvest time against the share of dirty pages", "pages written a pass, share of RAM", "one harvest, guest running",
         figure_percent, VIEW_MEMORY | VIEW_PATTERN, COST_HARVEST_RUNNING_NS, view_share},
    };

    for (guint i = 0; i < G_N_ELEMENTS(kinds); i++)
        plot_curve_kind(page, &kinds[i]);
}

/* --- amplification --- */

#define CELL_HEIGHT 26.0
#define COLUMN_WIDTH 6.5 /* of a character, about */
#define MOST_PATTERNS 8  /* what a panel has room for */
#define MOST_ROWS 24

/* A grid: a row for each tracker, a column for each pattern; NaN where nothing was written. */
typedef struct {
    GPtrArray *rows;     /* const BenchResult: the first of each tracker */
    GPtrArray *patterns; /* const char * */
    GArray *values;      /* double, by rows */
} Grid;

static void
grid_clear(Grid *grid)
{
    g_ptr_array_unref(grid->rows);
    g_ptr_array_unref(grid->patterns);
    g_array_unref(grid->values);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Grid, grid_clear)

static double
amplification_of(const BenchResult *result)
{
    for (guint i = 0; i < result->accuracy->len; i++) {
        const AccuracyResult *accuracy = &g_array_index(result->accuracy, AccuracyResult, i);
        if (accuracy->written_pages && accuracy->reported_pages)
            return accuracy_amplification(accuracy);
    }
    return NAN;
}

static void
collect_names(const View *view, const ViewPanel *panel, Grid *grid)
{
    for (guint i = 0; i < view->bench->len; i++) {
        const BenchResult *result = view_bench(view, i);
        gboolean known = FALSE;

        if (!on_panel(view, i, panel, VIEW_MEMORY | VIEW_SHARE) || isnan(amplification_of(result)))
            continue;
        if (grid->patterns->len < MOST_PATTERNS &&
            !g_ptr_array_find_with_equal_func(grid->patterns, result->pattern, g_str_equal, NULL))
            g_ptr_array_add(grid->patterns, result->pattern);
        for (guint j = 0; j < grid->rows->len && !known; j++)
            known = g_strcmp0(((const BenchResult *)g_ptr_array_index(grid->rows, j))->tracker, result->tracker) == 0;
        if (!known && grid->rows->len < MOST_ROWS)
            g_ptr_array_add(grid->rows, (gpointer)result);
    }
}

static Grid
amplification_grid(const View *view, const ViewPanel *panel)
{
    Grid grid = {g_ptr_array_new(), g_ptr_array_new(), g_array_new(FALSE, FALSE, sizeof(double))};

    collect_names(view, panel, &grid);
    for (guint row = 0; row < grid.rows->len; row++) {
        const BenchResult *first = g_ptr_array_index(grid.rows, row);
        for (guint column = 0; column < grid.patterns->len; column++) {
            double value = NAN;
            for (guint i = 0; i < view->bench->len && isnan(value); i++) {
                const BenchResult *result = view_bench(view, i);
                if (on_panel(view, i, panel, VIEW_MEMORY | VIEW_SHARE) && g_strcmp0(result->tracker, first->tracker) == 0 &&
                    g_strcmp0(result->pattern, g_ptr_array_index(grid.patterns, column)) == 0)
                    value = amplification_of(result);
            }
            g_array_append_val(grid.values, value);
        }
    }
    return grid;
}

static char *
describe_grid(const Grid *grid)
{
    GString *text = g_string_new(NULL);

    for (guint i = 0; i < grid->values->len; i++) {
        guint row = i / grid->patterns->len, column = i % grid->patterns->len;
        g_autofree char *figure = figure_ratio(g_array_index(grid->values, double, i));
        g_string_append_printf(text, "%s%s, %s: %s", i ? "; " : "",
                               ((const BenchResult *)g_ptr_array_index(grid->rows, row))->tracker,
                               (const char *)g_ptr_array_index(grid->patterns, column), figure);
    }
    g_string_append_c(text, '.');
    return g_string_free(text, FALSE);
}

/* From 0, nothing too much, to 5, the 512 of a 2 MiB page and beyond. */
static guint
heat_of(double amplification)
{
    static const double steps[] = {1.005, 1.5, 4, 32, 256};
    guint heat = 0;

    while (heat < G_N_ELEMENTS(steps) && amplification > steps[heat])
        heat++;
    return heat;
}

static void
draw_grid(Markup *markup, const Grid *grid)
{
    double width = (PLOT_RIGHT + 8 - PLOT_LABELS) / grid->patterns->len;

    for (guint column = 0; column < grid->patterns->len; column++)
        svg_label(markup, PLOT_LABELS + width * (column + 0.5), 14, "middle", g_ptr_array_index(grid->patterns, column),
                  (guint)(width / COLUMN_WIDTH));
    for (guint row = 0; row < grid->rows->len; row++) {
        double y = 22 + CELL_HEIGHT * row;
        const BenchResult *first = g_ptr_array_index(grid->rows, row);
        svg_label(markup, PLOT_LABELS - 10, y + CELL_HEIGHT / 2 + 3, "end", first->tracker, PLOT_LABEL_COLUMNS);
        for (guint column = 0; column < grid->patterns->len; column++) {
            double value = g_array_index(grid->values, double, row * grid->patterns->len + column);
            g_autofree char *figure = isnan(value) ? g_strdup("") : figure_ratio(value);
            g_autofree char *style = g_strdup_printf("heat h%u", isnan(value) ? 0 : heat_of(value));
            g_autofree char *ink = g_strdup_printf("heat-figure i%u", isnan(value) ? 0 : heat_of(value));
            svg_box(markup, style, PLOT_LABELS + width * column + 1, y, width - 2, CELL_HEIGHT - 2);
            svg_text(markup, ink, PLOT_LABELS + width * (column + 0.5), y + CELL_HEIGHT / 2 + 3, "middle", figure);
        }
    }
}

void
plots_amplification(Page *page)
{
    const View *view = page->view;
    g_autoptr(GArray) panels = view_panels(view);
    gboolean open = FALSE;

    for (guint i = 0; i < panels->len; i++) {
        const ViewPanel *panel = &g_array_index(panels, ViewPanel, i);
        g_auto(Grid) grid = amplification_grid(view, panel);
        if (!grid.values->len)
            continue;
        if (!open) {
            g_autofree char *fixed = view_describe(view->reference, VIEW_MEMORY | VIEW_SHARE);
            g_autofree char *remark = g_strdup_printf("Bytes reported ÷ bytes of the pages written, by pattern. %s.", fixed);
            plot_group(page, "Amplification", remark);
            open = TRUE;
        }
        g_autofree char *caption = view_panel_title(view, panel);
        g_autofree char *text = describe_grid(&grid);
        g_autofree char *name = g_strdup_printf("%s: amplification by tracker and pattern", caption);
        plot_figure(page, caption);
        svg_open(page->markup, page->next_id++, PLOT_WIDTH, 26 + CELL_HEIGHT * grid.rows->len, name, text);
        draw_grid(page->markup, &grid);
        svg_close(page->markup);
        markup_close(page->markup);
    }
    if (open) {
        markup_close(page->markup);
        markup_close(page->markup);
    }
}
