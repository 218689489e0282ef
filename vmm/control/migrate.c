/* SPDX-License-Identifier: MIT */
/*
 * Two locks. `commands` is held through a call that changes something, and may wait for a migration's thread to end. `lock` guards what a
 * migration's own thread wants to know when it tells of a new status, and is never held while anybody waits.
 *
 * The run state: a source's guest is `finish-migrate` from its stop on, and then `postmigrate`, or what it was before when the
 * migration failed. Where nobody knows who has the guest it stays `finish-migrate`, in which `cont` is refused, until that is resolved.
 */
#include "control/migrate.h"

#include "control/qmp.h"

#define HOLDER "a migration"
#define FAILURE_WAIT_MS 10000

struct Migrate {
    Board *board;
    RunState *run_state;
    Tracking *tracking;
    MigrateEmit emit;
    gpointer user;

    GMutex commands;

    GMutex lock; /* guards all below */
    MigrateSettings settings;
    MigrationSource *source;
    MigrationDestination *destination;
    gboolean expecting;
    gboolean run_when_here;
    gboolean hold;      /* the destination was told to hold the guest */
    gboolean resolving; /* a hand-over is being resolved: it is told as unresolved until the run state has followed */
    GError *failure;
};

static gboolean
refuse(GError **error, const char *why)
{
    g_set_error_literal(error, MIGRATION_ERROR, MIGRATION_ERROR_INVALID, why);
    return FALSE;
}

Migrate *
migrate_new(Board *board, RunState *run_state, Tracking *tracking, MigrateEmit emit, gpointer user)
{
    Migrate *migrate = g_new0(Migrate, 1);

    migrate->board = board;
    migrate->run_state = run_state;
    migrate->tracking = tracking;
    migrate->emit = emit;
    migrate->user = user;
    migrate->run_when_here = TRUE;
    migration_parameters_init(&migrate->settings.parameters);
    migrate->settings.tls_creds = g_strdup("");
    migrate->settings.tls_hostname = g_strdup("");
    g_mutex_init(&migrate->commands);
    g_mutex_init(&migrate->lock);
    return migrate;
}

void
migrate_free(Migrate *migrate)
{
    if (!migrate)
        return;
    /* their threads may ask for the pointers until they have ended */
    if (migrate->source)
        migration_source_free(migrate->source);
    if (migrate->destination)
        migration_destination_free(migrate->destination);
    migrate_settings_clear(&migrate->settings);
    g_clear_error(&migrate->failure);
    g_mutex_clear(&migrate->commands);
    g_mutex_clear(&migrate->lock);
    g_free(migrate);
}

/* --- settings --- */

void
migrate_settings_clear(MigrateSettings *settings)
{
    g_clear_pointer(&settings->tls_creds, g_free);
    g_clear_pointer(&settings->tls_hostname, g_free);
}

void
migrate_get_settings(Migrate *migrate, MigrateSettings *settings)
{
    g_mutex_lock(&migrate->lock);
    *settings = migrate->settings;
    settings->tls_creds = g_strdup(migrate->settings.tls_creds);
    settings->tls_hostname = g_strdup(migrate->settings.tls_hostname);
    g_mutex_unlock(&migrate->lock);
}

/* With `commands` held: the pointer does not change. Under way until the last status has had its effect here. */
static gboolean
is_under_way(Migrate *migrate)
{
    return migrate->source && !migration_source_wait(migrate->source, 0);
}

static gboolean
check_capabilities(Migrate *migrate, const MigrateSettings *settings, GError **error)
{
    const MigrateSettings *old = &migrate->settings;
    gboolean same = old->events == settings->events && old->return_path == settings->return_path &&
                    old->parameters.auto_converge == settings->parameters.auto_converge &&
                    old->parameters.pause_before_switchover == settings->parameters.pause_before_switchover;

    return same || !is_under_way(migrate) || refuse(error, "capabilities stay as they are while a migration is under way");
}

