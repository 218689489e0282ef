/* SPDX-License-Identifier: MIT */
/* Schema dirtylab.migration/1. Writer and reader of each object stand side by side, in the order of interfaces.md. */
#include "results/migration_json.h"

#include <math.h>

#include "results/accuracy_fields.h"
#include "results/bounds.h"
#include "results/fields.h"

/* --- iterations --- */

static void
add_null(JsonBuilder *builder, const char *name)
{
    json_builder_set_member_name(builder, name);
    json_builder_add_null_value(builder);
}

static void
write_iteration(JsonBuilder *builder, const MigrationIteration *iteration)
{
    json_builder_begin_object(builder);
    field_add_string(builder, "tracker", iteration->tracker);
    field_add_double(builder, "harvest_ns", (double)iteration->harvest_ns);
    field_add_double(builder, "send_ns", (double)iteration->send_ns);
    field_add_count(builder, "sent_pages", iteration->sent_pages);
    field_add_boolean(builder, "judged", iteration->judged);
    if (iteration->judged) {
        field_add_count(builder, "written_pages", iteration->written_pages);
        field_add_count(builder, "reported_pages", iteration->reported_pages);
        field_add_count(builder, "missed_pages", iteration->missed_pages);
        extra_write(builder, iteration->extra);
    } else {
        add_null(builder, "written_pages");
        add_null(builder, "reported_pages");
        add_null(builder, "missed_pages");
        add_null(builder, "extra");
    }
    field_add_double(builder, "amplification", migration_iteration_amplification(iteration));
    field_add_double(builder, "host_cpu_ns", (double)iteration->host_cpu_ns);
    json_builder_end_object(builder);
}

/* Times are whole and never negative. */
static gint64
read_ns(FieldReader *reader, JsonObject *object, const char *name)
{
    double ns = field_double(reader, object, name);

    if (reader->error)
        return 0;
    if (!(ns >= 0 && ns < 0x1p62)) {
        field_refuse(reader, name, "is no time");
        return 0;
    }
    return (gint64)ns;
}

static void
read_iteration(FieldReader *reader, JsonObject *object, MigrationIteration *iteration)
{
    iteration->tracker = field_string(reader, object, "tracker", FALSE);
    iteration->harvest_ns = read_ns(reader, object, "harvest_ns");
    iteration->send_ns = read_ns(reader, object, "send_ns");
    iteration->sent_pages = field_count(reader, object, "sent_pages");
    iteration->judged = field_boolean(reader, object, "judged");
    if (iteration->judged) {
        iteration->written_pages = field_count(reader, object, "written_pages");
        iteration->reported_pages = field_count(reader, object, "reported_pages");
        iteration->missed_pages = field_count(reader, object, "missed_pages");
        extra_read(reader, object, iteration->extra);
    }
    iteration->host_cpu_ns = read_ns(reader, object, "host_cpu_ns");
}

static void
read_iterations(FieldReader *reader, JsonObject *object, GArray *iterations)
{
    JsonArray *array = field_array(reader, object, "iterations", LIMIT_ITERATIONS);

    for (guint i = 0; array && i < json_array_get_length(array) && !reader->error; i++) {
        MigrationIteration iteration = {0};
        JsonObject *element = field_element(reader, array, "iterations", i);
        gsize mark = field_enter(reader, "iterations", (int)i);

        read_iteration(reader, element, &iteration);
        field_leave(reader, mark);
        g_array_append_val(iterations, iteration);
    }
}

/* --- a result --- */

static void
write_downtime(JsonBuilder *builder, const MigrationResult *result)
{
    json_builder_set_member_name(builder, "downtime_breakdown_ns");
    json_builder_begin_object(builder);
    for (guint part = 0; part < N_DOWNTIME_PARTS; part++)
        field_add_double(builder, downtime_part_name((DowntimePart)part), result->downtime_ns[part]);
    json_builder_end_object(builder);
}

static void
read_downtime(FieldReader *reader, JsonObject *object, MigrationResult *result)
{
    JsonObject *parts = field_object(reader, object, "downtime_breakdown_ns", FALSE);
    gsize mark = field_enter(reader, "downtime_breakdown_ns", -1);

    for (guint part = 0; part < N_DOWNTIME_PARTS; part++)
        result->downtime_ns[part] = field_double(reader, parts, downtime_part_name((DowntimePart)part));
    field_leave(reader, mark);
}

static void
write_case(JsonBuilder *builder, const MigrationResult *result)
{
    field_add_string(builder, "tracker", result->tracker);
    field_add_string(builder, "moved_to", result->moved_to);
    field_add_string(builder, "ram", result->ram);
    field_add_count(builder, "memory_bytes", result->memory_bytes);
    field_add_count(builder, "vcpus", result->vcpus);
    field_add_string(builder, "transport", result->transport);
    field_add_string(builder, "load", result->load);
    field_add_string(builder, "pattern", result->pattern);
    field_add_count(builder, "pages", result->pages);
    field_add_count(builder, "bandwidth_limit", result->bandwidth_limit);
    field_add_count(builder, "downtime_limit_ms", result->downtime_limit_ms);
    field_add_count(builder, "run", result->run);
}

