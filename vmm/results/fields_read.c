/* SPDX-License-Identifier: MIT */
/* Result documents, in: every field's presence, type and range is checked, and the first that is wrong is named with its path. */
#include <math.h>
#include <string.h>

#include "results/bounds.h"
#include "results/fields.h"
#include "results/json_scan.h"

FieldReader *
field_reader_new(void)
{
    FieldReader *reader = g_new0(FieldReader, 1);
    reader->where = g_string_new(NULL);
    return reader;
}

void
field_reader_free(FieldReader *reader)
{
    if (!reader)
        return;
    g_string_free(reader->where, TRUE);
    g_clear_error(&reader->error);
    g_free(reader);
}

gsize
field_enter(FieldReader *reader, const char *name, int index)
{
    gsize mark = reader->where->len;
    g_string_append(reader->where, name);
    if (index >= 0)
        g_string_append_printf(reader->where, "[%d]", index);
    g_string_append_c(reader->where, '.');
    return mark;
}

void
field_leave(FieldReader *reader, gsize mark)
{
    g_string_truncate(reader->where, mark);
}

void
field_refuse(FieldReader *reader, const char *name, const char *what)
{
    if (!reader->error)
        g_set_error(&reader->error, RESULTS_ERROR, RESULTS_ERROR_FORMAT, "%s%s: %s", reader->where->str, name, what);
}

/* The member, NULL when there is none. */
static JsonNode *
member(FieldReader *reader, JsonObject *object, const char *name)
{
    if (reader->error || !object)
        return NULL;
    JsonNode *node = json_object_get_member(object, name);
    if (!node)
        field_refuse(reader, name, "is missing");
    return node;
}

gboolean
field_present(JsonObject *object, const char *name)
{
    return object && json_object_has_member(object, name) && !json_object_get_null_member(object, name);
}

static gboolean
is_value(JsonNode *node, GType type)
{
    return JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == type;
}

char *
field_string(FieldReader *reader, JsonObject *object, const char *name, gboolean or_null)
{
    JsonNode *node = member(reader, object, name);
    if (!node || (or_null && JSON_NODE_HOLDS_NULL(node)))
        return NULL;
    if (!is_value(node, G_TYPE_STRING)) {
        field_refuse(reader, name, "is not a string");
        return NULL;
    }
    if (strlen(json_node_get_string(node)) > LIMIT_STRING) {
        field_refuse(reader, name, "is too long");
        return NULL;
    }
    return json_node_dup_string(node);
}

guint64
field_count(FieldReader *reader, JsonObject *object, const char *name)
{
    JsonNode *node = member(reader, object, name);
    if (!node)
        return 0;
    if (!is_value(node, G_TYPE_INT64) || json_node_get_int(node) < 0) {
        field_refuse(reader, name, "is not a count");
        return 0;
    }
    return (guint64)json_node_get_int(node);
}

guint
field_uint(FieldReader *reader, JsonObject *object, const char *name)
{
    guint64 count = field_count(reader, object, name);
    if (count > G_MAXINT) {
        field_refuse(reader, name, "is too large");
        return 0;
    }
    return (guint)count;
}

/* A number or null. */
static gboolean
read_number(JsonNode *node, double *value)
{
    *value = NAN;
    if (JSON_NODE_HOLDS_NULL(node))
        return TRUE;
    if (!is_value(node, G_TYPE_DOUBLE) && !is_value(node, G_TYPE_INT64))
        return FALSE;
    *value = json_node_get_double(node);
    return TRUE;
}

double
field_double(FieldReader *reader, JsonObject *object, const char *name)
{
    JsonNode *node = member(reader, object, name);
    double value = NAN;
    if (node && !read_number(node, &value))
        field_refuse(reader, name, "is not a number");
    return value;
}

