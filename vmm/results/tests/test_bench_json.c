/* SPDX-License-Identifier: MIT */
/* Schema dirtylab.bench/1: what is written is read back equal, and what is hostile ends in one error that names the field. */
#include <math.h>
#include <string.h>

#include <json-glib/json-glib.h>

#include "fixture.h"
#include "results/bench_json.h"

/*
 * json-glib 1.6 loses a few nodes of a text that it cannot parse. LeakSanitizer is told so, and needs whole stacks to see where.
 */
const char *__lsan_default_suppressions(void);
const char *__asan_default_options(void);

const char *
__lsan_default_suppressions(void)
{
    return "leak:json_parser_load_from_data\n";
}

const char *
__asan_default_options(void)
{
    return "fast_unwind_on_malloc=0";
}

/* --- there and back --- */

static void
assert_same_samples(const Samples *a, const Samples *b)
{
    g_assert_true(!a == !b);
    if (!a)
        return;
    g_assert_cmpuint(samples_count(a), ==, samples_count(b));
    for (guint i = 0; i < samples_count(a); i++)
        g_assert_true(samples_at(a, i) == samples_at(b, i) || (!isfinite(samples_at(a, i)) && isnan(samples_at(b, i))));
}

static void
assert_same_accuracy(const GArray *a, const GArray *b)
{
    g_assert_cmpuint(a->len, ==, b->len);
    for (guint i = 0; i < a->len; i++) {
        AccuracyResult left = g_array_index(a, AccuracyResult, i), right = g_array_index(b, AccuracyResult, i);
        g_assert_cmpstr(left.oracle, ==, right.oracle);
        g_assert_cmpstr(left.scope, ==, right.scope);
        left.oracle = right.oracle;
        left.scope = right.scope;
        g_assert_cmpmem(&left, sizeof left, &right, sizeof right);
    }
}

static void
assert_same_result(const BenchResult *a, const BenchResult *b)
{
    g_assert_cmpstr(a->tracker, ==, b->tracker);
    g_assert_cmpstr(a->ram, ==, b->ram);
    g_assert_cmpstr(a->writer, ==, b->writer);
    g_assert_cmpstr(a->pattern, ==, b->pattern);
    g_assert_cmpstr(a->handler_cpu, ==, b->handler_cpu);
    g_assert_cmpstr(a->reason, ==, b->reason);
    g_assert_cmpuint(a->unit_bytes, ==, b->unit_bytes);
    g_assert_cmpuint(a->memory_bytes, ==, b->memory_bytes);
    g_assert_cmpuint(a->vcpus, ==, b->vcpus);
    g_assert_cmpuint(a->pages, ==, b->pages);
    g_assert_cmpuint(a->passes, ==, b->passes);
    g_assert_cmpuint(a->runs, ==, b->runs);
    g_assert_cmpuint(a->warmup, ==, b->warmup);
    g_assert_cmpuint(a->status, ==, b->status);
    g_assert_cmpuint(a->ring_overflows, ==, b->ring_overflows);
    assert_same_accuracy(a->accuracy, b->accuracy);
    for (guint cost = 0; cost < N_COSTS; cost++)
        assert_same_samples(a->cost[cost], b->cost[cost]);
    assert_same_samples(a->stall.samples, b->stall.samples);
    g_assert_cmpuint(a->stall.count, ==, b->stall.count);
    g_assert_true(a->stall.p50 == b->stall.p50 && a->stall.p99 == b->stall.p99);
    g_assert_true(a->stall.p999 == b->stall.p999 && a->stall.max == b->stall.max);
}

