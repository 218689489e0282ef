/* SPDX-License-Identifier: MIT */
/* Extra pages by cause, and the guest's stalls, as JSON. */
#include "results/accuracy_fields.h"

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
    field_leave(reader, mark);
}
