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

typedef struct {
    const char *what; /* NULL: nothing corresponds */
    Cost cost;
} Counterpart;

#define HARVEST                                                            \
    {                                                                      \
        "harvest (get and clear), a page of RAM", COST_HARVEST_NS_PER_PAGE \
    }

/* Of a phase by itself. */
static Counterpart
counterpart_of(const Yardstick *yardstick, YardstickPhase phase)
{
    static const Counterpart counterparts[N_YARDSTICK_PHASES] = {
        [YARDSTICK_ENABLE] = {"arm", COST_ARM_NS},
        [YARDSTICK_DIRTY] = {"guest time a page first written", COST_GUEST_NS_PER_FIRST_WRITE},
        [YARDSTICK_GET] = HARVEST,
        [YARDSTICK_DISABLE] = {"release", COST_RELEASE_NS},
    };

    if (phase == YARDSTICK_GET && samples_count(yardstick->phase[YARDSTICK_CLEAR]))
        return (Counterpart){0}; /* then this get clears nothing */
    return counterparts[phase];
}

/* What a harvest is to us, where the program gets and clears in two steps: of each iteration, both. NULL: it does not. */
static Samples *
gets_and_clears(const Yardstick *yardstick)
{
    const Samples *get = yardstick->phase[YARDSTICK_GET], *clear = yardstick->phase[YARDSTICK_CLEAR];

    if (!samples_count(clear) || samples_count(get) != samples_count(clear))
        return NULL;
    Samples *sums = samples_new();
    for (guint i = 0; i < samples_count(get); i++)
        samples_add(sums, samples_at(get, i) + samples_at(clear, i));
    return sums;
}

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
add_row(Page *page, const char *name, const Samples *samples, Counterpart counterpart, const BenchResult *const *ours,
        guint n_ours)
{
    double pages = (double)page->view->input->yardstick->memory_bytes / PAGE;
    double by_page = pages > 0 ? samples_median(samples) / pages : NAN;
    g_autofree char *each = figure_time(by_page);

    markup_open(page->markup, "tr");
    markup_open(page->markup, "th");
    markup_attribute(page->markup, "scope", "row");
    markup_text(page->markup, name);
    markup_close(page->markup);
    page_time_cell(page, name, samples);
    page_number_cell(page, "page", by_page, each);
    page_text_cell(page, counterpart.what ? counterpart.what : "");
    for (guint i = 0; i < n_ours; i++)
        page_time_cell(page, cost_name(counterpart.cost), ours[i] && counterpart.what ? ours[i]->cost[counterpart.cost] : NULL);
    markup_close(page->markup);
}

static void
add_rows(Page *page, const Yardstick *yardstick)
{
    const BenchResult *ours[] = {find_tracker(page->view, "kvm-bitmap"), find_tracker(page->view, "kvm-bitmap-clear")};
    g_autoptr(Samples) both = gets_and_clears(yardstick);

    for (guint phase = 0; phase < N_YARDSTICK_PHASES; phase++) {
        if (samples_count(yardstick->phase[phase]))
            add_row(page, yardstick_phase_name(phase), yardstick->phase[phase], counterpart_of(yardstick, phase), ours,
                    G_N_ELEMENTS(ours));
        if (phase == YARDSTICK_CLEAR && both)
            add_row(page, "get and clear", both, (Counterpart)HARVEST, ours, G_N_ELEMENTS(ours));
    }
}

void
page_yardstick(Page *page)
{
    const ReportInput *input = page->view->input;

    if (!input->yardstick)
        return;
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
    add_rows(page, input->yardstick);
    markup_close(page->markup);
    page_table_end(page);
    markup_close(page->markup);
}
