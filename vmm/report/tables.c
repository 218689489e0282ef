/* SPDX-License-Identifier: MIT */
/* The tables of accuracy and cost. What all cases have in common stands in the caption, and only what varies has a column. */
#include <math.h>

#include "report/figures.h"
#include "report/page.h"
#include "results/bench_case.h"
#include "results/units.h"

/* A table's columns that tell cases apart. */
typedef struct {
    const View *view;
    gboolean host;
    gboolean field[N_CASE_FIELDS];
} CaseColumns;

static CaseColumns
case_columns(const View *view)
{
    CaseColumns columns = {.view = view, .host = view->hosts->len > 1};

    for (guint field = 0; field < N_CASE_FIELDS; field++)
        columns.field[field] = field == CASE_RAM || case_field_varies(view->bench, (CaseField)field);
    return columns;
}

static char *
caption_of(const CaseColumns *columns, const char *what)
{
    gboolean wanted[N_CASE_FIELDS];

    for (guint field = 0; field < N_CASE_FIELDS; field++)
        wanted[field] = !columns->field[field];
    const BenchResult *speaker = columns->view->reference ? columns->view->reference : view_bench(columns->view, 0);
    g_autofree char *common = case_describe(speaker, wanted);
    return *common ? g_strdup_printf("%s. All cases: %s.", what, common) : g_strdup_printf("%s.", what);
}

static void
add_case_headings(Page *page, const CaseColumns *columns)
{
    page_heading_cell(page, NULL, "tracker");
    if (columns->host)
        page_heading_cell(page, NULL, "host");
    for (guint field = 0; field < N_CASE_FIELDS; field++) {
        if (columns->field[field])
            page_heading_cell(page, field == CASE_RAM || field == CASE_WRITER || field == CASE_PATTERN ? NULL : "n",
                              case_field_name((CaseField)field));
    }
}

static double
case_number(const BenchResult *result, CaseField field)
{
    switch (field) {
    case CASE_MEMORY:
        return (double)result->memory_bytes;
    case CASE_VCPUS:
        return result->vcpus;
    case CASE_PAGES:
        return (double)result->pages;
    case CASE_PASSES:
        return result->passes;
    case CASE_RUNS:
        return result->runs;
    case CASE_WARMUP:
        return result->warmup;
    default:
        return NAN;
    }
}

/* Opens the row. */
static void
add_case_cells(Page *page, const CaseColumns *columns, guint index)
{
    const BenchResult *result = view_bench(columns->view, index);
    const ViewEntry *entry = view_entry(columns->view, RESULT_BENCH, index);
    g_autofree char *label = case_label(columns->view->bench, result);

    markup_open(page->markup, "tr");
    markup_attribute_format(page->markup, "data-result", "%u", index);
    markup_open(page->markup, "th");
    markup_attribute(page->markup, "scope", "row");
    markup_text(page->markup, label);
    markup_close(page->markup);
    if (columns->host)
        page_text_cell(page, view_host(columns->view, entry->host)->label);
    for (guint field = 0; field < N_CASE_FIELDS; field++) {
        if (!columns->field[field])
            continue;
        g_autofree char *value = case_field_value(result, (CaseField)field);
        double number = case_number(result, (CaseField)field);
        if (isfinite(number))
            page_number_cell(page, case_field_name((CaseField)field), number, value ? value : UNIT_NOTHING);
        else
            page_text_cell(page, value ? value : UNIT_NOTHING);
    }
}

/* What could not be measured has its reason over all the columns that are left. */
static void
add_reason(Page *page, const BenchResult *result, guint n_columns)
{
    markup_open_class(page->markup, "td", "reason");
    markup_attribute_format(page->markup, "colspan", "%u", n_columns);
    markup_text_format(page->markup, "%s%s%s", bench_status_name(result->status), result->reason ? ": " : "",
                       result->reason ? result->reason : "");
    markup_close(page->markup);
}

/* --- accuracy --- */

