/* SPDX-License-Identifier: MIT */
/*
 * Passes over RAM while the guest runs. Each begins with a collect; then, window by window: protect again, take the pages, and only then
 * read and send them. Whatever is written after the protecting is in a later pass.
 *
 * When to stop the guest: when what is pending fits the downtime limit, but not before passes have ceased to make it less. A pass
 * costs the guest nothing but the faults of the pages in it, and each one that still shrinks what is left shortens the downtime:
 * stopping at the first fit gave 86 ms where going on gave 1 (kernel-facts). A guest that writes faster than the channel takes
 * never fits; it is slowed down if the user wants that, else the passes go on until the user changes something.
 */
#include <machine/wire.h>
#include <migration/source_private.h>

#define WINDOW_PAGES UINT64_C(4096) /* 16 MiB */
#define SHRINKS 0.7                 /* less than so much of the least so far is progress */
#define NO_PROGRESS 2               /* passes without: the guest may be stopped when it has written about the least again */
#define LONG_NO_PROGRESS 6          /* passes without: it is stopped all the same */
#define ABOUT 1.2
#define FEW_PAGES 32 /* less than this is not worth a pass */
#define MOST_FITTING_PASSES 40
#define ENOUGH_BYTES (UINT64_C(256) << 10) /* to measure a bandwidth by */
#define STALEMATES 2 /* passes that dirty more than half of what they send, before the guest is slowed down */

/* --- tracking --- */

/*
 * What was reported so far is superseded: all of RAM is about to be read. Somebody else (a dirty rate, a move) may have collected meanwhile, and
 * what he collected is not protected: so it is now, for it is not looked at as pending any more.
 */
static gboolean
drop_pending(MigrationSource *source, GError **error)
{
    const DlPageRange all = {0, dl_layout_n_bits(source->layout)};

    dl_bitmap_clear_all(source->taken);
    dl_consumer_take(source->consumer, all, source->taken);
    dl_bitmap_clear_all(source->taken);
    return dl_log_rearm(source->log, all, error);
}

/* The cheapest first, for the migration and for the guest: docs/figures.md. */
static gboolean
arm_any(MigrationSource *source, GError **error)
{
    static const char *const names[] = {"kvm-bitmap-clear", "kvm-ring", "kvm-bitmap", "pagemap-scan", "uffd-wp", "soft-dirty"};

    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        g_clear_error(error);
        if (dl_log_move(source->log, names[i], NULL, NULL, error))
            return TRUE;
    }
    return FALSE;
}

/* One that is active already may have pages that were collected and not protected again: a harvest sees to them. */
gboolean
source_start_tracking(MigrationSource *source, GError **error)
{
    source->tracker_before = dl_log_tracker(source->log)->name;
    gboolean none = g_str_equal(source->tracker_before, "none");
    gboolean stays = !none && (!source->tracker || g_str_equal(source->tracker, source->tracker_before));
    DlLogStats stats;

    dl_log_stats(source->log, &stats);
    source->gaps = stats.gaps;
    source->consumer = dl_log_subscribe(source->log);
    if (stays             ? !dl_log_harvest(source->log, error)
        : source->tracker ? !dl_log_move(source->log, source->tracker, NULL, NULL, error)
                          : !arm_any(source, error))
        return FALSE;
    if (!drop_pending(source, error))
        return FALSE;
    source->collected_ns = clock_now_ns();
    dl_log_stats(source->log, &stats);
    source->discards = stats.discards;
    return ram_sender_look(source->sender, error);
}

static gboolean
make_due_moves(MigrationSource *source, GError **error)
{
    for (guint i = 0; i < source->moves->len; i++) {
        const Move *move = &g_array_index(source->moves, Move, i);
        if (move->pass == source->number && (!move->from || g_str_equal(move->from, dl_log_tracker(source->log)->name)) &&
            !dl_log_move(source->log, move->to, NULL, NULL, error))
            return FALSE;
    }
    return TRUE;
}

/*
 * Something was discarded: what exists is asked for again page by page, or, with @again, all at once.
 *
 * Asked once a window, which misses a page that goes while its window is sent. That loses nothing and brings nothing back: the discard
 * has reported the page, under the lock that collects take, so it is sent once more, and the last time with the guest stopped and no
 * balloon at work. Read after it went, it is made anew, with zeroes: a window's worth of memory at most that the host has given for
 * nothing. Asking page by page would cost more, and could not close the gap between asking and reading either.
 */
