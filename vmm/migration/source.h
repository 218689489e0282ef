/* SPDX-License-Identifier: MIT */
/*
 * The side that gives a guest away. The guest runs on meanwhile; whatever goes wrong before the hand-over, it runs on as if nothing
 * had been, and another attempt may follow. After `completed` it is paused here for good.
 *
 * All functions are for any thread, but no two threads may free.
 */
#pragma once

#include <board/board.h>
#include <migration/channel.h>
#include <migration/migration.h>

/**
 * MigrationMove: --move A:B@PASS: when pass @pass begins, and the tracker is then @from, it changes to @to.
 */
typedef struct {
    const char *from;
    const char *to;
    guint64 pass;
} MigrationMove;

/**
 * MigrationSourceConfig: zeroed, with parameters initialised and either uri or channel, is a usable one.
 * @uri: connected to by the migration's thread; or
 * @channel: connected already, taken over; made with @cancel, if that is given
 * @cancel: as above; NULL: a cancel takes effect only when a call on the channel has ended
 * @tls_creds, @tls_hostname, @stall_limit_ms: as in ChannelOptions; the last is also how long an answer may take
 * @tracker: NULL: the one that is active; and when none is, the cheapest that this VM can have
 * @keep_tracker: the tracker stays when the migration has ended; else `none` comes back, if that was there
 * @moves, @n_moves: copied
 * @guest_runs: asked when the guest has been stopped: whether it shall run on the other side; NULL: it shall
 */
typedef struct {
    const char *uri;
    MigrationChannel *channel;
    GCancellable *cancel;
    const char *tls_creds;
    const char *tls_hostname;
    guint stall_limit_ms;
    MigrationParameters parameters;
    const char *tracker;
    gboolean keep_tracker;
    const MigrationMove *moves;
    guint n_moves;
    gboolean (*guest_runs)(gpointer user);
    gpointer guest_runs_user;
    MigrationEvents events;
} MigrationSourceConfig;

typedef struct MigrationSource MigrationSource;

/**
 * migration_source_new: begins a migration of @board's guest, on a thread of its own. One at a time per board. Errors: INVALID (parameters,
 * tracker names); what goes wrong later is in the info.
 */
MigrationSource *migration_source_new(Board *board, const MigrationSourceConfig *config, GError **error);
/** migration_source_free: cancels and waits first. An unresolved guest stays paused. */
void migration_source_free(MigrationSource *source);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MigrationSource, migration_source_free)

/** migration_source_query: @info is overwritten; clear it afterwards. */
void migration_source_query(MigrationSource *source, MigrationInfo *info);
/** migration_source_wait: until the status is final; FALSE when @timeout_ms passed before (negative: for ever). */
gboolean migration_source_wait(MigrationSource *source, gint64 timeout_ms);

/** migration_source_set_parameters: take effect at once. Errors: INVALID */
gboolean migration_source_set_parameters(MigrationSource *source, const MigrationParameters *parameters, GError **error);
/** migration_source_cancel: FALSE: too late, GO has been sent or the status is final. */
gboolean migration_source_cancel(MigrationSource *source);
/** migration_source_continue: out of pre-switchover. Errors: INVALID: not there. */
gboolean migration_source_continue(MigrationSource *source, GError **error);
/** migration_source_move_tracker: at any time, under load. Errors: those of dl_log_move(); INVALID: not migrating. */
gboolean migration_source_move_tracker(MigrationSource *source, const char *name, GError **error);

/**
 * migration_source_resolve: a person has looked at the destination. @run: the guest goes on here (the destination must be dead, or it
 * runs twice); else it stays paused for good, as after `completed`. The status stays `failed` either way. Errors: INVALID: nothing to resolve.
 */
gboolean migration_source_resolve(MigrationSource *source, gboolean run, GError **error);
