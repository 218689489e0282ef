/* SPDX-License-Identifier: MIT */
/*
 * Migrations: a table, and for each that has its passes a timeline: what is left to send, the rates of sending and of dirtying, what
 * the guest wrote, and the downtime in its parts. A pass is drawn as a step from its beginning to the next one's.
 */
#include <math.h>
#include <string.h>

#include "report/migration.h"
#include "report/page.h"
#include "report/plot.h"
#include "results/units.h"

#define MOST_TIMELINES 40
#define PAGE 4096.0
#define LANE 62.0 /* height of one lane's plot */
#define LANE_LEFT 62.0
#define GAP 30.0
#define LEGEND_COLUMNS 24

static const MigrationResult *
migration_at(const View *view, guint index)
{
    return view_entry(view, RESULT_MIGRATION, index)->result;
}

/* `kvm-bitmap`, `kvm-bitmap → pagemap-scan` */
static char *
tracker_words(const MigrationResult *result)
{
    return result->moved_to ? g_strdup_printf("%s → %s", result->tracker, result->moved_to) : g_strdup(result->tracker);
}

/* --- the table --- */

static void
add_milliseconds(Page *page, const char *field, double ms)
{
    g_autofree char *figure = figure_time(ms * 1e6);

    page_number_cell(page, field, ms, figure);
}

static guint64
missed_pages(const MigrationResult *result)
{
    MigrationAccuracy accuracy = {0};

    migration_result_add_accuracy(result, &accuracy);
    return accuracy.missed_pages;
}

static void
add_outcome(Page *page, const MigrationResult *result)
{
    g_autofree char *differ = unit_digits(result->mismatched_pages);
    g_autofree char *pages = g_strdup_printf("%s pages differ", differ);
    const char *status = migration_result_status_name(result->status);
    g_autofree char *words = g_strdup_printf("%s%s%s", status, result->reason ? ": " : "", result->reason ? result->reason : "");

    markup_element(page->markup, "td", result->reason ? "reason" : NULL, words);
    if (!result->ram_compared)
        page_text_cell(page, "not compared");
    else
        markup_element(page->markup, "td", result->verified ? "good" : "bad", result->verified ? "equal" : pages);
}

static void
add_row(Page *page, const ViewEntry *entry)
{
    const MigrationResult *result = entry->result;
    g_autofree char *tracker = tracker_words(result);
    g_autofree char *memory = figure_bytes((double)result->memory_bytes);
    g_autofree char *sent = figure_bytes((double)result->transferred_bytes);
    g_autofree char *p999 = figure_time(result->stall.count ? result->stall.p999 : NAN);

    markup_open(page->markup, "tr");
    markup_open(page->markup, "th");
    markup_attribute(page->markup, "scope", "row");
    markup_text(page->markup, tracker);
    markup_close(page->markup);
    if (page->view->hosts->len > 1)
        page_text_cell(page, view_host(page->view, entry->host)->label);
    page_text_cell(page, result->ram);
    page_number_cell(page, "memory_bytes", (double)result->memory_bytes, memory);
    page_count_cell(page, "vcpus", result->vcpus);
    page_text_cell(page, result->transport);
    page_text_cell(page, result->load);
    add_outcome(page, result);
    page_count_cell(page, "missed_pages", missed_pages(result));
    page_count_cell(page, "iterations", result->iterations->len);
    add_milliseconds(page, "total_time_ms", result->total_time_ms);
    add_milliseconds(page, "downtime_ms", result->downtime_ms);
    page_number_cell(page, "transferred_bytes", (double)result->transferred_bytes, sent);
    page_number_cell(page, "p999", result->stall.count ? result->stall.p999 : NAN, p999);
    markup_close(page->markup);
}

static void
add_table(Page *page)
{
    static const char *const words[] = {"RAM", "memory", "vCPUs", "over", "guest", "status", "RAM at the end"};
    static const char *const figures[] = {"missed", "passes", "total time", "downtime", "sent", "stall p99.9"};

    page_table(page, "sortable", "Migrations of a running guest; all of RAM compared at the end.");
    markup_open(page->markup, "thead");
    markup_open(page->markup, "tr");
    page_heading_cell(page, NULL, "tracker");
    if (page->view->hosts->len > 1)
        page_heading_cell(page, NULL, "host");
    for (guint i = 0; i < G_N_ELEMENTS(words); i++)
        page_heading_cell(page, i == 1 || i == 2 ? "n" : NULL, words[i]);
    for (guint i = 0; i < G_N_ELEMENTS(figures); i++)
        page_heading_cell(page, "n", figures[i]);
    markup_close(page->markup);
    markup_close(page->markup);
    markup_open(page->markup, "tbody");
    for (guint i = 0; i < page->view->entries[RESULT_MIGRATION]->len; i++)
        add_row(page, view_entry(page->view, RESULT_MIGRATION, i));
    markup_close(page->markup);
    page_table_end(page);
}

/* --- the timeline --- */

