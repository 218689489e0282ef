/* SPDX-License-Identifier: MIT */
/*
 * Which tracker is active, and who wants which: the user's choice (x-dirtylab-set-tracker), a measurement that needs another one for
 * a while, and whoever must not lose dirty pages meanwhile. From any thread; moves exclude each other.
 */
#pragma once

#include <board/board.h>

typedef struct Tracking Tracking;

Tracking *tracking_new(Board *board);
void tracking_free(Tracking *tracking);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Tracking, tracking_free)

/**
 * tracking_set: the user's choice, which stays. @from: what was active before; may be NULL, as may @result. Errors: those of dl_log_move(), and
 * QMP_ERROR_GENERIC for `none` while somebody holds.
 */
gboolean tracking_set(Tracking *tracking, const char *name, const DlTrackerFacts **from, DlMoveResult *result, GError **error);

/**
 * tracking_hold: from now on, until tracking_release(), the log is never without a tracker (once it has one). @who is said to whoever asks for `none`;
 * borrowed. A holder that finds `none` may make any tracker active: `none` comes back when nobody holds or borrows any more, unless the user
 * has chosen one meanwhile.
 */
void tracking_hold(Tracking *tracking, const char *who);
void tracking_release(Tracking *tracking, const char *who);

/**
 * tracking_borrow: @facts becomes active for a while; nothing is moved where it is already. One borrower at a time.
 * tracking_give_back moves back, unless the user has chosen another in between; to `none` only once nobody holds any more. What fails there leaves the borrowed one active, with a message.
 */
gboolean tracking_borrow(Tracking *tracking, const DlTrackerFacts *facts, GError **error);
void tracking_give_back(Tracking *tracking);

/**
 * tracking_probe: whether the tracker works for this guest: on its RAM, and with the rings or bitmaps that it was made with. The first
 * call tries all of them in child processes (dl_probe()) and takes tens of milliseconds.
 */
const DlProbe *tracking_probe(Tracking *tracking, guint index);
