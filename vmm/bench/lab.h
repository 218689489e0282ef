/* SPDX-License-Identifier: MIT */
/*
 * One run of the lab: a fresh guest, one tracker, passes of writing. In each pass RAM is harvested while the guest runs, then once
 * more when it is stopped somewhere in the pass; at each stop both oracles judge.
 */
#pragma once

#include <dirtylog/dirtylog.h>

#include "bench/judge.h"
#include "bench/stage.h"
#include "bench/workload.h"
#include "results/bench_result.h"

/** Where uffd-wp's handler thread runs. vCPU N is pinned to the N-th CPU that the process may use (modulo their number). */
typedef enum {
    HANDLER_SAME,  /* on vCPU 0's CPU */
    HANDLER_OTHER, /* on the next one */
    HANDLER_CPU,   /* on a CPU by its number */
} HandlerPlace;

/** What a window's end looked like, for whoever watches the oracles (the tests that name a lying tracker). */
typedef struct {
    const JudgeWindow *window;
    const DlBitmap *missed;   /* by the write list */
    const DlBitmap *differed; /* by the replica; empty without one */
    guint64 unexplained;      /* extra pages in this window, both oracles together */
    DlLayout *layout;
} LabWindow;

/**
 * LabConfig:
 * @ring_entries: of each vCPU's dirty ring, where the tracker has one; 0: 65536
 * @arm: moves the log from `none` to the tracker under test; NULL: dl_log_move() to facts->name. Tests arm trackers that lie
 * @observe: called at each window's end; may be NULL
 * @cancelled: set from a signal handler: the run ends soon with STAGE_ERROR_CANCELLED
 */
typedef struct {
    const DlTrackerFacts *facts;
    DlRamKind ram;
    guint64 memory_bytes;
    guint vcpus;
    Writer writer;
    guint pattern;
    guint64 pages; /* distinct a pass, all writers together; clamped already: stage_clamp_pages() */
    guint passes;
    guint64 seed;
    HandlerPlace handler;
    guint handler_cpu; /* for HANDLER_CPU */
    guint32 ring_entries;
    gboolean with_write_list, with_replica;
    const volatile gint *cancelled;
    gboolean (*arm)(DlLog *log, const DlTrackerOptions *options, DlMoveResult *result, gpointer user, GError **error);
    void (*observe)(const LabWindow *window, gpointer user);
    gpointer user;
} LabConfig;

/** What runs add up to. */
typedef struct {
    AccuracyResult write_list, replica;
    guint64 ring_overflows;
    Samples *cost[N_COSTS];
    struct abi_histogram stalls;
    Samples *stall_medians;
} LabFigures;

LabFigures *lab_figures_new(void);
void lab_figures_free(LabFigures *figures);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LabFigures, lab_figures_free)

/**
 * lab_run: one run; adds to @figures only when it succeeds. @ns_per_cycle: tsc_ns_per_cycle().
 * Errors: STAGE_ERROR, MACHINE_ERROR, DL_ERROR. Nothing is left behind.
 */
gboolean lab_run(const LabConfig *config, double ns_per_cycle, LabFigures *figures, GError **error);
