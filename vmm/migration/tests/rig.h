/* SPDX-License-Identifier: MIT */
/*
 * For the migration's tests: two boards in one process, one with the embedded guest running in it, and a migration between them over
 * a socket pair.
 */
#pragma once

#include <board/tests/guest_run.h>
#include <migration/destination.h>
#include <migration/source.h>

#define MIB (UINT64_C(1) << 20)
#define RIG_RING_ENTRIES 16384

/**
 * RigConfig: zeroed is 64 MiB of shmem, one vCPU, bitmaps, the guest writing 500 random pages a pass.
 * @tracker: also decides whether the machine has a dirty ring
 * @to_ram: the destination's kind; @same_ram when it is @ram
 * @let_go: the guest goes on at the destination; else it is held
 */
typedef struct {
    DlRamKind ram, to_ram;
    guint64 memory_bytes;
    guint vcpus;
    const char *tracker;
    gboolean ring;
    const char *workload;
    guint64 settle; /* writes before rig_new() returns; 0: 600 */
    gboolean let_go;
    const char *uri; /* the destination listens there, and the source connects; NULL: a socket pair */
    guint stall_limit_ms;
    MigrationParameters parameters; /* zeroed: no bandwidth limit, the rest as usual */
    const MigrationMove *moves;
    guint n_moves;
    MigrationEvents events; /* of the source */
} RigConfig;

typedef struct {
    RigConfig config;
    GuestRun *from, *to;
    MigrationChannel *ends[2]; /* the source's, the destination's; given away when the migration starts */
    GCancellable *cancel[2];
    MigrationSource *source;
    MigrationDestination *destination;
} Rig;

/** rig_new: the guest runs and has written something; nothing migrates. */
Rig *rig_new(const RigConfig *config);
void rig_free(Rig *rig);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Rig, rig_free)

/** rig_new_destination: a fresh board and, with @fd ≥ 0, a destination on it; with -1 the ends of a new socket pair are used. */
void rig_new_destination(Rig *rig, int fd);
/** rig_new_source: a migration begins, over @fd or the socket pair. */
void rig_new_source(Rig *rig, int fd);
/** rig_migrate: both, and waits for both ends. */
void rig_migrate(Rig *rig);

/** rig_drop_destination: the board too; the source's guest stays as it is. */
void rig_drop_destination(Rig *rig);
/** rig_turn_round: what was the destination becomes the source of the next migration. */
void rig_turn_round(Rig *rig);

/** rig_expect: fails the test, with the errors of both sides, unless they ended like this. */
void rig_expect(Rig *rig, MigrationStatus source, MigrationStatus destination);
/** rig_compare: RAM, byte for byte, both sides paused or not running. Returns the pages that differ, and names the first. */
guint64 rig_compare(Rig *rig);

/** rig_runs: whether the guest there gets on, seen over a while of processor time. */
gboolean rig_runs(GuestRun *run);

/** rig_ram_here: whether this host has RAM of that kind; else the test is skipped. */
gboolean rig_ram_here(DlRamKind kind, guint64 bytes);
gboolean rig_tracker_here(const char *tracker, DlRamKind kind);
