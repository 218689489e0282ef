/* SPDX-License-Identifier: MIT */
/* DlLog from the inside, for log.c and move.c. */
#pragma once

#include "dirtylog/atomic_bitmap.h"
#include "dirtylog/log_flag.h"
#include "dirtylog/tracker_class.h"

/** A tracker with what it was made with. */
typedef struct {
    DlTrackerContext context;
    DlTrackerOptions options;
    DlTracker *tracker;
} DlInstance;

/*
 * @lock: the harvest lock. It guards everything down to @found. Taken before @pending_lock and before whatever the host's
 *        functions take.
 * @class: also read without the lock, atomically
 * @found: what a tracker has reported and deliver() has not handed out; empty between calls
 */
struct DlLog {
    DlLayout *layout;
    DlHost host;
    DlLogStats stats;
    guint64 *ring_entries;

    GMutex lock;
    DlLogFlag *log_flag;
    const DlTrackerClass *class;
    DlInstance *instance;
    DlBitmap *found;

    DlAtomicBitmap *notes;

    GMutex pending_lock;
    GPtrArray *consumers;
};

/** dl_instance_new: nothing is armed. NULL and an error when the class does not go with the log's host and layout. */
DlInstance *dl_instance_new(DlLog *log, const DlTrackerClass *class, const DlTrackerOptions *options, GError **error);
void dl_instance_free(DlInstance *instance);
/** The tracker's functions, with every writer paused where its facts ask for that. What collect and harvest find is delivered. */
gboolean dl_instance_arm(DlLog *log, DlInstance *instance, GError **error);
gboolean dl_instance_collect(DlLog *log, DlInstance *instance, GError **error);
gboolean dl_instance_harvest(DlLog *log, DlInstance *instance, GError **error);
void dl_instance_release(DlInstance *instance);

/** Every page pending for every consumer. */
void dl_log_report_all(DlLog *log);
