/* SPDX-License-Identifier: MIT */
/*
 * The server's thread runs a main loop: it accepts, reads, writes and carries out what is quick. Slow commands go to workers; what
 * those and other threads have to say comes back through server_post(). Nothing that a client does makes the thread wait.
 *
 * The machine's end is noted by a stop hook, which runs on a vCPU's thread and only posts. It cannot be unregistered: therefore the server
 * stops the machine before it goes.
 */
#include <signal.h>
#include <string.h>

#include "control/private.h"

#define MAX_CLIENTS 128
#define MAX_WORKERS 8
#define FINISH_MS 500
#define ACCEPT_PAUSE_US 10000

typedef struct {
    ControlServer *server;
    Client *client;
    const Command *command;
    QmpRequest request;
    char *line;
} Job;

/* --- the thread --- */

static gpointer
server_thread(gpointer user)
{
    ControlServer *server = user;
    sigset_t all;

    sigfillset(&all); /* signals are for the main thread and the vCPUs */
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    g_main_context_push_thread_default(server->context);
    g_main_loop_run(server->loop);
    g_main_context_pop_thread_default(server->context);
    return NULL;
}

void
server_post(ControlServer *server, GSourceFunc call, gpointer user, GDestroyNotify free)
{
    GSource *source = g_idle_source_new();

    g_source_set_priority(source, G_PRIORITY_DEFAULT);
    g_source_set_callback(source, call, user, free);
    g_source_attach(source, server->context);
    g_source_unref(source);
}

/* --- events --- */

typedef struct {
    ControlServer *server;
    char *line;
} Event;

static void
free_event(gpointer user)
{
    Event *event = user;

    g_free(event->line);
    g_free(event);
}

static gboolean
deliver_event(gpointer user)
{
    Event *event = user;
    g_autoptr(GPtrArray) clients = g_ptr_array_copy(event->server->clients, (GCopyFunc)(void (*)(void))client_ref, NULL);

    /* a copy: whoever is dropped leaves the array */
    g_ptr_array_set_free_func(clients, (GDestroyNotify)client_unref);
    for (guint i = 0; i < clients->len; i++)
        client_send_event(g_ptr_array_index(clients, i), event->line);
    return G_SOURCE_REMOVE;
}

void
server_emit(ControlServer *server, const char *name, JsonObject *data)
{
    Event *event = g_new0(Event, 1);

    event->server = server;
    event->line = qmp_event(name, data);
    server_post(server, deliver_event, event, free_event);
}

static void
emit_shutdown(ControlServer *server, gboolean guest, const char *reason)
{
    JsonObject *data = json_object_new();

    json_object_set_boolean_member(data, "guest", guest);
    json_object_set_string_member(data, "reason", reason);
    server_emit(server, "SHUTDOWN", data);
}

static void
on_status_changed(gpointer user, RunStatus from, RunStatus to)
{
    if (to == RUN_RUNNING)
        server_emit(user, "RESUME", NULL);
    else if (from == RUN_RUNNING)
        server_emit(user, "STOP", NULL);
}

/* --- the machine's end --- */

static gboolean
note_machine_end(gpointer user)
{
    ControlServer *server = user;

    switch (machine_state(server->machine)) {
    case MACHINE_SHUT_DOWN: {
        MachineEnd how = machine_end(server->machine);
        emit_shutdown(server, how != MACHINE_QUIT,
                      how == MACHINE_QUIT    ? "host-ui"
                      : how == MACHINE_RESET ? "guest-reset"
                                             : "guest-shutdown");
        break;
    }
    case MACHINE_CRASHED:
        emit_shutdown(server, TRUE, "guest-panic");
        break;
    default:
        emit_shutdown(server, FALSE, g_atomic_int_get(&server->quit) ? "host-qmp-quit" : "host-signal");
    }
    run_state_machine_ended(server->run_state);
    return G_SOURCE_REMOVE;
}

static void
on_machine_end(gpointer user)
{
    server_post(user, note_machine_end, user, NULL);
}

/* --- slow commands --- */