static gboolean
follow_discards(MigrationSource *source, gboolean again, GError **error)
{
    DlLogStats stats;

    dl_log_stats(source->log, &stats);
    if (stats.discards == source->discards)
        return TRUE;
    source->discards = stats.discards;
    ram_sender_forget(source->sender);
    return !again || ram_sender_look(source->sender, error);
}

/* --- passes --- */

void
source_begin_pass(MigrationSource *source, SourcePass *pass)
{
    source->number++;
    *pass = (SourcePass){.figures = {.number = source->number, .tracker = dl_log_tracker(source->log)->name},
                         .started_ns = clock_now_ns(),
                         .bytes = channel_bytes_written(source->channel),
                         .sent = source->sent};
    dl_bitmap_clear_all(source->reported);
}

/* Passes that are too short to measure a bandwidth by are measured together. */
static void
measure(MigrationSource *source, const MigrationPass *figures)
{
    source->measured_bytes += figures->transferred_bytes;
    source->measured_ns += figures->send_ns;
    if (source->measured_bytes < ENOUGH_BYTES || source->measured_ns <= 0)
        return;
    source->bandwidth = (double)source->measured_bytes * 1e9 / (double)source->measured_ns;
    source->measured_bytes = 0;
    source->measured_ns = 0;
}

void
source_end_pass(MigrationSource *source, SourcePass *pass)
{
    MigrationPass *figures = &pass->figures;

    figures->normal_pages = source->sent.normal - pass->sent.normal;
    figures->zero_pages = source->sent.zero - pass->sent.zero;
    figures->transferred_bytes = channel_bytes_written(source->channel) - pass->bytes;
    figures->throttle_percent = throttle_percent(source->throttle);
    measure(source, figures);
    MigrationInfo *info = statistics_lock(&source->statistics);
    info->normal_pages = source->sent.normal;
    info->duplicate_pages = source->sent.zero;
    info->bandwidth = source->bandwidth;
    info->throttle_percent = figures->throttle_percent;
    statistics_unlock(&source->statistics);
    statistics_end_pass(&source->statistics, figures, source->reported);
}

/*
 * A page may be read only after it was protected, and it is protected only after it was collected: of what is taken after the re-arm, some
 * was reported by that, and some perhaps by somebody else's collect since; so there is a second one, which costs nothing when
 * there is nothing to protect.
 */
static gboolean
take_window(MigrationSource *source, SourcePass *pass, DlPageRange window, gboolean rearm, gboolean *any, GError **error)
{
    gint64 start = clock_now_ns();
    gboolean armed = TRUE;

    dl_bitmap_clear_range(source->taken, window);
    if (source->number == 1) {
        dl_bitmap_set_range(source->taken, window);
        *any = TRUE;
        return TRUE;
    }
    *any = dl_consumer_take(source->consumer, window, source->taken) > 0;
    if (*any && rearm) {
        armed = dl_log_rearm(source->log, window, error) &&
                (!dl_consumer_take(source->consumer, window, source->taken) || dl_log_rearm(source->log, window, error));
    }
    pass->figures.harvest_ns += clock_now_ns() - start;
    return armed;
}

static gboolean
send_window(MigrationSource *source, SourcePass *pass, DlPageRange window, gboolean rearm, GError **error)
{
    gboolean any;

    if (!source_check(source, error) || !take_window(source, pass, window, rearm, &any, error))
        return FALSE;
    if (!any)
        return TRUE;
    gint64 start = clock_now_ns();
    gboolean sent = follow_discards(source, FALSE, error) &&
                    ram_sender_send(source->sender, source->taken, window, source->number == 1, &source->sent, error);
    pass->figures.send_ns += clock_now_ns() - start;
    return sent;
}

static void
account_window(MigrationSource *source, SourcePass *pass, DlPageRange window)
{
    guint64 pages = dl_bitmap_count_range(source->taken, window);
    MigrationInfo *info = statistics_lock(&source->statistics);

    pass->figures.reported_pages += pages;
    info->ram_remaining -= MIN(info->ram_remaining, pages * DL_PAGE_SIZE);
    info->normal_pages = source->sent.normal;
    info->duplicate_pages = source->sent.zero;
    statistics_unlock(&source->statistics);
}