static void
test_round_trip(void)
{
    g_autoptr(GPtrArray) results = fixture_quick(1.0 / 3);
    g_autoptr(DocumentInfo) info = fixture_info(), head = NULL;
    g_autoptr(GError) error = NULL;
    BenchResult *first = g_ptr_array_index(results, 0);

    fixture_accuracy(first, 0)->extra[EXTRA_PAGE_WALK] = G_GUINT64_CONSTANT(1) << 60;
    first->ring_overflows = 3;
    samples_add(first->cost[COST_ARM_NS], NAN);
    samples_add(first->cost[COST_ARM_NS], 1e17);
    samples_add(first->cost[COST_ARM_NS], 0);
    samples_free(g_steal_pointer(&first->cost[COST_RELEASE_NS]));

    g_autofree char *text = bench_json_write(results, info);
    g_autoptr(GPtrArray) back = bench_json_read(text, strlen(text), &head, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(back->len, ==, results->len);
    for (guint i = 0; i < back->len; i++)
        assert_same_result(g_ptr_array_index(results, i), g_ptr_array_index(back, i));

    g_assert_cmpstr(head->host.cpu, ==, info->host.cpu);
    g_assert_cmpuint(head->host.memory_bytes, ==, info->host.memory_bytes);
    g_assert_cmpstr(head->started, ==, info->started);
    g_assert_cmpuint(head->seed, ==, 42);
    g_assert_true(head->complete);

    g_autofree char *again = bench_json_write(back, head);
    g_assert_cmpstr(again, ==, text);
}

static void
test_layout(void)
{
    g_autoptr(GPtrArray) results = fixture_quick(1);
    g_autoptr(DocumentInfo) info = fixture_info();
    g_autofree char *text = bench_json_write(results, info);
    g_assert_true(
        g_str_has_prefix(text, "{\n  \"schema\" : \"dirtylab.bench/1\",\n  \"host\" : {\n    \"kernel\" : \"6.18.44\","));
    g_assert_true(g_str_has_suffix(text, "\n}\n"));
}

static void
test_hostile_strings_and_numbers_are_written_as_json(void)
{
    g_autoptr(GPtrArray) results = fixture_quick(1), back = NULL;
    g_autoptr(DocumentInfo) info = fixture_info();
    g_autoptr(GError) error = NULL;
    BenchResult *first = g_ptr_array_index(results, 0);

    g_free(info->host.cpu);
    info->host.cpu = g_strdup("bad \xff\xfe UTF-8, \"quotes\", \\, \001 and a\nnewline");
    info->seed = G_MAXUINT64;
    first->stall.p50 = INFINITY;
    first->stall.p99 = -INFINITY;
    first->stall.p999 = 1e300;
    first->stall.max = 1e18;
    g_autofree char *text = bench_json_write(results, info);
    g_assert_true(g_utf8_validate(text, -1, NULL));
    back = bench_json_read(text, strlen(text), NULL, &error);
    g_assert_no_error(error);
    const StallResult *stall = &((BenchResult *)g_ptr_array_index(back, 0))->stall;
    g_assert_true(isnan(stall->p50) && isnan(stall->p99) && isnan(stall->p999) && stall->max == 1e18);
}

static void
test_none_and_unknown(void)
{
    g_autoptr(GPtrArray) none = g_ptr_array_new(), back = NULL;
    g_autoptr(DocumentInfo) info = document_info_new(), head = NULL;
    g_autoptr(GError) error = NULL;
    g_autofree char *text = bench_json_write(none, info);

    back = bench_json_read(text, strlen(text), &head, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(back->len, ==, 0);
    g_assert_null(head->host.kernel);
    g_assert_false(head->complete);
}

/* --- hostile documents --- */

static char *
valid_document(void)
{
    g_autoptr(GPtrArray) results = g_ptr_array_new_with_free_func((GDestroyNotify)bench_result_free);
    g_autoptr(DocumentInfo) info = fixture_info();
    g_ptr_array_add(results, fixture_measured("uffd-wp", "shmem", 1));
    return bench_json_write(results, info);
}

static void
assert_refused(const char *text, gsize length, const char *named)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(DocumentInfo) info = NULL;
    GPtrArray *results = bench_json_read(text, length, &info, &error);

    g_assert_null(results);
    g_assert_null(info);
    g_assert_error(error, RESULTS_ERROR, RESULTS_ERROR_FORMAT);
    g_assert_null(strchr(error->message, '\n'));
    if (named && !strstr(error->message, named))
        g_error("\"%s\" does not name \"%s\"", error->message, named);
}

/* A valid document with the first @old replaced by @new. */
static void
assert_change_refused(const char *old, const char *new, const char *named)
{
    g_autofree char *text = valid_document();
    char *at = strstr(text, old);
    if (!at)
        g_error("the document has no %s", old);
    *at = '\0';
    g_autofree char *changed = g_strconcat(text, new, at + strlen(old), NULL);
    assert_refused(changed, strlen(changed), named);
}

static void
test_wrong_types(void)
{
    assert_change_refused("\"vcpus\" : 1", "\"vcpus\" : \"1\"", "results[0].vcpus: is not a count");
    assert_change_refused("\"vcpus\" : 1", "\"vcpus\" : -1", "results[0].vcpus");
    assert_change_refused("\"judged_pages\" : ", "\"judged_pages\" : -", "results[0].accuracy[0].judged_pages: is not a count");
    assert_change_refused("\"vcpus\" : 1", "\"vcpus\" : 1.5", "results[0].vcpus");
    assert_change_refused("\"vcpus\" : 1", "\"vcpus\" : 4294967297", "results[0].vcpus: is too large");
    assert_change_refused("\"vcpus\" : 1", "\"vcpus\" : null", "results[0].vcpus");
    assert_change_refused("\"vcpus\" : 1", "\"vcpus\" : [1]", "results[0].vcpus");
    assert_change_refused("\"tracker\" : \"uffd-wp\"", "\"tracker\" : 5", "results[0].tracker: is not a string");
    assert_change_refused("\"tracker\" : \"uffd-wp\"", "\"tracker\" : null", "results[0].tracker");
    assert_change_refused("\"status\" : \"measured\"", "\"status\" : \"fine\"", "results[0].status");
    assert_change_refused("\"complete\" : true", "\"complete\" : 1", "complete");
    assert_change_refused("\"host\" : {", "\"host\" : 7, \"ghost\" : {", "host: is not an object");
    assert_change_refused("\"results\" : [", "\"results\" : 3, \"rest\" : [", "results: is not an array");
    assert_change_refused("\"results\" : [", "\"results\" : [ 3, ", "results: has an element");
    assert_change_refused("\"accuracy\" : [", "\"accuracy\" : [ null, ", "accuracy: has an element");
    assert_change_refused("\"extra\" : {", "\"extra\" : [], \"more\" : {", "results[0].accuracy[0].extra: is not an object");
    assert_change_refused("\"page_walk\" : 0", "\"page_walk\" : \"\"", "results[0].accuracy[0].extra.page_walk");
    assert_change_refused("\"arm_ns\" : {", "\"arm_ns\" : true, \"x\" : {", "results[0].cost.arm_ns: is not an object");
    assert_change_refused("\"samples\" : [", "\"samples\" : [ \"1\", ", "results[0].cost.arm_ns.samples");
    assert_change_refused("\"p99\" : ", "\"p99\" : {}, \"q\" : ", "results[0].cost.guest_stall_ns.p99: is not a number");
}

static void
test_missing_fields(void)
{
    static const char names[] =
        "host kernel build command seed started results ram writer accuracy judged_pages extra unexplained "
        "cost arm_ns samples reason guest_stall_ns p999 status";
    g_auto(GStrv) fields = g_strsplit(names, " ", -1);

    for (guint i = 0; fields[i]; i++) {
        g_autofree char *old = g_strdup_printf("\"%s\" :", fields[i]);
        g_autofree char *named = g_strdup_printf("%s: is missing", fields[i]);
        assert_change_refused(old, "\"other\" :", named);
    }
}

static void
test_numbers_out_of_range(void)
{
    assert_change_refused("\"pages\" : 6451", "\"pages\" : 9223372036854775808", "line ");
    assert_change_refused("\"pages\" : 6451", "\"pages\" : 18446744073709551621", "line ");
    assert_change_refused("\"pages\" : 6451", "\"pages\" : 1e400", "line ");
    assert_change_refused("\"pages\" : 6451", "\"pages\" : 0x10", "line ");
    assert_change_refused("\"pages\" : 6451", "\"pages\" : nan", "line ");
    assert_change_refused("\"pages\" : 6451", "\"pages\" : 00000000000000000000000000000000000000000000000000001", "too long");
    assert_change_refused("\"granularity\" : 0,",
                          "\"granularity\" : 9223372036854775807,\"first_harvest\" : 9223372036854775807,"
                          "\"read_fault\" : 9223372036854775807, \"old\" : {",
                          NULL);
}

static void
test_other_schema(void)
{
    assert_change_refused("dirtylab.bench/1", "dirtylab.bench/2", "schema: is \"dirtylab.bench/2\"");
    assert_change_refused("dirtylab.bench/1", "\\u001b[31mred", "schema: is \"\\033[31mred\"");
}

static const char *const not_json[] = {
    "",
    " ",
    "null",
    "[]",
    "7",
    "\"x\"",
    "{",
    "}",
    "]",
    "\\",
    "{\"a\"",
    "{\"a\":}",
    "{\"a\":1,}",
    "{} {}",
    "{'a':1}",
    "/*{*/{}",
    "#\n{}",
    "{\"a\":tru}",
    "{\"a\":NULL}",
    "{\"a\":\"\n\"}",
    "{\"a\":\"\\",
    "{\"a\":\"",
    "\xef\xbb\xbf{}",
    "{\"a\":\"\\ud800\"}",
    "\xff{}",
    "{\"a\":-}",
    "{\"a\":1.2.3}",
    "{\"a\":--1}",
};

static void
test_not_json(void)
{
    for (guint i = 0; i < G_N_ELEMENTS(not_json); i++)
        assert_refused(not_json[i], strlen(not_json[i]), NULL);
    assert_refused("{\"a\":\0 1}", 9, NULL);
}

static void
test_deep_nesting(void)
{
    const gsize levels = 1 << 20;
    for (guint i = 0; i < 2; i++) {
        g_autofree char *text = g_malloc(levels);
        memset(text, i ? '{' : '[', levels);
        assert_refused(text, levels, "nested too deeply");
    }
    /* Brackets in strings neither count nor make up for others. */
    GString *hidden = g_string_new(NULL);
    for (guint i = 0; i < 10000; i++)
        g_string_append(hidden, "[\"]\\\"]\",");
    assert_refused(hidden->str, hidden->len, "nested too deeply");
    g_string_free(hidden, TRUE);
}

static void
test_too_long(void)
{
    g_autofree char *word = g_strnfill(70000, 'x');
    g_autofree char *string = g_strdup_printf("\"tracker\" : \"%s\"", word);
    assert_change_refused("\"tracker\" : \"uffd-wp\"", string, "results[0].tracker: is too long");

    GString *many = g_string_new("\"accuracy\" : [");
    for (guint i = 0; i < 100; i++)
        g_string_append(many, "{},");
    assert_change_refused("\"accuracy\" : [", many->str, "results[0].accuracy: has too many elements");
    g_string_free(many, TRUE);

    gsize length = (64 << 20) + 1;
    g_autofree char *blank = g_strnfill(length, ' ');
    assert_refused(blank, length, "larger");
}

/* Whatever is cut off or overwritten ends in results or in an error, never in a crash. */
static void
test_damaged_documents(void)
{
    g_autofree char *text = valid_document();
    const gsize length = strlen(text);
    g_autoptr(GRand) random = g_rand_new_with_seed(11);
    static const char bytes[] = "\"{}[]:,\\0-e.\n\x80\xff nt";

    for (gsize cut = 0; cut + 1 < length; cut += 3)
        assert_refused(text, cut, NULL);
    for (guint round = 0; round < 3000; round++) {
        g_autofree char *damaged = g_strdup(text);
        g_autoptr(GError) error = NULL;
        for (guint i = 0; i < 1 + round % 4; i++)
            damaged[g_rand_int_range(random, 0, (gint32)length)] = bytes[g_rand_int_range(random, 0, sizeof bytes - 1)];
        g_autoptr(GPtrArray) results = bench_json_read(damaged, length, NULL, &error);
        g_assert_true(!results == !!error);
    }
}

static void
test_unknown_fields_are_passed_over(void)
{
    g_autofree char *text = valid_document();
    g_autofree char *more = g_strdup_printf("{ \"future\" : [ { \"a\" : null } ], %s", text + 1);
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) results = bench_json_read(more, strlen(more), NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(results->len, ==, 1);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/bench-json/round-trip", test_round_trip);
    g_test_add_func("/bench-json/layout", test_layout);
    g_test_add_func("/bench-json/hostile-strings-and-numbers-are-written-as-json",
                    test_hostile_strings_and_numbers_are_written_as_json);
    g_test_add_func("/bench-json/none-and-unknown", test_none_and_unknown);
    g_test_add_func("/bench-json/wrong-types", test_wrong_types);
    g_test_add_func("/bench-json/missing-fields", test_missing_fields);
    g_test_add_func("/bench-json/numbers-out-of-range", test_numbers_out_of_range);
    g_test_add_func("/bench-json/other-schema", test_other_schema);
    g_test_add_func("/bench-json/not-json", test_not_json);
    g_test_add_func("/bench-json/deep-nesting", test_deep_nesting);
    g_test_add_func("/bench-json/too-long", test_too_long);
    g_test_add_func("/bench-json/damaged-documents", test_damaged_documents);
    g_test_add_func("/bench-json/unknown-fields-are-passed-over", test_unknown_fields_are_passed_over);
    return g_test_run();
}