static void
free_job(gpointer user)
{
    Job *job = user;

    qmp_request_clear(&job->request);
    g_free(job->line);
    client_unref(job->client);
    g_free(job);
}

static gboolean
finish_job(gpointer user)
{
    Job *job = user;

    client_answer(job->client, job->line);
    return G_SOURCE_REMOVE;
}

static void
work(gpointer data, gpointer user)
{
    Job *job = data;
    ControlServer *server = user;
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonNode) result = NULL;

    if (g_atomic_int_get(&server->ending))
        g_set_error(&error, QMP_ERROR, QMP_ERROR_GENERIC, "dirtylab is about to end");
    else
        result = job->command->run(server, job->request.arguments, &error);
    job->line = result ? qmp_return(job->request.id, result) : qmp_failure(job->request.id, error);
    server_post(server, finish_job, job, free_job);
}

void
server_run_slow(ControlServer *server, Client *client, const Command *command, QmpRequest *request)
{
    Job *job = g_new0(Job, 1);

    job->client = client_ref(client);
    job->command = command;
    job->request = *request;
    *request = (QmpRequest){0};
    g_thread_pool_push(server->workers, job, NULL);
}

static gpointer
stop_machine(gpointer machine)
{
    machine_stop(machine);
    return NULL;
}

/* Not on a worker: all of them may be at something slow that only the machine's end cuts short. */
gboolean
server_request_quit(ControlServer *server, GError **error)
{
    if (server->stopper)
        return TRUE;
    g_atomic_int_set(&server->quit, TRUE);
    server->stopper = g_thread_try_new("quit", stop_machine, server->machine, error);
    if (!server->stopper)
        g_atomic_int_set(&server->quit, FALSE);
    return server->stopper != NULL;
}

gboolean
control_server_quit_requested(ControlServer *server)
{
    return g_atomic_int_get(&server->quit);
}

/* --- clients --- */

static void
turn_away(GSocket *socket)
{
    g_autoptr(GError) error = g_error_new(QMP_ERROR, QMP_ERROR_GENERIC, "there are %u clients already: end one", MAX_CLIENTS);
    g_autofree char *line = qmp_failure(NULL, error);

    g_socket_set_blocking(socket, FALSE);
    g_socket_send(socket, line, strlen(line), NULL, NULL);
    g_object_unref(socket);
}

static gboolean
on_acceptable(GSocket *listening, GIOCondition condition, gpointer user)
{
    ControlServer *server = user;
    g_autoptr(GError) error = NULL;
    GSocket *socket = g_socket_accept(listening, NULL, &error);

    (void)condition;
    if (!socket) {
        if (!g_error_matches(error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK))
            g_usleep(ACCEPT_PAUSE_US); /* no file descriptor is free: whoever waits goes on waiting */
        return G_SOURCE_CONTINUE;
    }
    if (server->clients->len >= MAX_CLIENTS) {
        turn_away(socket);
        return G_SOURCE_CONTINUE;
    }
    Client *client = client_new(server, socket);
    g_ptr_array_add(server->clients, client_ref(client));
    client_start(client);
    client_unref(client);
    return G_SOURCE_CONTINUE;
}

static void
quit_when_empty(ControlServer *server)
{
    if (server->finishing && !server->clients->len)
        g_main_loop_quit(server->loop);
}

void
server_client_gone(ControlServer *server, Client *client)
{
    g_ptr_array_remove_fast(server->clients, client);
    quit_when_empty(server);
}

/* --- the end --- */

static gboolean
give_up(gpointer user)
{
    ControlServer *server = user;

    while (server->clients->len)
        client_drop(g_ptr_array_index(server->clients, 0));
    g_main_loop_quit(server->loop);
    return G_SOURCE_REMOVE;
}

/* Behind all that was posted before: every event and answer is on its way to its client. */
static gboolean
finish_clients(gpointer user)
{
    ControlServer *server = user;
    GSource *timeout = g_timeout_source_new(FINISH_MS);

    for (guint i = server->clients->len; i-- > 0;)
        client_finish(g_ptr_array_index(server->clients, i));
    g_source_set_callback(timeout, give_up, server, NULL);
    g_source_attach(timeout, server->context);
    g_source_unref(timeout);
    quit_when_empty(server);
    return G_SOURCE_REMOVE;
}