GArray *
timeline_of(const MigrationResult *result)
{
    GArray *steps = g_array_new(FALSE, FALSE, sizeof(TimelineStep));
    double at = isfinite(result->setup_time_ms) ? result->setup_time_ms : 0, before = NAN;

    for (guint i = 0; i < result->iterations->len; i++) {
        const MigrationIteration *pass = &g_array_index(result->iterations, MigrationIteration, i);
        double harvest = (double)pass->harvest_ns / 1e6, send = (double)pass->send_ns / 1e6;
        guint64 left = MAX(pass->reported_pages, pass->sent_pages);
        TimelineStep step = {.from_ms = at, .to_ms = at + harvest + send, .left_bytes = (double)left * PAGE};

        step.bandwidth = send > 0 ? (double)pass->sent_pages * PAGE / send * 1000 : NAN;
        step.dirty_rate = step.guest_rate = NAN;
        if (steps->len && before > 0) { /* what this pass reports was dirtied while the one before was under way */
            TimelineStep *last = &g_array_index(steps, TimelineStep, steps->len - 1);
            last->dirty_rate = (double)(pass->judged ? pass->reported_pages : pass->sent_pages) * PAGE / before * 1000;
            last->guest_rate = pass->judged ? (double)pass->written_pages * PAGE / before * 1000 : NAN;
        }
        before = harvest + send;
        at = step.to_ms;
        g_array_append_val(steps, step);
    }
    return steps;
}

/* One quantity of the steps, by its place in the struct. */
static double
quantity(const TimelineStep *step, gsize offset)
{
    double value;

    memcpy(&value, (const char *)step + offset, sizeof value);
    return value;
}

static void
draw_steps(Markup *markup, const GArray *steps, gsize offset, const Axis *x, const Axis *y, guint style)
{
    g_autoptr(GString) path = g_string_new(NULL);
    g_autofree char *class = g_strdup_printf("curve s%u", style);
    gboolean drawing = FALSE;

    for (guint i = 0; i < steps->len; i++) {
        const TimelineStep *step = &g_array_index(steps, TimelineStep, i);
        double value = quantity(step, offset);
        if (!isfinite(value)) {
            drawing = FALSE;
            continue;
        }
        g_string_append_printf(path, "%s%.1f %.1fH%.1f", drawing ? "L" : "M", axis_at(x, step->from_ms), axis_at(y, value),
                               axis_at(x, step->to_ms));
        drawing = TRUE;
    }
    markup_open_class(markup, "path", class);
    markup_attribute(markup, "d", path->str);
    markup_close(markup);
}

static char *
format_rate(double bytes)
{
    g_autofree char *figure = figure_bytes(bytes);

    return g_strdup_printf("%s/s", figure);
}

static char *
format_milliseconds(double ms)
{
    return figure_time(ms * 1e6);
}

typedef struct {
    const char *title;
    FigureFormat format;
    gsize offset[2]; /* the second: 0 for none, since time stands there */
    guint style[2];
} Lane;

static const Lane lanes[] = {
    {"left to send", figure_bytes, {G_STRUCT_OFFSET(TimelineStep, left_bytes), 0}, {1, 0}},
    {"sent (solid) and dirtied (dashed), a second",
     figure_bytes,
     {G_STRUCT_OFFSET(TimelineStep, bandwidth), G_STRUCT_OFFSET(TimelineStep, dirty_rate)},
     {3, 4}},
    {"written by the guest, a second", figure_bytes, {G_STRUCT_OFFSET(TimelineStep, guest_rate), 0}, {5, 0}},
};

static Axis
lane_axis(const Lane *lane, const GArray *steps)
{
    Axis axis = AXIS_EMPTY(FALSE);

    for (guint i = 0; i < steps->len; i++) {
        for (guint j = 0; j < 2; j++) {
            if (lane->offset[j])
                axis_cover(&axis, quantity(&g_array_index(steps, TimelineStep, i), lane->offset[j]));
        }
    }
    return axis;
}

/* Returns where the next lane begins. */
static double
draw_lane(Markup *markup, const Lane *lane, const GArray *steps, const Axis *x, double top)
{
    Axis y = lane_axis(lane, steps);

    if (axis_is_empty(&y))
        return top;
    axis_settle_bytes(&y);
    axis_place(&y, top + LANE, top);
    svg_axis_left(markup, &y, LANE_LEFT, PLOT_RIGHT, lane->format, lane->title);
    for (guint i = 0; i < steps->len && steps->len <= 40; i++) {
        double at = axis_at(x, g_array_index(steps, TimelineStep, i).from_ms);
        svg_line(markup, "grid", at, top, at, top + LANE);
    }
    for (guint i = 0; i < 2; i++) {
        if (lane->offset[i])
            draw_steps(markup, steps, lane->offset[i], x, &y, i ? 7 : lane->style[i]);
    }
    return top + LANE + GAP;
}

static gboolean
has_breakdown(const MigrationResult *result)
{
    for (guint part = 0; part < N_DOWNTIME_PARTS; part++) {
        if (result->downtime_ns[part] > 0)
            return TRUE;
    }
    return FALSE;
}

