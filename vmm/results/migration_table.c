/* SPDX-License-Identifier: MIT */
/*
 * The migrations' table. As text each group of cases has a line of its own above it, and the rest fits 80 columns; Markdown has a column
 * for whatever varies.
 */
#include "results/migration_table.h"

#include <math.h>

#include "results/table.h"
#include "results/units.h"

#define NARROWEST 80
#define LONGEST_LABEL 16
#define WIDE 100
#define STALL_MAX_COLUMN 8

static const char legend[] =
    "total, down: medians over the runs. sent: bytes on the channel. missed, extra: pages, over all passes but the first. amp: bytes "
    "reported / bytes of the pages written. stall: 99th percentile of the guest's stores meanwhile. RAM: compared byte by byte.";

/* --- what cases have in common and what tells them apart --- */

typedef enum {
    FIELD_RAM,
    FIELD_MEMORY,
    FIELD_VCPUS,
    FIELD_TRANSPORT,
    FIELD_LOAD,
    FIELD_PATTERN,
    FIELD_PAGES,
    FIELD_BANDWIDTH,
} Field;
#define N_FIELDS 8

static const char *const field_names[N_FIELDS] = {"RAM", "memory", "vCPUs", "transport", "load", "pattern", "pages", "bandwidth"};

static char *
field_value(const MigrationResult *result, Field field)
{
    switch (field) {
    case FIELD_RAM:
        return g_strdup(result->ram);
    case FIELD_MEMORY:
        return unit_bytes(result->memory_bytes);
    case FIELD_VCPUS:
        return unit_digits(result->vcpus);
    case FIELD_TRANSPORT:
        return g_strdup(result->transport);
    case FIELD_LOAD:
        return g_strdup(result->load);
    case FIELD_PATTERN:
        return g_strdup(result->pattern);
    case FIELD_PAGES:
        return unit_digits(result->pages);
    case FIELD_BANDWIDTH:
        return result->bandwidth_limit ? unit_bytes(result->bandwidth_limit) : g_strdup("no limit");
    }
    g_assert_not_reached();
}

static char *
in_words(const MigrationResult *result, Field field)
{
    g_autofree char *value = field_value(result, field);

    switch (field) {
    case FIELD_VCPUS:
        return g_strdup_printf("%s vCPU%s", value, result->vcpus == 1 ? "" : "s");
    case FIELD_TRANSPORT:
        return g_strdup_printf("over %s", value);
    case FIELD_LOAD:
    case FIELD_PATTERN:
        return g_strdup_printf("%s %s", field_names[field], value);
    case FIELD_PAGES:
        return g_strdup_printf("%s pages", value);
    case FIELD_BANDWIDTH:
        return result->bandwidth_limit ? g_strdup_printf("at most %s/s", value) : g_strdup("no bandwidth limit");
    default:
        return g_steal_pointer(&value);
    }
}

static gboolean
field_same(const MigrationResult *a, const MigrationResult *b, Field field)
{
    g_autofree char *left = field_value(a, field), *right = field_value(b, field);
    return g_strcmp0(left, right) == 0;
}

static gboolean
field_varies(const GPtrArray *results, Field field)
{
    for (guint i = 1; i < results->len; i++) {
        if (!field_same(g_ptr_array_index(results, 0), g_ptr_array_index(results, i), field))
            return TRUE;
    }
    return FALSE;
}

static char *
describe(const MigrationResult *result, const gboolean wanted[N_FIELDS])
{
    GString *text = g_string_new(NULL);

    for (guint field = 0; field < N_FIELDS; field++) {
        g_autofree char *words = wanted[field] ? in_words(result, (Field)field) : NULL;
        if (words)
            g_string_append_printf(text, "%s%s", text->len ? ", " : "", words);
    }
    return g_string_free(text, FALSE);
}

static char *
label(const MigrationResult *result)
{
    return result->moved_to ? g_strdup_printf("%s → %s", result->tracker, result->moved_to) : g_strdup(result->tracker);
}

/* --- a case: its runs together --- */

