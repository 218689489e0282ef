/* SPDX-License-Identifier: MIT */
#include "control/qmp.h"

#include <string.h>

#include "results/json_scan.h"

G_DEFINE_QUARK(qmp-error, qmp_error);

/* --- requests --- */

static gboolean
refuse(GError **error, const char *format, const char *what)
{
    g_set_error(error, QMP_ERROR, QMP_ERROR_GENERIC, format, what);
    return FALSE;
}

/* The root object's members, each looked at once. */
static gboolean
read_member(QmpRequest *request, const char *name, JsonNode *value, GError **error)
{
    if (g_str_equal(name, "id"))
        return TRUE; /* taken already: it goes with an error too */
    if (g_str_equal(name, "execute")) {
        if (json_node_get_value_type(value) != G_TYPE_STRING)
            return refuse(error, "\"%s\" takes a string", name);
        request->command = json_node_dup_string(value);
        return TRUE;
    }
    if (g_str_equal(name, "arguments")) {
        if (!JSON_NODE_HOLDS_OBJECT(value))
            return refuse(error, "\"%s\" takes an object", name);
        request->arguments = json_node_dup_object(value);
        return TRUE;
    }
    return refuse(error, "a command has no member \"%s\"", name);
}

static gboolean
read_root(QmpRequest *request, JsonObject *root, GError **error)
{
    JsonObjectIter iter;
    const char *name;
    JsonNode *value;

    if (json_object_has_member(root, "id"))
        request->id = json_object_dup_member(root, "id");
    json_object_iter_init(&iter, root);
    while (json_object_iter_next(&iter, &name, &value)) {
        if (!read_member(request, name, value, error))
            return FALSE;
    }
    return request->command || refuse(error, "a command needs its member \"%s\"", "execute");
}

gboolean
qmp_request_parse(const char *text, gsize length, QmpRequest *request, GError **error)
{
    g_autoptr(JsonParser) parser = json_parser_new();
    g_autoptr(GError) reason = NULL;

    *request = (QmpRequest){0};
    if (!json_scan_check(text, length, &reason) || !json_parser_load_from_data(parser, text, (gssize)length, &reason))
        return refuse(error, "this is not JSON: %s", reason->message);
    JsonNode *root = json_parser_get_root(parser);
    if (!root || !JSON_NODE_HOLDS_OBJECT(root))
        return refuse(error, "a command is %s", "a JSON object");
    return read_root(request, json_node_get_object(root), error);
}

void
qmp_request_clear(QmpRequest *request)
{
    g_clear_pointer(&request->command, g_free);
    g_clear_pointer(&request->arguments, json_object_unref);
    g_clear_pointer(&request->id, json_node_unref);
}

/* --- what goes out --- */

JsonNode *
qmp_take_object(JsonObject *object)
{
    JsonNode *node = json_node_alloc();

    json_node_init_object(node, object);
    json_object_unref(object);
    return node;
}

/* @object is consumed. */
static char *
to_line(JsonObject *object)
{
    g_autoptr(JsonNode) node = qmp_take_object(object);
    g_autofree char *text = json_to_string(node, FALSE);

    return g_strconcat(text, "\r\n", NULL);
}

JsonNode *
qmp_version(void)
{
    g_auto(GStrv) numbers = g_strsplit(CONTROL_VERSION, ".", 3);
    g_assert(g_strv_length(numbers) == 3);
    JsonObject *version = json_object_new();
    JsonObject *qemu = json_object_new();

    json_object_set_int_member(qemu, "major", g_ascii_strtoll(numbers[0], NULL, 10));
    json_object_set_int_member(qemu, "minor", g_ascii_strtoll(numbers[1], NULL, 10));
    json_object_set_int_member(qemu, "micro", g_ascii_strtoll(numbers[2], NULL, 10));
    json_object_set_object_member(version, "qemu", qemu);
    json_object_set_string_member(version, "package", "dirtylab " CONTROL_VERSION);
    return qmp_take_object(version);
}

char *
qmp_greeting(void)
{
    JsonObject *greeting = json_object_new();
    JsonObject *qmp = json_object_new();

    json_object_set_member(qmp, "version", qmp_version());
    json_object_set_array_member(qmp, "capabilities", json_array_new());
    json_object_set_object_member(greeting, "QMP", qmp);
    return to_line(greeting);
}

static JsonObject *
answer_to(JsonNode *id)
{
    JsonObject *answer = json_object_new();

    if (id)
        json_object_set_member(answer, "id", json_node_copy(id));
    return answer;
}

char *
qmp_return(JsonNode *id, JsonNode *result)
{
    JsonObject *answer = answer_to(id);

    json_object_set_member(answer, "return", result ? json_node_copy(result) : qmp_take_object(json_object_new()));
    return to_line(answer);
}

char *
qmp_failure(JsonNode *id, const GError *error)
{
    static const char *const classes[] = {"GenericError", "CommandNotFound", "DeviceNotActive"}; /* in the order of QmpError */
    const char *class = classes[error->domain == QMP_ERROR ? error->code : QMP_ERROR_GENERIC];
    /* json-glib quotes what an escape has made, and that may be anything */
    g_autofree char *desc = g_utf8_make_valid(error->message, -1);
    JsonObject *answer = answer_to(id);
    JsonObject *what = json_object_new();

    json_object_set_string_member(what, "class", class);
    json_object_set_string_member(what, "desc", desc);
    json_object_set_object_member(answer, "error", what);
    return to_line(answer);
}

char *
qmp_event(const char *name, JsonObject *data)
{
    gint64 now = g_get_real_time();
    JsonObject *event = json_object_new();
    JsonObject *timestamp = json_object_new();

    json_object_set_int_member(timestamp, "seconds", now / G_USEC_PER_SEC);
    json_object_set_int_member(timestamp, "microseconds", now % G_USEC_PER_SEC);
    json_object_set_object_member(event, "timestamp", timestamp);
    json_object_set_string_member(event, "event", name);
    if (data)
        json_object_set_object_member(event, "data", data);
    return to_line(event);
}
