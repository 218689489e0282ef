/* SPDX-License-Identifier: MIT */
/*
 * Live migration: the words that both sides share: status, parameters, figures, events. source.h sends a guest, destination.h
 * takes one; docs/protocol.md says how they talk and which of them may run the guest when.
 */
#pragma once

#include <dirtylog/bitmap.h>

#define MIGRATION_ERROR (migration_error_quark())

/**
 * MigrationError:
 * @MIGRATION_ERROR_FAILED: this side cannot go on; beside it CHANNEL_ERROR, MACHINE_ERROR and DL_ERROR are passed on as they are
 * @MIGRATION_ERROR_REFUSED: the other side does not take this guest; the message says what differs
 * @MIGRATION_ERROR_PEER: the other side gave up; the message is its own
 * @MIGRATION_ERROR_DAMAGED: a frame that was changed on the way, or that no peer of ours sends here
 * @MIGRATION_ERROR_CANCELLED: migration_source_cancel() and the like
 * @MIGRATION_ERROR_GUEST_ENDED: the guest crashed, powered off or reset meanwhile
 * @MIGRATION_ERROR_UNRESOLVED: GO was sent and no answer came: the guest is paused here, and perhaps runs there
 * @MIGRATION_ERROR_INVALID: the caller's arguments, or a call at the wrong time
 */
typedef enum {
    MIGRATION_ERROR_FAILED,
    MIGRATION_ERROR_REFUSED,
    MIGRATION_ERROR_PEER,
    MIGRATION_ERROR_DAMAGED,
    MIGRATION_ERROR_CANCELLED,
    MIGRATION_ERROR_GUEST_ENDED,
    MIGRATION_ERROR_UNRESOLVED,
    MIGRATION_ERROR_INVALID,
} MigrationError;

GQuark migration_error_quark(void);

/** As QEMU's: a source goes none, setup, active, (pre-switchover,) device, completed; a destination none, setup, active, completed. */
typedef enum {
    MIGRATION_NONE,
    MIGRATION_SETUP,
    MIGRATION_ACTIVE,
    MIGRATION_PRE_SWITCHOVER,
    MIGRATION_DEVICE,
    MIGRATION_COMPLETED,
    MIGRATION_FAILED,
    MIGRATION_CANCELLING,
    MIGRATION_CANCELLED,
} MigrationStatus;

/** migration_status_name: QEMU's word: `none`, `setup`, `pre-switchover`, … */
const char *migration_status_name(MigrationStatus status);
/** migration_status_is_final: completed, failed or cancelled: the migration's thread has done with the guest. */
gboolean migration_status_is_final(MigrationStatus status);

/**
 * MigrationParameters: QEMU's parameters and capabilities of the same names. They may change while a migration runs.
 * @max_bandwidth: bytes a second while the guest runs; 0: no limit
 * @downtime_limit_ms: the guest is stopped when what remains is thought to take no longer
 * @cpu_throttle_initial, @cpu_throttle_increment, @max_cpu_throttle: percent, 1 … 99
 * @auto_converge: slow the guest down when passes do not shrink
 * @pause_before_switchover: wait, with the guest paused, for migration_source_continue()
 */
typedef struct {
    guint64 max_bandwidth;
    guint64 downtime_limit_ms;
    guint cpu_throttle_initial;
    guint cpu_throttle_increment;
    guint max_cpu_throttle;
    gboolean auto_converge;
    gboolean pause_before_switchover;
} MigrationParameters;

/** migration_parameters_init: QEMU's defaults: 128 MiB/s, 300 ms, 20 %, 10 %, 99 %, both capabilities off. */
void migration_parameters_init(MigrationParameters *parameters);
/** migration_parameters_check: Errors: INVALID: names the parameter and its bounds. */
gboolean migration_parameters_check(const MigrationParameters *parameters, GError **error);