static void
add_missed(Page *page, const AccuracyResult *accuracy)
{
    Markup *markup = page->markup;
    g_autofree char *digits = unit_digits(accuracy->missed_pages);
    gboolean as_declared = accuracy->missed_pages == accuracy->expected_missed_pages;
    const char *style = !as_declared ? "n bad" : accuracy->missed_pages ? "n declared" : "n good";

    markup_open_class(markup, "td", style);
    markup_attribute(markup, "data-field", "missed_pages");
    markup_attribute_number(markup, "data-value", (double)accuracy->missed_pages);
    markup_text(markup, digits);
    if (!as_declared) {
        g_autofree char *expected = unit_digits(accuracy->expected_missed_pages);
        g_autofree char *words = g_strdup_printf("not as declared: %s", expected);
        markup_element(markup, "small", NULL, accuracy->expected_missed_pages ? words : "undeclared");
    } else if (accuracy->missed_pages) {
        markup_element(markup, "small", NULL, "declared");
    }
    markup_close(markup);
}

static char *
causes_in_words(const AccuracyResult *accuracy)
{
    GString *text = g_string_new(NULL);

    for (guint cause = 0; cause < N_EXTRA_CAUSES; cause++) {
        if (!accuracy->extra[cause])
            continue;
        g_autofree char *name = g_strdelimit(g_strdup(extra_cause_name((ExtraCause)cause)), "_", ' ');
        g_autofree char *digits = unit_digits(accuracy->extra[cause]);
        g_string_append_printf(text, "%s%s %s", text->len ? ", " : "", digits, name);
    }
    return g_string_free(text, FALSE);
}

static void
add_oracle_cells(Page *page, const AccuracyResult *accuracy)
{
    Markup *markup = page->markup;
    g_autofree char *oracle = g_strdup_printf("%s, %s", accuracy->oracle, accuracy->scope);
    g_autofree char *causes = causes_in_words(accuracy);
    g_autofree char *amplification = unit_ratio(accuracy_amplification(accuracy));

    page_text_cell(page, oracle);
    page_count_cell(page, "judged_pages", accuracy->judged_pages);
    page_count_cell(page, "written_pages", accuracy->written_pages);
    page_count_cell(page, "reported_pages", accuracy->reported_pages);
    add_missed(page, accuracy);
    page_count_cell(page, "extra_pages", accuracy_extra_pages(accuracy));
    markup_element(markup, "td", accuracy->extra[EXTRA_UNEXPLAINED] ? "causes bad" : "causes", causes);
    page_number_cell(page, "amplification", accuracy_amplification(accuracy), amplification);
}

void
page_accuracy(Page *page)
{
    static const char *const figures[] = {"judged", "written", "reported", "missed", "extra"};
    const View *view = page->view;

    if (!view->bench->len)
        return;
    CaseColumns columns = case_columns(view);
    g_autofree char *caption = caption_of(&columns, "Pages of 4 KiB, summed over passes and runs, as each oracle judged them");

    page_section(page, "accuracy", "Accuracy");
    page_table(page, "sortable", caption);
    markup_open(page->markup, "thead");
    markup_open(page->markup, "tr");
    add_case_headings(page, &columns);
    page_heading_cell(page, NULL, "oracle");
    for (guint i = 0; i < G_N_ELEMENTS(figures); i++)
        page_heading_cell(page, "n", figures[i]);
    page_heading_cell(page, NULL, "causes of extra pages");
    page_heading_cell(page, "n", "amplification");
    markup_close(page->markup);
    markup_close(page->markup);
    markup_open(page->markup, "tbody");
    for (guint i = 0; i < view->bench->len; i++) {
        const BenchResult *result = view_bench(view, i);
        for (guint j = 0; j < result->accuracy->len; j++) {
            add_case_cells(page, &columns, i);
            add_oracle_cells(page, &g_array_index(result->accuracy, AccuracyResult, j));
            markup_close(page->markup);
        }
        if (!result->accuracy->len) {
            add_case_cells(page, &columns, i);
            add_reason(page, result, G_N_ELEMENTS(figures) + 3);
            markup_close(page->markup);
        }
    }
    markup_close(page->markup);
    page_table_end(page);
    markup_element(
        page->markup, "p", "remark",
        "Missed: written, and reported by no harvest; declared when the tracker says that it cannot see such a writer. "
        "Extra: reported, though nobody wrote it. Amplification: bytes reported ÷ bytes of the pages written.");
    markup_close(page->markup);
}

