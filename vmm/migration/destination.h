/* SPDX-License-Identifier: MIT */
/*
 * The side that takes a guest. The board was built from the same description and never started; its RAM's content does not matter. It runs
 * only after the source has said GO. Once it has taken anything and failed, its machine is stopped for good: a board that
 * promised not to run cannot.
 */
#pragma once

#include <board/board.h>
#include <migration/channel.h>
#include <migration/migration.h>

/**
 * MigrationDestinationConfig: zeroed, with either uri or channel, is a usable one.
 * @uri: listened on at once; a peer that comes to nothing before its hello is accepted is dropped, and the next one waited for
 * @channel: connected already, taken over; made with @cancel, if that is given
 * @cancel: as above
 * @tls_creds, @stall_limit_ms: as in ChannelOptions
 * @idle_limit_ms: how long the source may say nothing between two frames; 0: 60 s. Before its hello, 2 s where others may come
 * @hold: after GO the guest is this side's, but stays paused (one machine_pause() to undo)
 */
typedef struct {
    const char *uri;
    MigrationChannel *channel;
    GCancellable *cancel;
    const char *tls_creds;
    guint stall_limit_ms;
    guint idle_limit_ms;
    gboolean hold;
    MigrationEvents events;
} MigrationDestinationConfig;

typedef struct MigrationDestination MigrationDestination;

/** migration_destination_new: listens, then waits on a thread of its own. Errors: those of channel_listen(). */
MigrationDestination *migration_destination_new(Board *board, const MigrationDestinationConfig *config, GError **error);
/** migration_destination_free: cancels and waits first; a guest that it has been given runs on. */
void migration_destination_free(MigrationDestination *destination);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MigrationDestination, migration_destination_free)

/** migration_destination_uri: as channel_listener_uri(); NULL when a channel was given. */
const char *migration_destination_uri(const MigrationDestination *destination);

void migration_destination_query(MigrationDestination *destination, MigrationInfo *info);
gboolean migration_destination_wait(MigrationDestination *destination, gint64 timeout_ms);

/**
 * migration_destination_is_paused: after `completed`: the guest is here, and stands, because of @hold or because it stood at the source;
 * one machine_resume() lets it go.
 */
gboolean migration_destination_is_paused(MigrationDestination *destination);
