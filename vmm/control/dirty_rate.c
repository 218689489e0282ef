/* SPDX-License-Identifier: MIT */
/*
 * With a tracker: harvest, subscribe, sleep, harvest, count what is pending. The consumer's pages gather every harvest in between,
 * whoever asked for it and whichever tracker made it, so moves and a migration at the same time change nothing in the count, and
 * theirs is not touched: what our two harvests find is pending for every consumer.
 *
 * `none` is kept away meanwhile (tracking_hold()): pages written under it would be missing.
 */
#include "control/dirty_rate.h"

#include <string.h>

#include "control/page_sample.h"
#include "control/qmp.h"

#define HOLDER "calc-dirty-rate"
#define MIB (UINT64_C(1) << 20)

struct DirtyRate {
    Board *board;
    Tracking *tracking;
    GMutex lock; /* guards all below */
    GCond changed;
    gboolean cancelled;
    GThread *thread; /* of the last measurement; joined by the next */
    DirtyRateReport report;
};

/** A measurement under way; its thread's own, once that has begun. */
typedef struct {
    DirtyRate *rate;
    DirtyRateRequest request;
    gint64 started_ns;
    gint64 interval_ns;
    guint64 pages;
    guint64 *entries; /* of each vCPU's ring */
    DlConsumer *consumer;
    PageSample *sample; /* this, or the consumer */
} Measurement;

DirtyRate *
dirty_rate_new(Board *board, Tracking *tracking)
{
    DirtyRate *rate = g_new0(DirtyRate, 1);

    rate->board = board;
    rate->tracking = tracking;
    g_mutex_init(&rate->lock);
    g_cond_init(&rate->changed);
    g_strlcpy(rate->report.request.mode, "page-sampling", sizeof rate->report.request.mode);
    return rate;
}

void
dirty_rate_free(DirtyRate *rate)
{
    if (!rate)
        return;
    g_mutex_lock(&rate->lock);
    rate->cancelled = TRUE;
    g_cond_broadcast(&rate->changed);
    g_mutex_unlock(&rate->lock);
    if (rate->thread)
        g_thread_join(rate->thread);
    dirty_rate_report_clear(&rate->report);
    g_mutex_clear(&rate->lock);
    g_cond_clear(&rate->changed);
    g_free(rate);
}

void
dirty_rate_report_clear(DirtyRateReport *report)
{
    g_clear_pointer(&report->vcpu_rates, g_free);
    g_clear_pointer(&report->failure, g_free);
}

void
dirty_rate_report(DirtyRate *rate, DirtyRateReport *report)
{
    g_mutex_lock(&rate->lock);
    *report = rate->report;
    report->vcpu_rates = g_memdup2(rate->report.vcpu_rates, rate->report.n_vcpus * sizeof *rate->report.vcpu_rates);
    report->failure = g_strdup(rate->report.failure);
    g_mutex_unlock(&rate->lock);
}

/* QEMU's names stand for what this guest has: its log's bitmaps, in whichever of their modes they are in use. */
static const DlTrackerFacts *
facts_of_mode(DirtyRate *rate, const char *name)
{
    const DlTrackerFacts *active = dl_log_tracker(board_log(rate->board));

    if (g_str_equal(name, "dirty-bitmap"))
        return active->holds == DL_HOLDS_MEMSLOT_LOG ? active : dl_tracker_facts_by_name("kvm-bitmap");
    if (g_str_equal(name, "dirty-ring"))
        return dl_tracker_facts_by_name("kvm-ring");
    return dl_tracker_facts_by_name(name);
}

gboolean
dirty_rate_mode(DirtyRate *rate, const char *name, DirtyRateRequest *request, GError **error)
{
    gboolean sampling = g_str_equal(name, "page-sampling");
    const DlTrackerFacts *facts = sampling ? NULL : facts_of_mode(rate, name);

    if (!sampling && (!facts || facts->holds == DL_HOLDS_NOTHING)) {
        g_set_error(error, QMP_ERROR, QMP_ERROR_GENERIC,
                    "\"%s\" is no mode of calc-dirty-rate: it is page-sampling, dirty-bitmap, dirty-ring or a tracker's name",
                    name);
        return FALSE;
    }
    g_strlcpy(request->mode, name, sizeof request->mode);
    request->facts = facts;
    return TRUE;
}

