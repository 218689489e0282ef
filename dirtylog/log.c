/* SPDX-License-Identifier: MIT */
/*
 * DlLog: who holds which lock, and where a reported page goes.
 *
 * A tracker ORs what it finds into `found`, under the harvest lock; deliver() then moves it to every consumer's pending pages,
 * whether the tracker succeeded or not, since the kernel has forgotten it. The program's own stores are noted in an atomic
 * bitmap that any thread sets without a lock, and that is drained into `found` at each collect.
 *
 * Consumers' pages have a lock of their own, so that a sender takes pages while a harvest is going on.
 */
#include "dirtylog/log_private.h"

#include "dirtylog/private.h"
#include "dirtylog/trackers.h"
#include "dirtylog/words.h"

struct DlConsumer {
    DlLog *log;
    DlBitmap *pending;
};

/* --- instances --- */

DlInstance *
dl_instance_new(DlLog *log, const DlTrackerClass *class, const DlTrackerOptions *options, GError **error)
{
    DlInstance *instance = g_new0(DlInstance, 1);

    if (options)
        instance->options = *options;
    instance->context = (DlTrackerContext){
        .layout = log->layout,
        .host = &log->host,
        .options = &instance->options,
        .log_flag = log->log_flag,
        .stats = &log->stats,
        .ring_entries = log->ring_entries,
    };
    instance->tracker = class->new (&instance->context, error);
    if (!instance->tracker) {
        g_free(instance);
        return NULL;
    }
    instance->tracker->class = class; /* not what a class that wraps another's instance may have left there */
    return instance;
}

void
dl_instance_free(DlInstance *instance)
{
    if (!instance)
        return;
    instance->tracker->class->free(instance->tracker);
    g_free(instance);
}

static gboolean
pause_for(DlLog *log, const DlInstance *instance, GError **error)
{
    if (!instance->tracker->class->facts.writers_paused)
        return TRUE;
    if (!log->host.pause || !log->host.resume) {
        dl_set_error(error, DL_ERROR_UNSUPPORTED, 0, NULL, "%s needs every writer paused, and the program gave no way to",
                     instance->tracker->class->facts.name);
        return FALSE;
    }
    return log->host.pause(log->host.user, error);
}

static void
resume_for(DlLog *log, const DlInstance *instance)
{
    if (instance->tracker->class->facts.writers_paused)
        log->host.resume(log->host.user);
}

gboolean
dl_instance_arm(DlLog *log, DlInstance *instance, GError **error)
{
    if (!pause_for(log, instance, error))
        return FALSE;
    gboolean armed = instance->tracker->class->arm(instance->tracker, error);
    resume_for(log, instance);
    return armed;
}

/* Moves words [first, end) of `found` to every consumer, a few consumers at a time. */
static void
deliver_words(DlLog *log, guint64 first, guint64 end)
{
    enum {
        AT_ONCE = 4
    };
    guint64 *from = dl_bitmap_words(log->found) + first;
    guint done = 0;

    g_mutex_lock(&log->pending_lock);
    do {
        guint count = MIN(log->consumers->len - done, AT_ONCE);
        guint64 *into[AT_ONCE] = {NULL};
        for (guint i = 0; i < count; i++) {
            DlConsumer *consumer = g_ptr_array_index(log->consumers, done + i);
            into[i] = dl_bitmap_words(consumer->pending) + first;
        }
        done += count;
        dl_or_words(into, count, from, end - first, done == log->consumers->len);
    } while (done < log->consumers->len);
    g_mutex_unlock(&log->pending_lock);
}

static void
deliver(DlLog *log)
{
    deliver_words(log, 0, (dl_bitmap_size(log->found) + 63) / 64);
}

/*
 * The tracker's collect, and what it found delivered. With one consumer a plain collect goes straight to its pages: passing
 * through `found` would touch two more bitmaps, which the guest has driven out of the cache, and cost half as much as the ioctl
 * again.
 */
static gboolean
collect_and_deliver(DlLog *log, DlTracker *tracker, GError **error)
{
    gboolean ok = FALSE;
    gboolean direct = FALSE;

    if (tracker->class->plain_collect) {
        g_mutex_lock(&log->pending_lock);
        direct = log->consumers->len == 1;
        if (direct) {
            DlConsumer *consumer = g_ptr_array_index(log->consumers, 0);
            ok = tracker->class->collect(tracker, consumer->pending, error);
        }
        g_mutex_unlock(&log->pending_lock);
    }
    if (!direct) {
        ok = tracker->class->collect(tracker, log->found, error);
        deliver(log);
    }
    return ok;
}

