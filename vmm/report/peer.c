/* SPDX-License-Identifier: MIT */
/* dirtylab beside another VMM: ratios with their intervals. */
#include <math.h>

#include "report/plot.h"
#include "results/peer_json.h"
#include "results/units.h"

static GArray *
ratio_rows(const View *view, Axis *axis)
{
    GArray *rows = plot_rows_new();

    for (guint i = 0; i < view->entries[RESULT_PEER]->len && i < 40; i++) {
        const PeerResult *result = view_entry(view, RESULT_PEER, i)->result;
        PlotRow row = {g_strdup(result->name), 1, {result->ratio, result->low, result->high}};
        axis_cover(axis, row.value.median);
        axis_cover(axis, row.value.low);
        axis_cover(axis, row.value.high);
        g_array_append_val(rows, row);
    }
    return rows;
}

static void
add_row(Page *page, const PeerResult *result)
{
    g_autofree char *ours = unit_ratio(result->dirtylab);
    g_autofree char *other = unit_ratio(result->other);
    Estimate estimate = {result->ratio, result->low, result->high};
    g_autofree char *ratio = figure_estimate(&estimate, figure_ratio);

    markup_open(page->markup, "tr");
    markup_open(page->markup, "th");
    markup_attribute(page->markup, "scope", "row");
    markup_text_format(page->markup, "%s%s%s", result->name, result->unit ? ", " : "", result->unit ? result->unit : "");
    markup_close(page->markup);
    page_text_cell(page, result->peer);
    page_number_cell(page, "dirtylab", result->dirtylab, ours);
    page_number_cell(page, "peer_value", result->other, other);
    page_number_cell(page, "ratio", result->ratio, ratio);
    markup_close(page->markup);
}

void
page_peer(Page *page)
{
    const View *view = page->view;
    Axis axis = AXIS_EMPTY(TRUE);

    if (!view->entries[RESULT_PEER]->len)
        return;
    g_autoptr(GArray) rows = ratio_rows(view, &axis);
    axis_cover(&axis, 1);
    axis_settle(&axis);
    page_section(page, "peer", "Beside another VMM");
    page_table(page, "sortable",
               "Medians, and the ratio dirtylab ÷ the other with its 95 % interval: below 1, dirtylab takes less.");
    markup_open(page->markup, "thead");
    markup_open(page->markup, "tr");
    page_heading_cell(page, NULL, "quantity");
    page_heading_cell(page, NULL, "beside");
    page_heading_cell(page, "n", "dirtylab");
    page_heading_cell(page, "n", "the other");
    page_heading_cell(page, "n", "ratio");
    markup_close(page->markup);
    markup_close(page->markup);
    markup_open(page->markup, "tbody");
    for (guint i = 0; i < view->entries[RESULT_PEER]->len; i++)
        add_row(page, view_entry(view, RESULT_PEER, i)->result);
    markup_close(page->markup);
    page_table_end(page);
    plot_group(page, "Ratios", "The line is at 1: level.");
    plot_rows(page, "dirtylab ÷ the other", rows, axis, figure_ratio, "ratio (log scale)", 1);
    markup_close(page->markup);
    markup_close(page->markup);
    markup_close(page->markup);
}
