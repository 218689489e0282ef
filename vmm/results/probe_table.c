/* SPDX-License-Identifier: MIT */
/* What this host supports: `yes`, or `no` with the number of a footnote that gives the reason and the remedy. */
#include "results/probe_table.h"
#include "results/table.h"

#define NARROWEST 80

/* Names in the order of first appearance. */
static GPtrArray *
names(const GPtrArray *rows, gboolean of_ram)
{
    GPtrArray *found = g_ptr_array_new();
    for (guint i = 0; i < rows->len; i++) {
        const ProbeRow *row = g_ptr_array_index(rows, i);
        char *name = of_ram ? row->ram : row->tracker;
        if (!g_ptr_array_find_with_equal_func(found, name, g_str_equal, NULL))
            g_ptr_array_add(found, name);
    }
    return found;
}

static const ProbeRow *
find_row(const GPtrArray *rows, const char *tracker, const char *ram)
{
    for (guint i = 0; i < rows->len; i++) {
        const ProbeRow *row = g_ptr_array_index(rows, i);
        if (g_str_equal(row->tracker, tracker) && g_str_equal(row->ram, ram))
            return row;
    }
    return NULL;
}

/* The footnote's number, from 1; the same words share one. */
static guint
footnote(GPtrArray *notes, const ProbeRow *row)
{
    guint at;
    g_autofree char *text = g_strdup_printf("%s%s%s", row->reason ? row->reason : "no reason was given",
                                            row->remedy ? "; remedy: " : "", row->remedy ? row->remedy : "");
    if (!g_ptr_array_find_with_equal_func(notes, text, g_str_equal, &at)) {
        at = notes->len;
        g_ptr_array_add(notes, g_steal_pointer(&text));
    }
    return at + 1;
}

static char *
cell(const ProbeRow *row, GPtrArray *notes)
{
    if (!row)
        return g_strdup("-");
    return row->supported ? g_strdup("yes") : g_strdup_printf("no (%u)", footnote(notes, row));
}

static void
add_tracker(Table *table, const GPtrArray *rows, const char *tracker, const GPtrArray *rams, GPtrArray *notes)
{
    g_autoptr(GPtrArray) cells = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(cells, g_strdup(tracker));
    for (guint i = 0; i < rams->len; i++)
        g_ptr_array_add(cells, cell(find_row(rows, tracker, g_ptr_array_index(rams, i)), notes));
    table_add_row(table, (const char *const *)cells->pdata, cells->len);
}

void
probe_table_text(const GPtrArray *rows, const DocumentInfo *info, const char *privileges, guint columns, GString *out)
{
    g_autoptr(GPtrArray) rams = names(rows, TRUE), trackers = names(rows, FALSE);
    g_autoptr(GPtrArray) notes = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(Table) table = table_new();
    g_autofree char *host = host_info_describe(&info->host);

    columns = MAX(columns, NARROWEST);
    table_wrap(host, columns, 2, out);
    if (privileges) {
        g_autofree char *line = g_strconcat("Privileges: ", privileges, NULL);
        table_wrap(line, columns, 2, out);
    }
    g_string_append_c(out, '\n');

    table_add_column(table, "tracker", TABLE_LEFT);
    for (guint i = 0; i < rams->len; i++)
        table_add_column(table, g_ptr_array_index(rams, i), TABLE_LEFT);
    for (guint i = 0; i < trackers->len; i++)
        add_tracker(table, rows, g_ptr_array_index(trackers, i), rams, notes);
    table_format(table, columns, out);

    for (guint i = 0; i < notes->len; i++) {
        g_autofree char *line = g_strdup_printf("(%u) %s", i + 1, (const char *)g_ptr_array_index(notes, i));
        table_wrap(line, columns, 4, out);
    }
}
