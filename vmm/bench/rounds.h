/* SPDX-License-Identifier: MIT */
/* Rounds: each has every case once, in an order that the seed decides, so that a drift of the host's speed meets all of them. */
#pragma once

#include <glib.h>

/**
 * Rounds:
 * @estimate_seconds: of all rounds together, before anything was measured
 * @cancelled: when it becomes non-zero, no case is begun any more; may be NULL
 * @runnable: asked before each run of case @index
 * @run: runs it; @round counts from 0
 * @progress: before each run: how many of how many are done, the case to come, what is left in seconds; may be NULL
 */
typedef struct {
    guint n_cases, n_rounds;
    guint64 seed;
    double estimate_seconds;
    const volatile gint *cancelled;
    gboolean (*runnable)(guint index, gpointer user);
    void (*run)(guint index, guint round, gpointer user);
    void (*progress)(guint done, guint total, guint index, double seconds_left, gpointer user);
    gpointer user;
} Rounds;

/** rounds_run: FALSE: it was cancelled. */
gboolean rounds_run(const Rounds *rounds);
