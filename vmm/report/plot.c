/* SPDX-License-Identifier: MIT */
/* The general plots. */
#include "report/plot.h"

#include <math.h>

#define CURVES_TOP 26.0
#define CURVES_BOTTOM 216.0
#define CURVES_LEFT 62.0
#define LEGEND_COLUMNS 18

void
plot_group(Page *page, const char *heading, const char *remark)
{
    markup_open_class(page->markup, "div", "group");
    markup_element(page->markup, "h3", NULL, heading);
    markup_element(page->markup, "p", "remark", remark);
    markup_open_class(page->markup, "div", "panels");
}

void
plot_figure(Page *page, const char *caption)
{
    markup_open(page->markup, "figure");
    markup_element(page->markup, "figcaption", NULL, caption);
}

static void
clear_row(gpointer data)
{
    g_free(((PlotRow *)data)->label);
}

GArray *
plot_rows_new(void)
{
    GArray *rows = g_array_new(FALSE, TRUE, sizeof(PlotRow));

    g_array_set_clear_func(rows, clear_row);
    return rows;
}

static void
clear_series(gpointer data)
{
    PlotSeries *series = data;

    g_free(series->label);
    g_array_unref(series->points);
}

GArray *
plot_series_new(void)
{
    GArray *series = g_array_new(FALSE, TRUE, sizeof(PlotSeries));

    g_array_set_clear_func(series, clear_series);
    return series;
}

/* --- rows --- */

static char *
describe_rows(const GArray *rows, FigureFormat format)
{
    GString *text = g_string_new(NULL);

    for (guint i = 0; i < rows->len; i++) {
        const PlotRow *row = &g_array_index(rows, PlotRow, i);
        g_autofree char *figure = figure_estimate(&row->value, format);
        g_string_append_printf(text, "%s%s: %s", i ? "; " : "", row->label, figure);
    }
    g_string_append_c(text, '.');
    return g_string_free(text, FALSE);
}

/* The interval as a line with feet, beneath the mark. */
static void
draw_interval(Markup *markup, guint style, const Axis *axis, const Estimate *value, double y)
{
    if (!isfinite(value->low) || !isfinite(value->high))
        return;
    g_autofree char *class = g_strdup_printf("ci s%u", style);
    double from = axis_at(axis, value->low), to = axis_at(axis, value->high);
    svg_line(markup, class, from, y, to, y);
    svg_line(markup, class, from, y - 3.5, from, y + 3.5);
    svg_line(markup, class, to, y - 3.5, to, y + 3.5);
}

/* The figure stands beside its mark, on the side that has room. */
static void
draw_row(Markup *markup, const PlotRow *row, const Axis *axis, FigureFormat format, double y)
{
    g_autofree char *figure = format(row->value.median);

    svg_label(markup, PLOT_LABELS - 10, y + 4, "end", row->label, PLOT_LABEL_COLUMNS);
    if (!estimate_known(&row->value)) {
        svg_text(markup, "tick", PLOT_LABELS + 4, y + 4, "start", "not measured");
        return;
    }
    double x = axis_at(axis, row->value.median);
    draw_interval(markup, row->style, axis, &row->value, y);
    svg_mark(markup, row->style, x, y);
    double high = isfinite(row->value.high) ? MAX(axis_at(axis, row->value.high), x) : x;
    double low = isfinite(row->value.low) ? MIN(axis_at(axis, row->value.low), x) : x;
    if (high < PLOT_RIGHT - 62)
        svg_text(markup, "figure", high + 9, y + 4, "start", figure);
    else
        svg_text(markup, "figure", low - 9, y + 4, "end", figure);
}

void
plot_rows(Page *page, const char *caption, const GArray *rows, Axis axis, FigureFormat format, const char *title, double line)
{
    Markup *markup = page->markup;
    double bottom = 6 + PLOT_ROW * rows->len;
    g_autofree char *text = describe_rows(rows, format);
    g_autofree char *name = g_strdup_printf("%s: %s", caption, title);

    axis_place(&axis, PLOT_LABELS, PLOT_RIGHT - 10);
    plot_figure(page, caption);
    svg_open(markup, page->next_id++, PLOT_WIDTH, bottom + 38, name, text);
    svg_axis_below(markup, &axis, 2, bottom, format, title);
    if (isfinite(line))
        svg_line(markup, "axis", axis_at(&axis, line), 2, axis_at(&axis, line), bottom);
    for (guint i = 0; i < rows->len; i++)
        draw_row(markup, &g_array_index(rows, PlotRow, i), &axis, format, 4 + PLOT_ROW * (i + 0.5));
    svg_close(markup);
    markup_close(markup);
}

/* --- curves --- */

