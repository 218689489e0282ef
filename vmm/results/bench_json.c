/* SPDX-License-Identifier: MIT */
/* Schema dirtylab.bench/1. Writer and reader of each object stand side by side, in the order of interfaces.md. */
#include "results/bench_json.h"
#include "results/accuracy_fields.h"
#include "results/bounds.h"
#include "results/fields.h"

/* --- accuracy --- */

static void
write_accuracy(JsonBuilder *builder, const AccuracyResult *accuracy)
{
    json_builder_begin_object(builder);
    field_add_string(builder, "oracle", accuracy->oracle);
    field_add_string(builder, "scope", accuracy->scope);
    field_add_count(builder, "judged_pages", accuracy->judged_pages);
    field_add_count(builder, "written_pages", accuracy->written_pages);
    field_add_count(builder, "reported_pages", accuracy->reported_pages);
    field_add_count(builder, "missed_pages", accuracy->missed_pages);
    field_add_count(builder, "expected_missed_pages", accuracy->expected_missed_pages);
    field_add_count(builder, "extra_pages", accuracy_extra_pages(accuracy));
    extra_write(builder, accuracy->extra);
    field_add_double(builder, "amplification", accuracy_amplification(accuracy));
    json_builder_end_object(builder);
}

/* The strings of an AccuracyResult are constants, so what is read has to become one. */
static const char *
read_name(FieldReader *reader, JsonObject *object, const char *name)
{
    g_autofree char *text = field_string(reader, object, name, FALSE);
    return g_intern_string(text ? text : "");
}

static void
read_accuracy(FieldReader *reader, JsonObject *object, AccuracyResult *accuracy)
{
    accuracy->oracle = read_name(reader, object, "oracle");
    accuracy->scope = read_name(reader, object, "scope");
    accuracy->judged_pages = field_count(reader, object, "judged_pages");
    accuracy->written_pages = field_count(reader, object, "written_pages");
    accuracy->reported_pages = field_count(reader, object, "reported_pages");
    accuracy->missed_pages = field_count(reader, object, "missed_pages");
    accuracy->expected_missed_pages = field_count(reader, object, "expected_missed_pages");
    extra_read(reader, object, accuracy->extra);
}

static void
read_accuracies(FieldReader *reader, JsonObject *object, GArray *accuracies)
{
    JsonArray *array = field_array(reader, object, "accuracy", LIMIT_ORACLES);
    for (guint i = 0; array && i < json_array_get_length(array) && !reader->error; i++) {
        AccuracyResult accuracy = {0};
        JsonObject *element = field_element(reader, array, "accuracy", i);
        gsize mark = field_enter(reader, "accuracy", (int)i);
        read_accuracy(reader, element, &accuracy);
        field_leave(reader, mark);
        g_array_append_val(accuracies, accuracy);
    }
}

/* --- cost --- */

static void
write_cost(JsonBuilder *builder, const char *name, const Samples *samples)
{
    json_builder_set_member_name(builder, name);
    if (!samples) {
        json_builder_add_null_value(builder);
        return;
    }
    json_builder_begin_object(builder);
    field_add_statistics(builder, samples, TRUE);
    json_builder_end_object(builder);
}

/* In the order of interfaces.md, where the stall stands before the host's time. */
static void
write_costs(JsonBuilder *builder, const BenchResult *result)
{
    json_builder_set_member_name(builder, "cost");
    json_builder_begin_object(builder);
    for (guint cost = 0; cost < N_COSTS; cost++) {
        if (cost == COST_HOST_CPU_NS)
            stall_write_fields(builder, &result->stall);
        write_cost(builder, cost_name((Cost)cost), result->cost[cost]);
    }
    json_builder_end_object(builder);
}