typedef struct {
    const MigrationResult *first, *unsound; /* the first of those that failed in any way; NULL: none */
    guint n_runs, n_compared, n_verified;
    Samples *total, *downtime, *sent, *passes, *stall_p99;
    double stall_max;
    guint64 mismatched;
    MigrationAccuracy accuracy;
} Case;

static void
case_clear(Case *one)
{
    samples_free(one->total);
    samples_free(one->downtime);
    samples_free(one->sent);
    samples_free(one->passes);
    samples_free(one->stall_p99);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Case, case_clear)

static void
case_add(Case *one, const MigrationResult *result)
{
    if (!one->unsound && !migration_result_is_sound(result))
        one->unsound = result;
    one->n_compared += result->ram_compared;
    one->n_verified += result->ram_compared && result->verified;
    one->mismatched += result->mismatched_pages;
    if (result->status != MIGRATION_RESULT_COMPLETED)
        return;
    one->n_runs++;
    samples_add(one->total, result->total_time_ms * 1e6);
    samples_add(one->downtime, result->downtime_ms * 1e6);
    samples_add(one->sent, (double)result->transferred_bytes);
    samples_add(one->passes, result->iterations->len);
    if (result->stall.count) {
        samples_add(one->stall_p99, result->stall.p99);
        one->stall_max = isfinite(one->stall_max) ? MAX(one->stall_max, result->stall.max) : result->stall.max;
    }
    migration_result_add_accuracy(result, &one->accuracy);
}

/* Takes in every run of the case of result number @first, and marks them as shown. */
static void
case_init(Case *one, const GPtrArray *results, guint first, gboolean *shown)
{
    *one = (Case){.first = g_ptr_array_index(results, first),
                  .total = samples_new(),
                  .downtime = samples_new(),
                  .sent = samples_new(),
                  .passes = samples_new(),
                  .stall_p99 = samples_new(),
                  .stall_max = NAN};
    for (guint i = first; i < results->len; i++) {
        if (shown[i] || !migration_result_same_case(one->first, g_ptr_array_index(results, i)))
            continue;
        shown[i] = TRUE;
        case_add(one, g_ptr_array_index(results, i));
    }
}

/* --- cells --- */

typedef struct {
    const GPtrArray *results;
    gboolean markdown;
    gboolean wide; /* there is room for a column more */
    gboolean varies[N_FIELDS];
} Builder;

static guint64
extra_pages(const MigrationAccuracy *accuracy)
{
    guint64 pages = 0;

    for (guint cause = 0; cause < N_EXTRA_CAUSES; cause++)
        pages += accuracy->extra[cause];
    return pages;
}

static char *
ram_cell(const Case *one)
{
    if (!one->n_compared)
        return g_strdup(UNIT_NOTHING);
    if (one->n_verified == one->n_compared)
        return g_strdup("equal");
    g_autofree char *count = unit_count(one->mismatched);
    return g_strconcat(count, "!", NULL);
}

static void
add_figures(const Builder *builder, const Case *one, GPtrArray *cells)
{
    const MigrationAccuracy *accuracy = &one->accuracy;
    g_autofree char *missed = unit_count(accuracy->missed_pages), *extra = unit_count(extra_pages(accuracy));
    double passes = samples_median(one->passes);

    g_ptr_array_add(cells, unit_time(samples_median(one->total)));
    g_ptr_array_add(cells, unit_time(samples_median(one->downtime)));
    g_ptr_array_add(cells, unit_bytes((guint64)samples_median(one->sent)));
    g_ptr_array_add(cells, unit_count((guint64)passes));
    g_ptr_array_add(cells,
                    accuracy->passes ? g_strconcat(missed, accuracy->missed_pages ? "!" : "", NULL) : g_strdup(UNIT_NOTHING));
    g_ptr_array_add(cells, accuracy->passes ? g_strconcat(extra, accuracy->extra[EXTRA_UNEXPLAINED] ? "!" : "", NULL)
                                            : g_strdup(UNIT_NOTHING));
    g_ptr_array_add(cells,
                    unit_ratio(accuracy->written_pages ? (double)accuracy->reported_pages / (double)accuracy->written_pages : 0));
    g_ptr_array_add(cells, unit_time(samples_count(one->stall_p99) ? samples_median(one->stall_p99) : NAN));
    if (builder->wide)
        g_ptr_array_add(cells, unit_time(one->stall_max));
    g_ptr_array_add(cells, ram_cell(one));
}

