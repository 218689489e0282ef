/* SPDX-License-Identifier: MIT */
/*
 * The QMP client. A message is a line. What comes from the socket is bounded in length and looked over before json-glib's parser gets it;
 * a silent peer is given up after a while.
 */
#include "cmd/qmp_client.h"

#include <gio/gunixsocketaddress.h>
#include <string.h>

#include "results/json_scan.h"

#define LONGEST_MESSAGE (16U << 20)
#define BLOCK 4096
#define ANSWER_SECONDS 60

G_DEFINE_QUARK(qmp-client-error, qmp_client_error);

struct QmpClient {
    GSocketConnection *connection;
    GByteArray *received; /* what has come and not been taken */
};

void
qmp_client_free(QmpClient *client)
{
    g_clear_object(&client->connection);
    g_byte_array_unref(client->received);
    g_free(client);
}

/* --- messages --- */

static gboolean
receive_more(QmpClient *client, GError **error)
{
    GInputStream *input = g_io_stream_get_input_stream(G_IO_STREAM(client->connection));
    g_autoptr(GError) broken = NULL;
    guint8 block[BLOCK];
    gssize got = g_input_stream_read(input, block, sizeof block, NULL, &broken);

    if (got > 0 && client->received->len <= LONGEST_MESSAGE) {
        g_byte_array_append(client->received, block, (guint)got);
        return TRUE;
    }
    if (got > 0)
        g_set_error_literal(error, QMP_CLIENT_ERROR, QMP_CLIENT_ERROR_PROTOCOL,
                            "the control socket sends a message without an end");
    else
        g_set_error(error, QMP_CLIENT_ERROR, QMP_CLIENT_ERROR_CONNECTION, "the control socket: %s",
                    broken ? broken->message : "the other side closed it");
    return FALSE;
}

static char *
receive_line(QmpClient *client, GError **error)
{
    const guint8 *end = NULL;

    for (guint looked_at = 0; !end;) {
        if (client->received->len > looked_at)
            end = memchr(client->received->data + looked_at, '\n', client->received->len - looked_at);
        looked_at = client->received->len;
        if (!end && !receive_more(client, error))
            return NULL;
    }
    guint length = (guint)(end - client->received->data);
    char *line = g_strndup((const char *)client->received->data, length);
    g_byte_array_remove_range(client->received, 0, length + 1);
    return line;
}

/* The next message, an object. */
static JsonObject *
receive(QmpClient *client, GError **error)
{
    g_autofree char *line = receive_line(client, error);
    g_autoptr(JsonParser) parser = json_parser_new();

    if (!line)
        return NULL;
    if (json_scan_check(line, strlen(line), NULL) && json_parser_load_from_data(parser, line, -1, NULL)) {
        JsonNode *root = json_parser_get_root(parser);
        if (root && JSON_NODE_HOLDS_OBJECT(root))
            return json_object_ref(json_node_get_object(root));
    }
    g_set_error_literal(error, QMP_CLIENT_ERROR, QMP_CLIENT_ERROR_PROTOCOL, "what comes from the control socket is no QMP");
    return NULL;
}

static gboolean
transmit(QmpClient *client, const char *command, JsonObject *arguments, GError **error)
{
    g_autoptr(JsonGenerator) generator = json_generator_new();
    g_autoptr(JsonNode) root = json_node_new(JSON_NODE_OBJECT);
    g_autoptr(GError) broken = NULL;
    JsonObject *request = json_object_new();

    json_object_set_string_member(request, "execute", command);
    if (arguments)
        json_object_set_object_member(request, "arguments", arguments);
    json_node_take_object(root, request);
    json_generator_set_root(generator, root);
    g_autofree char *text = json_generator_to_data(generator, NULL);
    g_autofree char *line = g_strconcat(text, "\n", NULL);
    if (g_output_stream_write_all(g_io_stream_get_output_stream(G_IO_STREAM(client->connection)), line, strlen(line), NULL, NULL,
                                  &broken))
        return TRUE;
    g_set_error(error, QMP_CLIENT_ERROR, QMP_CLIENT_ERROR_CONNECTION, "the control socket: %s", broken->message);
    return FALSE;
}

/* --- commands --- */

static const char *
string_member(JsonObject *object, const char *name)
{
    JsonNode *node = json_object_get_member(object, name);

    return node && json_node_get_value_type(node) == G_TYPE_STRING ? json_node_get_string(node) : NULL;
}

static void
set_refusal(const char *command, JsonObject *answer, GError **error)
{
    JsonNode *node = json_object_get_member(answer, "error");
    const char *text = JSON_NODE_HOLDS_OBJECT(node) ? string_member(json_node_get_object(node), "desc") : NULL;

    g_set_error(error, QMP_CLIENT_ERROR, QMP_CLIENT_ERROR_COMMAND, "%s was refused: %s", command,
                text ? text : "no reason given");
}

JsonObject *
qmp_client_execute(QmpClient *client, const char *command, JsonObject *arguments, GError **error)
{
    if (!transmit(client, command, arguments, error))
        return NULL;
    for (;;) {
        g_autoptr(JsonObject) answer = receive(client, error);

        if (!answer)
            return NULL;
        if (json_object_has_member(answer, "error")) {
            set_refusal(command, answer, error);
            return NULL;
        }
        JsonNode *result = json_object_get_member(answer, "return");
        if (result)
            return JSON_NODE_HOLDS_OBJECT(result) ? json_object_ref(json_node_get_object(result)) : json_object_new();
    }
}

static gboolean
greet(QmpClient *client, GError **error)
{
    g_autoptr(JsonObject) greeting = receive(client, error), answer = NULL;

    if (!greeting)
        return FALSE;
    if (!json_object_has_member(greeting, "QMP")) {
        g_set_error_literal(error, QMP_CLIENT_ERROR, QMP_CLIENT_ERROR_PROTOCOL, "the socket's greeting is not QMP's");
        return FALSE;
    }
    answer = qmp_client_execute(client, "qmp_capabilities", NULL, error);
    return answer != NULL;
}

QmpClient *
qmp_client_new(const char *address, GError **error)
{
    g_autoptr(QmpClient) client = g_new0(QmpClient, 1);
    g_autoptr(GSocketClient) connector = g_socket_client_new();
    g_autoptr(GSocketAddress) socket_address = g_unix_socket_address_new(address + strlen("unix:"));
    g_autoptr(GError) broken = NULL;

    client->received = g_byte_array_new();
    g_socket_client_set_timeout(connector, ANSWER_SECONDS);
    client->connection = g_socket_client_connect(connector, G_SOCKET_CONNECTABLE(socket_address), NULL, &broken);
    if (!client->connection) {
        g_set_error(error, QMP_CLIENT_ERROR, QMP_CLIENT_ERROR_CONNECTION,
                    "nobody can be reached at %s: %s; start a guest there with dirtylab boot --control", address,
                    broken->message);
        return NULL;
    }
    return greet(client, error) ? g_steal_pointer(&client) : NULL;
}
