/* SPDX-License-Identifier: MIT */
/* Axes and the few shapes that the plots are drawn with. Colours, fonts and line widths are the style sheet's. */
#pragma once

#include "report/figures.h"
#include "report/markup.h"

/** Axis: values from @low to @high at coordinates from @from to @to. Begin with AXIS_EMPTY, cover all values, then settle. */
typedef struct {
    double low, high;
    gboolean is_log;
    double from, to;
    double step; /* between the ticks of a linear axis; 0: four or five */
} Axis;
#define AXIS_EMPTY(log) ((Axis){.low = INFINITY, .high = -INFINITY, .is_log = (log)})

/** axis_cover: a value that has to have its place; what an axis cannot show (not finite, or not above 0 on a log axis) is passed over. */
void axis_cover(Axis *axis, double value);
gboolean axis_is_empty(const Axis *axis);
/** axis_settle: rounds the ends outwards; a linear axis begins at 0. */
void axis_settle(Axis *axis);
/** axis_settle_bytes: a linear axis of bytes: its few ticks are round numbers of KiB, MiB, … */
void axis_settle_bytes(Axis *axis);
void axis_place(Axis *axis, double from, double to);
/** axis_at: the coordinate, held within the axis. */
double axis_at(const Axis *axis, double value);
/** axis_ticks: at most some six values (of double); free with g_array_unref(). */
GArray *axis_ticks(const Axis *axis);

/** svg_open: a drawing of @width × @height units, named @title and told by @text to who cannot see it. svg_close() ends it. */
void svg_open(Markup *markup, guint id, double width, double height, const char *title, const char *text);
void svg_close(Markup *markup);

void svg_line(Markup *markup, const char *style, double x1, double y1, double x2, double y2);
void svg_box(Markup *markup, const char *style, double x, double y, double width, double height);
/** svg_text: @anchor: `start`, `middle` or `end`. */
void svg_text(Markup *markup, const char *style, double x, double y, const char *anchor, const char *text);
/** svg_label: svg_text() of the style `label`, cut to @columns characters: names come from files. */
void svg_label(Markup *markup, double x, double y, const char *anchor, const char *text, guint columns);
/** svg_mark: the mark of tracker style @tracker (view_tracker_style()), in its shape and colour. */
void svg_mark(Markup *markup, guint tracker, double x, double y);

/** svg_axis_below: ticks, grid lines up to @top, labels and the axis's title beneath @bottom; takes 34 units. */
void svg_axis_below(Markup *markup, const Axis *axis, double top, double bottom, FigureFormat format, const char *title);
/** svg_axis_left: ticks, grid lines from @left to @right, labels to the left; the title above. */
void svg_axis_left(Markup *markup, const Axis *axis, double left, double right, FigureFormat format, const char *title);
