/* SPDX-License-Identifier: MIT */
#include "qmp_client.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define WAIT_MS 60000

static void
unref_node(gpointer node)
{
    json_node_unref(node);
}

QmpClient *
qmp_client_connect(const char *path)
{
    QmpClient *client = g_new0(QmpClient, 1);
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    g_strlcpy(address.sun_path, path, sizeof address.sun_path);
    client->received = g_string_new(NULL);
    client->events = g_ptr_array_new_with_free_func(unref_node);
    client->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(client->fd, >=, 0);
    g_assert_no_errno(connect(client->fd, (struct sockaddr *)&address, sizeof address));
    return client;
}

QmpClient *
qmp_client_new(const char *path)
{
    QmpClient *client = qmp_client_connect(path);
    g_autoptr(JsonNode) greeting = qmp_client_read(client);

    g_assert_nonnull(qmp_member(greeting, "QMP/version/qemu"));
    g_autoptr(JsonNode) negotiated = qmp_client_must(client, "qmp_capabilities", NULL);
    return client;
}

void
qmp_client_free(QmpClient *client)
{
    close(client->fd);
    g_string_free(client->received, TRUE);
    g_ptr_array_unref(client->events);
    g_free(client);
}

void
qmp_client_send(QmpClient *client, const char *text)
{
    gsize length = strlen(text);

    while (length) {
        gssize sent = send(client->fd, text, length, MSG_NOSIGNAL);
        g_assert_cmpint(sent, >, 0);
        text += sent;
        length -= (gsize)sent;
    }
}

/* FALSE: the connection has ended. */
static gboolean
receive(QmpClient *client)
{
    char bytes[4096];
    struct pollfd wait = {.fd = client->fd, .events = POLLIN};

    g_assert_cmpint(poll(&wait, 1, WAIT_MS), ==, 1);
    gssize got = recv(client->fd, bytes, sizeof bytes, 0);
    if (got <= 0)
        return FALSE;
    g_string_append_len(client->received, bytes, got);
    return TRUE;
}

JsonNode *
qmp_client_read(QmpClient *client)
{
    char *end;
    g_autoptr(GError) error = NULL;

    while (!(end = strstr(client->received->str, "\r\n"))) {
        if (!receive(client))
            return NULL;
    }
    gssize length = end - client->received->str;
    g_assert_true(g_utf8_validate(client->received->str, length, NULL));
    g_autofree char *line = g_strndup(client->received->str, (gsize)length);
    g_string_erase(client->received, 0, length + 2);
    JsonNode *node = json_from_string(line, &error);
    g_assert_no_error(error);
    g_assert_true(JSON_NODE_HOLDS_OBJECT(node));
    return node;
}

void
qmp_client_ended(QmpClient *client)
{
    JsonNode *node;

    while ((node = qmp_client_read(client)))
        json_node_unref(node);
}

JsonNode *
qmp_client_answer(QmpClient *client)
{
    for (;;) {
        JsonNode *node = qmp_client_read(client);
        g_assert_nonnull(node);
        if (!qmp_member(node, "event"))
            return node;
        g_ptr_array_add(client->events, node);
    }
}

JsonNode *
qmp_client_call(QmpClient *client, const char *command, const char *arguments)
{
    g_autofree char *text = arguments ? g_strdup_printf("{\"execute\": \"%s\", \"arguments\": %s}", command, arguments)
                                      : g_strdup_printf("{\"execute\": \"%s\"}", command);

    qmp_client_send(client, text);
    return qmp_client_answer(client);
}

JsonNode *
qmp_client_must(QmpClient *client, const char *command, const char *arguments)
{
    g_autoptr(JsonNode) answer = qmp_client_call(client, command, arguments);

    if (!qmp_member(answer, "return"))
        g_test_message("%s: %s", command, qmp_string(answer, "error/desc"));
    g_assert_nonnull(qmp_member(answer, "return"));
    return json_node_copy(qmp_member(answer, "return"));
}

void
qmp_client_must_fail(QmpClient *client, const char *command, const char *arguments, const char *class, const char *text)
{
    g_autoptr(JsonNode) answer = qmp_client_call(client, command, arguments);

    g_assert_null(qmp_member(answer, "return"));
    g_test_message("%s: %s", command, qmp_string(answer, "error/desc"));
    g_assert_cmpstr(qmp_string(answer, "error/class"), ==, class);
    g_assert_nonnull(strstr(qmp_string(answer, "error/desc"), text));
}

JsonNode *
qmp_client_wait_event(QmpClient *client, const char *name)
{
    for (guint i = 0; i < client->events->len; i++) {
        if (g_str_equal(qmp_string(g_ptr_array_index(client->events, i), "event"), name))
            return g_ptr_array_steal_index(client->events, i);
    }
    for (;;) {
        JsonNode *node = qmp_client_read(client);
        g_assert_nonnull(node);
        g_assert_nonnull(qmp_member(node, "event"));
        if (g_str_equal(qmp_string(node, "event"), name))
            return node;
        g_ptr_array_add(client->events, node);
    }
}

JsonNode *
qmp_member(JsonNode *node, const char *path)
{
    g_auto(GStrv) names = g_strsplit(path, "/", -1);

    for (guint i = 0; names[i]; i++) {
        if (!node || !JSON_NODE_HOLDS_OBJECT(node) || !json_object_has_member(json_node_get_object(node), names[i]))
            return NULL;
        node = json_object_get_member(json_node_get_object(node), names[i]);
    }
    return node;
}

const char *
qmp_string(JsonNode *node, const char *path)
{
    JsonNode *member = qmp_member(node, path);

    g_assert_nonnull(member);
    return json_node_get_string(member);
}

gint64
qmp_int(JsonNode *node, const char *path)
{
    JsonNode *member = qmp_member(node, path);

    g_assert_nonnull(member);
    g_assert_cmpint(json_node_get_value_type(member), ==, G_TYPE_INT64);
    return json_node_get_int(member);
}

gboolean
qmp_bool(JsonNode *node, const char *path)
{
    JsonNode *member = qmp_member(node, path);

    g_assert_nonnull(member);
    return json_node_get_boolean(member);
}
