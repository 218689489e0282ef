/* SPDX-License-Identifier: MIT */
/* Documents of every kind are read as they were written, and what is none is refused in one line that names file and field. */
#include <string.h>

#include <glib/gstdio.h>

#include "fixture.h"
#include "results/bench_json.h"
#include "results/migration_json.h"
#include "results/peer_json.h"
#include "results/probe_json.h"
#include "results/result_file.h"
#include "results/semantics_json.h"
#include "results/yardstick.h"

#define HEAD(schema)                                                                                                     \
    "{\"schema\": \"" schema "\", \"host\": {\"kernel\": \"6.18\", \"kvm\": \"SVM\", \"mmu\": \"NPT\", \"cpu\": \"x\", " \
    "\"cores\": 2, \"memory_bytes\": 1}, \"build\": {\"version\": \"0.1\", \"revision\": \"a\"}, \"command\": \"c\", "   \
    "\"seed\": 1, \"started\": \"2025\", \"complete\": true, \"results\": ["

/* Loads the text from a file of the name `input`. */
static ResultFile *
load(const char *text, GError **error)
{
    g_autoptr(GError) problem = NULL;
    g_autofree char *folder = g_dir_make_tmp("dirtylab-results-XXXXXX", &problem);
    g_assert_no_error(problem);
    g_autofree char *path = g_build_filename(folder, "input", NULL);

    g_file_set_contents(path, text, -1, &problem);
    g_assert_no_error(problem);
    ResultFile *file = result_file_load(path, error);
    g_unlink(path);
    g_rmdir(folder);
    return file;
}

static void
expect_kind(const char *text, ResultKind kind, guint n_results)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(ResultFile) file = load(text, &error);

    g_assert_no_error(error);
    g_assert_cmpint(file->kind, ==, kind);
    g_assert_cmpuint(file->results->len, ==, n_results);
    g_assert_nonnull(file->info->host.kernel);
}

static void
expect_refusal(const char *text, const char *words)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(ResultFile) file = load(text, &error);

    g_assert_null(file);
    g_assert_error(error, RESULTS_ERROR, RESULTS_ERROR_FORMAT);
    g_assert_nonnull(strstr(error->message, "input: "));
    if (!strstr(error->message, words))
        g_error("\"%s\" does not say \"%s\"", error->message, words);
    g_assert_null(strchr(error->message, '\n'));
}

static void
every_kind_is_recognised(void)
{
    g_autoptr(DocumentInfo) info = fixture_info();
    g_autoptr(GPtrArray) none = g_ptr_array_new();
    g_autofree char *bench = bench_json_write(none, info);
    g_autofree char *semantics = semantics_json_write(none, info);
    g_autofree char *probe = probe_json_write(none, info);

    expect_kind(bench, RESULT_BENCH, 0);
    expect_kind(semantics, RESULT_SEMANTICS, 0);
    expect_kind(probe, RESULT_PROBE, 0);
    expect_kind(HEAD(MIGRATION_SCHEMA) "]}", RESULT_MIGRATION, 0);
    expect_kind(HEAD(PEER_SCHEMA) "]}", RESULT_PEER, 0);
}

static void
what_is_no_document_is_refused(void)
{
    expect_refusal("", "no object");
    expect_refusal("[]", "no object");
    expect_refusal("{}", "schema: is missing");
    expect_refusal("{\"schema\": 7}", "schema: is not a string");
    expect_refusal("{\"name\": \"axe-core\", \"version\": \"1\"}", "schema: is missing");
    expect_refusal("{\"schema\": \"https://json-schema.org/draft\"}", "no document that this dirtylab knows");
    expect_refusal("{\"schema\": \"dirtylab.bench/2\", \"results\": []}", "a newer dirtylab wrote it");
    expect_refusal("{\"schema\": \"dirtylab.bench/0\", \"results\": []}", "not \"dirtylab.bench/1\"");
    expect_refusal("{\"schema\": \"dirtylab.bench/\\n1\"}", "\\n1");
    expect_refusal(HEAD(BENCH_SCHEMA) "{}", "the text ends within");
    expect_refusal(HEAD(BENCH_SCHEMA) "{}]}", "results[0].tracker: is missing");
    expect_refusal(HEAD(MIGRATION_SCHEMA) "{\"tracker\": \"none\"}]}", "results[0].moved_to: is missing");
}