static void
read_case(FieldReader *reader, JsonObject *object, MigrationResult *result)
{
    result->tracker = field_string(reader, object, "tracker", FALSE);
    result->moved_to = field_string(reader, object, "moved_to", TRUE);
    result->ram = field_string(reader, object, "ram", FALSE);
    result->memory_bytes = field_count(reader, object, "memory_bytes");
    result->vcpus = field_uint(reader, object, "vcpus");
    result->transport = field_string(reader, object, "transport", FALSE);
    result->load = field_string(reader, object, "load", FALSE);
    result->pattern = field_string(reader, object, "pattern", FALSE);
    result->pages = field_count(reader, object, "pages");
    result->bandwidth_limit = field_count(reader, object, "bandwidth_limit");
    result->downtime_limit_ms = field_count(reader, object, "downtime_limit_ms");
    result->run = field_uint(reader, object, "run");
}

static void
write_result(JsonBuilder *builder, const MigrationResult *result)
{
    json_builder_begin_object(builder);
    write_case(builder, result);
    field_add_string(builder, "status", migration_result_status_name(result->status));
    field_add_string(builder, "reason", result->reason);
    if (result->ram_compared)
        field_add_boolean(builder, "verified", result->verified);
    else
        add_null(builder, "verified");
    field_add_count(builder, "mismatched_pages", result->mismatched_pages);
    field_add_double(builder, "total_time_ms", result->total_time_ms);
    field_add_double(builder, "setup_time_ms", result->setup_time_ms);
    field_add_double(builder, "downtime_ms", result->downtime_ms);
    write_downtime(builder, result);
    field_add_count(builder, "transferred_bytes", result->transferred_bytes);
    field_add_count(builder, "normal_pages", result->normal_pages);
    field_add_count(builder, "duplicate_pages", result->duplicate_pages);
    field_add_double(builder, "dirty_pages_rate", result->dirty_pages_rate);
    stall_write_fields(builder, &result->stall);
    field_add_count(builder, "throttle_percent", result->throttle_percent);
    field_add_count(builder, "ring_overflows", result->ring_overflows);
    json_builder_set_member_name(builder, "iterations");
    json_builder_begin_array(builder);
    for (guint i = 0; i < result->iterations->len; i++)
        write_iteration(builder, &g_array_index(result->iterations, MigrationIteration, i));
    json_builder_end_array(builder);
    json_builder_end_object(builder);
}

static MigrationResultStatus
read_status(FieldReader *reader, JsonObject *object)
{
    g_autofree char *name = field_string(reader, object, "status", FALSE);

    for (guint status = MIGRATION_RESULT_COMPLETED; name && status <= MIGRATION_RESULT_INTERRUPTED; status++) {
        if (g_str_equal(name, migration_result_status_name((MigrationResultStatus)status)))
            return (MigrationResultStatus)status;
    }
    field_refuse(reader, "status", "is none of completed, failed, cancelled, unsupported, interrupted");
    return MIGRATION_RESULT_FAILED;
}

static void
read_verified(FieldReader *reader, JsonObject *object, MigrationResult *result)
{
    JsonNode *node = object && !reader->error ? json_object_get_member(object, "verified") : NULL;

    result->ram_compared = !node || !JSON_NODE_HOLDS_NULL(node);
    result->verified = result->ram_compared && field_boolean(reader, object, "verified");
    result->mismatched_pages = field_count(reader, object, "mismatched_pages");
}

static gpointer
read_result(FieldReader *reader, JsonObject *object)
{
    MigrationResult *result = migration_result_new();

    read_case(reader, object, result);
    result->status = read_status(reader, object);
    result->reason = field_string(reader, object, "reason", TRUE);
    read_verified(reader, object, result);
    result->total_time_ms = field_double(reader, object, "total_time_ms");
    result->setup_time_ms = field_double(reader, object, "setup_time_ms");
    result->downtime_ms = field_double(reader, object, "downtime_ms");
    read_downtime(reader, object, result);
    result->transferred_bytes = field_count(reader, object, "transferred_bytes");
    result->normal_pages = field_count(reader, object, "normal_pages");
    result->duplicate_pages = field_count(reader, object, "duplicate_pages");
    result->dirty_pages_rate = field_double(reader, object, "dirty_pages_rate");
    stall_read_fields(reader, object, &result->stall);
    result->throttle_percent = field_uint(reader, object, "throttle_percent");
    result->ring_overflows = field_count(reader, object, "ring_overflows");
    read_iterations(reader, object, result->iterations);
    return result;
}

char *
migration_json_write(const GPtrArray *results, const DocumentInfo *info)
{
    g_autoptr(JsonBuilder) builder = document_begin(MIGRATION_SCHEMA, info);

    for (guint i = 0; i < results->len; i++)
        write_result(builder, g_ptr_array_index(results, i));
    return document_end(builder);
}

GPtrArray *
migration_json_read(const char *text, gsize length, DocumentInfo **info, GError **error)
{
    return document_read(text, length, MIGRATION_SCHEMA, read_result, (GDestroyNotify)migration_result_free, info, error);
}
