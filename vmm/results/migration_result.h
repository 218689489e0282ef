/* SPDX-License-Identifier: MIT */
/*
 * One live migration that was measured, as interfaces.md names its fields in JSON (schema dirtylab.migration/1). bench/ fills it in,
 * results/ writes, reads and tabulates it. A case that ran several times has as many results.
 */
#pragma once

#include "results/bench_result.h"

/** QEMU's words for a migration's end, and what a benchmark says besides. */
typedef enum {
    MIGRATION_RESULT_COMPLETED,
    MIGRATION_RESULT_FAILED,
    MIGRATION_RESULT_CANCELLED,   /* it did not end within the benchmark's limit */
    MIGRATION_RESULT_UNSUPPORTED, /* not to be had on this host: never tried */
    MIGRATION_RESULT_INTERRUPTED,
} MigrationResultStatus;
const char *migration_result_status_name(MigrationResultStatus status); /* `completed`, … */

/** What the downtime went to, in the order and by the names of the JSON. */
typedef enum {
    DOWNTIME_FINAL_HARVEST,
    DOWNTIME_FINAL_SEND,
    DOWNTIME_STATE_SAVE,
    DOWNTIME_STATE_SEND,
    DOWNTIME_STATE_LOAD,
    DOWNTIME_RESUME,
} DowntimePart;
#define N_DOWNTIME_PARTS 6
const char *downtime_part_name(DowntimePart part); /* `final_harvest`, … */

/**
 * MigrationIteration: one pass over RAM.
 * @tracker: the one that the pass's pages were collected with
 * @sent_pages: with content or as a mark of zeroes
 * @judged: FALSE for pass 1, which sends all RAM whatever was written: its oracle's figures are 0
 * @written_pages: pages that the oracle knows were written when the pass could report them, and that it reported; and those that it missed
 * @missed_pages: written, and reported neither when they should have been nor by the pass after
 */
typedef struct {
    char *tracker;
    gint64 harvest_ns, send_ns, host_cpu_ns;
    guint64 sent_pages;
    gboolean judged;
    guint64 written_pages, reported_pages, missed_pages;
    guint64 extra[N_EXTRA_CAUSES];
} MigrationIteration;

/**
 * MigrationResult: NaN for a time that is not known.
 * @moved_to: the tracker that it changed to on the way; NULL: it kept its own
 * @load: how the guest wrote: `idle`, `moderate`, `heavy`
 * @pages: distinct pages that the guest goes through, again and again
 * @run: from 1; 0 in a case that was never run
 * @bandwidth_limit: bytes a second, 0: none
 * @verified: every byte of RAM was equal on both sides
 * @ram_compared: there was something to verify: both sides had a guest's RAM at the end
 */
typedef struct {
    char *tracker, *moved_to, *ram, *transport, *load, *pattern;
    guint64 memory_bytes, pages;
    guint vcpus, run;
    guint64 bandwidth_limit, downtime_limit_ms;

    MigrationResultStatus status;
    char *reason; /* NULL when completed */

    gboolean verified, ram_compared;
    guint64 mismatched_pages;
    double total_time_ms, setup_time_ms, downtime_ms;
    double downtime_ns[N_DOWNTIME_PARTS];
    guint64 transferred_bytes, normal_pages, duplicate_pages;
    double dirty_pages_rate; /* pages a second */
    StallResult stall;       /* of the guest's stores while the migration ran; no samples */
    guint throttle_percent;
    guint64 ring_overflows;
    GArray *iterations; /* MigrationIteration */
} MigrationResult;

MigrationResult *migration_result_new(void);
void migration_result_free(MigrationResult *result);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MigrationResult, migration_result_free)

/** migration_result_same_case: alike in all but the run and what came of it. */
gboolean migration_result_same_case(const MigrationResult *a, const MigrationResult *b);

/** MigrationAccuracy: an accuracy summed over the judged passes. */
typedef struct {
    guint passes;
    guint64 written_pages, reported_pages, missed_pages;
    guint64 extra[N_EXTRA_CAUSES];
} MigrationAccuracy;
/** migration_result_add_accuracy: adds the passes of @result to @sum. */
void migration_result_add_accuracy(const MigrationResult *result, MigrationAccuracy *sum);
double migration_iteration_amplification(const MigrationIteration *iteration);

/**
 * migration_result_is_sound: not tried, interrupted, or completed with all RAM equal, nothing missed and nothing unexplained. To be cancelled
 * for taking too long is unsound.
 */
gboolean migration_result_is_sound(const MigrationResult *result);