/* --- the table --- */

static void
add_columns(const Builder *builder, Table *table)
{
    static const char *const headings[] = {"total", "down", "sent",       "passes",     "missed",
                                           "extra", "amp",  "stall\np99", "stall\nmax", "RAM"};

    for (guint field = 0; builder->markdown && field < N_FIELDS; field++) {
        if (builder->varies[field])
            table_add_column(table, field == FIELD_RAM ? "backing" : field_names[field], TABLE_LEFT);
    }
    table_add_column(table, "tracker", TABLE_LEFT);
    for (guint i = 0; i < G_N_ELEMENTS(headings); i++) {
        if (builder->wide || i != STALL_MAX_COLUMN)
            table_add_column(table, headings[i], TABLE_RIGHT);
    }
}

static void
add_row(const Builder *builder, Table *table, const Case *one)
{
    g_autoptr(GPtrArray) cells = g_ptr_array_new_with_free_func(g_free);
    const MigrationResult *odd = one->unsound ? one->unsound : one->first;

    for (guint field = 0; builder->markdown && field < N_FIELDS; field++) {
        if (builder->varies[field])
            g_ptr_array_add(cells, field_value(one->first, (Field)field));
    }
    g_ptr_array_add(cells, label(one->first));
    /* a label that is too long for a column has a line to itself */
    if (!builder->markdown && g_utf8_strlen(g_ptr_array_index(cells, 0), -1) > LONGEST_LABEL) {
        table_add_span(table, NULL, 0, g_ptr_array_index(cells, 0));
        g_ptr_array_set_size(cells, 0);
        g_ptr_array_add(cells, g_strdup(""));
    }
    if (one->n_runs) {
        add_figures(builder, one, cells);
        table_add_row(table, (const char *const *)cells->pdata, cells->len);
        return;
    }
    g_autofree char *text = g_strdup_printf("%s%s%s", migration_result_status_name(odd->status), odd->reason ? ": " : "",
                                            odd->reason ? odd->reason : "");
    table_add_span(table, (const char *const *)cells->pdata, cells->len, text);
}

static gboolean
same_group(const MigrationResult *a, const MigrationResult *b)
{
    gboolean same = TRUE;

    for (guint field = 0; field < N_FIELDS; field++)
        same = same && field_same(a, b, (Field)field);
    return same;
}

static void
add_group(const Builder *builder, Table *table, guint first, gboolean *shown)
{
    const MigrationResult *leader = g_ptr_array_index(builder->results, first);
    g_autofree char *heading = describe(leader, builder->varies);

    if (!builder->markdown && *heading)
        table_add_heading(table, heading);
    for (guint i = first; i < builder->results->len; i++) {
        g_auto(Case) one = {0};

        if (shown[i] || !same_group(leader, g_ptr_array_index(builder->results, i)))
            continue;
        case_init(&one, builder->results, i, shown);
        add_row(builder, table, &one);
    }
}

static Table *
build(const GPtrArray *results, gboolean markdown, gboolean wide)
{
    g_autofree gboolean *shown = g_new0(gboolean, results->len + 1);
    Builder builder = {.results = results, .markdown = markdown, .wide = wide};
    Table *table = table_new();

    for (guint field = 0; field < N_FIELDS; field++)
        builder.varies[field] = field_varies(results, (Field)field);
    add_columns(&builder, table);
    for (guint i = 0; i < results->len; i++) {
        if (!shown[i])
            add_group(&builder, table, i, shown);
    }
    return table;
}

/* --- the lines around it --- */

static GPtrArray *
head_lines(const GPtrArray *results, const DocumentInfo *info)
{
    GPtrArray *lines = g_ptr_array_new_with_free_func(g_free);
    gboolean wanted[N_FIELDS];

    g_ptr_array_add(lines, host_info_describe(&info->host));
    for (guint field = 0; field < N_FIELDS; field++)
        wanted[field] = !field_varies(results, (Field)field);
    g_autofree char *common = results->len ? describe(g_ptr_array_index(results, 0), wanted) : g_strdup("");
    g_ptr_array_add(lines, g_strdup_printf("Guest: %s%sseed %" G_GUINT64_FORMAT, common, *common ? ", " : "", info->seed));
    if (!info->complete)
        g_ptr_array_add(lines, g_strdup("Interrupted: this is what was measured until then."));
    return lines;
}

