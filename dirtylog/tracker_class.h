/* SPDX-License-Identifier: MIT */
/*
 * The contract of a tracker, from the inside: a class (a table of functions) and an instance. A new tracker is one file that
 * defines a class and one line in tracker.c's registry. (Beside its public namesake include/dirtylog/tracker.h, hence the name
 * of this file.)
 *
 * DlLog calls every function below with the harvest lock held, never two at once; ring_full() too.
 */
#pragma once

#include <dirtylog/dirtylog.h>

typedef struct DlTracker DlTracker;
typedef struct DlTrackerClass DlTrackerClass;

/** What a tracker may use of its surroundings: the layout, the host and the options, all outliving it. */
typedef struct {
    DlLayout *layout;
    const DlHost *host;
    const DlTrackerOptions *options;
    struct DlLogFlag *log_flag; /* shared, counted ownership of KVM_MEM_LOG_DIRTY_PAGES: log_flag.h */
    DlLogStats *stats;
    guint64 *ring_entries; /* one a vCPU, atomic: dl_log_ring_entries() */
} DlTrackerContext;

/** Base of every instance; a tracker's own struct begins with it. */
struct DlTracker {
    const DlTrackerClass *class;
    const DlTrackerContext *context;
};

/**
 * DlTrackerClass:
 * @unit: bytes reported at once on memory of a kind
 * @probe: in a child process, over a small layout of one populated region without a VM (or with a bare VM for those that need
 *         one): TRUE, or an error whose message is the reason; @remedy may be set to a static or g_strdup'ed text
 * @new: allocates an instance with its base filled in, touches nothing; NULL and an error when the context rules it out (no VM,
 *         a ring VM, …)
 * @arm: from its return on no covered write is lost, on unpopulated RAM too. On error nothing stays armed
 * @plain_collect: collect calls none of the host's functions and takes hardly longer than a copy of the bitmap; DlLog may then
 *         let it OR straight into the pending pages of a single consumer, with the consumers' lock held
 * @collect: ORs into @out every page written before the call. On error what was found is in @out all the same. Never a padding
 *         bit
 * @rearm: by-range trackers only, else NULL. Protects @range again; ORs into @out what was written since the collect, or keeps
 *         it for the next collect. It may widen the range to the tracker's unit, no further
 * @harvest: collect and rearm of everything in one step; NULL: DlLog composes it from the two
 * @ring_full: the ring only, else NULL
 * @discarded: the pages of the range, of one region, were punched or dropped, and are reported dirty already; NULL: that changes
 *         nothing for the tracker
 * @release: gives all back; the guest runs on unhindered. Never fails: what cannot be given back is warned about
 * @free: after release, or instead of it when arm failed or was never called
 */
struct DlTrackerClass {
    DlTrackerFacts facts;
    gboolean plain_collect;
    guint64 (*unit)(DlRamKind kind);
    gboolean (*probe)(DlRamKind kind, char **remedy, GError **error);
    DlTracker *(*new)(const DlTrackerContext *context, GError **error);
    gboolean (*arm)(DlTracker *tracker, GError **error);
    gboolean (*collect)(DlTracker *tracker, DlBitmap *out, GError **error);
    gboolean (*rearm)(DlTracker *tracker, DlPageRange range, DlBitmap *out, GError **error);
    gboolean (*harvest)(DlTracker *tracker, DlBitmap *out, GError **error);
    gboolean (*ring_full)(DlTracker *tracker, guint vcpu, DlBitmap *out, GError **error);
    void (*discarded)(DlTracker *tracker, DlPageRange range);
    void (*release)(DlTracker *tracker);
    void (*free)(DlTracker *tracker);
};

/** The registry. */
const DlTrackerClass *dl_tracker_class_by_name(const char *name);
const DlTrackerClass *dl_tracker_class_at(guint index);

/**
 * dl_log_move_to_class: as dl_log_move(), to a class that need not stand in the registry: the tests' lying trackers, the toy of
 * docs/hacking.md.
 */
gboolean dl_log_move_to_class(DlLog *log, const DlTrackerClass *class, const DlTrackerOptions *options, DlMoveResult *result,
                              GError **error);