static void
read_costs(FieldReader *reader, JsonObject *object, BenchResult *result)
{
    JsonObject *costs = field_object(reader, object, "cost", FALSE);
    gsize mark = field_enter(reader, "cost", -1);
    for (guint cost = 0; cost < N_COSTS; cost++) {
        const char *name = cost_name((Cost)cost);
        JsonObject *statistics = field_object(reader, costs, name, TRUE);
        gsize inner = field_enter(reader, name, -1);
        if (statistics)
            result->cost[cost] = field_samples(reader, statistics);
        field_leave(reader, inner);
    }
    stall_read_fields(reader, costs, &result->stall);
    field_leave(reader, mark);
}

/* --- a result --- */

static void
write_result(JsonBuilder *builder, const BenchResult *result)
{
    json_builder_begin_object(builder);
    field_add_string(builder, "tracker", result->tracker);
    field_add_string(builder, "ram", result->ram);
    field_add_count(builder, "unit_bytes", result->unit_bytes);
    field_add_count(builder, "memory_bytes", result->memory_bytes);
    field_add_count(builder, "vcpus", result->vcpus);
    field_add_string(builder, "writer", result->writer);
    field_add_string(builder, "pattern", result->pattern);
    field_add_count(builder, "pages", result->pages);
    field_add_count(builder, "passes", result->passes);
    field_add_count(builder, "runs", result->runs);
    field_add_count(builder, "warmup", result->warmup);
    field_add_string(builder, "handler_cpu", result->handler_cpu);
    field_add_string(builder, "status", bench_status_name(result->status));
    field_add_string(builder, "reason", result->reason);
    json_builder_set_member_name(builder, "accuracy");
    json_builder_begin_array(builder);
    for (guint i = 0; i < result->accuracy->len; i++)
        write_accuracy(builder, &g_array_index(result->accuracy, AccuracyResult, i));
    json_builder_end_array(builder);
    field_add_count(builder, "ring_overflows", result->ring_overflows);
    write_costs(builder, result);
    json_builder_end_object(builder);
}

static BenchStatus
read_status(FieldReader *reader, JsonObject *object)
{
    g_autofree char *name = field_string(reader, object, "status", FALSE);
    for (guint status = BENCH_MEASURED; name && status <= BENCH_INTERRUPTED; status++) {
        if (g_str_equal(name, bench_status_name((BenchStatus)status)))
            return (BenchStatus)status;
    }
    field_refuse(reader, "status", "is none of measured, unsupported, failed, interrupted");
    return BENCH_FAILED;
}

static gpointer
read_result(FieldReader *reader, JsonObject *object)
{
    BenchResult *result = bench_result_new();

    result->tracker = field_string(reader, object, "tracker", FALSE);
    result->ram = field_string(reader, object, "ram", FALSE);
    result->unit_bytes = field_count(reader, object, "unit_bytes");
    result->memory_bytes = field_count(reader, object, "memory_bytes");
    result->vcpus = field_uint(reader, object, "vcpus");
    result->writer = field_string(reader, object, "writer", FALSE);
    result->pattern = field_string(reader, object, "pattern", FALSE);
    result->pages = field_count(reader, object, "pages");
    result->passes = field_uint(reader, object, "passes");
    result->runs = field_uint(reader, object, "runs");
    result->warmup = field_uint(reader, object, "warmup");
    result->handler_cpu = field_string(reader, object, "handler_cpu", TRUE);
    result->status = read_status(reader, object);
    result->reason = field_string(reader, object, "reason", TRUE);
    read_accuracies(reader, object, result->accuracy);
    result->ring_overflows = field_count(reader, object, "ring_overflows");
    read_costs(reader, object, result);
    return result;
}

char *
bench_json_write(const GPtrArray *results, const DocumentInfo *info)
{
    g_autoptr(JsonBuilder) builder = document_begin(BENCH_SCHEMA, info);
    for (guint i = 0; i < results->len; i++)
        write_result(builder, g_ptr_array_index(results, i));
    return document_end(builder);
}

GPtrArray *
bench_json_read(const char *text, gsize length, DocumentInfo **info, GError **error)
{
    return document_read(text, length, BENCH_SCHEMA, read_result, (GDestroyNotify)bench_result_free, info, error);
}
