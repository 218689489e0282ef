/* SPDX-License-Identifier: MIT */
/* What the benchmark's cases have in common and what tells them apart: the former stands above a table once, the latter in its rows. */
#pragma once

#include "results/bench_result.h"

typedef enum {
    CASE_RAM,
    CASE_MEMORY,
    CASE_VCPUS,
    CASE_WRITER,
    CASE_PATTERN,
    CASE_PAGES,
    CASE_PASSES,
    CASE_RUNS,
    CASE_WARMUP,
} CaseField;
#define N_CASE_FIELDS 9
/** The fields by which a table's rows are grouped; the others follow from them. */
#define N_CASE_KEYS 5

/** case_field_name: as a column's heading. */
const char *case_field_name(CaseField field);
/** case_field_value: as a cell; NULL when the result does not say. Free with g_free(). */
char *case_field_value(const BenchResult *result, CaseField field);
/** case_field_varies: whether two results differ in it. */
gboolean case_field_varies(const GPtrArray *results, CaseField field);

/** case_same_group: whether the results are alike in all keys. */
gboolean case_same_group(const BenchResult *a, const BenchResult *b);

/** case_describe: the fields of @result of which @wanted says so, as `256 MiB, 1 vCPU, writer guest`. Free with g_free(). */
char *case_describe(const BenchResult *result, const gboolean wanted[N_CASE_FIELDS]);

/** case_label: the tracker; with the place of its handler, where @results have it with several. Free with g_free(). */
char *case_label(const GPtrArray *results, const BenchResult *result);