/* A bar of the parts, and each with its figure beneath. */
static void
draw_downtime(Markup *markup, const MigrationResult *result, double top)
{
    double sum = 0, at = LANE_LEFT, width = PLOT_RIGHT - LANE_LEFT;

    for (guint part = 0; part < N_DOWNTIME_PARTS; part++)
        sum += result->downtime_ns[part] > 0 ? result->downtime_ns[part] : 0;
    g_autofree char *whole = figure_time(sum);
    g_autofree char *title = g_strdup_printf("downtime in its parts: %s", whole);
    svg_text(markup, "unit", 0, top - 8, "start", title);
    for (guint part = 0; part < N_DOWNTIME_PARTS; part++) {
        double ns = result->downtime_ns[part], share = ns > 0 && sum > 0 ? ns / sum : 0;
        g_autofree char *style = g_strdup_printf("c%u", part + 1);
        g_autofree char *name = g_strdelimit(g_strdup(downtime_part_name((DowntimePart)part)), "_", ' ');
        g_autofree char *figure = figure_time(ns);
        g_autofree char *label = g_strdup_printf("%s %s", name, figure);
        guint line = part / 2;
        double x = LANE_LEFT + (part % 2) * 165, y = top + 34 + 18.0 * line;

        svg_box(markup, style, at, top, MAX(share * width - 1, 0), 14);
        at += share * width;
        svg_box(markup, style, x, y - 8, 9, 9);
        svg_label(markup, x + 15, y, "start", label, LEGEND_COLUMNS);
    }
}

static char *
describe(const MigrationResult *result, const GArray *steps)
{
    GString *text = g_string_new(NULL);

    for (guint i = 0; i < steps->len; i++) {
        const TimelineStep *step = &g_array_index(steps, TimelineStep, i);
        g_autofree char *time = format_milliseconds(step->to_ms - step->from_ms);
        g_autofree char *left = figure_bytes(step->left_bytes);
        g_autofree char *rate = format_rate(step->bandwidth);
        g_string_append_printf(text, "pass %u: %s to send, %s, %s; ", i + 1, left, time, rate);
    }
    for (guint part = 0; part < N_DOWNTIME_PARTS; part++) {
        g_autofree char *figure = figure_time(result->downtime_ns[part]);
        g_string_append_printf(text, "%s %s%s", downtime_part_name((DowntimePart)part), figure,
                               part + 1 < N_DOWNTIME_PARTS ? ", " : ".");
    }
    return g_string_free(text, FALSE);
}

static void
draw_timeline(Page *page, const MigrationResult *result, const char *caption)
{
    g_autoptr(GArray) steps = timeline_of(result);
    g_autofree char *text = describe(result, steps);
    g_autofree char *name = g_strdup_printf("%s: timeline of the migration", caption);
    double top = 26, height = 26;
    Axis x = {.low = 0, .high = g_array_index(steps, TimelineStep, steps->len - 1).to_ms};

    for (guint i = 0; i < G_N_ELEMENTS(lanes); i++) {
        Axis y = lane_axis(&lanes[i], steps);
        height += axis_is_empty(&y) ? 0 : LANE + GAP;
    }
    x.high = MAX(x.high, 1e-6);
    axis_place(&x, LANE_LEFT, PLOT_RIGHT);
    plot_figure(page, caption);
    svg_open(page->markup, page->next_id++, PLOT_WIDTH, height + 24 + (has_breakdown(result) ? 92 : 0), name, text);
    for (guint i = 0; i < G_N_ELEMENTS(lanes); i++)
        top = draw_lane(page->markup, &lanes[i], steps, &x, top);
    svg_axis_below(page->markup, &x, top - GAP, top - GAP + 2, format_milliseconds, "time since the start");
    if (has_breakdown(result))
        draw_downtime(page->markup, result, top + 34);
    svg_close(page->markup);
    markup_close(page->markup);
}

void
page_migration(Page *page)
{
    guint n = page->view->entries[RESULT_MIGRATION]->len;
    gboolean open = FALSE;

    if (!n)
        return;
    page_section(page, "migration", "Migration");
    add_table(page);
    for (guint i = 0, drawn = 0; i < n && drawn < MOST_TIMELINES; i++) {
        const MigrationResult *result = migration_at(page->view, i);
        if (!result->iterations->len)
            continue;
        if (!open)
            plot_group(page, "Timelines",
                       "Each step is a pass. What a pass reports was dirtied while the one before it was under way.");
        open = TRUE;
        drawn++;
        g_autofree char *tracker = tracker_words(result);
        g_autofree char *memory = figure_bytes((double)result->memory_bytes);
        g_autofree char *caption =
            g_strdup_printf("%s, %s, %s, %s, run %u", tracker, result->ram, memory, result->load, result->run);
        draw_timeline(page, result, caption);
    }
    if (open) {
        markup_close(page->markup);
        markup_close(page->markup);
    }
    markup_close(page->markup);
}
