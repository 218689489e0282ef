/* SPDX-License-Identifier: MIT */
/* Result documents, out: the head and the kinds of field. */
#include <math.h>

#include "results/fields.h"

void
field_add_string(JsonBuilder *builder, const char *name, const char *text)
{
    json_builder_set_member_name(builder, name);
    if (!text) {
        json_builder_add_null_value(builder);
        return;
    }
    g_autofree char *valid = g_utf8_make_valid(text, -1);
    json_builder_add_string_value(builder, valid);
}

void
field_add_count(JsonBuilder *builder, const char *name, guint64 count)
{
    json_builder_set_member_name(builder, name);
    json_builder_add_int_value(builder, (gint64)MIN(count, (guint64)G_MAXINT64));
}

/*
 * json-glib 1.6 prints infinity as `inf.0` and 1e22 as `1e+22.0`: neither is JSON. From 1e17 on, where its numbers may lose their
 * point, they are printed as integers; beyond the largest of those there is no quantity that dirtylab measures.
 */
static void
add_number(JsonBuilder *builder, double value)
{
    if (!isfinite(value) || fabs(value) >= 0x1p63)
        json_builder_add_null_value(builder);
    else if (fabs(value) >= 1e17)
        json_builder_add_int_value(builder, (gint64)value);
    else
        json_builder_add_double_value(builder, value);
}

void
field_add_double(JsonBuilder *builder, const char *name, double value)
{
    json_builder_set_member_name(builder, name);
    add_number(builder, value);
}

void
field_add_boolean(JsonBuilder *builder, const char *name, gboolean value)
{
    json_builder_set_member_name(builder, name);
    json_builder_add_boolean_value(builder, value);
}

void
field_add_statistics(JsonBuilder *builder, const Samples *samples, gboolean with_max)
{
    double low = NAN, high = NAN;

    if (samples)
        samples_ci95(samples, &low, &high);
    field_add_double(builder, "median", samples ? samples_median(samples) : NAN);
    field_add_double(builder, "min", samples ? samples_min(samples) : NAN);
    if (with_max)
        field_add_double(builder, "max", samples ? samples_max(samples) : NAN);

    json_builder_set_member_name(builder, "ci95");
    json_builder_begin_array(builder);
    add_number(builder, low);
    add_number(builder, high);
    json_builder_end_array(builder);

    json_builder_set_member_name(builder, "samples");
    json_builder_begin_array(builder);
    for (guint i = 0; samples && i < samples_count(samples); i++)
        add_number(builder, samples_at(samples, i));
    json_builder_end_array(builder);
}

static void
add_host(JsonBuilder *builder, const HostInfo *host)
{
    json_builder_set_member_name(builder, "host");
    json_builder_begin_object(builder);
    field_add_string(builder, "kernel", host->kernel);
    field_add_string(builder, "kvm", host->kvm);
    field_add_string(builder, "mmu", host->mmu);
    field_add_string(builder, "cpu", host->cpu);
    field_add_count(builder, "cores", host->cores);
    field_add_count(builder, "memory_bytes", host->memory_bytes);
    json_builder_end_object(builder);
}

JsonBuilder *
document_begin(const char *schema, const DocumentInfo *info)
{
    JsonBuilder *builder = json_builder_new();

    json_builder_begin_object(builder);
    field_add_string(builder, "schema", schema);
    add_host(builder, &info->host);
    json_builder_set_member_name(builder, "build");
    json_builder_begin_object(builder);
    field_add_string(builder, "version", info->version);
    field_add_string(builder, "revision", info->revision);
    json_builder_end_object(builder);
    field_add_string(builder, "command", info->command);
    field_add_count(builder, "seed", info->seed);
    field_add_string(builder, "started", info->started);
    field_add_boolean(builder, "complete", info->complete);
    json_builder_set_member_name(builder, "results");
    json_builder_begin_array(builder);
    return builder;
}

char *
document_end(JsonBuilder *builder)
{
    json_builder_end_array(builder);
    json_builder_end_object(builder);

    g_autoptr(JsonGenerator) generator = json_generator_new();
    g_autoptr(JsonNode) root = json_builder_get_root(builder);
    json_generator_set_root(generator, root);
    json_generator_set_pretty(generator, TRUE);
    json_generator_set_indent(generator, 2);
    g_autofree char *text = json_generator_to_data(generator, NULL);
    return g_strconcat(text, "\n", NULL);
}