static void
add_unsound(GPtrArray *lines, const MigrationResult *result)
{
    MigrationAccuracy accuracy = {0};
    gboolean wanted[N_FIELDS] = {[FIELD_RAM] = TRUE, [FIELD_VCPUS] = TRUE, [FIELD_TRANSPORT] = TRUE, [FIELD_LOAD] = TRUE};
    g_autofree char *name = label(result), *what = describe(result, wanted);
    GString *line = g_string_new(NULL);

    migration_result_add_accuracy(result, &accuracy);
    g_string_printf(line, "! %s, %s, run %u: %s", name, what, result->run, migration_result_status_name(result->status));
    if (result->reason)
        g_string_append_printf(line, ": %s", result->reason);
    if (accuracy.missed_pages)
        g_string_append_printf(line, "; %" G_GUINT64_FORMAT " undeclared misses", accuracy.missed_pages);
    if (accuracy.extra[EXTRA_UNEXPLAINED])
        g_string_append_printf(line, "; %" G_GUINT64_FORMAT " unexplained extra pages", accuracy.extra[EXTRA_UNEXPLAINED]);
    if (result->ram_compared && !result->verified)
        g_string_append_printf(line, "; %" G_GUINT64_FORMAT " pages differ", result->mismatched_pages);
    g_ptr_array_add(lines, g_string_free(line, FALSE));
}

static GPtrArray *
verdict_lines(const GPtrArray *results)
{
    GPtrArray *lines = g_ptr_array_new_with_free_func(g_free);
    guint n_completed = 0, n_equal = 0;
    guint64 overflows = 0;
    MigrationAccuracy accuracy = {0};

    for (guint i = 0; i < results->len; i++) {
        const MigrationResult *result = g_ptr_array_index(results, i);

        n_completed += result->status == MIGRATION_RESULT_COMPLETED;
        n_equal += result->ram_compared && result->verified;
        overflows += result->ring_overflows;
        migration_result_add_accuracy(result, &accuracy);
        if (!migration_result_is_sound(result))
            add_unsound(lines, result);
    }
    if (overflows)
        g_ptr_array_add(lines,
                        g_strdup_printf("%" G_GUINT64_FORMAT " ring overflows, each answered by sending all RAM", overflows));
    g_ptr_array_add(
        lines, g_strdup_printf("%u migrations completed, all RAM equal after %u; %" G_GUINT64_FORMAT
                               " undeclared misses, %" G_GUINT64_FORMAT " unexplained extra pages in %u judged passes",
                               n_completed, n_equal, accuracy.missed_pages, accuracy.extra[EXTRA_UNEXPLAINED], accuracy.passes));
    return lines;
}

void
migration_table_text(const GPtrArray *results, const DocumentInfo *info, guint columns, GString *out)
{
    g_autoptr(GPtrArray) head = head_lines(results, info);
    g_autoptr(GPtrArray) lines = verdict_lines(results);

    columns = MAX(columns, NARROWEST);
    table_wrap_lines(head, columns, out);
    g_string_append_c(out, '\n');
    if (results->len) {
        g_autoptr(Table) table = build(results, FALSE, columns >= WIDE);
        table_format(table, columns, out);
        table_wrap(legend, columns, 2, out);
        g_string_append_c(out, '\n');
    }
    table_wrap_lines(lines, columns, out);
}

void
migration_table_markdown(const GPtrArray *results, const DocumentInfo *info, GString *out)
{
    g_autoptr(GPtrArray) head = head_lines(results, info);
    g_autoptr(GPtrArray) lines = verdict_lines(results);
    g_autoptr(Table) table = build(results, TRUE, TRUE);

    table_markdown_items(head, out);
    g_string_append_c(out, '\n');
    table_format_markdown(table, out);
    g_string_append_c(out, '\n');
    table_markdown_items(lines, out);
}