static void
deliver_notes(DlLog *log)
{
    if (dl_atomic_bitmap_drain_into(log->notes, log->found))
        deliver(log);
}

gboolean
dl_instance_collect(DlLog *log, DlInstance *instance, GError **error)
{
    gboolean ok = pause_for(log, instance, error);

    if (ok) {
        ok = collect_and_deliver(log, instance->tracker, error);
        resume_for(log, instance);
    }
    deliver_notes(log);
    return ok;
}

/* What @found gets stays there. */
static gboolean
rearm_all(DlLog *log, DlTracker *tracker, GError **error)
{
    gboolean ok = TRUE;

    for (guint i = 0; ok && i < dl_layout_n_regions(log->layout); i++)
        ok = tracker->class->rearm(tracker, dl_layout_region_pages(log->layout, i), log->found, error);
    return ok;
}

/*
 * Where rearm is a step of its own, nothing is delivered before it is done: a consumer that takes a page from somebody else's harvest,
 * and reads it, has to find it protected, or the next store to it is lost to that consumer. A tracker's own harvest() does both at once.
 */
static gboolean
harvest_and_deliver(DlLog *log, DlTracker *tracker, GError **error)
{
    gboolean ok;

    if (!tracker->class->harvest && !tracker->class->rearm)
        return collect_and_deliver(log, tracker, error);
    if (tracker->class->harvest)
        ok = tracker->class->harvest(tracker, log->found, error);
    else
        ok = tracker->class->collect(tracker, log->found, error) && rearm_all(log, tracker, error);
    deliver(log);
    return ok;
}

gboolean
dl_instance_harvest(DlLog *log, DlInstance *instance, GError **error)
{
    gboolean ok = pause_for(log, instance, error);

    if (ok) {
        ok = harvest_and_deliver(log, instance->tracker, error);
        resume_for(log, instance);
    }
    deliver_notes(log);
    return ok;
}

void
dl_instance_release(DlInstance *instance)
{
    instance->tracker->class->release(instance->tracker);
}

void
dl_log_report_all(DlLog *log)
{
    dl_layout_fill(log->layout, log->found);
    deliver(log);
}

/* --- the log --- */

static gboolean
check_host(const DlLayout *layout, const DlHost *host, GError **error)
{
    if (!host->pause != !host->resume) {
        dl_set_error(error, DL_ERROR_INVALID, 0, NULL, "pause and resume come together or not at all");
        return FALSE;
    }
    for (guint i = 0; host->vm_fd >= 0 && i < dl_layout_n_regions(layout); i++) {
        for (guint k = 0; k < i; k++) {
            if (dl_layout_region(layout, i)->slot == dl_layout_region(layout, k)->slot) {
                dl_set_error(error, DL_ERROR_INVALID, 0, NULL, "two regions share memslot %u", dl_layout_region(layout, i)->slot);
                return FALSE;
            }
        }
    }
    return TRUE;
}

static void
free_consumer(gpointer pointer)
{
    DlConsumer *consumer = pointer;

    dl_bitmap_free(consumer->pending);
    g_free(consumer);
}

DlLog *
dl_log_new(DlLayout *layout, const DlHost *host, GError **error)
{
    if (!check_host(layout, host, error))
        return NULL;

    DlLog *log = g_new0(DlLog, 1);
    log->layout = dl_layout_ref(layout);
    log->host = *host;
    log->ring_entries = g_new0(guint64, host->n_vcpus);
    g_mutex_init(&log->lock);
    g_mutex_init(&log->pending_lock);
    log->log_flag = dl_log_flag_new(log->layout, &log->host);
    log->found = dl_bitmap_new(dl_layout_n_bits(layout));
    log->notes = dl_atomic_bitmap_new(dl_layout_n_bits(layout));
    log->consumers = g_ptr_array_new_with_free_func(free_consumer);
    log->class = &dl_none_class;
    log->instance = dl_instance_new(log, log->class, NULL, NULL);
    return log;
}