/* --- cost --- */

void
page_time_cell(Page *page, const char *field, const Samples *samples)
{
    Markup *markup = page->markup;
    Estimate estimate = estimate_of(samples);
    g_autofree char *figure = figure_time(estimate.median);

    markup_open_class(markup, "td", "n");
    markup_attribute(markup, "data-field", field);
    markup_attribute_number(markup, "data-value", estimate.median);
    markup_attribute_number(markup, "data-low", estimate.low);
    markup_attribute_number(markup, "data-high", estimate.high);
    markup_text(markup, figure);
    double around = MAX(estimate.high - estimate.median, estimate.median - estimate.low) / estimate.median * 100;
    if (isfinite(around) && samples_count(samples) > 1) {
        g_autofree char *words = around < 999.5 ? g_strdup_printf("±%.0f\u202f%%", around) : g_strdup(">±999\u202f%");
        markup_element(markup, "small", NULL, words);
    }
    markup_close(markup);
}

static void
add_stall(Page *page, const char *field, const StallResult *stall, double value)
{
    double known = stall->count ? value : NAN;
    g_autofree char *figure = figure_time(known);

    page_number_cell(page, field, known, figure);
}

static void
add_cost_cells(Page *page, const BenchResult *result)
{
    static const Cost order[] = {COST_GUEST_NS_PER_FIRST_WRITE,
                                 COST_HARVEST_RUNNING_NS,
                                 COST_HARVEST_STOPPED_NS,
                                 COST_HARVEST_NS_PER_PAGE,
                                 COST_ARM_NS,
                                 COST_RELEASE_NS,
                                 COST_HOST_CPU_NS};

    for (guint i = 0; i < G_N_ELEMENTS(order); i++)
        page_time_cell(page, cost_name(order[i]), result->cost[order[i]]);
    add_stall(page, "p50", &result->stall, result->stall.p50);
    add_stall(page, "p99", &result->stall, result->stall.p99);
    add_stall(page, "p999", &result->stall, result->stall.p999);
    add_stall(page, "max", &result->stall, result->stall.max);
}

static gboolean
has_cost(const BenchResult *result)
{
    for (guint cost = 0; cost < N_COSTS; cost++) {
        if (result->cost[cost])
            return TRUE;
    }
    return result->stall.count != 0;
}

void
page_cost(Page *page)
{
    static const char *const figures[] = {"first write", "harvest, running", "harvest, stopped", "harvest a page",
                                          "arm",         "release",          "host CPU a pass",  "stall p50",
                                          "stall p99",   "stall p99.9",      "stall max"};
    const View *view = page->view;

    if (!view->bench->len)
        return;
    CaseColumns columns = case_columns(view);
    g_autofree char *caption = caption_of(&columns, "Medians, with the farther end of their 95 % interval");

    page_section(page, "cost", "Cost");
    page_table(page, "sortable", caption);
    markup_open(page->markup, "thead");
    markup_open(page->markup, "tr");
    add_case_headings(page, &columns);
    for (guint i = 0; i < G_N_ELEMENTS(figures); i++)
        page_heading_cell(page, "n", figures[i]);
    markup_close(page->markup);
    markup_close(page->markup);
    markup_open(page->markup, "tbody");
    for (guint i = 0; i < view->bench->len; i++) {
        add_case_cells(page, &columns, i);
        if (has_cost(view_bench(view, i)))
            add_cost_cells(page, view_bench(view, i));
        else
            add_reason(page, view_bench(view, i), G_N_ELEMENTS(figures));
        markup_close(page->markup);
    }
    markup_close(page->markup);
    page_table_end(page);
    markup_element(
        page->markup, "p", "remark",
        "First write: guest time for each page that a pass writes first. Harvest: collecting and re-arming all of RAM once, "
        "with the guest running or stopped. Stall: the time of one store, measured in the guest. Host CPU: without the guest's.");
    markup_close(page->markup);
}
