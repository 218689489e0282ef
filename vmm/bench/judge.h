/* SPDX-License-Identifier: MIT */
/*
 * The judge: sets what was reported in a window against what an oracle knows, and finds a cause for each extra page. It computes each
 * cause's set of pages; unexplained is what lies outside them all.
 */
#pragma once

#include <dirtylog/dirtylog.h>

#include "bench/write_list.h"
#include "results/bench_result.h"

/** What stays the same through a run. */
typedef struct {
    const DlTrackerFacts *facts;
    Writer writer;
    DlLayout *layout;
    const DlBitmap *own;         /* pages the guest stores to besides the workload: mailbox, progress, stacks */
    const DlBitmap *page_tables; /* the guest's */
    const DlBitmap *kvm_pages;   /* pages that KVM writes itself */
} JudgeContext;

/** A window at its end: everything stands still, the last harvest is in. */
typedef struct {
    const DlBitmap *reported;
    const WriteWindow *writes;
    const DlBitmap *changed; /* the replica's; empty without a replica */
    gboolean overflow;       /* a ring overflowed in this window */
    const DlBitmap *flagged; /* in mappings that were new to soft-dirty at one of the harvests; NULL: none */
} JudgeWindow;

/**
 * judge_write_list: adds the window's figures to @sum, over @scope only; sets in @missed what was missed.
 * A page of in_flight that was not reported is no miss unless it is in written.
 */
void judge_write_list(const JudgeContext *context, const JudgeWindow *window, const DlBitmap *scope, AccuracyResult *sum,
                      DlBitmap *missed);

/**
 * judge_replica: the same over all of RAM. @differed is replica_compare()'s answer. Expected among it is what the writer wrote that the
 * tracker cannot see. Same-value stores (silent, the guest's own pages) count as written here: content does not show them.
 */
void judge_replica(const JudgeContext *context, const JudgeWindow *window, const DlBitmap *differed, AccuracyResult *sum);