gboolean
migrate_change_settings(Migrate *migrate, MigrateChange change, gpointer user, GError **error)
{
    g_auto(MigrateSettings) settings = {0};

    g_mutex_lock(&migrate->commands);
    migrate_get_settings(migrate, &settings);
    gboolean ok = change(&settings, user, error) && check_capabilities(migrate, &settings, error) &&
                  migration_parameters_check(&settings.parameters, error) &&
                  (!migrate->source || migration_source_set_parameters(migrate->source, &settings.parameters, error));
    if (ok) {
        g_mutex_lock(&migrate->lock);
        MigrateSettings old = migrate->settings;
        migrate->settings = settings;
        settings = old;
        g_mutex_unlock(&migrate->lock);
    }
    g_mutex_unlock(&migrate->commands);
    return ok;
}

/* --- events: on a migration's own thread --- */

static gboolean
wants_events(Migrate *migrate)
{
    g_mutex_lock(&migrate->lock);
    gboolean events = migrate->settings.events;
    g_mutex_unlock(&migrate->lock);
    return events;
}

static void
tell_status(Migrate *migrate, MigrationStatus status)
{
    if (!wants_events(migrate))
        return;
    JsonObject *data = json_object_new();
    json_object_set_string_member(data, "status", migration_status_name(status));
    migrate->emit(migrate->user, "MIGRATION", data);
}

static void
on_pass(gpointer user, guint64 number)
{
    Migrate *migrate = user;

    if (!wants_events(migrate))
        return;
    JsonObject *data = json_object_new();
    json_object_set_int_member(data, "pass", (gint64)number);
    migrate->emit(migrate->user, "MIGRATION_PASS", data);
}

static gboolean
is_unresolved(Migrate *migrate)
{
    MigrationInfo info = {0};

    g_mutex_lock(&migrate->lock);
    migration_source_query(migrate->source, &info);
    g_mutex_unlock(&migrate->lock);
    gboolean unresolved = info.handover_unresolved;
    migration_info_clear(&info);
    return unresolved;
}

static void
on_source_status(gpointer user, MigrationStatus status)
{
    Migrate *migrate = user;

    if (status == MIGRATION_PRE_SWITCHOVER || status == MIGRATION_DEVICE)
        run_state_begin_finish(migrate->run_state);
    else if (status == MIGRATION_COMPLETED)
        run_state_end_finish(migrate->run_state, TRUE);
    else if (migration_status_is_final(status) && !is_unresolved(migrate))
        run_state_end_finish(migrate->run_state, FALSE);
    if (migration_status_is_final(status))
        tracking_release(migrate->tracking, HOLDER);
    tell_status(migrate, status);
}

/* Whether the guest shall run on the other side: asked when it has been stopped for good. */
static gboolean
guest_runs(gpointer user)
{
    Migrate *migrate = user;

    return run_state_begin_finish(migrate->run_state);
}

/* What stop and cont asked for while the guest was on its way. */
static void
welcome(Migrate *migrate)
{
    g_mutex_lock(&migrate->lock);
    gboolean paused = migration_destination_is_paused(migrate->destination);
    gboolean run = migrate->run_when_here, held = migrate->hold;
    migrate->expecting = FALSE;
    g_mutex_unlock(&migrate->lock);

    g_autoptr(GError) error = NULL;
    run_state_arrived(migrate->run_state, !paused);
    if (paused && held && run)
        run_state_cont(migrate->run_state, &error);
    else if (!paused && !run && !run_state_stop(migrate->run_state, &error))
        g_message("the guest came running and cannot be stopped: %s", error->message);
}

/* A board that waited for a guest which does not come is of no use. */
static void
note_failure(Migrate *migrate)
{
    MigrationInfo info = {0};

    g_mutex_lock(&migrate->lock);
    migration_destination_query(migrate->destination, &info);
    if (!migrate->failure)
        g_set_error(&migrate->failure, MIGRATION_ERROR, MIGRATION_ERROR_FAILED, "the guest did not come: %s",
                    info.error ? info.error : "no reason");
    g_mutex_unlock(&migrate->lock);
    migration_info_clear(&info);
    machine_stop(board_machine(migrate->board));
}

