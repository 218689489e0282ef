/* SPDX-License-Identifier: MIT */
/* The benchmark's cases: fields, groups, words. */
#include "results/bench_case.h"
#include "results/units.h"

const char *
case_field_name(CaseField field)
{
    static const char *const names[N_CASE_FIELDS] = {"RAM",   "memory", "vCPUs", "writer", "pattern",
                                                     "pages", "passes", "runs",  "warm-up"};
    g_assert((guint)field < N_CASE_FIELDS);
    return names[field];
}

static char *
number_or_null(guint64 number)
{
    return number ? unit_digits(number) : NULL;
}

char *
case_field_value(const BenchResult *result, CaseField field)
{
    switch (field) {
    case CASE_RAM:
        return g_strdup(result->ram);
    case CASE_MEMORY:
        return result->memory_bytes ? unit_bytes(result->memory_bytes) : NULL;
    case CASE_VCPUS:
        return number_or_null(result->vcpus);
    case CASE_WRITER:
        return g_strdup(result->writer);
    case CASE_PATTERN:
        return g_strdup(result->pattern);
    case CASE_PAGES:
        return number_or_null(result->pages);
    case CASE_PASSES:
        return number_or_null(result->passes);
    case CASE_RUNS:
        return number_or_null(result->runs);
    case CASE_WARMUP:
        return number_or_null(result->warmup);
    }
    g_assert_not_reached();
}

gboolean
case_field_varies(const GPtrArray *results, CaseField field)
{
    g_autofree char *first = NULL;
    for (guint i = 0; i < results->len; i++) {
        g_autofree char *value = case_field_value(g_ptr_array_index(results, i), field);
        if (first && value && !g_str_equal(first, value))
            return TRUE;
        if (!first)
            first = g_steal_pointer(&value);
    }
    return FALSE;
}

gboolean
case_same_group(const BenchResult *a, const BenchResult *b)
{
    return g_strcmp0(a->ram, b->ram) == 0 && a->memory_bytes == b->memory_bytes && a->vcpus == b->vcpus &&
           g_strcmp0(a->writer, b->writer) == 0 && g_strcmp0(a->pattern, b->pattern) == 0;
}

static char *
in_words(const BenchResult *result, CaseField field)
{
    g_autofree char *value = case_field_value(result, field);
    const gboolean one = g_strcmp0(value, "1") == 0;

    if (!value)
        return NULL;
    switch (field) {
    case CASE_RAM:
    case CASE_MEMORY:
        return g_steal_pointer(&value);
    case CASE_VCPUS:
        return g_strdup_printf("%s vCPU%s", value, one ? "" : "s");
    case CASE_WRITER:
    case CASE_PATTERN:
        return g_strdup_printf("%s %s", case_field_name(field), value);
    case CASE_PAGES:
        return g_strdup_printf("%s page%s a pass", value, one ? "" : "s");
    case CASE_PASSES:
        return g_strdup_printf("%s pass%s", value, one ? "" : "es");
    case CASE_RUNS:
        return g_strdup_printf("%s run%s", value, one ? "" : "s");
    case CASE_WARMUP:
        return g_strdup_printf("%s warm-up%s", value, one ? "" : "s");
    }
    g_assert_not_reached();
}

char *
case_describe(const BenchResult *result, const gboolean wanted[N_CASE_FIELDS])
{
    GString *text = g_string_new(NULL);
    for (guint field = 0; field < N_CASE_FIELDS; field++) {
        g_autofree char *words = wanted[field] ? in_words(result, (CaseField)field) : NULL;
        if (words)
            g_string_append_printf(text, "%s%s", text->len ? ", " : "", words);
    }
    return g_string_free(text, FALSE);
}

char *
case_label(const GPtrArray *results, const BenchResult *result)
{
    for (guint i = 0; result->handler_cpu && i < results->len; i++) {
        const BenchResult *other = g_ptr_array_index(results, i);
        if (g_strcmp0(other->tracker, result->tracker) == 0 && other->handler_cpu &&
            !g_str_equal(other->handler_cpu, result->handler_cpu))
            return g_strdup_printf("%s %s", result->tracker, result->handler_cpu);
    }
    return g_strdup(result->tracker);
}