/* Cut anywhere, a document is refused: no part of one passes for a whole one. */
static void
a_file_cut_short_is_refused(void)
{
    g_autoptr(DocumentInfo) info = fixture_info();
    g_autoptr(GPtrArray) results = g_ptr_array_new_with_free_func((GDestroyNotify)bench_result_free);
    g_ptr_array_add(results, fixture_measured("kvm-bitmap", "shmem", 1));
    g_autofree char *text = bench_json_write(results, info);
    gsize length = strlen(text);

    for (gsize cut = 0; cut + 2 < length; cut += 1 + length / 150) {
        g_autofree char *part = g_strndup(text, cut);
        g_autoptr(GError) error = NULL;
        g_autoptr(ResultFile) file = load(part, &error);
        g_assert_null(file);
        g_assert_nonnull(error);
    }
}

static void
a_semantics_matrix_is_read_as_written(void)
{
    g_autoptr(DocumentInfo) info = fixture_info();
    g_autoptr(GPtrArray) rows = g_ptr_array_new();
    SemanticsRow row = {.name = "pte.fork",
                        .tracker = "uffd-wp",
                        .ram = "shmem",
                        .required = "r",
                        .observed = "o",
                        .verdict = SEMANTICS_MISSED,
                        .written = 8,
                        .reported = 5,
                        .missed = 3,
                        .control = "c"};
    SemanticsRow none = {.name = "pte.x", .tracker = "-", .ram = "shmem", .required = "r", .observed = "o", .finding = "f"};
    g_autoptr(GError) error = NULL;

    g_ptr_array_add(rows, &row);
    g_ptr_array_add(rows, &none);
    g_autofree char *text = semantics_json_write(rows, info);
    g_autoptr(GPtrArray) back = semantics_json_read(text, strlen(text), NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(back->len, ==, 2);
    const SemanticsRow *first = g_ptr_array_index(back, 0), *second = g_ptr_array_index(back, 1);
    g_assert_cmpstr(first->name, ==, "pte.fork");
    g_assert_cmpint(first->verdict, ==, SEMANTICS_MISSED);
    g_assert_cmpuint(first->missed, ==, 3);
    g_assert_null(first->finding);
    g_assert_cmpint(second->verdict, ==, SEMANTICS_NONE);
    g_assert_cmpstr(second->finding, ==, "f");
}

static void
a_histogram_is_read_as_written(void)
{
    g_autoptr(DocumentInfo) info = fixture_info();
    g_autoptr(GPtrArray) results = g_ptr_array_new_with_free_func((GDestroyNotify)bench_result_free);
    BenchResult *result = fixture_measured("kvm-bitmap", "shmem", 1);
    const StallBucket buckets[] = {{20.5, 24.25, 3}, {24.25, 100, G_GUINT64_CONSTANT(1) << 40}};
    g_autoptr(GError) error = NULL;

    result->stall.histogram = g_array_new(FALSE, FALSE, sizeof(StallBucket));
    g_array_append_vals(result->stall.histogram, buckets, (guint)G_N_ELEMENTS(buckets));
    g_ptr_array_add(results, result);
    g_autofree char *text = bench_json_write(results, info);
    g_autoptr(GPtrArray) back = bench_json_read(text, strlen(text), NULL, &error);
    g_assert_no_error(error);
    const GArray *histogram = ((const BenchResult *)g_ptr_array_index(back, 0))->stall.histogram;
    g_assert_cmpuint(histogram->len, ==, G_N_ELEMENTS(buckets));
    for (guint i = 0; i < histogram->len; i++) {
        const StallBucket *bucket = &g_array_index(histogram, StallBucket, i);
        g_assert_cmpfloat(bucket->from_ns, ==, buckets[i].from_ns);
        g_assert_cmpfloat(bucket->to_ns, ==, buckets[i].to_ns);
        g_assert_cmpuint(bucket->count, ==, buckets[i].count);
    }
}

static void
a_ratio_needs_a_pair_of_bounds(void)
{
    g_autofree char *good = g_strconcat(HEAD(PEER_SCHEMA), "{\"name\": \"t\", \"peer\": \"QEMU\", \"ratio\": {\"median\": 0.5, ",
                                        "\"ci95\": [0.25, null]}}]}", NULL);
    g_autofree char *bad = g_strconcat(HEAD(PEER_SCHEMA), "{\"name\": \"t\", \"peer\": \"QEMU\", \"ratio\": {\"median\": 0.5, ",
                                       "\"ci95\": [0.25]}}]}", NULL);
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) results = peer_json_read(good, strlen(good), NULL, &error);

    g_assert_no_error(error);
    g_assert_cmpfloat(((const PeerResult *)g_ptr_array_index(results, 0))->low, ==, 0.25);
    expect_refusal(bad, "ratio.ci95");
}

