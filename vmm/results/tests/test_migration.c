/* SPDX-License-Identifier: MIT */
/* Migrations' results: documents come back equal, hostile ones end in an error that names the field, tables say what they must. */
#include <math.h>
#include <string.h>

#include "fixture.h"
#include "results/migration_json.h"
#include "results/migration_table.h"
#include "results/table.h"

/* json-glib 1.6 loses a few nodes of a text that it cannot parse. */
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

static MigrationResult *
new_case(const char *tracker, const char *ram, guint run)
{
    MigrationResult *result = migration_result_new();

    result->tracker = g_strdup(tracker);
    result->ram = g_strdup(ram);
    result->transport = g_strdup("unix");
    result->load = g_strdup("heavy");
    result->pattern = g_strdup("random");
    result->memory_bytes = 1 << 30;
    result->pages = 25600;
    result->vcpus = 2;
    result->run = run;
    result->downtime_limit_ms = 300;
    return result;
}

static MigrationIteration *
iteration_of(MigrationResult *result, guint index)
{
    return &g_array_index(result->iterations, MigrationIteration, index);
}

static MigrationResult *
completed(const char *tracker, const char *ram, guint run)
{
    MigrationResult *result = new_case(tracker, ram, run);

    result->ram_compared = result->verified = TRUE;
    result->total_time_ms = 812.5 + run;
    result->setup_time_ms = 1.25;
    result->downtime_ms = 2.5;
    for (guint part = 0; part < N_DOWNTIME_PARTS; part++)
        result->downtime_ns[part] = 1000.5 * (part + 1);
    result->transferred_bytes = (G_GUINT64_CONSTANT(700) << 20) + 300000;
    result->normal_pages = 178000;
    result->duplicate_pages = 90000;
    result->dirty_pages_rate = 41234.5;
    result->stall = (StallResult){.count = 100000, .p50 = 200, .p99 = 40000, .p999 = 90000, .max = 1.5e6};
    for (guint pass = 0; pass < 3; pass++) {
        MigrationIteration iteration = {.tracker = g_strdup(tracker),
                                        .harvest_ns = 1000000,
                                        .send_ns = 200000000,
                                        .host_cpu_ns = 150000000,
                                        .sent_pages = 25600,
                                        .judged = pass > 0,
                                        .written_pages = pass ? 25000 : 0,
                                        .reported_pages = pass ? 25600 : 0};
        iteration.extra[EXTRA_GRANULARITY] = pass ? 598 : 0;
        iteration.extra[EXTRA_IN_FLIGHT] = pass ? 2 : 0;
        g_array_append_val(result->iterations, iteration);
    }
    return result;
}

static GPtrArray *
several(void)
{
    GPtrArray *results = g_ptr_array_new_with_free_func((GDestroyNotify)migration_result_free);
    MigrationResult *moved = completed("kvm-bitmap", "shmem", 1), *unsupported = new_case("soft-dirty", "shmem", 0);

    g_ptr_array_add(results, completed("kvm-bitmap", "shmem", 1));
    g_ptr_array_add(results, completed("kvm-bitmap-clear", "hugetlb-2M", 1));
    g_ptr_array_add(results, completed("kvm-bitmap", "shmem", 2));
    moved->moved_to = g_strdup("pagemap-scan");
    g_ptr_array_add(results, moved);
    unsupported->status = MIGRATION_RESULT_UNSUPPORTED;
    unsupported->reason = g_strdup("this kernel keeps no soft-dirty bits");
    g_ptr_array_add(results, unsupported);
    return results;
}

static char *
text_of(const GPtrArray *results)
{
    g_autoptr(DocumentInfo) info = fixture_info();
    GString *out = g_string_new(NULL);

    migration_table_text(results, info, 80, out);
    return g_string_free(out, FALSE);
}

static void
assert_has(const char *text, const char *part)
{
    if (!strstr(text, part))
        g_error("\"%s\" is not in:\n%s", part, text);
}

/* --- documents --- */