void
dl_log_free(DlLog *log)
{
    if (!log)
        return;
    dl_instance_release(log->instance);
    dl_instance_free(log->instance);
    g_ptr_array_unref(log->consumers);
    dl_log_flag_free(log->log_flag);
    dl_bitmap_free(log->found);
    dl_atomic_bitmap_free(log->notes);
    g_free(log->ring_entries);
    g_mutex_clear(&log->lock);
    g_mutex_clear(&log->pending_lock);
    dl_layout_unref(log->layout);
    g_free(log);
}

DlLayout *
dl_log_layout(DlLog *log)
{
    return log->layout;
}

const DlTrackerFacts *
dl_log_tracker(DlLog *log)
{
    const DlTrackerClass *class = __atomic_load_n(&log->class, __ATOMIC_ACQUIRE);

    return &class->facts;
}

void
dl_log_stats(DlLog *log, DlLogStats *stats)
{
    stats->ring_full_exits = __atomic_load_n(&log->stats.ring_full_exits, __ATOMIC_RELAXED);
    stats->ring_overflows = __atomic_load_n(&log->stats.ring_overflows, __ATOMIC_RELAXED);
    stats->ring_resyncs = __atomic_load_n(&log->stats.ring_resyncs, __ATOMIC_RELAXED);
    stats->faults = __atomic_load_n(&log->stats.faults, __ATOMIC_RELAXED);
    stats->discards = __atomic_load_n(&log->stats.discards, __ATOMIC_ACQUIRE);
    stats->gaps = __atomic_load_n(&log->stats.gaps, __ATOMIC_ACQUIRE);
}

guint64
dl_log_ring_entries(DlLog *log, guint vcpu)
{
    return vcpu < log->host.n_vcpus ? __atomic_load_n(&log->ring_entries[vcpu], __ATOMIC_RELAXED) : 0;
}

/* --- consumers --- */

DlConsumer *
dl_log_subscribe(DlLog *log)
{
    DlConsumer *consumer = g_new0(DlConsumer, 1);

    consumer->log = log;
    consumer->pending = dl_bitmap_new(dl_layout_n_bits(log->layout));
    g_mutex_lock(&log->pending_lock);
    g_ptr_array_add(log->consumers, consumer);
    g_mutex_unlock(&log->pending_lock);
    return consumer;
}

void
dl_log_unsubscribe(DlLog *log, DlConsumer *consumer)
{
    g_mutex_lock(&log->pending_lock);
    gboolean known = g_ptr_array_remove(log->consumers, consumer);
    g_mutex_unlock(&log->pending_lock);
    g_warn_if_fail(known);
}

guint64
dl_consumer_take(DlConsumer *consumer, DlPageRange range, DlBitmap *out)
{
    guint64 *pending = dl_bitmap_words(consumer->pending);
    guint64 *into = dl_bitmap_words(out);
    guint64 end = range.first + range.count;
    guint64 taken = 0;

    g_return_val_if_fail(dl_bitmap_size(out) == dl_bitmap_size(consumer->pending), 0);
    g_return_val_if_fail(range.first <= dl_bitmap_size(out) && range.count <= dl_bitmap_size(out) - range.first, 0);
    g_mutex_lock(&consumer->log->pending_lock);
    for (guint64 word = range.first / 64; word * 64 < end; word++) {
        guint64 bits = pending[word];
        if (!bits)
            continue;
        if (word * 64 < range.first)
            bits &= ~UINT64_C(0) << (range.first - word * 64);
        if (end - word * 64 < 64)
            bits &= ~UINT64_C(0) >> (64 - (end - word * 64));
        into[word] |= bits;
        pending[word] &= ~bits;
        taken += (guint64)__builtin_popcountll(bits);
    }
    g_mutex_unlock(&consumer->log->pending_lock);
    return taken;
}

void
dl_consumer_give_back(DlConsumer *consumer, const DlBitmap *pages)
{
    g_mutex_lock(&consumer->log->pending_lock);
    dl_bitmap_or(consumer->pending, pages);
    g_mutex_unlock(&consumer->log->pending_lock);
}

guint64
dl_consumer_pending(DlConsumer *consumer)
{
    g_mutex_lock(&consumer->log->pending_lock);
    guint64 count = dl_bitmap_count(consumer->pending);
    g_mutex_unlock(&consumer->log->pending_lock);
    return count;
}