static gboolean
walk_region(MigrationSource *source, SourcePass *pass, guint index, gboolean rearm, GError **error)
{
    DlPageRange pages = dl_layout_region_pages(source->layout, index);
    guint64 unit = dl_ram_kind_page_size(dl_layout_region(source->layout, index)->kind) / DL_PAGE_SIZE;
    guint64 size = MAX(WINDOW_PAGES, unit);

    for (guint64 done = 0; done < pages.count; done += size) {
        DlPageRange window = {pages.first + done, MIN(size, pages.count - done)};
        if (!send_window(source, pass, window, rearm, error)) {
            dl_consumer_give_back(source->consumer, source->taken);
            return FALSE;
        }
        account_window(source, pass, window);
    }
    return TRUE;
}

gboolean
source_send_pending(MigrationSource *source, SourcePass *pass, gboolean rearm, GError **error)
{
    dl_bitmap_clear_all(source->taken);
    for (guint i = 0; i < dl_layout_n_regions(source->layout); i++) {
        if (!walk_region(source, pass, i, rearm, error))
            return FALSE;
    }
    if (source->statistics.events.reported)
        dl_bitmap_or(source->reported, source->taken);
    return TRUE;
}

/* Somebody's move may have ended with no tracker at all: what was written since then nobody knows. */
static gboolean
check_gaps(MigrationSource *source, GError **error)
{
    DlLogStats stats;

    dl_log_stats(source->log, &stats);
    if (stats.gaps == source->gaps && dl_log_tracker(source->log)->holds != DL_HOLDS_NOTHING)
        return TRUE;
    g_set_error_literal(error, MIGRATION_ERROR, MIGRATION_ERROR_FAILED,
                        "for a while no tracker was active while the guest was migrated, and what it wrote then is not known: "
                        "migrate again");
    return FALSE;
}

gboolean
source_collect(MigrationSource *source, SourcePass *pass, guint64 *pending, GError **error)
{
    gint64 start = clock_now_ns();
    gboolean collected = dl_log_collect(source->log, error);
    gint64 end = clock_now_ns();

    pass->figures.harvest_ns += end - start;
    if (!collected || !check_gaps(source, error))
        return FALSE;
    *pending = dl_consumer_pending(source->consumer);
    MigrationInfo *info = statistics_lock(&source->statistics);
    info->dirty_pages_rate = (double)*pending * 1e9 / (double)MAX(end - source->collected_ns, 1);
    info->ram_remaining = *pending * DL_PAGE_SIZE;
    if (source->bandwidth > 0)
        info->expected_downtime_ns = (gint64)((double)*pending * DL_PAGE_SIZE * 1e9 / source->bandwidth);
    statistics_unlock(&source->statistics);
    source->collected_ns = end;
    return TRUE;
}

void
source_tell_pass(MigrationSource *source, gboolean final, GByteArray *out)
{
    g_autoptr(GByteArray) payload = g_byte_array_new();

    wire_put_u64(payload, source->number);
    wire_put_u64(payload, source->sent.normal);
    wire_put_u64(payload, source->sent.zero);
    wire_put_u64(payload, (guint64) final);
    stream_append(&source->stream, out, FRAME_PASS, payload->data, payload->len);
}

/* --- until it is time to stop --- */

/**
 * Progress:
 * @sent: pages that the last pass sent
 * @fitting: collects whose pages fitted the limit already
 * @least: pages that one of them left
 * @standstill: collects since it was last beaten
 * @stalemates: passes in a row that did not get ahead of the guest
 */
typedef struct {
    guint64 sent;
    guint fitting;
    guint64 least;
    guint standstill;
    guint stalemates;
} Progress;

/* What is too little to measure a bandwidth by fits one that is not known yet. */
static gboolean
fits(const MigrationSource *source, guint64 pending, const MigrationParameters *parameters)
{
    if (source->bandwidth <= 0)
        return pending * DL_PAGE_SIZE < ENOUGH_BYTES;
    return (double)pending * DL_PAGE_SIZE * 1000 <= source->bandwidth * (double)parameters->downtime_limit_ms;
}