static void
on_destination_status(gpointer user, MigrationStatus status)
{
    Migrate *migrate = user;

    if (status == MIGRATION_COMPLETED)
        welcome(migrate);
    tell_status(migrate, status);
    if (status == MIGRATION_FAILED || status == MIGRATION_CANCELLED)
        note_failure(migrate);
}

/* --- out --- */

static gboolean
check_guest_is_here(Migrate *migrate, GError **error)
{
    RunStatus status = run_state_get(migrate->run_state);

    if (status == RUN_RUNNING || status == RUN_PAUSED)
        return TRUE;
    g_set_error(error, MIGRATION_ERROR, MIGRATION_ERROR_INVALID, "there is no guest to migrate: its run state is %s",
                run_status_name(status));
    return FALSE;
}

static gboolean
start(Migrate *migrate, const MigrationSourceConfig *config, GError **error)
{
    if (is_under_way(migrate))
        return refuse(error, "a migration is under way: wait for its end, or cancel it");
    if (!check_guest_is_here(migrate, error))
        return FALSE;
    g_mutex_lock(&migrate->lock);
    MigrationSource *last = g_steal_pointer(&migrate->source);
    g_mutex_unlock(&migrate->lock);
    g_clear_pointer(&last, migration_source_free);

    tracking_hold(migrate->tracking, HOLDER);
    g_mutex_lock(&migrate->lock); /* its thread asks for the pointer */
    migrate->source = migration_source_new(migrate->board, config, error);
    g_mutex_unlock(&migrate->lock);
    if (!migrate->source)
        tracking_release(migrate->tracking, HOLDER);
    return migrate->source != NULL;
}

static const char *
or_null(const char *text)
{
    return *text ? text : NULL;
}

gboolean
migrate_start(Migrate *migrate, const char *uri, const MigrationMove *moves, guint n_moves, GError **error)
{
    g_auto(MigrateSettings) settings = {0};

    migrate_get_settings(migrate, &settings);
    const MigrationSourceConfig config = {
        .uri = uri,
        .tls_creds = or_null(settings.tls_creds),
        .tls_hostname = or_null(settings.tls_hostname),
        .parameters = settings.parameters,
        .keep_tracker = TRUE, /* what comes back, and when, is for `tracking` to say */
        .moves = moves,
        .n_moves = n_moves,
        .guest_runs = guest_runs,
        .guest_runs_user = migrate,
        .events = {.status = on_source_status, .pass = on_pass, .user = migrate},
    };
    g_mutex_lock(&migrate->commands);
    gboolean ok = start(migrate, &config, error);
    g_mutex_unlock(&migrate->commands);
    return ok;
}

gboolean
migrate_cancel(Migrate *migrate, GError **error)
{
    g_mutex_lock(&migrate->commands);
    gboolean ok = !is_under_way(migrate) || migration_source_cancel(migrate->source) ||
                  refuse(error, "it is too late to cancel: the guest has been handed over");
    g_mutex_unlock(&migrate->commands);
    return ok;
}

gboolean
migrate_continue(Migrate *migrate, GError **error)
{
    g_mutex_lock(&migrate->commands);
    gboolean ok = migrate->source ? migration_source_continue(migrate->source, error)
                                  : refuse(error, "the migration is not in pre-switchover");
    g_mutex_unlock(&migrate->commands);
    return ok;
}

static void
set_resolving(Migrate *migrate, gboolean resolving)
{
    g_mutex_lock(&migrate->lock);
    migrate->resolving = resolving;
    g_mutex_unlock(&migrate->lock);
}

