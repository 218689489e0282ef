/* SPDX-License-Identifier: MIT */
/* The dirty-log benchmark: runs a plan, interleaved, and fills in its results. */
#pragma once

#include "bench/plan.h"

/** BenchProgress: before each run: how many of how many runs are done, the case to come, and what is left in seconds. */
typedef void (*BenchProgress)(guint done, guint total, const PlanCase *next, double seconds_left, gpointer user);

/**
 * bench_run: runs every runnable case of @plan options->warmup + options->runs times: a round has each case once, in an order that
 * the seed decides, so that a drift of the host's speed meets all of them. A case that fails is marked failed, with the reason, and
 * not run again; the others go on.
 * @cancelled: when it becomes non-zero the benchmark ends early; what was measured stays, marked interrupted.
 * Returns: FALSE when it was cancelled.
 */
gboolean bench_run(Plan *plan, const BenchOptions *options, const volatile gint *cancelled, BenchProgress progress,
                   gpointer user);
