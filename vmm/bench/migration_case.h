/* SPDX-License-Identifier: MIT */
/*
 * One case of the migration benchmark: two processes, each with a VM of its own, and a running guest that moves from one to the other.
 *
 *   parent                 source                              destination
 *   starts both            boots the guest, lets it write      builds the same VM, listens
 *   READY ←                READY →                             READY (its address) →
 *   START (address) →      migrates; judges each pass          takes the guest, holds it paused
 *   REPORT ←               REPORT (figures, verdicts) →        REPORT →
 *   DIGESTS                of 2 MiB pieces, both; then PAGES of those that differ
 *   GO_ON                                                      the guest runs again: its counters go on, its last writes are there →
 *   STILL                  nothing has moved here since →
 */
#pragma once

#include <migration/source.h>

#include "bench/stage.h"
#include "results/migration_result.h"

/** How the guest writes. */
typedef enum {
    LOAD_IDLE,     /* it spins, and touches nothing */
    LOAD_MODERATE, /* LOAD_MODERATE_PAGES_PER_SECOND, all vCPUs together */
    LOAD_HEAVY,    /* as fast as it can */
} Load;
#define N_LOADS 3
#define LOAD_MODERATE_PAGES_PER_SECOND 10000
const char *load_name(Load load);
gboolean load_from_name(const char *name, guint *load);

typedef enum {
    TRANSPORT_UNIX,
    TRANSPORT_TCP, /* over the loopback */
    TRANSPORT_TLS, /* the same, with a key that both know */
} Transport;
#define N_TRANSPORTS 3
const char *transport_name(Transport transport);
gboolean transport_from_name(const char *name, guint *transport);

/**
 * MigrationCase:
 * @pattern, @pages: as in StageConfig; LOAD_IDLE has none
 * @bandwidth: bytes a second while the guest runs; 0: no limit
 * @limit_ms: a migration that takes longer is cancelled; 0: 60 s
 * @moves: borrowed; those whose tracker is not active at their pass have no effect
 * @with_write_list, @with_replica: what judges the passes; the replica costs time in each pass, which the figures show
 */
typedef struct {
    const DlTrackerFacts *facts;
    DlRamKind ram;
    guint64 memory_bytes;
    guint vcpus;
    Load load;
    guint pattern;
    guint64 pages;
    guint64 seed;
    Transport transport;
    guint64 bandwidth;
    guint64 downtime_limit_ms;
    guint limit_ms;
    gboolean auto_converge;
    const MigrationMove *moves;
    guint n_moves;
    gboolean with_write_list, with_replica;
    const volatile gint *cancelled;
} MigrationCase;

/**
 * migration_case_run: @result has the case's own fields filled in already; the rest is filled in here, with its status and reason. @ns_per_cycle:
 * tsc_ns_per_cycle(). FALSE: nothing came of it, and the error says why: ROLE_ERROR. Nothing is left behind either way.
 */
gboolean migration_case_run(const MigrationCase *migration, double ns_per_cycle, MigrationResult *result, GError **error);

/** migration_case_ring: whether the case's VM has dirty rings, and no bitmaps: its tracker or a move wants them. */
gboolean migration_case_ring(const MigrationCase *migration);