static void
test_round_trip(void)
{
    g_autoptr(GPtrArray) results = several();
    g_autoptr(DocumentInfo) info = fixture_info(), head = NULL;
    g_autoptr(GError) error = NULL;
    MigrationResult *first = g_ptr_array_index(results, 0);

    first->total_time_ms = NAN;
    first->ring_overflows = 3;
    first->throttle_percent = 40;
    first->mismatched_pages = 7;
    first->verified = FALSE;
    iteration_of(first, 2)->missed_pages = 5;

    g_autofree char *text = migration_json_write(results, info);
    g_autoptr(GPtrArray) back = migration_json_read(text, strlen(text), &head, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(back->len, ==, results->len);
    const MigrationResult *read = g_ptr_array_index(back, 0);
    g_assert_true(isnan(read->total_time_ms));
    g_assert_cmpuint(iteration_of(g_ptr_array_index(back, 0), 2)->missed_pages, ==, 5);
    g_assert_true(read->ram_compared && !read->verified);
    g_assert_false(((MigrationResult *)g_ptr_array_index(back, 4))->ram_compared);
    g_assert_cmpstr(((MigrationResult *)g_ptr_array_index(back, 3))->moved_to, ==, "pagemap-scan");
    for (guint i = 0; i < back->len; i++)
        g_assert_true(migration_result_same_case(g_ptr_array_index(back, i), g_ptr_array_index(results, i)));

    g_autofree char *again = migration_json_write(back, head);
    g_assert_cmpstr(again, ==, text);
}

static void
test_layout(void)
{
    static const char names[] =
        "tracker moved_to ram memory_bytes vcpus transport status verified mismatched_pages total_time_ms "
        "setup_time_ms downtime_ms downtime_breakdown_ns final_harvest final_send state_save state_send state_load "
        "resume transferred_bytes normal_pages duplicate_pages dirty_pages_rate guest_stall_ns throttle_percent "
        "iterations harvest_ns send_ns sent_pages written_pages reported_pages missed_pages extra amplification "
        "host_cpu_ns";
    g_autoptr(GPtrArray) results = several();
    g_autoptr(DocumentInfo) info = fixture_info();
    g_autofree char *text = migration_json_write(results, info);
    g_auto(GStrv) fields = g_strsplit(names, " ", -1);

    assert_has(text, "\"schema\" : \"dirtylab.migration/1\"");
    for (guint i = 0; fields[i]; i++) {
        g_autofree char *field = g_strdup_printf("\"%s\" : ", fields[i]);
        assert_has(text, field);
    }
    assert_has(text, "\"amplification\" : 1.024");
}

static void
assert_change_refused(const char *old, const char *new, const char *message)
{
    g_autoptr(GPtrArray) results = several();
    g_autoptr(DocumentInfo) info = fixture_info();
    g_autoptr(GError) error = NULL;
    g_autofree char *text = migration_json_write(results, info);
    const char *at = strstr(text, old);

    if (!at)
        g_error("no %s in the document", old);
    g_autofree char *changed = g_strdup_printf("%.*s%s%s", (int)(at - text), text, new, at + strlen(old));
    g_autoptr(GPtrArray) back = migration_json_read(changed, strlen(changed), NULL, &error);
    g_assert_null(back);
    g_assert_error(error, RESULTS_ERROR, RESULTS_ERROR_FORMAT);
    if (!strstr(error->message, message))
        g_error("\"%s\" does not say \"%s\"", error->message, message);
}

static void
test_hostile(void)
{
    assert_change_refused("dirtylab.migration/1", "dirtylab.bench/1", "schema: is \"dirtylab.bench/1\"");
    assert_change_refused("\"completed\"", "\"done\"", "results[0].status: is none of");
    assert_change_refused("\"harvest_ns\" : 1000000", "\"harvest_ns\" : -1", "results[0].iterations[0].harvest_ns: is no time");
    assert_change_refused("\"harvest_ns\" : 1000000", "\"harvest_ns\" : null, \"x\" : 1", "harvest_ns: is no time");
    assert_change_refused("\"harvest_ns\" : 1000000", "\"harvest_ns\" : 9e300, \"x\" : 1", "harvest_ns: is no time");
    assert_change_refused("\"verified\" : true", "\"verified\" : 1", "results[0].verified: ");
    assert_change_refused("\"verified\" :", "\"other\" :", "results[0].verified: is missing");
    assert_change_refused("\"iterations\" : [", "\"iterations\" : 7, \"x\" : [", "results[0].iterations: ");
    assert_change_refused("\"granularity\" : 598", "\"granularity\" : {}", "results[0].iterations[1].extra.granularity: ");
    assert_change_refused("\"final_send\" :", "\"x\" :", "results[0].downtime_breakdown_ns.final_send: is missing");
    assert_change_refused("\"vcpus\" : 2", "\"vcpus\" : 99999999999", "results[0].vcpus: is too large");
}

/* --- tables --- */

static void
test_text(void)
{
    g_autoptr(GPtrArray) results = several();
    g_autofree char *text = text_of(results);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

    g_test_message("\n%s", text);
    for (guint i = 0; lines[i]; i++) {
        g_assert_cmpuint(table_text_width(lines[i]), <=, 80);
        g_assert_false(g_str_has_suffix(lines[i], " "));
    }
    assert_has(text, "1 GiB, 2 vCPUs, over unix, load heavy, pattern random, 25,600 pages,");
    assert_has(text, "\nshmem\n");
    assert_has(text, "\nhugetlb-2M\n");
    assert_has(text, "\n  kvm-bitmap       814ms "); /* the median of both runs */
    assert_has(text, "kvm-bitmap → pagemap-scan");
    assert_has(text, "unsupported: this kernel keeps no soft-dirty bits");
    assert_has(text, "4 migrations completed, all RAM equal after 4; 0 undeclared misses");
}

static void
test_what_is_wrong_is_said(void)
{
    g_autoptr(GPtrArray) results = several();
    MigrationResult *missing = g_ptr_array_index(results, 0), *differing = g_ptr_array_index(results, 1),
                    *cut = g_ptr_array_index(results, 3);

    iteration_of(missing, 1)->missed_pages = 12;
    iteration_of(missing, 1)->extra[EXTRA_UNEXPLAINED] = 1;
    differing->verified = FALSE;
    differing->mismatched_pages = 3;
    cut->status = MIGRATION_RESULT_FAILED;
    cut->reason = g_strdup("the other side closed the connection");
    g_assert_false(migration_result_is_sound(missing));
    g_assert_false(migration_result_is_sound(differing));
    g_assert_false(migration_result_is_sound(cut));
    g_assert_true(migration_result_is_sound(g_ptr_array_index(results, 2)));
    g_assert_true(migration_result_is_sound(g_ptr_array_index(results, 4)));

    g_autofree char *text = text_of(results);
    assert_has(text, " 12! ");
    assert_has(text, " 3!");
    assert_has(text, "12 undeclared misses");
    assert_has(text, "3 pages differ");
    assert_has(text, "failed: the other side closed the connection");
    assert_has(text, "all RAM equal after 3");
}

static void
test_pass_1_is_not_judged(void)
{
    g_autoptr(MigrationResult) result = completed("kvm-ring", "shmem", 1);
    MigrationAccuracy accuracy = {0};

    iteration_of(result, 0)->reported_pages = 262144;
    migration_result_add_accuracy(result, &accuracy);
    g_assert_cmpuint(accuracy.passes, ==, 2);
    g_assert_cmpuint(accuracy.reported_pages, ==, 51200);
    g_assert_true(isnan(migration_iteration_amplification(iteration_of(result, 0))));
}

static void
test_markdown_and_csv(void)
{
    g_autoptr(GPtrArray) results = several();
    g_autoptr(DocumentInfo) info = fixture_info();
    g_autoptr(GString) markdown = g_string_new(NULL), csv = g_string_new(NULL);

    migration_table_markdown(results, info, markdown);
    assert_has(markdown->str, "| backing | tracker | total | down | sent |");
    assert_has(markdown->str, "| hugetlb-2M | kvm-bitmap-clear | ");
    migration_table_csv(results, csv);
    g_auto(GStrv) lines = g_strsplit(csv->str, "\n", -1);
    g_assert_cmpuint(g_strv_length(lines), ==, results->len + 2);
    g_assert_true(g_str_has_prefix(lines[0], "tracker,moved_to,ram,memory_bytes,vcpus,transport,load,"));
    for (guint i = 1; i <= results->len; i++) {
        g_auto(GStrv) cells = g_strsplit(lines[i], ",", -1), headings = g_strsplit(lines[0], ",", -1);
        g_assert_cmpuint(g_strv_length(cells), ==, g_strv_length(headings));
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/migration-results/a document comes back equal", test_round_trip);
    g_test_add_func("/migration-results/every field of interfaces.md is there", test_layout);
    g_test_add_func("/migration-results/a hostile document is refused with the field's name", test_hostile);
    g_test_add_func("/migration-results/the table fits 80 columns and takes medians over runs", test_text);
    g_test_add_func("/migration-results/what is wrong is said and unsound", test_what_is_wrong_is_said);
    g_test_add_func("/migration-results/pass 1 is not judged", test_pass_1_is_not_judged);
    g_test_add_func("/migration-results/Markdown and CSV have a column for each value", test_markdown_and_csv);
    return g_test_run();
}
