/* SPDX-License-Identifier: MIT */
#include "control/client.h"

#include <string.h>

#include "control/commands.h"
#include "control/private.h"
#include "control/qmp.h"
#include "control/wire.h"

#define READ_BYTES 4096
/* Answers that wait to be read: beyond this, commands wait too. */
#define OUTPUT_HIGH (64U << 10)
/* An event finds so much unread output: the client is gone in all but name. */
#define OUTPUT_MAX (256U << 10)

struct Client {
    gint references;
    ControlServer *server;
    GSocket *socket;
    Wire wire;
    char input[READ_BYTES];
    gsize input_at;
    gsize input_end;
    GString *output;
    gsize output_at;
    GSource *readable;
    GSource *writable;
    gboolean negotiated;
    gboolean busy;      /* a slow command is under way */
    gboolean finishing; /* the peer sends no more, or is not listened to any more */
    gboolean gone;
};

Client *
client_ref(Client *client)
{
    g_atomic_int_inc(&client->references);
    return client;
}

void
client_unref(Client *client)
{
    if (!g_atomic_int_dec_and_test(&client->references))
        return;
    wire_clear(&client->wire);
    g_string_free(client->output, TRUE);
    g_object_unref(client->socket);
    g_free(client);
}

/* --- sources --- */

static void
stop_source(GSource **source)
{
    if (!*source)
        return;
    g_source_destroy(*source);
    g_clear_pointer(source, g_source_unref);
}

static void
unref_client(gpointer client)
{
    client_unref(client);
}

static GSource *
watch(Client *client, GIOCondition condition, GSocketSourceFunc callback)
{
    GSource *source = g_socket_create_source(client->socket, condition, NULL);

    g_source_set_callback(source, G_SOURCE_FUNC(callback), client_ref(client), unref_client);
    g_source_attach(source, client->server->context);
    return source;
}

void
client_drop(Client *client)
{
    if (client->gone)
        return;
    client->gone = TRUE;
    stop_source(&client->readable);
    stop_source(&client->writable);
    g_socket_close(client->socket, NULL);
    server_client_gone(client->server, client);
}

/* --- out --- */

static gsize
unsent(const Client *client)
{
    return client->output->len - client->output_at;
}

static void
flush(Client *client)
{
    while (!client->gone && unsent(client)) {
        g_autoptr(GError) error = NULL;
        gssize sent = g_socket_send(client->socket, client->output->str + client->output_at, unsent(client), NULL, &error);
        if (sent < 0) {
            if (!g_error_matches(error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK))
                client_drop(client);
            return;
        }
        client->output_at += (gsize)sent;
    }
    g_string_truncate(client->output, 0);
    client->output_at = 0;
}

static void
queue(Client *client, const char *line)
{
    if (client->output_at) {
        g_string_erase(client->output, 0, (gssize)client->output_at);
        client->output_at = 0;
    }
    g_string_append(client->output, line);
}

static void
queue_failure(Client *client, JsonNode *id, const GError *error)
{
    g_autofree char *line = qmp_failure(id, error);

    queue(client, line);
}

/* --- in --- */

/* FALSE, with an error: the command is not to be carried out in this mode. */
static gboolean
check_mode(Client *client, const QmpRequest *request, GError **error)
{
    gboolean negotiates = g_str_equal(request->command, COMMAND_NEGOTIATE);

    if (negotiates == !client->negotiated)
        return TRUE;
    g_set_error(error, QMP_ERROR, QMP_ERROR_COMMAND_NOT_FOUND,
                negotiates ? "the capabilities have been negotiated already"
                           : "the capabilities come first: {\"execute\": \"" COMMAND_NEGOTIATE "\"}");
    return FALSE;
}

/* An id may hold an escape that json-glib turns into what is no UTF-8; it would come back to nobody but its sender. */
static gboolean
check_id(QmpRequest *request, GError **error)
{
    g_autofree char *text = request->id ? json_to_string(request->id, FALSE) : NULL;

    if (!text || g_utf8_validate(text, -1, NULL))
        return TRUE;
    g_clear_pointer(&request->id, json_node_unref);
    g_set_error(error, QMP_ERROR, QMP_ERROR_GENERIC, "the id is not UTF-8");
    return FALSE;
}

static void
execute(Client *client, QmpRequest *request, GError **error)
{
    const Command *command =
        check_mode(client, request, error) ? command_find(request->command, request->arguments, error) : NULL;

    if (!command)
        return;
    if (command->slow) {
        client->busy = TRUE;
        server_run_slow(client->server, client, command, request);
        return;
    }
    g_autoptr(JsonNode) result = command->run(client->server, request->arguments, error);
    if (!result)
        return;
    client->negotiated = TRUE; /* the first command that succeeds is the negotiation */
    g_autofree char *line = qmp_return(request->id, result);
    queue(client, line);
}