/* --- harvesting --- */

gboolean
dl_log_collect(DlLog *log, GError **error)
{
    g_mutex_lock(&log->lock);
    gboolean ok = dl_instance_collect(log, log->instance, error);
    g_mutex_unlock(&log->lock);
    return ok;
}

gboolean
dl_log_harvest(DlLog *log, GError **error)
{
    g_mutex_lock(&log->lock);
    gboolean ok = dl_instance_harvest(log, log->instance, error);
    g_mutex_unlock(&log->lock);
    return ok;
}

/* The range, widened to the tracker's units: what it may touch when it re-arms the range, or lose when the range is punched. */
static DlPageRange
widen_to_units(const DlLog *log, DlPageRange range)
{
    guint64 first = range.first;
    guint64 end = range.first + range.count;

    for (guint i = 0; i < dl_layout_n_regions(log->layout); i++) {
        DlPageRange pages = dl_layout_region_pages(log->layout, i);
        guint64 unit = log->class->unit(dl_layout_region(log->layout, i)->kind) / DL_PAGE_SIZE;

        if (range.first >= pages.first && range.first < pages.first + pages.count)
            first = pages.first + dl_round_down(range.first - pages.first, unit);
        if (end > pages.first && end <= pages.first + pages.count)
            end = pages.first + MIN(dl_round_up(end - pages.first, unit), pages.count);
    }
    return (DlPageRange){first, end - first};
}

static void
deliver_range(DlLog *log, DlPageRange range)
{
    deliver_words(log, range.first / 64, (range.first + range.count + 63) / 64);
}

gboolean
dl_log_rearm(DlLog *log, DlPageRange range, GError **error)
{
    guint64 n_bits = dl_layout_n_bits(log->layout);
    gboolean ok = TRUE;

    if (range.first > n_bits || range.count > n_bits - range.first) {
        dl_set_error(error, DL_ERROR_INVALID, 0, NULL, "the range to re-arm lies outside the layout");
        return FALSE;
    }
    g_mutex_lock(&log->lock);
    if (log->class->rearm && range.count) {
        ok = log->class->rearm(log->instance->tracker, range, log->found, error);
        deliver_range(log, widen_to_units(log, range));
    }
    g_mutex_unlock(&log->lock);
    return ok;
}

/* --- the program's own events --- */

gboolean
dl_log_note_written(DlLog *log, guint64 gpa, guint64 size)
{
    DlPageRange pages;

    if (!dl_layout_pages_of_gpa(log->layout, gpa, size, &pages))
        return FALSE;
    dl_atomic_bitmap_set_range(log->notes, pages);
    return TRUE;
}

gboolean
dl_log_discard(DlLog *log, guint64 gpa, guint64 size, DlPunch punch, gpointer user, GError **error)
{
    DlPageRange pages;

    if (!dl_layout_pages_of_gpa(log->layout, gpa, size, &pages)) {
        dl_set_error(error, DL_ERROR_INVALID, 0, NULL, "the range to discard lies outside the layout");
        return FALSE;
    }

    g_mutex_lock(&log->lock);
    __atomic_fetch_add(&log->stats.discards, 1, __ATOMIC_ACQ_REL);
    gboolean ok = !punch || punch(user, error);
    __atomic_fetch_add(&log->stats.discards, 1, __ATOMIC_ACQ_REL); /* whoever looked in between has seen what is gone now */
    if (pages.count) {
        if (log->class->discarded)
            log->class->discarded(log->instance->tracker, pages);
        pages = widen_to_units(log, pages);
        dl_bitmap_set_range(log->found, pages);
        deliver_range(log, pages);
    }
    g_mutex_unlock(&log->lock);
    return ok;
}

gboolean
dl_log_ring_full(DlLog *log, guint vcpu, GError **error)
{
    gboolean ok = TRUE;

    __atomic_fetch_add(&log->stats.ring_full_exits, 1, __ATOMIC_RELAXED);
    g_mutex_lock(&log->lock);
    /* Another tracker: the ring was released between the exit and now, and drained with that. */
    if (log->class->ring_full) {
        ok = log->class->ring_full(log->instance->tracker, vcpu, log->found, error);
        deliver(log);
    }
    g_mutex_unlock(&log->lock);
    return ok;
}
