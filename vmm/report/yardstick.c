/* SPDX-License-Identifier: MIT */
/*
 * The kernel's own benchmark beside ours. Its dirty phase writes all of its memory, ours the pages of a pass; so what is compared is
 * made comparable: the guest's time for a page, and a harvest for each page of RAM.
 */
#include <math.h>

#include "report/figures.h"
#include "report/page.h"
#include "results/bench_case.h"

#define PAGE 4096.0

static const struct {
    const char *what;
    Cost cost;
} counterparts[N_YARDSTICK_PHASES] = {
    [YARDSTICK_POPULATE] = {NULL, COST_ARM_NS},
    [YARDSTICK_ENABLE] = {"arm", COST_ARM_NS},
    [YARDSTICK_DIRTY] = {"guest time a page first written", COST_GUEST_NS_PER_FIRST_WRITE},
    [YARDSTICK_GET] = {"harvest (get and clear), a page of RAM", COST_HARVEST_NS_PER_PAGE},
    [YARDSTICK_CLEAR] = {NULL, COST_HARVEST_NS_PER_PAGE},
    [YARDSTICK_DISABLE] = {"release", COST_RELEASE_NS},
};

static const BenchResult *
find_tracker(const View *view, const char *tracker)
{
    for (guint i = 0; view->reference && i < view->bench->len; i++) {
        const BenchResult *result = view_bench(view, i);
        if (g_strcmp0(result->tracker, tracker) == 0 && g_strcmp0(result->ram, "shmem") == 0 &&
            view_matches(result, view->reference, VIEW_MEMORY | VIEW_SHARE | VIEW_PATTERN))
            return result;
    }
    return NULL;
}

static void
add_ours(Page *page, const BenchResult *result, YardstickPhase phase)
{
    const Samples *samples = result && counterparts[phase].what ? result->cost[counterparts[phase].cost] : NULL;

    page_time_cell(page, cost_name(counterparts[phase].cost), samples);
}

static void
add_row(Page *page, YardstickPhase phase, const BenchResult *const *ours, guint n_ours)
{
    const Yardstick *yardstick = page->view->input->yardstick;
    double median = samples_median(yardstick->phase[phase]);
    double pages = (double)yardstick->memory_bytes / PAGE;
    double by_page = pages > 0 ? median / pages : NAN;
    g_autofree char *each = figure_time(by_page);

    markup_open(page->markup, "tr");
    markup_open(page->markup, "th");
    markup_attribute(page->markup, "scope", "row");
    markup_text(page->markup, yardstick_phase_name(phase));
    markup_close(page->markup);
    page_time_cell(page, yardstick_phase_name(phase), yardstick->phase[phase]);
    page_number_cell(page, "page", by_page, each);
    page_text_cell(page, counterparts[phase].what ? counterparts[phase].what : "");
    for (guint i = 0; i < n_ours; i++)
        add_ours(page, ours[i], phase);
    markup_close(page->markup);
}

void
page_yardstick(Page *page)
{
    const ReportInput *input = page->view->input;

    if (!input->yardstick)
        return;
    const BenchResult *ours[] = {find_tracker(page->view, "kvm-bitmap"), find_tracker(page->view, "kvm-bitmap-clear")};
    g_autofree char *memory = figure_bytes((double)input->yardstick->memory_bytes);
    g_autofree char *caption = g_strdup_printf("dirty_log_perf_test (%s, %s of guest memory) and dirtylab bench, shmem.",
                                               input->yardstick_name, input->yardstick->memory_bytes ? memory : "unknown size");

    page_section(page, "yardstick", "Beside the kernel's dirty_log_perf_test");
    page_table(page, NULL, caption);
    markup_open(page->markup, "thead");
    markup_open(page->markup, "tr");
    page_heading_cell(page, NULL, "phase");
    page_heading_cell(page, "n", "dirty_log_perf_test");
    page_heading_cell(page, "n", "a page of its memory");
    page_heading_cell(page, NULL, "what corresponds");
    page_heading_cell(page, "n", "kvm-bitmap");
    page_heading_cell(page, "n", "kvm-bitmap-clear");
    markup_close(page->markup);
    markup_close(page->markup);
    markup_open(page->markup, "tbody");
    for (guint phase = 0; phase < N_YARDSTICK_PHASES; phase++) {
        if (samples_count(input->yardstick->phase[phase]))
            add_row(page, (YardstickPhase)phase, ours, G_N_ELEMENTS(ours));
    }
    markup_close(page->markup);
    page_table_end(page);
    markup_close(page->markup);
}