gboolean
migrate_resolve(Migrate *migrate, gboolean run, GError **error)
{
    g_mutex_lock(&migrate->commands);
    set_resolving(migrate, migrate->source && is_unresolved(migrate));
    gboolean ok = migrate->source ? migration_source_resolve(migrate->source, run, error)
                                  : refuse(error, "there is no hand-over to resolve");
    if (ok)
        run_state_end_finish(migrate->run_state, !run);
    set_resolving(migrate, FALSE);
    g_mutex_unlock(&migrate->commands);
    return ok;
}

/* --- in --- */

void
migrate_expect(Migrate *migrate, gboolean paused)
{
    migrate->expecting = TRUE;
    migrate->run_when_here = !paused;
    run_state_await(migrate->run_state);
}

static gboolean
listen_for_guest(Migrate *migrate, const MigrationDestinationConfig *config, GError **error)
{
    if (migrate->destination || !migrate->expecting)
        return refuse(error, "this process does not wait for a guest: start it with --incoming defer, and give the address once");
    g_mutex_lock(&migrate->lock); /* its thread asks for the pointer */
    migrate->hold = !migrate->run_when_here;
    MigrationDestinationConfig with_hold = *config;
    with_hold.hold = migrate->hold;
    migrate->destination = migration_destination_new(migrate->board, &with_hold, error);
    g_mutex_unlock(&migrate->lock);
    return migrate->destination != NULL;
}

gboolean
migrate_listen(Migrate *migrate, const char *uri, GError **error)
{
    g_auto(MigrateSettings) settings = {0};

    migrate_get_settings(migrate, &settings);
    const MigrationDestinationConfig config = {
        .uri = uri,
        .tls_creds = or_null(settings.tls_creds),
        .events = {.status = on_destination_status, .user = migrate},
    };
    g_mutex_lock(&migrate->commands);
    gboolean ok = listen_for_guest(migrate, &config, error);
    g_mutex_unlock(&migrate->commands);
    return ok;
}

gboolean
migrate_run_when_here(Migrate *migrate, gboolean run)
{
    g_mutex_lock(&migrate->lock);
    gboolean expecting = migrate->expecting;
    migrate->run_when_here = run;
    g_mutex_unlock(&migrate->lock);
    return expecting;
}

GError *
migrate_failure(Migrate *migrate)
{
    /* a machine that was stopped because its guest does not come is stopped before the reason is known */
    if (migrate->destination)
        migration_destination_wait(migrate->destination, FAILURE_WAIT_MS);
    g_mutex_lock(&migrate->lock);
    GError *failure = migrate->failure ? g_error_copy(migrate->failure) : NULL;
    g_mutex_unlock(&migrate->lock);
    return failure;
}

/* --- figures --- */

/* A last status is told when what belongs to it has happened: the run state, above all. */
static void
hold_back_status(MigrationInfo *info)
{
    if (!migration_status_is_final(info->status))
        return;
    info->status = info->status == MIGRATION_COMPLETED   ? MIGRATION_DEVICE
                   : info->status == MIGRATION_CANCELLED ? MIGRATION_CANCELLING
                                                         : MIGRATION_ACTIVE;
    g_clear_pointer(&info->error, g_free);
}

gboolean
migrate_query(Migrate *migrate, MigrationInfo *info, gboolean *incoming)
{
    gboolean ended = TRUE;

    g_mutex_lock(&migrate->lock);
    gboolean out = migrate->source != NULL, in = !out && migrate->destination;
    /* in this order: a last status that comes in between is held back once more, and never told too early */
    if (out) {
        ended = migration_source_wait(migrate->source, 0);
        migration_source_query(migrate->source, info);
    } else if (in) {
        ended = migration_destination_wait(migrate->destination, 0);
        migration_destination_query(migrate->destination, info);
    }
    info->handover_unresolved = info->handover_unresolved || (out && migrate->resolving);
    g_mutex_unlock(&migrate->lock);
    if (!ended)
        hold_back_status(info);
    if (incoming)
        *incoming = in;
    return out || in;
}