static void
the_yardstick_is_read(void)
{
    static const char text[] = "# selftests: kvm: dirty_log_perf_test\n"
                               "guest physical test memory: [0xfbfffc000, 0xfffffc000)\nPopulate memory time: 0.2s\n"
                               "Enabling dirty logging time: 0.000451670s\n\n# Iteration 1 dirty memory time: 0.05s\n"
                               "Iteration 1 get dirty log time: 0.000010510s\nIteration 2 get dirty log time: 0.000002110s\n"
                               "Disabling dirty logging time: 0.002948490s";
    g_autoptr(GError) error = NULL;
    g_autoptr(Yardstick) yardstick = yardstick_read(text, strlen(text), &error);

    g_assert_no_error(error);
    g_assert_cmpuint(yardstick->memory_bytes, ==, 1U << 30);
    g_assert_cmpuint(samples_count(yardstick->phase[YARDSTICK_GET]), ==, 2);
    g_assert_cmpfloat_with_epsilon(samples_at(yardstick->phase[YARDSTICK_GET], 1), 2110, 1e-6);
    g_assert_cmpfloat_with_epsilon(samples_median(yardstick->phase[YARDSTICK_ENABLE]), 451670, 1e-6);
    g_assert_cmpuint(samples_count(yardstick->phase[YARDSTICK_CLEAR]), ==, 0);
    g_assert_cmpuint(samples_count(yardstick->phase[YARDSTICK_DISABLE]), ==, 1);
}

static void
no_yardstick_is_refused(void)
{
    static const char *const texts[] = {"", "Hello\n", "Populate memory time: s", "Populate memory time: -1s",
                                        "Populate memory time: infs"};

    for (guint i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(yardstick_read(texts[i], strlen(texts[i]), &error));
        g_assert_error(error, RESULTS_ERROR, RESULTS_ERROR_FORMAT);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/result-file/every kind is recognised", every_kind_is_recognised);
    g_test_add_func("/result-file/what is no document is refused", what_is_no_document_is_refused);
    g_test_add_func("/result-file/a file cut short is refused", a_file_cut_short_is_refused);
    g_test_add_func("/result-file/a semantics matrix is read as written", a_semantics_matrix_is_read_as_written);
    g_test_add_func("/result-file/a histogram is read as written", a_histogram_is_read_as_written);
    g_test_add_func("/result-file/a ratio needs a pair of bounds", a_ratio_needs_a_pair_of_bounds);
    g_test_add_func("/result-file/the yardstick is read", the_yardstick_is_read);
    g_test_add_func("/result-file/no yardstick is refused", no_yardstick_is_refused);
    return g_test_run();
}