/* No command is taken any more; those under way are waited for. */
static gboolean
begin_to_finish(gpointer user)
{
    ControlServer *server = user;

    server->finishing = TRUE;
    if (server->acceptable)
        g_source_destroy(server->acceptable);
    g_clear_pointer(&server->acceptable, g_source_unref);
    g_clear_pointer(&server->stopper, g_thread_join);
    g_thread_pool_free(server->workers, FALSE, TRUE);
    server_post(server, finish_clients, server, NULL);
    return G_SOURCE_REMOVE;
}

static void
end_thread(ControlServer *server)
{
    g_atomic_int_set(&server->ending, TRUE);
    machine_stop(server->machine);
    server_post(server, begin_to_finish, server, NULL);
    g_thread_join(server->thread);
}

void
control_server_free(ControlServer *server)
{
    if (!server)
        return;
    if (server->thread)
        end_thread(server);
    listener_close(&server->listener);
    /* those whose threads still post events, then what they post to */
    migrate_free(server->migrate);
    dirty_rate_free(server->dirty_rate);
    tracking_free(server->tracking);
    run_state_free(server->run_state);
    g_main_loop_unref(server->loop);
    g_main_context_unref(server->context);
    g_ptr_array_unref(server->clients);
    g_free(server);
}

static gboolean
set_credentials(MigrateSettings *settings, gpointer user, GError **error)
{
    (void)error;
    g_free(settings->tls_creds);
    settings->tls_creds = g_strdup(user);
    return TRUE;
}

static void
emit_migration(gpointer user, const char *name, JsonObject *data)
{
    server_emit(user, name, data);
}

/* What the guest is to do at first: run, stand, or come from elsewhere. */
static gboolean
prepare_guest(ControlServer *server, const ControlConfig *config, GError **error)
{
    if (config->tls_creds && !migrate_change_settings(server->migrate, set_credentials, (gpointer)config->tls_creds, error))
        return FALSE;
    if (!config->incoming)
        return !config->paused || run_state_stop(server->run_state, error);
    migrate_expect(server->migrate, config->paused);
    return g_str_equal(config->incoming, "defer") || migrate_listen(server->migrate, config->incoming, error);
}

static void
accept_clients(ControlServer *server)
{
    server->acceptable = g_socket_create_source(server->listener.socket, G_IO_IN, NULL);
    g_source_set_callback(server->acceptable, G_SOURCE_FUNC(on_acceptable), server, NULL);
    g_source_attach(server->acceptable, server->context);
}

/* Cannot fail: the hook stays with the machine. */
static void
start(ControlServer *server)
{
    server->workers = g_thread_pool_new(work, server, MAX_WORKERS, FALSE, NULL);
    if (server->listener.socket)
        accept_clients(server);
    machine_add_stop_hook(server->machine, on_machine_end, server);
    server->thread = g_thread_new("control", server_thread, server);
}

GError *
control_server_failure(ControlServer *server)
{
    return g_atomic_int_get(&server->quit) ? NULL : migrate_failure(server->migrate);
}

ControlServer *
control_server_new(Board *board, const ControlConfig *config, GError **error)
{
    g_autoptr(ControlServer) server = g_new0(ControlServer, 1);

    server->board = board;
    server->machine = board_machine(board);
    server->context = g_main_context_new();
    server->loop = g_main_loop_new(server->context, FALSE);
    server->clients = g_ptr_array_new_with_free_func((GDestroyNotify)client_unref);
    server->run_state = run_state_new(server->machine, on_status_changed, server);
    server->tracking = tracking_new(board);
    server->dirty_rate = dirty_rate_new(board, server->tracking);
    server->migrate = migrate_new(board, server->run_state, server->tracking, emit_migration, server);
    if ((config->uri && !listener_open(&server->listener, config->uri, error)) || !prepare_guest(server, config, error))
        return NULL;
    start(server);
    return g_steal_pointer(&server);
}
