/* SPDX-License-Identifier: MIT */
/* Extra pages by cause, and the guest's stalls, as JSON. */
#include "results/accuracy_fields.h"
#include "results/bounds.h"

void
extra_write(JsonBuilder *builder, const guint64 extra[N_EXTRA_CAUSES])
{
    json_builder_set_member_name(builder, "extra");
    json_builder_begin_object(builder);
    for (guint cause = 0; cause < N_EXTRA_CAUSES; cause++)
        field_add_count(builder, extra_cause_name((ExtraCause)cause), extra[cause]);
    json_builder_end_object(builder);
}

void
extra_read(FieldReader *reader, JsonObject *object, guint64 extra[N_EXTRA_CAUSES])
{
    JsonObject *causes = field_object(reader, object, "extra", FALSE);
    gsize mark = field_enter(reader, "extra", -1);
    guint64 total = 0;

    for (guint cause = 0; cause < N_EXTRA_CAUSES; cause++) {
        const char *name = extra_cause_name((ExtraCause)cause);
        extra[cause] = field_count(reader, causes, name);
        if (!g_uint64_checked_add(&total, total, extra[cause]))
            field_refuse(reader, name, "is too large");
    }
    field_leave(reader, mark);
}

/* Three arrays beside each other: an object a bucket would be five times as long. */
static void
write_histogram(JsonBuilder *builder, const GArray *histogram)
{
    static const char *const names[] = {"from_ns", "to_ns", "count"};

    json_builder_set_member_name(builder, "histogram");
    json_builder_begin_object(builder);
    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        json_builder_set_member_name(builder, names[i]);
        json_builder_begin_array(builder);
        for (guint j = 0; j < histogram->len; j++) {
            const StallBucket *bucket = &g_array_index(histogram, StallBucket, j);
            if (i < 2)
                json_builder_add_double_value(builder, i == 0 ? bucket->from_ns : bucket->to_ns);
            else
                json_builder_add_int_value(builder, (gint64)MIN(bucket->count, (guint64)G_MAXINT64));
        }
        json_builder_end_array(builder);
    }
    json_builder_end_object(builder);
}

static void
read_histogram(FieldReader *reader, JsonObject *stall, StallResult *result)
{
    if (!field_present(stall, "histogram"))
        return;
    JsonObject *object = field_object(reader, stall, "histogram", FALSE);
    gsize mark = field_enter(reader, "histogram", -1);
    JsonArray *from = field_array(reader, object, "from_ns", LIMIT_BUCKETS);
    JsonArray *to = field_array(reader, object, "to_ns", LIMIT_BUCKETS);
    JsonArray *count = field_array(reader, object, "count", LIMIT_BUCKETS);

    result->histogram = g_array_new(FALSE, FALSE, sizeof(StallBucket));
    for (guint i = 0; from && to && count && i < json_array_get_length(count) && !reader->error; i++) {
        StallBucket bucket = {field_element_number(reader, from, "from_ns", i), field_element_number(reader, to, "to_ns", i), 0};
        double stores = field_element_number(reader, count, "count", i);
        if (bucket.from_ns >= 0 && bucket.to_ns > bucket.from_ns && stores >= 0 && stores < 0x1p63)
            bucket.count = (guint64)stores;
        else
            field_refuse(reader, "count", "has an element without a proper bucket");
        g_array_append_val(result->histogram, bucket);
    }
    field_leave(reader, mark);
}

void
stall_write_fields(JsonBuilder *builder, const StallResult *stall)
{
    json_builder_set_member_name(builder, "guest_stall_ns");
    if (!stall->count) {
        json_builder_add_null_value(builder);
        return;
    }
    json_builder_begin_object(builder);
    field_add_count(builder, "count", stall->count);
    field_add_double(builder, "p50", stall->p50);
    field_add_double(builder, "p99", stall->p99);
    field_add_double(builder, "p999", stall->p999);
    field_add_double(builder, "max", stall->max);
    field_add_statistics(builder, stall->samples, FALSE);
    if (stall->histogram)
        write_histogram(builder, stall->histogram);
    json_builder_end_object(builder);
}

void
stall_read_fields(FieldReader *reader, JsonObject *object, StallResult *stall)
{
    JsonObject *fields = field_object(reader, object, "guest_stall_ns", TRUE);
    if (!fields)
        return;
    gsize mark = field_enter(reader, "guest_stall_ns", -1);
    stall->count = field_count(reader, fields, "count");
    stall->p50 = field_double(reader, fields, "p50");
    stall->p99 = field_double(reader, fields, "p99");
    stall->p999 = field_double(reader, fields, "p999");
    stall->max = field_double(reader, fields, "max");
    stall->samples = field_samples(reader, fields);
    read_histogram(reader, fields, stall);
    field_leave(reader, mark);
}