/* --- measuring --- */

static gint64
now_ns(void)
{
    return g_get_monotonic_time() * 1000;
}

/* FALSE: the server is about to end. */
static gboolean
sleep_through(Measurement *measurement, GError **error)
{
    DirtyRate *rate = measurement->rate;
    gint64 until = measurement->started_ns / 1000 + measurement->request.calc_time_ms * 1000;

    g_mutex_lock(&rate->lock);
    while (!rate->cancelled && g_cond_wait_until(&rate->changed, &rate->lock, until))
        continue;
    gboolean go_on = !rate->cancelled;
    g_mutex_unlock(&rate->lock);
    if (!go_on)
        g_set_error(error, QMP_ERROR, QMP_ERROR_GENERIC, "dirtylab is about to end");
    return go_on;
}

static void
note_ring_entries(Measurement *measurement, DlLog *log)
{
    guint n_vcpus = machine_n_vcpus(board_machine(measurement->rate->board));

    for (guint i = 0; i < n_vcpus; i++)
        measurement->entries[i] = dl_log_ring_entries(log, i) - measurement->entries[i];
}

static gboolean
begin(Measurement *measurement, GError **error)
{
    DlLog *log = board_log(measurement->rate->board);

    if (!measurement->request.facts) {
        measurement->sample = page_sample_new(board_ram(measurement->rate->board), measurement->request.sample_pages, error);
    } else if (dl_log_harvest(log, error)) {
        measurement->consumer = dl_log_subscribe(log);
        note_ring_entries(measurement, log);
    }
    measurement->started_ns = now_ns();
    return measurement->sample || measurement->consumer;
}

static gboolean
count_pending(Measurement *measurement, GError **error)
{
    DlLog *log = board_log(measurement->rate->board);
    guint64 n_bits = dl_layout_n_bits(dl_log_layout(log));

    if (!dl_log_harvest(log, error))
        return FALSE;
    /* a migration that ends takes its tracker along, without asking Tracking */
    if (dl_log_tracker(log)->holds == DL_HOLDS_NOTHING) {
        g_set_error(error, QMP_ERROR, QMP_ERROR_GENERIC, "the tracker was switched off before the end: measure again");
        return FALSE;
    }
    measurement->interval_ns = now_ns() - measurement->started_ns;
    note_ring_entries(measurement, log);
    g_autoptr(DlBitmap) pages = dl_bitmap_new(n_bits);
    measurement->pages = dl_consumer_take(measurement->consumer, (DlPageRange){0, n_bits}, pages);
    return TRUE;
}

static gboolean
count_changed(Measurement *measurement, GError **error)
{
    const GuestRam *ram = board_ram(measurement->rate->board);
    guint changed;

    if (!page_sample_changed(measurement->sample, &changed, error))
        return FALSE;
    measurement->interval_ns = now_ns() - measurement->started_ns;
    measurement->pages = guest_ram_size(ram) / DL_PAGE_SIZE * changed / page_sample_size(measurement->sample);
    return TRUE;
}

/* What the measurement holds of others' is given back; what it found stays. */
static void
end(Measurement *measurement)
{
    DirtyRate *rate = measurement->rate;

    if (measurement->consumer)
        dl_log_unsubscribe(board_log(rate->board), measurement->consumer);
    g_clear_pointer(&measurement->sample, page_sample_free);
    if (measurement->request.facts) {
        tracking_release(rate->tracking, HOLDER);
        tracking_give_back(rate->tracking);
    }
}

static gint64
mib_a_second(guint64 pages, gint64 interval_ns)
{
    return (gint64)((double)(pages * DL_PAGE_SIZE) / (double)MIB * 1e9 / (double)MAX(interval_ns, 1));
}