gboolean
field_boolean(FieldReader *reader, JsonObject *object, const char *name)
{
    JsonNode *node = member(reader, object, name);
    if (node && !is_value(node, G_TYPE_BOOLEAN))
        field_refuse(reader, name, "is neither true nor false");
    return node && !reader->error && json_node_get_boolean(node);
}

JsonObject *
field_object(FieldReader *reader, JsonObject *object, const char *name, gboolean or_null)
{
    JsonNode *node = member(reader, object, name);
    if (!node || (or_null && JSON_NODE_HOLDS_NULL(node)))
        return NULL;
    if (!JSON_NODE_HOLDS_OBJECT(node)) {
        field_refuse(reader, name, "is not an object");
        return NULL;
    }
    return json_node_get_object(node);
}

JsonArray *
field_array(FieldReader *reader, JsonObject *object, const char *name, guint limit)
{
    JsonNode *node = member(reader, object, name);
    if (!node)
        return NULL;
    if (!JSON_NODE_HOLDS_ARRAY(node)) {
        field_refuse(reader, name, "is not an array");
        return NULL;
    }
    if (json_array_get_length(json_node_get_array(node)) > limit) {
        field_refuse(reader, name, "has too many elements");
        return NULL;
    }
    return json_node_get_array(node);
}

JsonObject *
field_element(FieldReader *reader, JsonArray *array, const char *name, guint index)
{
    JsonNode *node = json_array_get_element(array, index);
    if (!JSON_NODE_HOLDS_OBJECT(node)) {
        field_refuse(reader, name, "has an element that is not an object");
        return NULL;
    }
    return json_node_get_object(node);
}

double
field_element_number(FieldReader *reader, JsonArray *array, const char *name, guint index)
{
    double value = NAN;

    if (index >= json_array_get_length(array) || !read_number(json_array_get_element(array, index), &value))
        field_refuse(reader, name, "has an element that is not a number, or too few");
    return value;
}

Samples *
field_samples(FieldReader *reader, JsonObject *object)
{
    JsonArray *array = field_array(reader, object, "samples", LIMIT_SAMPLES);
    if (!array)
        return NULL;

    g_autoptr(Samples) samples = samples_new();
    for (guint i = 0; i < json_array_get_length(array); i++) {
        double value;
        if (!read_number(json_array_get_element(array, i), &value)) {
            field_refuse(reader, "samples", "has an element that is not a number");
            return NULL;
        }
        samples_add(samples, value);
    }
    return g_steal_pointer(&samples);
}

static DocumentInfo *
read_head(FieldReader *reader, JsonObject *root)
{
    DocumentInfo *info = document_info_new();
    HostInfo *host = &info->host;

    JsonObject *object = field_object(reader, root, "host", FALSE);
    gsize mark = field_enter(reader, "host", -1);
    host->kernel = field_string(reader, object, "kernel", TRUE);
    host->kvm = field_string(reader, object, "kvm", TRUE);
    host->mmu = field_string(reader, object, "mmu", TRUE);
    host->cpu = field_string(reader, object, "cpu", TRUE);
    host->cores = field_uint(reader, object, "cores");
    host->memory_bytes = field_count(reader, object, "memory_bytes");
    field_leave(reader, mark);

    object = field_object(reader, root, "build", FALSE);
    mark = field_enter(reader, "build", -1);
    info->version = field_string(reader, object, "version", TRUE);
    info->revision = field_string(reader, object, "revision", TRUE);
    field_leave(reader, mark);

    info->command = field_string(reader, root, "command", TRUE);
    info->seed = field_count(reader, root, "seed");
    info->started = field_string(reader, root, "started", TRUE);
    info->complete = field_boolean(reader, root, "complete");
    return info;
}

/* "dirtylab.bench/2" where "dirtylab.bench/1" is known. */
static gboolean
is_newer(const char *found, const char *schema)
{
    const char *version = strchr(schema, '/');
    gsize name = version ? (gsize)(version - schema) + 1 : 0;
    guint64 number, known;

    return name && strncmp(found, schema, name) == 0 &&
           g_ascii_string_to_unsigned(found + name, 10, 0, G_MAXUINT32, &number, NULL) &&
           g_ascii_string_to_unsigned(schema + name, 10, 0, G_MAXUINT32, &known, NULL) && number > known;
}

