/* SPDX-License-Identifier: MIT */
/* The semantics matrix, in colour and in words: a block for each case with what it requires, a line for each tracker. */
#include "report/page.h"
#include "results/semantics_json.h"
#include "results/units.h"

#define MOST_COLUMNS 24

/* Columns: one for each host and kind of RAM. */
typedef struct {
    const View *view;
    GArray *columns; /* ViewPanel */
} Matrix;

static const SemanticsRow *
row_at(const View *view, guint index)
{
    return view_entry(view, RESULT_SEMANTICS, index)->result;
}

/* By host, so that the columns of one stand together. */
static GArray *
find_columns(const View *view)
{
    GArray *columns = g_array_new(FALSE, FALSE, sizeof(ViewPanel));
    guint n = view->entries[RESULT_SEMANTICS]->len;

    for (guint host = 0; host < view->hosts->len; host++) {
        for (guint i = 0; i < n && columns->len < MOST_COLUMNS; i++) {
            ViewPanel panel = {host, row_at(view, i)->ram};
            gboolean known = view_entry(view, RESULT_SEMANTICS, i)->host != host;
            for (guint j = 0; j < columns->len && !known; j++)
                known = g_array_index(columns, ViewPanel, j).host == host &&
                        g_str_equal(g_array_index(columns, ViewPanel, j).ram, panel.ram);
            if (!known)
                g_array_append_val(columns, panel);
        }
    }
    return columns;
}

static const char *
style_of(SemanticsVerdict verdict)
{
    static const char *const styles[N_SEMANTICS_VERDICTS] = {"v none",   "v exact",   "v extra",
                                                             "v missed", "v refused", "v unsupported"};

    return styles[verdict];
}

static void
add_verdict(Page *page, const SemanticsRow *row)
{
    Markup *markup = page->markup;
    const char *word = semantics_verdict_name(row->verdict);

    markup_open_class(markup, "td", style_of(row->verdict));
    markup_attribute(markup, "data-verdict", word ? word : "none");
    markup_attribute(markup, "title", row->observed);
    markup_text(markup, word ? word : "no verdict");
    if (row->verdict == SEMANTICS_MISSED && row->missed) {
        g_autofree char *digits = unit_digits(row->missed);
        markup_text_format(markup, " %s", digits);
    }
    markup_close(markup);
}

/* --- rows by case, then by tracker, both in the order in which they first come --- */

/* Keys are strings of the rows; values are arrays of row indices. The order is that of insertion. */
typedef struct {
    GHashTable *by_name;
    GPtrArray *names;
} Groups;

static void
groups_clear(Groups *groups)
{
    g_hash_table_unref(groups->by_name);
    g_ptr_array_unref(groups->names);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Groups, groups_clear)

static Groups
group_rows(const View *view, const GArray *indices, gboolean by_tracker)
{
    Groups groups = {g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)g_array_unref), g_ptr_array_new()};
    guint n = indices ? indices->len : view->entries[RESULT_SEMANTICS]->len;

    for (guint i = 0; i < n; i++) {
        guint index = indices ? g_array_index(indices, guint, i) : i;
        const SemanticsRow *row = row_at(view, index);
        char *name = by_tracker ? row->tracker : row->name;
        GArray *members = g_hash_table_lookup(groups.by_name, name);
        if (!members) {
            members = g_array_new(FALSE, FALSE, sizeof(guint));
            g_hash_table_insert(groups.by_name, name, members);
            g_ptr_array_add(groups.names, name);
        }
        g_array_append_val(members, index);
    }
    return groups;
}

static void
add_tracker_line(Page *page, const Matrix *matrix, const char *tracker, const GArray *indices)
{
    markup_open(page->markup, "tr");
    markup_open(page->markup, "th");
    markup_attribute(page->markup, "scope", "row");
    markup_text(page->markup, g_str_equal(tracker, "-") ? "no tracker" : tracker);
    markup_close(page->markup);
    for (guint column = 0; column < matrix->columns->len; column++) {
        const ViewPanel *panel = &g_array_index(matrix->columns, ViewPanel, column);
        const SemanticsRow *found = NULL;
        for (guint i = 0; i < indices->len && !found; i++) {
            guint index = g_array_index(indices, guint, i);
            if (view_entry(matrix->view, RESULT_SEMANTICS, index)->host == panel->host &&
                g_str_equal(row_at(matrix->view, index)->ram, panel->ram))
                found = row_at(matrix->view, index);
        }
        if (found)
            add_verdict(page, found);
        else
            markup_element(page->markup, "td", NULL, "");
    }
    markup_close(page->markup);
}