/* A busy host makes a pass long now and then, and what is pending after it: one such pass is no reason to stop just there. */
static gboolean
time_to_stop(const MigrationSource *source, Progress *progress, guint64 pending, const MigrationParameters *parameters)
{
    if (!fits(source, pending, parameters))
        return FALSE;
    if (pending <= FEW_PAGES || ++progress->fitting > MOST_FITTING_PASSES)
        return TRUE;
    if ((double)pending < SHRINKS * (double)progress->least) {
        progress->least = pending;
        progress->standstill = 0;
        return FALSE;
    }
    progress->standstill++;
    return progress->standstill >= LONG_NO_PROGRESS ||
           (progress->standstill >= NO_PROGRESS && (double)pending <= ABOUT * (double)progress->least);
}

static void
converge(MigrationSource *source, Progress *progress, guint64 pending, const MigrationParameters *parameters)
{
    guint now = throttle_percent(source->throttle);
    guint next = now ? now + parameters->cpu_throttle_increment : parameters->cpu_throttle_initial;

    progress->stalemates = pending * 2 > progress->sent && !fits(source, pending, parameters) ? progress->stalemates + 1 : 0;
    if (!parameters->auto_converge || progress->stalemates < STALEMATES)
        return;
    progress->stalemates = 0;
    throttle_set(source->throttle, MIN(next, parameters->max_cpu_throttle));
}

static gboolean
run_pass(MigrationSource *source, SourcePass *pass, GError **error)
{
    g_autoptr(GByteArray) out = g_byte_array_new();
    gboolean first = source->number == 1;

    channel_set_bulk(source->channel, first);
    gboolean sent = source_send_pending(source, pass, !first, error);
    channel_set_bulk(source->channel, FALSE); /* the end of the pass, below, goes out when the socket has little left */
    if (!sent)
        return FALSE;
    /* time in guests is counted in ticks, and may come out as more than there was */
    pass->figures.host_cpu_ns = MAX(clock_host_cpu_ns() - pass->cpu_ns, 0);
    source_tell_pass(source, FALSE, out);
    gint64 start = clock_now_ns();
    if (!stream_flush(&source->stream, out, error))
        return FALSE;
    pass->figures.send_ns += clock_now_ns() - start; /* else what the socket took of a small guest would pass for bandwidth */
    source_end_pass(source, pass);
    return TRUE;
}

/*
 * All of RAM, whatever is pending: that stays so for the next pass. A page that comes into being now may have been reported already when its
 * window is sent, by a move or by a ring that was full, and the look that this pass goes by does not have it.
 */
static gboolean
first_pass(MigrationSource *source, GError **error)
{
    SourcePass pass;

    source_begin_pass(source, &pass);
    pass.cpu_ns = clock_host_cpu_ns();
    statistics_begin_pass(&source->statistics, source->number);
    if (!make_due_moves(source, error))
        return FALSE;
    statistics_lock(&source->statistics)->ram_remaining = source->statistics.info.ram_total;
    statistics_unlock(&source->statistics);
    return run_pass(source, &pass, error);
}

gboolean
source_precopy(MigrationSource *source, GError **error)
{
    Progress progress = {.least = G_MAXUINT64};

    if (!first_pass(source, error))
        return FALSE;
    for (;;) {
        MigrationParameters parameters = source_parameters(source);
        SourcePass pass;
        guint64 pending = 0;

        const GArray *passes = source->statistics.info.passes; /* which only this thread changes */
        progress.sent = g_array_index(passes, MigrationPass, passes->len - 1).reported_pages;
        source_begin_pass(source, &pass);
        pass.cpu_ns = clock_host_cpu_ns();
        if (!make_due_moves(source, error) || !source_collect(source, &pass, &pending, error))
            return FALSE;
        if (time_to_stop(source, &progress, pending, &parameters)) {
            source->number--; /* the last pass is the hand-over's */
            return TRUE;
        }
        statistics_begin_pass(&source->statistics, source->number);
        converge(source, &progress, pending, &parameters);
        if (!follow_discards(source, TRUE, error) || !run_pass(source, &pass, error))
            return FALSE;
    }
}
