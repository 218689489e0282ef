/* SPDX-License-Identifier: MIT */
/*
 * Columns of text: aligned by what a terminal shows of UTF-8, not by bytes. Text may come from anywhere: what would move the
 * cursor or colour the terminal (control characters) is shown as a space.
 */
#pragma once

#include <glib.h>

typedef enum {
    TABLE_LEFT,
    TABLE_RIGHT,
} TableAlign;

typedef struct Table Table;

Table *table_new(void);
void table_free(Table *table);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Table, table_free)

/** table_add_column: @heading may have several lines; they end on the same line as the others'. Add all columns before any row. */
void table_add_column(Table *table, const char *heading, TableAlign align);

/** table_add_row: @n_cells at most the number of columns; what is left is blank. */
void table_add_row(Table *table, const char *const *cells, guint n_cells);

/** table_add_span: @n_cells cells, then one text over all columns that are left, wrapped if need be. */
void table_add_span(Table *table, const char *const *cells, guint n_cells, const char *text);

/** table_add_heading: a line of its own over the rows to come, which are indented by two. Markdown has no such thing: it is left out. */
void table_add_heading(Table *table, const char *text);

/** table_width: columns that its widest row takes; what is wrapped does not count. */
guint table_width(const Table *table);

/** table_format: plain text. Only what spans is wrapped to @columns. */
void table_format(const Table *table, guint columns, GString *out);
void table_format_markdown(const Table *table, GString *out);
/** table_escape_markdown: @text so that Markdown shows it as it is. */
void table_escape_markdown(const char *text, GString *out);

/** table_wrap: @text broken at spaces into lines of at most @columns, all but the first indented by @indent, with a final newline. */
void table_wrap(const char *text, guint columns, guint indent, GString *out);
/** table_wrap_lines: each of @lines (of char *) by table_wrap(), indented by two. */
void table_wrap_lines(const GPtrArray *lines, guint columns, GString *out);
/** table_markdown_items: @lines (of char *) as a Markdown list. */
void table_markdown_items(const GPtrArray *lines, GString *out);
/** table_text_width: how many columns a terminal gives it. */
guint table_text_width(const char *text);