static void
check_schema(FieldReader *reader, JsonObject *root, const char *schema)
{
    g_autofree char *found = field_string(reader, root, "schema", FALSE);
    if (reader->error || g_str_equal(found, schema))
        return;
    g_autofree char *shown = g_utf8_substring(found, 0, MIN(g_utf8_strlen(found, -1), 64));
    g_autofree char *printable = g_strescape(shown, NULL);
    g_autofree char *what = g_strdup_printf("is \"%s\", not \"%s\"%s", printable, schema,
                                            is_newer(found, schema) ? ": a newer dirtylab wrote it; read it with that one" : "");
    field_refuse(reader, "schema", what);
}

/* The object that the text holds. */
static JsonNode *
parse_object(FieldReader *reader, const char *text, gsize length)
{
    g_autoptr(JsonParser) parser = json_parser_new_immutable();
    g_autoptr(GError) cause = NULL;

    if (!json_scan_check(text, length, &reader->error))
        return NULL;
    if (!json_parser_load_from_data(parser, text, (gssize)length, &cause)) {
        g_set_error(&reader->error, RESULTS_ERROR, RESULTS_ERROR_FORMAT, "not JSON: %s", cause->message);
        return NULL;
    }
    g_autoptr(JsonNode) root = json_parser_steal_root(parser);
    if (root && JSON_NODE_HOLDS_OBJECT(root))
        return g_steal_pointer(&root);
    g_set_error_literal(&reader->error, RESULTS_ERROR, RESULTS_ERROR_FORMAT, "not a result document: no object");
    return NULL;
}

JsonNode *
document_parse(FieldReader *reader, const char *text, gsize length, const char *schema, DocumentInfo **info)
{
    g_autoptr(JsonNode) root = parse_object(reader, text, length);
    if (!root)
        return NULL;

    check_schema(reader, json_node_get_object(root), schema);
    g_autoptr(DocumentInfo) head = read_head(reader, json_node_get_object(root));
    if (reader->error)
        return NULL;
    if (info)
        *info = g_steal_pointer(&head);
    return g_steal_pointer(&root);
}

char *
document_schema(const char *text, gsize length, GError **error)
{
    g_autoptr(FieldReader) reader = field_reader_new();
    g_autoptr(JsonNode) root = parse_object(reader, text, length);
    g_autofree char *schema = root ? field_string(reader, json_node_get_object(root), "schema", FALSE) : NULL;

    if (reader->error) {
        g_propagate_error(error, g_steal_pointer(&reader->error));
        return NULL;
    }
    return g_steal_pointer(&schema);
}

GPtrArray *
document_read(const char *text, gsize length, const char *schema, FieldReadResult read, GDestroyNotify destroy,
              DocumentInfo **info, GError **error)
{
    g_autoptr(FieldReader) reader = field_reader_new();
    g_autoptr(DocumentInfo) head = NULL;
    g_autoptr(GPtrArray) results = g_ptr_array_new_with_free_func(destroy);

    g_autoptr(JsonNode) root = document_parse(reader, text, length, schema, &head);
    JsonArray *array = root ? field_array(reader, json_node_get_object(root), "results", LIMIT_RESULTS) : NULL;
    for (guint i = 0; array && i < json_array_get_length(array) && !reader->error; i++) {
        JsonObject *element = field_element(reader, array, "results", i);
        gsize mark = field_enter(reader, "results", (int)i);
        g_ptr_array_add(results, read(reader, element));
        field_leave(reader, mark);
    }

    if (reader->error) {
        g_propagate_error(error, g_steal_pointer(&reader->error));
        return NULL;
    }
    if (info)
        *info = g_steal_pointer(&head);
    return g_steal_pointer(&results);
}