static char *
describe_curves(const GArray *series, const PlotCurves *curves)
{
    GString *text = g_string_new(NULL);

    for (guint i = 0; i < series->len; i++) {
        const PlotSeries *one = &g_array_index(series, PlotSeries, i);
        g_string_append_printf(text, "%s%s:", i ? "; " : "", one->label);
        for (guint j = 0; j < one->points->len; j++) {
            const PlotPoint *point = &g_array_index(one->points, PlotPoint, j);
            g_autofree char *x = curves->x_format(point->x);
            g_autofree char *y = figure_estimate(&point->y, curves->y_format);
            g_string_append_printf(text, "%s %s at %s", j ? "," : "", y, x);
        }
    }
    g_string_append_c(text, '.');
    return g_string_free(text, FALSE);
}

static void
draw_line(Markup *markup, const PlotSeries *series, const Axis *x, const Axis *y)
{
    g_autoptr(GString) path = g_string_new(NULL);
    g_autofree char *class = g_strdup_printf("curve s%u", series->style);

    for (guint i = 0; i < series->points->len; i++) {
        const PlotPoint *point = &g_array_index(series->points, PlotPoint, i);
        g_string_append_printf(path, "%s%.1f %.1f", i ? "L" : "M", axis_at(x, point->x), axis_at(y, point->y.median));
    }
    markup_open_class(markup, "path", class);
    markup_attribute(markup, "d", path->str);
    markup_close(markup);
}

static void
draw_points(Markup *markup, const PlotSeries *series, const Axis *x, const Axis *y)
{
    g_autofree char *class = g_strdup_printf("ci s%u", series->style);

    for (guint i = 0; i < series->points->len; i++) {
        const PlotPoint *point = &g_array_index(series->points, PlotPoint, i);
        double at = axis_at(x, point->x);
        if (isfinite(point->y.low) && isfinite(point->y.high))
            svg_line(markup, class, at, axis_at(y, point->y.low), at, axis_at(y, point->y.high));
        svg_mark(markup, series->style, at, axis_at(y, point->y.median));
    }
}

/* Beneath the plot, two columns. */
static double
legend_height(const GArray *series)
{
    guint lines = (series->len + 1) / 2;

    return 18.0 * lines;
}

static void
draw_legend(Markup *markup, const GArray *series, double top)
{
    for (guint i = 0; i < series->len; i++) {
        const PlotSeries *one = &g_array_index(series, PlotSeries, i);
        guint line = i / 2;
        double x = CURVES_LEFT + (i % 2) * 160, y = top + 18.0 * line;
        svg_mark(markup, one->style, x + 4, y);
        svg_label(markup, x + 14, y + 4, "start", one->label, LEGEND_COLUMNS);
    }
}

/* Where curves are drawn at measured places, these are the ticks; too near ones lose their label. */
static void
draw_places(Markup *markup, const GArray *series, const Axis *x, const PlotCurves *curves)
{
    g_autoptr(GArray) shown = g_array_new(FALSE, FALSE, sizeof(double));

    for (guint i = 0; i < series->len; i++) {
        const GArray *points = g_array_index(series, PlotSeries, i).points;
        for (guint j = 0; j < points->len; j++) {
            double value = g_array_index(points, PlotPoint, j).x, at = axis_at(x, value);
            gboolean near = FALSE;
            for (guint k = 0; k < shown->len && !near; k++)
                near = fabs(g_array_index(shown, double, k) - at) < 44;
            if (near)
                continue;
            g_autofree char *label = curves->x_format(value);
            g_array_append_val(shown, at);
            svg_line(markup, "grid", at, CURVES_TOP, at, CURVES_BOTTOM);
            svg_text(markup, "tick", at, CURVES_BOTTOM + 14, "middle", label);
        }
    }
    svg_line(markup, "axis", x->from, CURVES_BOTTOM, x->to, CURVES_BOTTOM);
    svg_text(markup, "unit", (x->from + x->to) / 2, CURVES_BOTTOM + 30, "middle", curves->x_title);
}

void
plot_curves(Page *page, const char *caption, const GArray *series, const PlotCurves *curves)
{
    Markup *markup = page->markup;
    Axis x = curves->x, y = curves->y;
    double height = CURVES_BOTTOM + 50 + legend_height(series);
    g_autofree char *text = describe_curves(series, curves);
    g_autofree char *name = g_strdup_printf("%s: %s against %s", caption, curves->y_title, curves->x_title);

    axis_place(&x, CURVES_LEFT + 12, PLOT_RIGHT - 16);
    axis_place(&y, CURVES_BOTTOM, CURVES_TOP);
    plot_figure(page, caption);
    svg_open(markup, page->next_id++, PLOT_WIDTH, height, name, text);
    svg_axis_left(markup, &y, CURVES_LEFT, PLOT_RIGHT, curves->y_format, curves->y_title);
    draw_places(markup, series, &x, curves);
    for (guint i = 0; i < series->len; i++)
        draw_line(markup, &g_array_index(series, PlotSeries, i), &x, &y);
    for (guint i = 0; i < series->len; i++)
        draw_points(markup, &g_array_index(series, PlotSeries, i), &x, &y);
    draw_legend(markup, series, CURVES_BOTTOM + 50);
    svg_close(markup);
    markup_close(markup);
}
