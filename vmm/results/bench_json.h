/* SPDX-License-Identifier: MIT */
/*
 * Schema dirtylab.bench/1, out and in. What was not measured is null, and so is a number that JSON cannot hold (NaN, infinity).
 *
 * Of `guest_stall_ns`, `median`, `min`, `ci95` and `samples` speak of the runs' medians; `p50`, `p99`, `p999` and `max` of all the
 * stores that were timed, and `count` says how many these were. `histogram` (which older documents lack) has three arrays of equal
 * length, `from_ns`, `to_ns` and `count`: so many stores took from `from_ns` to less than `to_ns`; buckets without any are left out.
 */
#pragma once

#include "results/bench_result.h"
#include "results/document.h"

#define BENCH_SCHEMA "dirtylab.bench/1"

/** bench_json_write: the document as text, with a newline at its end. @results: of BenchResult. */
char *bench_json_write(const GPtrArray *results, const DocumentInfo *info);

/**
 * bench_json_read: the results (of BenchResult, owned by the array) and, unless @info is NULL, the document's head. The text may be
 * anybody's: it is bounded and every field is checked. Fields that are unknown are passed over; derived ones (`extra_pages`,
 * `amplification`, medians) are computed anew. Errors: FORMAT, naming the field.
 */
GPtrArray *bench_json_read(const char *text, gsize length, DocumentInfo **info, GError **error);
