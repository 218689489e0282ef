/* SPDX-License-Identifier: MIT */
/*
 * Migrations as clients of the control socket see them: parameters and capabilities that outlast a migration, at most one of them at a
 * time, in or out, what it does to the run state, and the events that tell of it. From any thread; calls that change something exclude
 * each other.
 */
#pragma once

#include <json-glib/json-glib.h>
#include <migration/destination.h>
#include <migration/source.h>

#include "control/run_state.h"
#include "control/tracking.h"

/** Tells clients; any thread. @data is consumed. */
typedef void (*MigrateEmit)(gpointer user, const char *event, JsonObject *data);

typedef struct Migrate Migrate;

Migrate *migrate_new(Board *board, RunState *run_state, Tracking *tracking, MigrateEmit emit, gpointer user);
/** migrate_free: a migration under way is cancelled and waited for. */
void migrate_free(Migrate *migrate);

/* --- what outlasts a migration --- */

/**
 * MigrateSettings:
 * @tls_creds: a folder; empty: no TLS. @tls_hostname: empty: the URI's host
 * @events: whether MIGRATION and MIGRATION_PASS are sent
 * @return_path: kept for whoever asks; there is always one
 */
typedef struct {
    MigrationParameters parameters;
    char *tls_creds;
    char *tls_hostname;
    gboolean events;
    gboolean return_path;
} MigrateSettings;
void migrate_settings_clear(MigrateSettings *settings);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(MigrateSettings, migrate_settings_clear)

/** migrate_get_settings: a copy. */
void migrate_get_settings(Migrate *migrate, MigrateSettings *settings);
/** Changes a copy of the settings; FALSE, with an error: they stay as they were. */
typedef gboolean (*MigrateChange)(MigrateSettings *settings, gpointer user, GError **error);
/**
 * migrate_change_settings: one change at a time. Parameters reach a migration that is under way, capabilities must not change then.
 * Errors: those of @change, MIGRATION_ERROR_INVALID.
 */
gboolean migrate_change_settings(Migrate *migrate, MigrateChange change, gpointer user, GError **error);

/* --- out --- */

/** migrate_start: errors that are found at once; what goes wrong later is in migrate_query(). @moves are copied. */
gboolean migrate_start(Migrate *migrate, const char *uri, const MigrationMove *moves, guint n_moves, GError **error);
/** migrate_cancel: nothing to do when none is under way. Errors: INVALID: too late. */
gboolean migrate_cancel(Migrate *migrate, GError **error);
gboolean migrate_continue(Migrate *migrate, GError **error);
/** migrate_resolve: x-dirtylab-resolve-handover. */
gboolean migrate_resolve(Migrate *migrate, gboolean run, GError **error);

/* --- in --- */

/**
 * migrate_expect: this guest will come from elsewhere, and is not to be started; before migrate_listen(). @paused: it stands when it is here, until
 * somebody says `cont`.
 */
void migrate_expect(Migrate *migrate, gboolean paused);
/** migrate_listen: once, after migrate_expect(). Errors: MIGRATION_ERROR_INVALID, those of channel_listen(). */
gboolean migrate_listen(Migrate *migrate, const char *uri, GError **error);
/** migrate_run_when_here: what stop and cont mean while the guest is awaited. FALSE: no guest is. */
gboolean migrate_run_when_here(Migrate *migrate, gboolean run);
/** migrate_failure: once the machine has ended: why the guest never came; NULL: it did. Free it. */
GError *migrate_failure(Migrate *migrate);

/** migrate_query: of the last migration; clear @info. @incoming: which way it went; may be NULL. FALSE: there was none. */
gboolean migrate_query(Migrate *migrate, MigrationInfo *info, gboolean *incoming);
