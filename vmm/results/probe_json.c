/* SPDX-License-Identifier: MIT */
/* Schema dirtylab.probe/1. */
#include "results/probe_json.h"
#include "results/fields.h"

ProbeRow *
probe_row_new(const char *tracker, const char *ram, gboolean supported, const char *reason, const char *remedy)
{
    ProbeRow *row = g_new0(ProbeRow, 1);
    row->tracker = g_strdup(tracker);
    row->ram = g_strdup(ram);
    row->supported = supported;
    row->reason = g_strdup(reason);
    row->remedy = g_strdup(remedy);
    return row;
}

void
probe_row_free(ProbeRow *row)
{
    if (!row)
        return;
    g_free(row->tracker);
    g_free(row->ram);
    g_free(row->reason);
    g_free(row->remedy);
    g_free(row);
}

char *
probe_json_write(const GPtrArray *rows, const DocumentInfo *info)
{
    g_autoptr(JsonBuilder) builder = document_begin(PROBE_SCHEMA, info);
    for (guint i = 0; i < rows->len; i++) {
        const ProbeRow *row = g_ptr_array_index(rows, i);
        json_builder_begin_object(builder);
        field_add_string(builder, "tracker", row->tracker);
        field_add_string(builder, "ram", row->ram);
        field_add_boolean(builder, "supported", row->supported);
        field_add_string(builder, "reason", row->reason);
        field_add_string(builder, "remedy", row->remedy);
        json_builder_end_object(builder);
    }
    return document_end(builder);
}

static gpointer
read_row(FieldReader *reader, JsonObject *object)
{
    ProbeRow *row = g_new0(ProbeRow, 1);

    row->tracker = field_string(reader, object, "tracker", FALSE);
    row->ram = field_string(reader, object, "ram", FALSE);
    row->supported = field_boolean(reader, object, "supported");
    row->reason = field_string(reader, object, "reason", TRUE);
    row->remedy = field_string(reader, object, "remedy", TRUE);
    return row;
}

GPtrArray *
probe_json_read(const char *text, gsize length, DocumentInfo **info, GError **error)
{
    return document_read(text, length, PROBE_SCHEMA, read_row, (GDestroyNotify)probe_row_free, info, error);
}
