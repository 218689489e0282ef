/* SPDX-License-Identifier: MIT */
/* Axes and shapes. */
#include "report/svg.h"

#include <math.h>

#include "results/table.h"

/* --- axes --- */

void
axis_cover(Axis *axis, double value)
{
    if (!isfinite(value) || value < 0 || (axis->is_log && value <= 0))
        return;
    axis->low = MIN(axis->low, value);
    axis->high = MAX(axis->high, value);
}

gboolean
axis_is_empty(const Axis *axis)
{
    return !(axis->low <= axis->high);
}

/* The largest of 1, 2 and 5 times a power of ten that is not above @value; with @up the smallest that is not below it. */
static double
round_to_125(double value, gboolean up)
{
    static const double steps[] = {1, 2, 5, 10};
    double power = pow(10, floor(log10(value)));
    double below = power;

    for (guint i = 0; i < G_N_ELEMENTS(steps); i++) {
        double step = steps[i] * power;
        if (up && step >= value * (1 - 1e-9))
            return step;
        if (step <= value * (1 + 1e-9))
            below = step;
    }
    return below;
}

void
axis_settle(Axis *axis)
{
    if (axis_is_empty(axis)) {
        axis->low = axis->is_log ? 1 : 0;
        axis->high = 1;
    }
    if (axis->is_log) {
        axis->low = round_to_125(axis->low, FALSE);
        axis->high = round_to_125(axis->high, TRUE);
        if (axis->high < axis->low * 9.99)
            axis->high = axis->low * 10;
        return;
    }
    axis->low = 0;
    axis->high = axis->high > 0 ? round_to_125(axis->high, TRUE) : 1;
}

void
axis_settle_bytes(Axis *axis)
{
    double unit = 1;

    axis_settle(axis);
    while (axis->high / unit >= 1024)
        unit *= 1024;
    double most = MAX(axis->high / unit, 1);
    axis->step = most > 512 ? 512 * unit : round_to_125(most / 2.5, TRUE) * unit;
    axis->high = ceil(axis->high / axis->step - 1e-9) * axis->step;
}

void
axis_place(Axis *axis, double from, double to)
{
    axis->from = from;
    axis->to = to;
}

double
axis_at(const Axis *axis, double value)
{
    double share;

    if (axis->is_log)
        share = value > 0 ? log(value / axis->low) / log(axis->high / axis->low) : 0;
    else
        share = (value - axis->low) / (axis->high - axis->low);
    return axis->from + CLAMP(share, 0, 1) * (axis->to - axis->from);
}

/* 1, 2 and 5 in each decade as long as these are few, else each decade, or each second, third, … one. */
static void
add_log_ticks(const Axis *axis, GArray *ticks)
{
    static const double fine[] = {1, 2, 5};
    double decades = log10(axis->high / axis->low);
    guint n_fine = decades < 1.6 ? 3 : 1;
    int stride = (int)ceil(decades / 6.01);

    for (int exponent = (int)floor(log10(axis->low) + 1e-9), first = exponent; exponent <= log10(axis->high) + 1e-9; exponent++) {
        for (guint i = 0; i < n_fine; i++) {
            double tick = fine[i] * pow(10, exponent);
            if (tick >= axis->low * (1 - 1e-9) && tick <= axis->high * (1 + 1e-9) && (exponent - first) % MAX(stride, 1) == 0)
                g_array_append_val(ticks, tick);
        }
    }
}

GArray *
axis_ticks(const Axis *axis)
{
    GArray *ticks = g_array_new(FALSE, FALSE, sizeof(double));

    if (axis->is_log) {
        add_log_ticks(axis, ticks);
        return ticks;
    }
    double step = axis->step > 0 ? axis->step : round_to_125((axis->high - axis->low) / 4, FALSE);
    for (guint i = 0; i <= 20 && step * i <= axis->high * (1 + 1e-9); i++) {
        double tick = step * i;
        g_array_append_val(ticks, tick);
    }
    return ticks;
}

/* --- shapes --- */

static void
number(Markup *markup, const char *name, double value)
{
    markup_attribute_format(markup, name, "%.4g", fabs(value) < 1000 ? round(value * 10) / 10 : value);
}