static void
handle_message(Client *client)
{
    g_auto(QmpRequest) request = {0};
    g_autoptr(GError) error = NULL;

    if (qmp_request_parse(client->wire.text->str, client->wire.text->len, &request, &error) && check_id(&request, &error))
        execute(client, &request, &error);
    if (error)
        queue_failure(client, check_id(&request, NULL) ? request.id : NULL, error);
}

static void
handle_nonsense(Client *client, const char *reason)
{
    g_autoptr(GError) error = g_error_new(QMP_ERROR, QMP_ERROR_GENERIC, "this is not JSON: %s", reason);

    queue_failure(client, NULL, error);
}

static gboolean
may_go_on(const Client *client)
{
    return !client->gone && !client->busy && !client->server->finishing && unsent(client) < OUTPUT_HIGH;
}

static void
handle_input(Client *client)
{
    while (may_go_on(client) && client->input_at < client->input_end) {
        const char *reason = NULL;
        gsize used;
        WireResult result =
            wire_feed(&client->wire, client->input + client->input_at, client->input_end - client->input_at, &used, &reason);
        client->input_at += used;
        if (result == WIRE_MESSAGE)
            handle_message(client);
        else if (result == WIRE_BAD)
            handle_nonsense(client, reason);
    }
}

static gboolean on_readable(GSocket *socket, GIOCondition condition, gpointer user);
static gboolean on_writable(GSocket *socket, GIOCondition condition, gpointer user);

static void
work_on(Client *client)
{
    do {
        handle_input(client);
        flush(client);
    } while (may_go_on(client) && client->input_at < client->input_end);
    if (client->gone)
        return;
    if (client->finishing && !client->busy && !unsent(client) && client->input_at == client->input_end) {
        client_drop(client);
        return;
    }
    gboolean reading = may_go_on(client) && !client->finishing;
    if (reading && !client->readable)
        client->readable = watch(client, G_IO_IN, on_readable);
    else if (!reading)
        stop_source(&client->readable);
    if (unsent(client) && !client->writable)
        client->writable = watch(client, G_IO_OUT, on_writable);
    else if (!unsent(client))
        stop_source(&client->writable);
}

/*
 * Sends what can be sent, works through what was read, and watches for what can happen next. Whoever is found gone on the way is dropped
 * by everybody else, so it is held meanwhile.
 */
static void
go_on(Client *client)
{
    client_ref(client);
    work_on(client);
    client_unref(client);
}

static gboolean
on_readable(GSocket *socket, GIOCondition condition, gpointer user)
{
    Client *client = user;
    g_autoptr(GError) error = NULL;
    gssize got = g_socket_receive(socket, client->input, READ_BYTES, NULL, &error);

    (void)condition;
    if (got < 0) {
        if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK))
            return G_SOURCE_CONTINUE;
        client_drop(client);
        return G_SOURCE_REMOVE;
    }
    client->input_at = 0;
    client->input_end = (gsize)got;
    client->finishing = client->finishing || got == 0;
    go_on(client);
    return G_SOURCE_CONTINUE;
}

static gboolean
on_writable(GSocket *socket, GIOCondition condition, gpointer user)
{
    (void)socket;
    (void)condition;
    go_on(user);
    return G_SOURCE_CONTINUE;
}

/* --- the server's side --- */

Client *
client_new(ControlServer *server, GSocket *socket)
{
    Client *client = g_new0(Client, 1);
    g_autofree char *greeting = qmp_greeting();

    client->references = 1;
    client->server = server;
    client->socket = socket;
    client->output = g_string_new(NULL);
    g_socket_set_blocking(socket, FALSE);
    queue(client, greeting);
    return client;
}

void
client_start(Client *client)
{
    go_on(client);
}

void
client_send_event(Client *client, const char *line)
{
    if (client->gone || !client->negotiated)
        return;
    if (unsent(client) > OUTPUT_MAX) {
        client_drop(client);
        return;
    }
    queue(client, line);
    go_on(client);
}

void
client_answer(Client *client, const char *line)
{
    if (client->gone)
        return;
    client->busy = FALSE;
    queue(client, line);
    go_on(client);
}

void
client_finish(Client *client)
{
    client->finishing = TRUE;
    client->input_at = client->input_end;
    go_on(client);
}
