/* SPDX-License-Identifier: MIT */
/* The objects `extra` and `guest_stall_ns`, which the benchmark's documents and the migrations' have in common: out and in. */
#pragma once

#include "results/bench_result.h"
#include "results/fields.h"

void extra_write(JsonBuilder *builder, const guint64 extra[N_EXTRA_CAUSES]);
/** extra_read: the member `extra` of @object; a sum that overflows is refused. */
void extra_read(FieldReader *reader, JsonObject *object, guint64 extra[N_EXTRA_CAUSES]);

/** stall_write_fields: null when no store was timed. */
void stall_write_fields(JsonBuilder *builder, const StallResult *stall);
void stall_read_fields(FieldReader *reader, JsonObject *object, StallResult *stall);
