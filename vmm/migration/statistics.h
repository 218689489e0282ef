/* SPDX-License-Identifier: MIT */
/*
 * The figures of one migration, on either side: written by its thread, read by anybody, and the events that tell of them.
 */
#pragma once

#include <migration/migration.h>

/**
 * Statistics: @info is guarded by @lock; @changed is told of each status. For the thread that owns the migration there is
 * statistics_lock(): it changes fields of @info in between.
 */
typedef struct {
    GMutex lock;
    GCond changed;
    MigrationInfo info;
    MigrationEvents events;
    gint64 started_ns;
    gboolean ended; /* the status is final, and its event has been handled */
} Statistics;

gint64 clock_now_ns(void);
/** clock_host_cpu_ns: what this process has used, user and system, without the time inside guests. */
gint64 clock_host_cpu_ns(void);

void statistics_init(Statistics *statistics, const MigrationEvents *events);
void statistics_clear(Statistics *statistics);

/** statistics_lock: the info, to be changed until statistics_unlock(). */
MigrationInfo *statistics_lock(Statistics *statistics);
void statistics_unlock(Statistics *statistics);

/** statistics_set_status: and tells. A final one fixes total_ns. Never leaves a final one. */
void statistics_set_status(Statistics *statistics, MigrationStatus status);
/** statistics_end: with a final status and what went wrong. */
void statistics_end(Statistics *statistics, MigrationStatus status, const GError *why);
MigrationStatus statistics_status(Statistics *statistics);

void statistics_begin_pass(Statistics *statistics, guint64 number);
/** statistics_end_pass: adds it to the list and to the sums. */
void statistics_end_pass(Statistics *statistics, const MigrationPass *pass, const DlBitmap *reported);

void statistics_query(Statistics *statistics, MigrationInfo *info);
gboolean statistics_wait(Statistics *statistics, gint64 timeout_ms);
