/* SPDX-License-Identifier: MIT */
/*
 * DlLog: the active tracker, the pages still pending for each consumer, the log of the program's own stores, and the harvest
 * lock.
 *
 *   log = dl_log_new(layout, &host, &error);
 *   consumer = dl_log_subscribe(log);
 *   dl_log_move(log, "pagemap-scan", NULL, NULL, &error);      arms
 *   …
 *   dl_log_collect(log, &error);                               what was written is now pending, nothing re-armed that need not be
 *   for each window of the layout:
 *       dl_log_rearm(log, window, &error);                     protect again, pick up what was written since
 *       dl_consumer_take(consumer, window, pages);             this consumer's pages move out
 *       read and send the pages of `pages` in the window       (only now: re-arm, then read, then send)
 *       on failure: dl_consumer_give_back(consumer, pages)
 *
 * A harvest is destructive for the kernel, so what one collect finds belongs to every consumer at once. dl_log_harvest() delivers
 * what it found when it is protected again. dl_log_collect() does not: where another thread may collect too, a consumer takes its pages
 * first, re-arms the window then, and reads only after that, or it reads a page that nobody watches.
 * Every function may be called from any thread; collect, rearm, harvest, move, discard and ring_full exclude each other.
 */
#pragma once

#include <dirtylog/error.h>
#include <dirtylog/host.h>
#include <dirtylog/region.h>
#include <dirtylog/tracker.h>

G_BEGIN_DECLS
#pragma GCC visibility push(default)

typedef struct DlLog DlLog;
typedef struct DlConsumer DlConsumer;

/**
 * dl_log_new: no tracker is active (`none`). The layout is referenced, the host's table copied.
 * Errors: INVALID (two regions of a VM share a slot; pause without resume).
 */
DlLog *dl_log_new(DlLayout *layout, const DlHost *host, GError **error);
/** dl_log_free: releases the tracker; consumers still subscribed go with it. */
void dl_log_free(DlLog *log);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DlLog, dl_log_free)

DlLayout *dl_log_layout(DlLog *log);
const DlTrackerFacts *dl_log_tracker(DlLog *log);

/* --- consumers --- */

DlConsumer *dl_log_subscribe(DlLog *log);
void dl_log_unsubscribe(DlLog *log, DlConsumer *consumer);
/**
 * dl_consumer_take: ORs the consumer's pending pages of @range into @out (layout's size) and takes them from it. Returns how
 * many.
 */
guint64 dl_consumer_take(DlConsumer *consumer, DlPageRange range, DlBitmap *out);
/** dl_consumer_give_back: what was taken and could not be used is pending again. */
void dl_consumer_give_back(DlConsumer *consumer, const DlBitmap *pages);
guint64 dl_consumer_pending(DlConsumer *consumer);

/* --- harvesting --- */

/**
 * dl_log_collect: every page written before the call, by any writer the tracker sees or the program noted, becomes pending
 * for every consumer. On error nothing that was found is lost: it stays pending.
 */
gboolean dl_log_collect(DlLog *log, GError **error);
/** dl_log_rearm: protects @range again; what was written to it since the collect becomes pending, now or at the next collect. */
gboolean dl_log_rearm(DlLog *log, DlPageRange range, GError **error);
/** dl_log_harvest: collect and rearm of all memory in one step. */
gboolean dl_log_harvest(DlLog *log, GError **error);

/* --- moving from tracker to tracker --- */

/** How a move kept every page, as the result says: */
typedef enum {
    DL_MOVE_OVERLAP,   /* B was armed before A was collected and released */
    DL_MOVE_HANDED_ON, /* both use the slots' log flag, which stayed set */
    DL_MOVE_BRIDGED,   /* KVM's log covered the gap between A's release and B's arming */
    DL_MOVE_PAUSED,    /* every writer stood still in between */
    DL_MOVE_ALL_DIRTY, /* nothing could cover the gap: all RAM was reported dirty */
} DlMoveKind;
const char *dl_move_kind_name(DlMoveKind kind);

typedef struct {
    DlMoveKind kind;
    gint64 arm_ns;     /* the new tracker's arm() alone */
    gint64 release_ns; /* the old tracker's release() alone */
} DlMoveResult;

/**
 * DlTrackerOptions: zeroed is the default.
 * @handler_cpu_plus_one: where uffd-wp's handler thread runs: 0 leaves it to the scheduler, N pins it to CPU N - 1
 */
typedef struct {
    guint handler_cpu_plus_one;
} DlTrackerOptions;

/**
 * dl_log_move: from the active tracker to @name (`none` releases). Pages written meanwhile are reported by one or the other.
 * On error the former tracker is still active and nothing is lost.
 * Errors: INVALID (unknown name), UNSUPPORTED (the message names the kernel's reason), PERMISSION, RESOURCE.
 * @options, @result: may be NULL.
 */
gboolean dl_log_move(DlLog *log, const char *name, const DlTrackerOptions *options, DlMoveResult *result, GError **error);

/* --- the program's own events --- */

/**
 * dl_log_note_written: the program stored to [@gpa, @gpa + @size) itself; call it after the store and before whoever stored
 * counts as stopped. Lock-free. Notes are ORed into every collect, whatever the tracker. FALSE: outside the layout, nothing
 * noted.
 */
gboolean dl_log_note_written(DlLog *log, guint64 gpa, guint64 size);

/**
 * dl_log_discard: runs @punch (fallocate, madvise; may be NULL) under the harvest lock and reports the range dirty, since no
 * tracker does: an armed clean page stays clean though its content is now zero (kernel-facts: PUNCH_HOLE, MADV_REMOVE,
 * MADV_DONTNEED). If @punch fails, the range is reported all the same and its error returned.
 */
typedef gboolean (*DlPunch)(gpointer user, GError **error);
gboolean dl_log_discard(DlLog *log, guint64 gpa, guint64 size, DlPunch punch, gpointer user, GError **error);

/**
 * dl_log_ring_full: for KVM_EXIT_DIRTY_RING_FULL, on the vCPU's thread, which must count as stopped (DlHost) while it is in here.
 * Harvests the rings, so that the vCPU can go on.
 */
gboolean dl_log_ring_full(DlLog *log, guint vcpu, GError **error);

/**
 * DlLogStats: since dl_log_new().
 * @ring_full_exits: dl_log_ring_full() calls
 * @ring_overflows: rings found full, or resets that stopped short: all RAM was reported dirty
 * @ring_resyncs: times our position had to be searched again after an overflow
 * @faults: write-protect faults that a handler thread resolved (uffd-wp)
 * @discards: goes up before dl_log_discard() punches and again when it has: whoever read it and then saw a page that goes reads another value
 *   afterwards
 * @gaps: moves that ended in `none`, as asked or because neither tracker could be armed: from then until the next one's
 *   arming no store is reported
 */
typedef struct {
    guint64 ring_full_exits;
    guint64 ring_overflows;
    guint64 ring_resyncs;
    guint64 faults;
    guint64 discards;
    guint64 gaps;
} DlLogStats;
void dl_log_stats(DlLog *log, DlLogStats *stats);

/**
 * dl_log_ring_entries: entries harvested from @vcpu's dirty ring since dl_log_new(): how often that vCPU wrote to a page that was protected.
 * Counts on only while `kvm-ring` is active. 0 for a vCPU that does not exist.
 */
guint64 dl_log_ring_entries(DlLog *log, guint vcpu);

#pragma GCC visibility pop
G_END_DECLS
