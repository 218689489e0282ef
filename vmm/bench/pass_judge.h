/* SPDX-License-Identifier: MIT */
/*
 * Judges the passes of a migration, whose guest runs on through all of them but the last.
 *
 * While a pass runs nobody knows the moment at which a page was protected again, only that it lies between the pass's collect and the
 * pass's end. So a page that is written between the ends of two passes has to be reported by the second of these or by the one after
 * it; never by neither. The last pass runs with the guest stopped and has no successor: what was written since the one
 * before has to be in it. Pass 1 sends all RAM and is not judged.
 *
 * A page that is reported in time but read before it was protected again is not found here, but by comparing RAM on both sides.
 *
 *   pass_judge_begin(judge)
 *   pass_judge_ended(judge, …)     for each pass, on the migration's thread: cheap
 *   pass_judge_finish(judge)       when the migration is over: walks the list of writes
 */
#pragma once

#include "bench/stage.h"

typedef struct PassJudge PassJudge;

/** PassVerdict: of one pass. */
typedef struct {
    gboolean judged;
    guint64 written_pages; /* written when the pass could report it, and reported; and what was missed */
    guint64 missed_pages;
    guint64 reported_pages;
    guint64 extra[N_EXTRA_CAUSES];
} PassVerdict;

/** pass_judge_new: @stage outlives it. @with_replica: feed a copy of RAM too. Errors: RESOURCE (the replica). */
PassJudge *pass_judge_new(Stage *stage, gboolean with_replica, GError **error);
void pass_judge_free(PassJudge *judge);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PassJudge, pass_judge_free)

/** pass_judge_begin: the migration is about to begin: what is written from here on may be reported. */
void pass_judge_begin(PassJudge *judge);
/** pass_judge_ended: with @tracker it reported @pages; @final: the guest stands. */
void pass_judge_ended(PassJudge *judge, const char *tracker, const DlBitmap *pages, gboolean final);

/**
 * pass_judge_finish: the verdicts (of PassVerdict), one a pass that ended. If the last one was final, the guest still has to stand as
 * it did then; what the replica finds different then counts as missed too.
 */
GArray *pass_judge_finish(PassJudge *judge);
guint64 pass_judge_ring_overflows(const PassJudge *judge);
