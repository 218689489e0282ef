/* SPDX-License-Identifier: MIT */
/* What each host supports, as `dirtylab probe` found it. */
#include "report/page.h"
#include "results/probe_json.h"

static void
add_row(Page *page, const ViewEntry *entry)
{
    const ProbeRow *row = entry->result;

    markup_open(page->markup, "tr");
    markup_open(page->markup, "th");
    markup_attribute(page->markup, "scope", "row");
    markup_text(page->markup, row->tracker);
    markup_close(page->markup);
    if (page->view->hosts->len > 1)
        page_text_cell(page, view_host(page->view, entry->host)->label);
    page_text_cell(page, row->ram);
    markup_element(page->markup, "td", row->supported ? "v exact" : "v unsupported", row->supported ? "works" : "does not");
    page_text_cell(page, row->reason ? row->reason : "");
    page_text_cell(page, row->remedy ? row->remedy : "");
    markup_close(page->markup);
}

void
page_support(Page *page)
{
    guint n = page->view->entries[RESULT_PROBE]->len;

    if (!n)
        return;
    page_section(page, "support", "What works here");
    page_table(page, "sortable words", "Trackers and kinds of RAM, as the probe found them.");
    markup_open(page->markup, "thead");
    markup_open(page->markup, "tr");
    page_heading_cell(page, NULL, "tracker");
    if (page->view->hosts->len > 1)
        page_heading_cell(page, NULL, "host");
    page_heading_cell(page, NULL, "RAM");
    page_heading_cell(page, NULL, "here");
    page_heading_cell(page, NULL, "why not");
    page_heading_cell(page, NULL, "what would make it so");
    markup_close(page->markup);
    markup_close(page->markup);
    markup_open(page->markup, "tbody");
    for (guint i = 0; i < n; i++)
        add_row(page, view_entry(page->view, RESULT_PROBE, i));
    markup_close(page->markup);
    page_table_end(page);
    markup_close(page->markup);
}
