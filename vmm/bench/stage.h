/* SPDX-License-Identifier: MIT */
/*
 * What an experiment on a running guest stands on: a board with the embedded guest, the doorbell that holds it, the writers and the list of
 * their writes, and the page sets that the judge needs. The lab and the migration benchmark set theirs up here.
 */
#pragma once

#include "bench/doorbell.h"
#include "bench/host_writer.h"
#include "bench/judge.h"
#include "bench/write_list.h"
#include "board/board.h"

/** A guest that makes no progress for so long is stuck. */
#define STAGE_STALL_LIMIT_US (INT64_C(60) * G_USEC_PER_SEC)

/**
 * StageConfig:
 * @facts: the tracker to come: it decides whether the vCPUs have rings
 * @pages: distinct a pass, all writers together; clamped already: stage_clamp_pages()
 * @ring_entries: of each vCPU's dirty ring, where the tracker has one; 0: 65536
 * @pace_cycles: TSC cycles that a vCPU lets pass between two writes at least; 0: it writes as fast as it can
 * @unpopulated: RAM is backed as it is touched, and the guest does not touch it first
 * @cancelled: set from a signal handler: waiting ends soon with STAGE_ERROR_CANCELLED; may be NULL
 */
typedef struct {
    const DlTrackerFacts *facts;
    DlRamKind ram;
    guint64 memory_bytes;
    guint vcpus;
    Writer writer;
    guint pattern;
    guint64 pages;
    guint64 seed;
    guint32 ring_entries;
    guint64 pace_cycles;
    gboolean unpopulated;
    const volatile gint *cancelled;
} StageConfig;

/**
 * Stage: everything is owned by it; for reading.
 * @host_writer: NULL: the guest writes
 * @workload: the writers' own
 * @positions: stage_read_positions() fills it in, an actor each
 */
typedef struct {
    StageConfig config;
    struct abi_arena arena;
    Board *board;
    Machine *machine;
    DlLayout *layout;
    DlLog *log;
    Doorbell *doorbell;
    HostWriter *host_writer;
    WriteList *list;
    struct abi_workload workload;
    guint n_actors;
    guint64 *positions;
    JudgeContext judge;
    DlBitmap *own, *page_tables, *kvm_pages; /* of judge */
} Stage;

#define STAGE_ERROR (stage_error_quark())
typedef enum {
    STAGE_ERROR_FAILED,    /* the guest stalled, crashed or is not what we loaded */
    STAGE_ERROR_CANCELLED, /* @cancelled was set */
} StageError;
GQuark stage_error_quark(void);

/** stage_arena: the arena of a guest with so much RAM, by the same function as the guest's. */
void stage_arena(guint64 memory_bytes, struct abi_arena *arena);
/** stage_clamp_pages: how many distinct pages such a case can have a pass when @pages are asked for. */
guint64 stage_clamp_pages(Writer writer, guint pattern, guint64 pages, guint64 memory_bytes, guint vcpus);
/** stage_cpu: the @nth CPU that the process may use, modulo their number. vCPU N is pinned to the N-th. */
guint stage_cpu(guint nth);

/** stage_new: everything stands, nothing runs. Errors: those of board_new(), host_writer_new(). */
Stage *stage_new(const StageConfig *config, GError **error);
/** stage_stop: the vCPUs end first: a writer may be waiting for them, and a uffd-wp handler must outlive them. */
void stage_stop(Stage *stage);
/** stage_free: stops first. What its owner made of the layout or the log is freed before. */
void stage_free(Stage *stage);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Stage, stage_free)

/** stage_boot: starts the guest, waits until every vCPU is held by the doorbell, and checks that it understood us. Errors: STAGE_ERROR */
gboolean stage_boot(Stage *stage, GError **error);

/** stage_read_positions: how many writes each actor has made; returns their sum. */
guint64 stage_read_positions(Stage *stage);
/** stage_progress: what a vCPU says of itself. */
const volatile struct abi_vcpu *stage_progress(const Stage *stage, guint vcpu);
/** stage_check_alive: FALSE: cancelled, crashed, or the host's writer failed. */
gboolean stage_check_alive(const Stage *stage, GError **error);
/** stage_wait_for: until the writers together have made @target writes, or all of them have finished the pass. Errors: STAGE_ERROR */
gboolean stage_wait_for(Stage *stage, guint64 target, GError **error);
