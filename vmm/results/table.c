/* SPDX-License-Identifier: MIT */
/* Columns of text, plain and in Markdown. Columns stand two spaces apart, or one where that makes the table fit. */
#include <string.h>

#include "results/table.h"

#define INDENT 2

typedef struct {
    char **heading; /* its lines */
    guint n_lines;
    TableAlign align;
    guint width; /* of its widest cell or heading line */
} Column;

typedef enum {
    ROW_CELLS,
    ROW_SPAN,
    ROW_HEADING,
} RowKind;

typedef struct {
    RowKind kind;
    GPtrArray *cells; /* of char * */
    char *text;       /* of a span or a heading */
} Row;

struct Table {
    GArray *columns; /* Column */
    GPtrArray *rows; /* of Row */
    guint indent;
};

static void
column_clear(gpointer data)
{
    g_strfreev(((Column *)data)->heading);
}

static void
row_free(gpointer data)
{
    Row *row = data;
    if (row->cells)
        g_ptr_array_unref(row->cells);
    g_free(row->text);
    g_free(row);
}

Table *
table_new(void)
{
    Table *table = g_new0(Table, 1);
    table->columns = g_array_new(FALSE, TRUE, sizeof(Column));
    g_array_set_clear_func(table->columns, column_clear);
    table->rows = g_ptr_array_new_with_free_func(row_free);
    return table;
}

void
table_free(Table *table)
{
    if (!table)
        return;
    g_array_unref(table->columns);
    g_ptr_array_unref(table->rows);
    g_free(table);
}

/* --- text as a terminal shows it --- */

static guint
character_width(gunichar character)
{
    if (g_unichar_iszerowidth(character))
        return 0;
    return g_unichar_iswide(character) ? 2 : 1;
}

guint
table_text_width(const char *text)
{
    guint width = 0;
    for (; *text; text = g_utf8_next_char(text))
        width += character_width(g_utf8_get_char(text));
    return width;
}

/* Valid UTF-8 without control characters, and without those that turn the direction of writing; NULL is empty. */
static char *
clean(const char *text)
{
    g_autofree char *valid = g_utf8_make_valid(text ? text : "", -1);
    GString *result = g_string_new(NULL);
    for (const char *at = valid; *at; at = g_utf8_next_char(at)) {
        gunichar character = g_utf8_get_char(at);
        gboolean turns = (character >= 0x202a && character <= 0x202e) || (character >= 0x2066 && character <= 0x2069);
        g_string_append_unichar(result, g_unichar_iscntrl(character) || turns ? ' ' : character);
    }
    return g_string_free(result, FALSE);
}

static void
append_padded(GString *out, const char *text, guint width, TableAlign align)
{
    guint own = table_text_width(text);
    guint padding = own < width ? width - own : 0;
    if (align == TABLE_RIGHT)
        g_string_append_printf(out, "%*s", (int)padding, "");
    g_string_append(out, text);
    if (align == TABLE_LEFT)
        g_string_append_printf(out, "%*s", (int)padding, "");
}

/* Ends the line that begins at @start, without blanks at its end. */
static void
end_line(GString *out, gsize start)
{
    while (out->len > start && out->str[out->len - 1] == ' ')
        g_string_truncate(out, out->len - 1);
    g_string_append_c(out, '\n');
}

/* The part of @text that fits @room columns, at least one character, preferably up to a space. */
static gsize
fitting(const char *text, guint room)
{
    const char *at = text, *space = NULL;
    guint width = 0;

    while (*at) {
        width += character_width(g_utf8_get_char(at));
        if (*at == ' ')
            space = at;
        if (width > room && *at != ' ')
            break;
        at = g_utf8_next_char(at);
    }
    if (!*at)
        return (gsize)(at - text);
    if (space > text)
        return (gsize)(space - text);
    return (gsize)((at > text ? at : g_utf8_next_char(text)) - text);
}

/* Wraps clean text; the line that it begins on is filled up to @indent already. */
static void
wrap_clean(const char *text, guint columns, guint indent, GString *out)
{
    const guint room = columns > indent + 10 ? columns - indent : 10;
    gboolean first = TRUE;

    do {
        gsize start = out->len;
        text += strspn(text, " ");
        gsize length = fitting(text, room);
        if (!first)
            g_string_append_printf(out, "%*s", (int)indent, "");
        g_string_append_len(out, text, (gssize)length);
        end_line(out, first ? 0 : start);
        text += length;
        first = FALSE;
    } while (text[strspn(text, " ")]);
}

void
table_wrap(const char *text, guint columns, guint indent, GString *out)
{
    g_autofree char *cleaned = clean(text);
    gsize length = fitting(cleaned, columns);

    /* The first line has no indent: it is cut off here, and only what follows is wrapped within it. */
    gsize start = out->len;
    g_string_append_len(out, cleaned, (gssize)length);
    end_line(out, start);
    if (!cleaned[length + strspn(cleaned + length, " ")])
        return;
    g_string_append_printf(out, "%*s", (int)indent, "");
    wrap_clean(cleaned + length, columns, indent, out);
}

/* --- building --- */

void
table_add_column(Table *table, const char *heading, TableAlign align)
{
    Column column = {.heading = g_strsplit(heading, "\n", -1), .align = align};
    g_assert(table->rows->len == 0);
    column.n_lines = g_strv_length(column.heading);
    for (guint i = 0; i < column.n_lines; i++)
        column.width = MAX(column.width, table_text_width(column.heading[i]));
    g_array_append_val(table->columns, column);
}

