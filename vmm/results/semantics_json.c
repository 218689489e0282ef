/* SPDX-License-Identifier: MIT */
/* Schema dirtylab.semantics/1. */
#include "results/semantics_json.h"
#include "results/fields.h"

const char *
semantics_verdict_name(SemanticsVerdict verdict)
{
    static const char *const names[N_SEMANTICS_VERDICTS] = {NULL, "exact", "extra", "MISSED", "refused", "unsupported"};

    return names[verdict];
}

void
semantics_row_free(SemanticsRow *row)
{
    if (!row)
        return;
    g_free(row->name);
    g_free(row->tracker);
    g_free(row->ram);
    g_free(row->required);
    g_free(row->observed);
    g_free(row->control);
    g_free(row->finding);
    g_free(row);
}

char *
semantics_json_write(const GPtrArray *rows, const DocumentInfo *info)
{
    g_autoptr(JsonBuilder) builder = document_begin(SEMANTICS_SCHEMA, info);

    for (guint i = 0; i < rows->len; i++) {
        const SemanticsRow *row = g_ptr_array_index(rows, i);
        json_builder_begin_object(builder);
        field_add_string(builder, "case", row->name);
        field_add_string(builder, "tracker", row->tracker);
        field_add_string(builder, "ram", row->ram);
        field_add_string(builder, "required", row->required);
        field_add_string(builder, "observed", row->observed);
        field_add_string(builder, "verdict", semantics_verdict_name(row->verdict));
        field_add_count(builder, "written_pages", row->written);
        field_add_count(builder, "reported_pages", row->reported);
        field_add_count(builder, "missed_pages", row->missed);
        field_add_count(builder, "extra_pages", row->extra);
        field_add_string(builder, "control", row->control);
        field_add_string(builder, "finding", row->finding);
        json_builder_end_object(builder);
    }
    return document_end(builder);
}

static SemanticsVerdict
read_verdict(FieldReader *reader, JsonObject *object)
{
    g_autofree char *name = field_string(reader, object, "verdict", TRUE);

    for (guint verdict = SEMANTICS_EXACT; name && verdict < N_SEMANTICS_VERDICTS; verdict++) {
        if (g_str_equal(name, semantics_verdict_name((SemanticsVerdict)verdict)))
            return (SemanticsVerdict)verdict;
    }
    if (name)
        field_refuse(reader, "verdict", "is none of exact, extra, MISSED, refused, unsupported");
    return SEMANTICS_NONE;
}

static guint64
read_pages(FieldReader *reader, JsonObject *object, const char *name)
{
    return field_present(object, name) ? field_count(reader, object, name) : 0;
}

static gpointer
read_row(FieldReader *reader, JsonObject *object)
{
    SemanticsRow *row = g_new0(SemanticsRow, 1);

    row->name = field_string(reader, object, "case", FALSE);
    row->tracker = field_string(reader, object, "tracker", FALSE);
    row->ram = field_string(reader, object, "ram", FALSE);
    row->required = field_string(reader, object, "required", TRUE);
    row->observed = field_string(reader, object, "observed", TRUE);
    row->verdict = read_verdict(reader, object);
    row->written = read_pages(reader, object, "written_pages");
    row->reported = read_pages(reader, object, "reported_pages");
    row->missed = read_pages(reader, object, "missed_pages");
    row->extra = read_pages(reader, object, "extra_pages");
    row->control = field_string(reader, object, "control", TRUE);
    row->finding = field_string(reader, object, "finding", TRUE);
    return row;
}

GPtrArray *
semantics_json_read(const char *text, gsize length, DocumentInfo **info, GError **error)
{
    return document_read(text, length, SEMANTICS_SCHEMA, read_row, (GDestroyNotify)semantics_row_free, info, error);
}
