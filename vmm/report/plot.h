/* SPDX-License-Identifier: MIT */
/* The two general plots: a row for each tracker with a mark and its interval, and curves over a second quantity. */
#pragma once

#include "report/page.h"
#include "report/svg.h"

#define PLOT_WIDTH 400.0
#define PLOT_LABELS 122.0     /* what row labels take on the left */
#define PLOT_LABEL_COLUMNS 16 /* of characters: the longest tracker's name */
#define PLOT_RIGHT 386.0
#define PLOT_ROW 22.0

/** plot_group: opens a group of panels with its heading and a line about what it shows; markup_close() ends it. */
void plot_group(Page *page, const char *heading, const char *remark);
/** plot_figure: opens a panel with its caption; markup_close() ends it. */
void plot_figure(Page *page, const char *caption);

typedef struct {
    char *label;
    guint style;
    Estimate value;
} PlotRow;
GArray *plot_rows_new(void); /* of PlotRow; owns the labels */

/** plot_rows: a panel. @axis: settled, not placed. @line: a value with a line of its own, NaN for none. */
void plot_rows(Page *page, const char *caption, const GArray *rows, Axis axis, FigureFormat format, const char *title,
               double line);

typedef struct {
    double x;
    Estimate y;
} PlotPoint;
typedef struct {
    char *label;
    guint style;
    GArray *points; /* PlotPoint, in ascending x */
} PlotSeries;
GArray *plot_series_new(void); /* of PlotSeries; owns labels and points */

/** PlotCurves: what the panels of one group share. Axes are settled, not placed. */
typedef struct {
    Axis x, y;
    FigureFormat x_format, y_format;
    const char *x_title, *y_title;
} PlotCurves;
void plot_curves(Page *page, const char *caption, const GArray *series, const PlotCurves *curves);