static void
add(Table *table, RowKind kind, const char *const *cells, guint n_cells, const char *text)
{
    Row *row = g_new0(Row, 1);
    row->kind = kind;
    row->text = clean(text);
    row->cells = g_ptr_array_new_with_free_func(g_free);
    g_assert(n_cells <= table->columns->len);
    for (guint i = 0; i < n_cells; i++) {
        Column *column = &g_array_index(table->columns, Column, i);
        char *cell = clean(cells[i]);
        column->width = MAX(column->width, table_text_width(cell));
        g_ptr_array_add(row->cells, cell);
    }
    g_ptr_array_add(table->rows, row);
}

void
table_add_row(Table *table, const char *const *cells, guint n_cells)
{
    add(table, ROW_CELLS, cells, n_cells, NULL);
}

void
table_add_span(Table *table, const char *const *cells, guint n_cells, const char *text)
{
    add(table, ROW_SPAN, cells, n_cells, text);
}

void
table_add_heading(Table *table, const char *text)
{
    table->indent = INDENT;
    add(table, ROW_HEADING, NULL, 0, text);
}

/* --- plain text --- */

/* Where column @index begins with columns @gap apart; for the number of columns, the table's width and a gap. */
static guint
column_start(const Table *table, guint index, guint gap)
{
    guint start = table->indent;
    for (guint i = 0; i < index; i++)
        start += g_array_index(table->columns, Column, i).width + gap;
    return start;
}

guint
table_width(const Table *table)
{
    guint width = column_start(table, table->columns->len, 2);
    return table->columns->len ? width - 2 : width;
}

static void
format_cells(const Table *table, const Row *row, guint gap, GString *out)
{
    g_string_append_printf(out, "%*s", (int)table->indent, "");
    for (guint i = 0; i < row->cells->len; i++) {
        const Column *column = &g_array_index(table->columns, Column, i);
        append_padded(out, g_ptr_array_index(row->cells, i), column->width, column->align);
        g_string_append_printf(out, "%*s", (int)gap, "");
    }
}

static void
format_column_headings(const Table *table, guint gap, GString *out)
{
    guint n_lines = 0;
    for (guint i = 0; i < table->columns->len; i++)
        n_lines = MAX(n_lines, g_array_index(table->columns, Column, i).n_lines);

    for (guint line = 0; line < n_lines; line++) {
        gsize start = out->len;
        g_string_append_printf(out, "%*s", (int)table->indent, "");
        for (guint i = 0; i < table->columns->len; i++) {
            const Column *column = &g_array_index(table->columns, Column, i);
            guint above = n_lines - column->n_lines;
            append_padded(out, line < above ? "" : column->heading[line - above], column->width, column->align);
            g_string_append_printf(out, "%*s", (int)gap, "");
        }
        end_line(out, start);
    }
}

static void
format_row(const Table *table, const Row *row, guint columns, guint gap, GString *out)
{
    gsize start = out->len;

    switch (row->kind) {
    case ROW_HEADING:
        wrap_clean(row->text, columns, INDENT, out);
        break;
    case ROW_CELLS:
        format_cells(table, row, gap, out);
        end_line(out, start);
        break;
    case ROW_SPAN:
        format_cells(table, row, gap, out);
        wrap_clean(row->text, columns, column_start(table, row->cells->len, gap), out);
        break;
    }
}

void
table_format(const Table *table, guint columns, GString *out)
{
    const guint gap = table_width(table) <= columns ? 2 : 1;
    format_column_headings(table, gap, out);
    for (guint i = 0; i < table->rows->len; i++)
        format_row(table, g_ptr_array_index(table->rows, i), columns, gap, out);
}

/* --- Markdown --- */

void
table_escape_markdown(const char *text, GString *out)
{
    g_autofree char *cleaned = clean(text);
    for (const char *at = cleaned; *at; at++) {
        if (strchr("\\|*_<>`[]&#", *at))
            g_string_append_c(out, '\\');
        g_string_append_c(out, *at);
    }
}

static void
append_markdown_cell(const char *text, GString *out)
{
    g_string_append_c(out, ' ');
    table_escape_markdown(text, out);
    g_string_append(out, " |");
}

static void
append_markdown_row(const Table *table, const Row *row, GString *out)
{
    g_string_append_c(out, '|');
    for (guint i = 0; i < table->columns->len; i++) {
        const char *cell = i < row->cells->len ? g_ptr_array_index(row->cells, i) : "";
        append_markdown_cell(row->kind == ROW_SPAN && i == row->cells->len ? row->text : cell, out);
    }
    g_string_append_c(out, '\n');
}

void
table_format_markdown(const Table *table, GString *out)
{
    g_string_append_c(out, '|');
    for (guint i = 0; i < table->columns->len; i++) {
        g_autofree char *heading = g_strjoinv(" ", g_array_index(table->columns, Column, i).heading);
        append_markdown_cell(g_strstrip(heading), out);
    }
    g_string_append(out, "\n|");
    for (guint i = 0; i < table->columns->len; i++)
        g_string_append(out, g_array_index(table->columns, Column, i).align == TABLE_RIGHT ? "---:|" : "---|");
    g_string_append_c(out, '\n');
    for (guint i = 0; i < table->rows->len; i++) {
        const Row *row = g_ptr_array_index(table->rows, i);
        if (row->kind != ROW_HEADING)
            append_markdown_row(table, row, out);
    }
}

void
table_wrap_lines(const GPtrArray *lines, guint columns, GString *out)
{
    for (guint i = 0; i < lines->len; i++)
        table_wrap(g_ptr_array_index(lines, i), columns, 2, out);
}

void
table_markdown_items(const GPtrArray *lines, GString *out)
{
    for (guint i = 0; i < lines->len; i++) {
        g_string_append(out, "- ");
        table_escape_markdown(g_ptr_array_index(lines, i), out);
        g_string_append_c(out, '\n');
    }
}