/**
 * MigrationPass: one walk over RAM; the first sends all that there is, the last one runs with the guest stopped.
 * @number: from 1
 * @tracker: the one that was active when the pass began; static
 * @harvest_ns: collecting, and re-arming window by window
 * @send_ns: the rest: reading, hashing, writing to the channel
 * @reported_pages: pages that the tracker reported since the pass before; in pass 1 all pages of RAM
 * @normal_pages, @zero_pages: sent with content, or as a mark
 * @transferred_bytes: on the channel, frames included
 * @host_cpu_ns: user and system time of the whole process meanwhile, less the time inside the guest
 * @throttle_percent: at its end
 */
typedef struct {
    guint64 number;
    const char *tracker;
    gint64 harvest_ns;
    gint64 send_ns;
    guint64 reported_pages;
    guint64 normal_pages;
    guint64 zero_pages;
    guint64 transferred_bytes;
    gint64 host_cpu_ns;
    guint throttle_percent;
    gboolean final;
} MigrationPass;

/** MigrationDowntime: what the downtime went to, in ns; state_load and resume as the destination measured them. */
typedef struct {
    gint64 final_harvest; /* stopping the guest, and the last collect */
    gint64 final_send;    /* the pages it found */
    gint64 state_save;
    gint64 state_send; /* until the destination says it has loaded all, without its own state_load */
    gint64 state_load;
    gint64 resume; /* from GO to running */
} MigrationDowntime;

#define MIGRATION_PASSES_KEPT 500

/**
 * MigrationInfo: a copy of all figures at one moment. Times in ns of CLOCK_MONOTONIC, -1 while unknown.
 * @error: why it failed or was cancelled; NULL otherwise
 * @handover_unresolved: x-dirtylab-handover
 * @total_ns, @setup_ns, @downtime_ns, @expected_downtime_ns: QEMU's times. Downtime: the source's clock, from the stop to the
 * destination's answer that it runs
 * @ram_total: bytes of guest RAM; @ram_remaining: bytes still to be sent in this pass and pending since
 * @ram_transferred: bytes on the channel; @precopy_bytes, @downtime_bytes: the same, while the guest ran and while it stood
 * @normal_pages, @duplicate_pages: sent with content, sent as zero marks
 * @dirty_sync_count: collects so far, pass 1 included
 * @dirty_pages_rate: pages a second that the guest wrote between the last two collects
 * @pages_per_second, @bandwidth: sent in the last pass; bytes a second
 * @passes: of MigrationPass, the finished ones: of very many, the first and the last MIGRATION_PASSES_KEPT
 */
typedef struct {
    MigrationStatus status;
    char *error;
    gboolean handover_unresolved;
    const char *tracker;
    gint64 total_ns;
    gint64 setup_ns;
    gint64 downtime_ns;
    gint64 expected_downtime_ns;
    MigrationDowntime downtime;
    guint throttle_percent;
    guint64 ram_total;
    guint64 ram_remaining;
    guint64 ram_transferred;
    guint64 precopy_bytes;
    guint64 downtime_bytes;
    guint64 normal_pages;
    guint64 duplicate_pages;
    guint64 dirty_sync_count;
    double dirty_pages_rate;
    double pages_per_second;
    double bandwidth;
    GArray *passes;
} MigrationInfo;

void migration_info_clear(MigrationInfo *info);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(MigrationInfo, migration_info_clear)

/**
 * MigrationEvents: called on the migration's own thread, with no lock held, in order; any may be NULL. They may call query functions, but
 * not free the migration.
 * @status: after each change. The guest's side of it has happened: `completed` on a destination comes with the guest running
 * (or held), `failed` and `cancelled` on a source with the guest going on
 * @pass: after each collect: @number is the pass that begins (MIGRATION_PASS; 1 for the first)
 * @reported: at a pass's end: which pages it found reported, as dl_log_layout() numbers them; for judging trackers
 */
typedef struct {
    void (*status)(gpointer user, MigrationStatus status);
    void (*pass)(gpointer user, guint64 number);
    void (*reported)(gpointer user, const MigrationPass *pass, const DlBitmap *pages);
    gpointer user;
} MigrationEvents;
