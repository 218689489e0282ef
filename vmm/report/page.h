/* SPDX-License-Identifier: MIT */
/* What the sections of a page share: where they write, and a section's frame. One function a section; each writes nothing where the
 * files hold nothing for it. */
#pragma once

#include "report/markup.h"
#include "report/view.h"

/** Page: @next_id numbers the elements that others refer to. */
typedef struct {
    Markup *markup;
    const View *view;
    guint next_id;
} Page;

/** page_section: opens a section with its heading; markup_close() ends it. @id: a constant, for links. */
void page_section(Page *page, const char *id, const char *heading);

/** page_table: opens a box that scrolls and a table in it, named @caption; page_table_end() ends both. @style: of the table, or NULL. */
void page_table(Page *page, const char *style, const char *caption);
void page_table_end(Page *page);
/** page_heading_cell: of a column. @style: `n` for figures, or NULL. */
void page_heading_cell(Page *page, const char *style, const char *text);

/** page_text_cell, page_count_cell: a text; a count with its digits in groups. */
void page_text_cell(Page *page, const char *text);
void page_count_cell(Page *page, const char *field, guint64 count);
/** page_number_cell: @text, of a figure whose full value is @value. @field: its name in the JSON. */
void page_number_cell(Page *page, const char *field, double value, const char *text);

/** page_time_cell: the median of times in ns, with the farther end of its interval in per cent. @samples may be NULL. */
void page_time_cell(Page *page, const char *field, const Samples *samples);

/* --- the sections, in the order of the page --- */
void page_verdict(Page *page);
void page_accuracy(Page *page);
void page_cost(Page *page);
void page_plots(Page *page);
void page_yardstick(Page *page);
void page_migration(Page *page);
void page_peer(Page *page);
void page_semantics(Page *page);
void page_support(Page *page);