/* Each finding once, whichever cells it is about. */
static void
add_findings(Page *page, const Matrix *matrix, const GArray *indices)
{
    g_autoptr(GPtrArray) said = g_ptr_array_new();

    for (guint i = 0; i < indices->len; i++) {
        const SemanticsRow *row = row_at(matrix->view, g_array_index(indices, guint, i));
        const char *finding = row->verdict == SEMANTICS_NONE ? row->observed : row->finding;
        if (!finding || !*finding || said->len >= 64 || g_ptr_array_find_with_equal_func(said, finding, g_str_equal, NULL))
            continue;
        g_ptr_array_add(said, (gpointer)finding);
        markup_element(page->markup, "p", "finding", finding);
    }
}

static void
add_case(Page *page, const Matrix *matrix, const char *name, const GArray *indices)
{
    Markup *markup = page->markup;
    g_auto(Groups) trackers = group_rows(matrix->view, indices, TRUE);

    markup_open(markup, "tbody");
    markup_open_class(markup, "tr", "case");
    markup_open(markup, "th");
    markup_attribute(markup, "scope", "rowgroup");
    markup_attribute_format(markup, "colspan", "%u", matrix->columns->len + 1);
    markup_open_class(markup, "div", "about");
    markup_element(markup, "code", NULL, name);
    const char *required = row_at(matrix->view, g_array_index(indices, guint, 0))->required;
    if (required)
        markup_element(markup, "span", NULL, required);
    add_findings(page, matrix, indices);
    markup_close(markup);
    markup_close(markup);
    markup_close(markup);
    for (guint i = 0; i < trackers.names->len; i++) {
        const char *tracker = g_ptr_array_index(trackers.names, i);
        add_tracker_line(page, matrix, tracker, g_hash_table_lookup(trackers.by_name, tracker));
    }
    markup_close(markup);
}

static void
add_headings(Page *page, const Matrix *matrix)
{
    markup_open(page->markup, "thead");
    markup_open(page->markup, "tr");
    page_heading_cell(page, NULL, "tracker");
    for (guint i = 0; i < matrix->columns->len; i++) {
        const ViewPanel *panel = &g_array_index(matrix->columns, ViewPanel, i);
        g_autofree char *title = view_panel_title(matrix->view, panel);
        page_heading_cell(page, NULL, title);
    }
    markup_close(page->markup);
    markup_close(page->markup);
}

static void
add_sums(Page *page)
{
    static const char *const meaning[N_SEMANTICS_VERDICTS] = {
        "the case came to none", "what had to be reported was, and nothing else",      "that, and more: safe",
        "data would be lost",    "the kernel or the library says no; nothing is lost", "cannot be asked on this host"};
    const View *view = page->view;
    guint sums[N_SEMANTICS_VERDICTS] = {0};

    for (guint i = 0; i < view->entries[RESULT_SEMANTICS]->len; i++)
        sums[row_at(view, i)->verdict]++;
    markup_open_class(page->markup, "ul", "legend");
    for (guint i = 0; i < N_SEMANTICS_VERDICTS; i++) {
        guint verdict = (i + 1) % N_SEMANTICS_VERDICTS; /* those without come last */
        const char *name = semantics_verdict_name((SemanticsVerdict)verdict);
        if (!sums[verdict])
            continue;
        g_autofree char *count = g_strdup_printf("%u", sums[verdict]);
        markup_open(page->markup, "li");
        markup_element(page->markup, "span", style_of((SemanticsVerdict)verdict), name ? name : "no verdict");
        markup_text(page->markup, " ");
        markup_element(page->markup, "b", NULL, count);
        markup_text_format(page->markup, " %s", meaning[verdict]);
        markup_close(page->markup);
    }
    markup_close(page->markup);
}

void
page_semantics(Page *page)
{
    const View *view = page->view;

    if (!view->entries[RESULT_SEMANTICS]->len)
        return;
    g_autoptr(GArray) columns = find_columns(view);
    Matrix matrix = {view, columns};
    g_auto(Groups) cases = group_rows(view, NULL, FALSE);

    page_section(page, "semantics", "What the kernel does to each tracker");
    add_sums(page);
    page_table(page, "matrix", "Verdicts by case, tracker and kind of RAM; with a miss, how many pages.");
    add_headings(page, &matrix);
    for (guint i = 0; i < cases.names->len; i++) {
        const char *name = g_ptr_array_index(cases.names, i);
        add_case(page, &matrix, name, g_hash_table_lookup(cases.by_name, name));
    }
    page_table_end(page);
    markup_close(page->markup);
}
