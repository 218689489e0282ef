/* SPDX-License-Identifier: MIT */
/* What source.c, precopy.c and handover.c share. Below `lock` it guards everything; what stands above is the migration's thread's. */
#pragma once

#include <migration/ram_send.h>
#include <migration/source.h>
#include <migration/statistics.h>
#include <migration/throttle.h>

typedef struct {
    const char *from;
    const char *to;
    guint64 pass;
} Move;

/**
 * MigrationSource:
 * @taken: pages that were taken from @consumer and are being sent
 * @reported: all that this pass took, for the events
 * @discards: DlLogStats.discards when the sender last knew what of RAM exists
 * @gaps: DlLogStats.gaps when tracking began
 * @due_us: when all that was sent so far was due under the bandwidth limit
 * @paced_by: the limit by which @due_us was reckoned last
 * @bandwidth: bytes a second, as measured; 0: not yet
 * @measured_bytes, @measured_ns: what it is measured by next
 * @stopped_ns: when the guest was stopped for good
 */
struct MigrationSource {
    Board *board;
    Machine *machine;
    DlLog *log;
    DlLayout *layout;
    char *uri, *tls_creds, *tls_hostname;
    guint stall_limit_ms;
    const char *tracker;
    gboolean keep_tracker;
    GArray *moves; /* of Move */
    gboolean (*guest_runs)(gpointer user);
    gpointer guest_runs_user;
    GThread *thread;
    GCancellable *cancel;
    MigrationChannel *channel;
    Stream stream;
    RamSender *sender;
    RamSent sent;
    DlConsumer *consumer;
    DlBitmap *taken, *reported;
    const char *tracker_before;
    Throttle *throttle;
    guint64 discards;
    guint64 gaps;
    gint64 due_us;
    guint64 paced_by;
    gint64 last_frame_us;
    guint64 number; /* of the pass */
    double bandwidth;
    guint64 measured_bytes;
    gint64 measured_ns;
    gint64 collected_ns;
    gint64 stopped_ns;
    gboolean quiesced, paused;

    Statistics statistics; /* has a lock of its own */

    GMutex lock;
    GCond changed;
    MigrationParameters parameters;
    gboolean cancelled;
    gboolean committed; /* GO has been sent, or may have been */
    gboolean go_on;     /* migration_source_continue() */
    gboolean unresolved;
};

MigrationParameters source_parameters(MigrationSource *source);
/** source_is_cancelled: @user is the source. */
gboolean source_is_cancelled(gpointer user);
/** source_check: that nothing ends the migration: a cancel, the guest's end, the destination's ERROR. */
gboolean source_check(MigrationSource *source, GError **error);

typedef gboolean (*SourceCondition)(MigrationSource *source);
/** source_wait: until @until_us of the monotonic clock, or until @condition, called with the lock held, is TRUE. Keeps the destination waiting too. */
gboolean source_wait(MigrationSource *source, gint64 until_us, SourceCondition condition, GError **error);
/** source_pace: a RamSenderPace. */
gboolean source_pace(gpointer user, guint64 bytes, GError **error);

/** When an answer is too late. */
gint64 source_answer_deadline(const MigrationSource *source);

/* --- precopy.c --- */

/** A pass under way. */
typedef struct {
    MigrationPass figures;
    gint64 started_ns, cpu_ns;
    guint64 bytes;
    RamSent sent;
} SourcePass;

void source_begin_pass(MigrationSource *source, SourcePass *pass);
void source_end_pass(MigrationSource *source, SourcePass *pass);
/** source_send_pending: takes and sends what is pending in all of RAM; with @rearm, each window is protected before it is read. */
gboolean source_send_pending(MigrationSource *source, SourcePass *pass, gboolean rearm, GError **error);
/** source_collect: and how many pages are pending then. */
gboolean source_collect(MigrationSource *source, SourcePass *pass, guint64 *pending, GError **error);
void source_tell_pass(MigrationSource *source, gboolean final, GByteArray *out);

gboolean source_start_tracking(MigrationSource *source, GError **error);
/** source_precopy: passes until it is time to stop the guest. */
gboolean source_precopy(MigrationSource *source, GError **error);

/* --- handover.c --- */

/** source_hand_over: on MIGRATION_ERROR_UNRESOLVED the guest must stay paused; on any other error it goes on here. */
gboolean source_hand_over(MigrationSource *source, GError **error);
