/* SPDX-License-Identifier: MIT */
/* The semantics matrix for people. Rows come in the order of the cases; those of one case and tracker share a line. */
#include "results/semantics_table.h"
#include "results/table.h"

#define NARROWEST 80

static GPtrArray *
ram_names(const GPtrArray *rows)
{
    GPtrArray *found = g_ptr_array_new();

    for (guint i = 0; i < rows->len; i++) {
        const SemanticsRow *row = g_ptr_array_index(rows, i);
        if (!g_ptr_array_find_with_equal_func(found, row->ram, g_str_equal, NULL))
            g_ptr_array_add(found, row->ram);
    }
    return found;
}

static gboolean
same_line(const SemanticsRow *a, const SemanticsRow *b)
{
    return g_str_equal(a->name, b->name) && g_str_equal(a->tracker, b->tracker);
}

/* The verdict; the number of lost pages beside it. */
static char *
cell(const SemanticsRow *row)
{
    const char *verdict = semantics_verdict_name(row->verdict);

    if (row->verdict == SEMANTICS_MISSED && row->missed)
        return g_strdup_printf("%s %" G_GUINT64_FORMAT, verdict, row->missed);
    return g_strdup(verdict ? verdict : "NO VERDICT");
}

static void
add_line(Table *table, const GPtrArray *rows, guint *at, GPtrArray *rams)
{
    const SemanticsRow *first = g_ptr_array_index(rows, *at);
    g_autoptr(GPtrArray) cells = g_ptr_array_new_with_free_func(g_free);

    g_ptr_array_add(cells, g_strdup(first->name));
    g_ptr_array_add(cells, g_strdup(first->tracker));
    for (guint i = 0; i < rams->len; i++)
        g_ptr_array_add(cells, NULL);
    for (; *at < rows->len; (*at)++) {
        const SemanticsRow *row = g_ptr_array_index(rows, *at);
        guint column;

        if (!same_line(first, row))
            break;
        if (g_ptr_array_find_with_equal_func(rams, row->ram, g_str_equal, &column))
            cells->pdata[column + 2] = cell(row);
    }
    for (guint i = 0; i < rams->len; i++)
        if (!cells->pdata[i + 2])
            cells->pdata[i + 2] = g_strdup("");
    table_add_row(table, (const char *const *)cells->pdata, cells->len);
}

static void
add_remarks(const GPtrArray *rows, guint columns, GString *out)
{
    const char *last = "";

    for (guint i = 0; i < rows->len; i++) {
        const SemanticsRow *row = g_ptr_array_index(rows, i);
        const char *text = row->verdict == SEMANTICS_NONE ? row->observed : row->finding;

        if (!text || g_str_equal(text, last))
            continue;
        g_autofree char *line = g_strdup_printf("%s (%s, %s): %s", row->name, row->tracker, row->ram, text);
        table_wrap(line, columns, 4, out);
        last = text;
    }
}

static void
add_sums(const GPtrArray *rows, GString *out)
{
    guint sums[N_SEMANTICS_VERDICTS] = {0};

    for (guint i = 0; i < rows->len; i++)
        sums[((const SemanticsRow *)g_ptr_array_index(rows, i))->verdict]++;
    g_string_append_printf(out, "\n%u cells:", rows->len);
    for (guint i = 1; i < N_SEMANTICS_VERDICTS; i++)
        g_string_append_printf(out, " %u %s,", sums[i], semantics_verdict_name((SemanticsVerdict)i));
    g_string_append_printf(out, " %u without a verdict\n", sums[SEMANTICS_NONE]);
}

void
semantics_table_text(const GPtrArray *rows, const DocumentInfo *info, guint columns, GString *out)
{
    g_autoptr(GPtrArray) rams = ram_names(rows);
    g_autoptr(Table) table = table_new();
    g_autofree char *host = host_info_describe(&info->host);

    columns = MAX(columns, NARROWEST);
    table_wrap(host, columns, 2, out);
    g_string_append_c(out, '\n');
    table_add_column(table, "case", TABLE_LEFT);
    table_add_column(table, "tracker", TABLE_LEFT);
    for (guint i = 0; i < rams->len; i++)
        table_add_column(table, g_ptr_array_index(rams, i), TABLE_LEFT);
    for (guint at = 0; at < rows->len;)
        add_line(table, rows, &at, rams);
    table_format(table, columns, out);
    g_string_append_c(out, '\n');
    add_remarks(rows, columns, out);
    add_sums(rows, out);
}