static void
publish(Measurement *measurement, const GError *error)
{
    DirtyRate *rate = measurement->rate;
    DirtyRateReport *report = &rate->report;

    g_mutex_lock(&rate->lock);
    report->status = error ? DIRTY_RATE_UNSTARTED : DIRTY_RATE_MEASURED;
    report->failure = error ? g_strdup(error->message) : NULL;
    report->pages = measurement->pages;
    report->interval_ns = measurement->interval_ns;
    report->rate = mib_a_second(measurement->pages, measurement->interval_ns);
    if (!error && measurement->request.facts && measurement->request.facts->holds == DL_HOLDS_RING) {
        report->n_vcpus = machine_n_vcpus(board_machine(rate->board));
        report->vcpu_rates = g_new0(gint64, report->n_vcpus);
        for (guint i = 0; i < report->n_vcpus; i++)
            report->vcpu_rates[i] = mib_a_second(measurement->entries[i], measurement->interval_ns);
    }
    g_mutex_unlock(&rate->lock);
}

static void
free_measurement(Measurement *measurement)
{
    g_free(measurement->entries);
    g_free(measurement);
}

static gpointer
measure(gpointer user)
{
    Measurement *measurement = user;
    g_autoptr(GError) error = NULL;

    if (sleep_through(measurement, &error)) {
        if (measurement->consumer)
            count_pending(measurement, &error);
        else
            count_changed(measurement, &error);
    }
    end(measurement);
    publish(measurement, error);
    free_measurement(measurement);
    return NULL;
}

/* FALSE: one is under way. The thread of the one before has published, and is about to end. */
static gboolean
claim(DirtyRate *rate, const DirtyRateRequest *request, GError **error)
{
    g_mutex_lock(&rate->lock);
    gboolean mine = rate->report.status != DIRTY_RATE_MEASURING && !rate->cancelled;
    if (mine) {
        g_clear_pointer(&rate->thread, g_thread_join);
        dirty_rate_report_clear(&rate->report);
        rate->report = (DirtyRateReport){
            .status = DIRTY_RATE_MEASURING, .request = *request, .start_s = g_get_monotonic_time() / G_USEC_PER_SEC};
    }
    g_mutex_unlock(&rate->lock);
    if (!mine)
        g_set_error(error, QMP_ERROR, QMP_ERROR_GENERIC, "a measurement of the dirty rate is under way: wait for its end");
    return mine;
}

/* From here on every page is counted. */
static gboolean
set_up(Measurement *measurement, GError **error)
{
    DirtyRate *rate = measurement->rate;

    if (!measurement->request.facts)
        return begin(measurement, error);
    tracking_hold(rate->tracking, HOLDER);
    if (!tracking_borrow(rate->tracking, measurement->request.facts, error)) {
        tracking_release(rate->tracking, HOLDER);
        return FALSE;
    }
    if (begin(measurement, error))
        return TRUE;
    end(measurement);
    return FALSE;
}

static void
give_up(Measurement *measurement, const GError *reason)
{
    publish(measurement, reason);
    free_measurement(measurement);
}

gboolean
dirty_rate_start(DirtyRate *rate, const DirtyRateRequest *request, GError **error)
{
    g_autoptr(GError) reason = NULL;

    if (!claim(rate, request, error))
        return FALSE;
    Measurement *measurement = g_new0(Measurement, 1);
    measurement->rate = rate;
    measurement->request = *request;
    measurement->entries = g_new0(guint64, machine_n_vcpus(board_machine(rate->board)));
    if (!set_up(measurement, &reason)) {
        give_up(measurement, reason);
        g_propagate_error(error, g_steal_pointer(&reason));
        return FALSE;
    }
    g_mutex_lock(&rate->lock);
    rate->thread = g_thread_try_new("dirty-rate", measure, measurement, &reason);
    gboolean begun = rate->thread != NULL;
    g_mutex_unlock(&rate->lock);
    if (!begun) {
        end(measurement);
        give_up(measurement, reason);
        g_propagate_error(error, g_steal_pointer(&reason));
    }
    return begun;
}
