/* SPDX-License-Identifier: MIT */
/* Schema dirtylab.peer/1. */
#include <math.h>

#include "results/fields.h"
#include "results/peer_json.h"

void
peer_result_free(PeerResult *result)
{
    if (!result)
        return;
    g_free(result->name);
    g_free(result->peer);
    g_free(result->unit);
    g_free(result);
}

static double
read_median(FieldReader *reader, JsonObject *object, const char *name)
{
    if (!field_present(object, name))
        return NAN;
    JsonObject *figures = field_object(reader, object, name, FALSE);
    gsize mark = field_enter(reader, name, -1);
    double median = field_double(reader, figures, "median");
    field_leave(reader, mark);
    return median;
}

static gpointer
read_result(FieldReader *reader, JsonObject *object)
{
    PeerResult *result = g_new0(PeerResult, 1);

    result->name = field_string(reader, object, "name", FALSE);
    result->peer = field_string(reader, object, "peer", FALSE);
    result->unit = field_present(object, "unit") ? field_string(reader, object, "unit", TRUE) : NULL;
    result->dirtylab = read_median(reader, object, "dirtylab");
    result->other = read_median(reader, object, "peer_value");

    JsonObject *ratio = field_object(reader, object, "ratio", FALSE);
    gsize mark = field_enter(reader, "ratio", -1);
    result->ratio = field_double(reader, ratio, "median");
    JsonArray *interval = field_array(reader, ratio, "ci95", 2);
    result->low = interval ? field_element_number(reader, interval, "ci95", 0) : NAN;
    result->high = interval ? field_element_number(reader, interval, "ci95", 1) : NAN;
    field_leave(reader, mark);
    return result;
}

GPtrArray *
peer_json_read(const char *text, gsize length, DocumentInfo **info, GError **error)
{
    return document_read(text, length, PEER_SCHEMA, read_result, (GDestroyNotify)peer_result_free, info, error);
}