void
svg_open(Markup *markup, guint id, double width, double height, const char *title, const char *text)
{
    markup_open_class(markup, "svg", "plot");
    markup_attribute_format(markup, "viewBox", "0 0 %.0f %.0f", width, height);
    markup_attribute(markup, "role", "img");
    markup_attribute_format(markup, "aria-labelledby", "t%u d%u", id, id);
    markup_open(markup, "title");
    markup_attribute_format(markup, "id", "t%u", id);
    markup_text(markup, title);
    markup_close(markup);
    markup_open(markup, "desc");
    markup_attribute_format(markup, "id", "d%u", id);
    markup_text(markup, text);
    markup_close(markup);
}

void
svg_close(Markup *markup)
{
    markup_close(markup);
}

void
svg_line(Markup *markup, const char *style, double x1, double y1, double x2, double y2)
{
    markup_open_class(markup, "line", style);
    number(markup, "x1", x1);
    number(markup, "y1", y1);
    number(markup, "x2", x2);
    number(markup, "y2", y2);
    markup_close(markup);
}

void
svg_box(Markup *markup, const char *style, double x, double y, double width, double height)
{
    markup_open_class(markup, "rect", style);
    number(markup, "x", x);
    number(markup, "y", y);
    number(markup, "width", MAX(width, 0));
    number(markup, "height", MAX(height, 0));
    markup_close(markup);
}

void
svg_text(Markup *markup, const char *style, double x, double y, const char *anchor, const char *text)
{
    markup_open_class(markup, "text", style);
    number(markup, "x", x);
    number(markup, "y", y);
    markup_attribute(markup, "text-anchor", anchor);
    markup_text(markup, text);
    markup_close(markup);
}

/* What has to be cut is no tracker's name, and may consist of wide letters: it is cut to less than there is room for. */
void
svg_label(Markup *markup, double x, double y, const char *anchor, const char *text, guint columns)
{
    g_autoptr(GString) cut = g_string_new(text);

    if (table_text_width(cut->str) > columns) {
        while (cut->len && table_text_width(cut->str) > columns * 3 / 4)
            g_string_truncate(cut, (gsize)(g_utf8_find_prev_char(cut->str, cut->str + cut->len) - cut->str));
        g_string_append(cut, "…");
    }
    svg_text(markup, "label", x, y, anchor, cut->str);
}

void
svg_mark(Markup *markup, guint tracker, double x, double y)
{
    static const char *const shapes[] = {
        "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0z",
        "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0z",
        "M-3.6 -3.6h7.2v7.2h-7.2z",
        "M0 -5l5 5l-5 5l-5 -5z",
        "M0 -5l4.8 8.6h-9.6z",
        "M0 5l-4.8 -8.6h9.6z",
        "M-4 -2.2h8v4.4h-8z",
        "M-2.2 -4h4.4v8h-4.4z",
    };

    markup_open(markup, "path");
    markup_attribute_format(markup, "class", "m c%u", tracker % (guint)G_N_ELEMENTS(shapes));
    markup_attribute_format(markup, "transform", "translate(%.1f %.1f)", x, y);
    markup_attribute(markup, "d", shapes[tracker % G_N_ELEMENTS(shapes)]);
    markup_close(markup);
}

void
svg_axis_below(Markup *markup, const Axis *axis, double top, double bottom, FigureFormat format, const char *title)
{
    g_autoptr(GArray) ticks = axis_ticks(axis);

    for (guint i = 0; i < ticks->len; i++) {
        double tick = g_array_index(ticks, double, i), x = axis_at(axis, tick);
        g_autofree char *label = figure_tick(tick, format);
        svg_line(markup, "grid", x, top, x, bottom);
        svg_text(markup, "tick", x, bottom + 14, "middle", label);
    }
    svg_line(markup, "axis", axis->from, bottom, axis->to, bottom);
    svg_text(markup, "unit", (axis->from + axis->to) / 2, bottom + 30, "middle", title);
}

void
svg_axis_left(Markup *markup, const Axis *axis, double left, double right, FigureFormat format, const char *title)
{
    g_autoptr(GArray) ticks = axis_ticks(axis);

    for (guint i = 0; i < ticks->len; i++) {
        double tick = g_array_index(ticks, double, i), y = axis_at(axis, tick);
        g_autofree char *label = figure_tick(tick, format);
        svg_line(markup, "grid", left, y, right, y);
        svg_text(markup, "tick", left - 6, y + 4, "end", label);
    }
    svg_text(markup, "unit", 0, MIN(axis->from, axis->to) - 10, "start", title);
}
