/* SPDX-License-Identifier: MIT */
/* The benchmark's table: 80 columns with any figures, marks that say what they must, and CSV that a spreadsheet can read. */
#include <string.h>

#include "fixture.h"
#include "results/bench_table.h"
#include "results/table.h"

static char *
text_of(const GPtrArray *results, guint columns)
{
    g_autoptr(DocumentInfo) info = fixture_info();
    GString *out = g_string_new(NULL);
    bench_table_text(results, info, columns, out);
    return g_string_free(out, FALSE);
}

static void
assert_fits(const char *text, guint columns)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (guint i = 0; lines[i]; i++) {
        if (table_text_width(lines[i]) > columns)
            g_error("%u columns: %s", table_text_width(lines[i]), lines[i]);
        g_assert_false(g_str_has_suffix(lines[i], " "));
    }
}

/* The @nth line (from 0) that begins with @start after its indent. */
static char *
line_of(const char *text, const char *start, guint nth)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (guint i = 0; lines[i]; i++) {
        if (g_str_has_prefix(lines[i] + strspn(lines[i], " "), start) && nth-- == 0)
            return g_strdup(lines[i]);
    }
    g_error("no line begins with %s:\n%s", start, text);
}

static void
assert_has(const char *text, const char *part)
{
    if (!strstr(text, part))
        g_error("\"%s\" is not in:\n%s", part, text);
}

static void
test_quick_fits_80_columns(void)
{
    g_autoptr(GPtrArray) results = fixture_quick(1);
    g_autofree char *text = text_of(results, 80);
    g_autofree char *row = line_of(text, "kvm-ring", 1);

    g_test_message("\n%s", text);
    assert_fits(text, 80);
    g_assert_cmpstr(row, ==, "  kvm-ring              0     0 1.00 1.82ms 2.42ms 62.6µs 41.7µs 88.0µs 1.31s");
    assert_has(text, "\nshmem\n");
    assert_has(text, "\nhugetlb-2M\n");
    assert_has(text, "256 MiB, 1 vCPU, writer guest, pattern random, 6,451 pages a pass, 5\n");
    assert_has(text, "soft-dirty       unsupported: this kernel keeps no soft-dirty bits");
    assert_has(text, "\n0 undeclared misses, 0 unexplained extra pages in 46,817,280 observations\n");
}

static void
test_extreme_figures_fit(void)
{
    double scale = 1e-9;
    for (guint round = 0; round < 20; round++) {
        g_autoptr(GPtrArray) results = fixture_quick(scale);
        for (guint i = 0; i < results->len; i++) {
            BenchResult *result = g_ptr_array_index(results, i);
            for (guint j = 0; j < result->accuracy->len; j++) {
                AccuracyResult *accuracy = fixture_accuracy(result, j);
                accuracy->missed_pages = accuracy->expected_missed_pages = G_MAXUINT64;
                accuracy->extra[EXTRA_UNEXPLAINED] = G_MAXUINT64;
                accuracy->reported_pages = G_MAXUINT64;
                accuracy->judged_pages = G_MAXUINT64 / 100;
            }
            result->ring_overflows = G_MAXUINT64 / 100;
        }
        BenchResult *last = g_ptr_array_index(results, results->len - 1);
        g_free(last->tracker);
        last->tracker = g_strdup("a-tracker-with-a-name-that-no-one-expected");
        g_autofree char *text = text_of(results, 0);
        assert_fits(text, 80);
        scale *= 77;
    }
}

static void
test_declared_misses_are_marked(void)
{
    g_autoptr(GPtrArray) results = fixture_quick(1);
    for (guint i = 1; i < 4; i++) {
        BenchResult *result = g_ptr_array_index(results, i);
        fixture_accuracy(result, 0)->missed_pages = fixture_accuracy(result, 0)->expected_missed_pages = 6553;
    }
    g_autofree char *text = text_of(results, 80);
    g_autofree char *row = line_of(text, "kvm-bitmap ", 0);
    assert_has(row, " 6553* ");
    assert_has(text, "* declared: blind to the writer guest: kvm-bitmap, kvm-bitmap-clear, kvm-ring\n");
    assert_has(text, "\n0 undeclared misses, ");
}

static void
test_undeclared_misses_are_plain(void)
{
    g_autoptr(GPtrArray) results = fixture_quick(1);
    fixture_accuracy(g_ptr_array_index(results, 1), 1)->missed_pages = 12;
    g_autofree char *text = text_of(results, 80);
    g_autofree char *row = line_of(text, "kvm-bitmap ", 0);
    assert_has(row, "  12  ");
    assert_has(text, "! kvm-bitmap, shmem, 1 vCPU, writer guest, pattern random: 12 undeclared misses\n  (replica of ram)\n");
    assert_has(text, "\n12 undeclared misses, 0 unexplained extra pages in ");
    g_assert_null(strstr(text, "* declared"));
}

static void
test_declared_miss_that_does_not_occur_is_marked(void)
{
    g_autoptr(GPtrArray) results = fixture_quick(1);
    fixture_accuracy(g_ptr_array_index(results, 1), 0)->expected_missed_pages = 100;
    g_autofree char *text = text_of(results, 80);
    g_autofree char *row = line_of(text, "kvm-bitmap ", 0);
    assert_has(row, " 0! ");
    assert_has(text, "; 100\n  declared misses did not occur\n");
}

static void
test_extra_pages(void)
{
    g_autoptr(GPtrArray) results = fixture_quick(1);
    fixture_accuracy(g_ptr_array_index(results, 5), 0)->extra[EXTRA_GRANULARITY] = 511;
    fixture_accuracy(g_ptr_array_index(results, 4), 0)->extra[EXTRA_UNEXPLAINED] = 3;
    ((BenchResult *)g_ptr_array_index(results, 3))->ring_overflows = 2;
    g_autofree char *text = text_of(results, 80);
    g_autofree char *scan = line_of(text, "pagemap-scan", 0), *uffd = line_of(text, "uffd-wp", 0);
    assert_has(scan, " 511 ");
    assert_has(uffd, " 3! ");
    assert_has(text, "\nExtra, granularity: 511 (pagemap-scan)\n");
    assert_has(text, "\nExtra, unexplained: 3 (uffd-wp)\n");
    assert_has(text, "\nRing overflows: 2; ");
    assert_has(text, "3 unexplained extra pages in");
}

static void
test_what_varies_heads_its_rows(void)
{
    g_autoptr(GPtrArray) results = fixture_quick(1);
    for (guint i = 0; i < 7; i++) {
        BenchResult *result = g_ptr_array_index(results, i);
        result->vcpus = 2;
        g_free(result->writer);
        result->writer = g_strdup("alias");
    }
    g_autofree char *narrow = text_of(results, 80), *wide = text_of(results, 200);
    assert_has(narrow, "\nshmem, 2 vCPUs, writer alias\n");
    assert_has(narrow, "\nhugetlb-2M, 1 vCPU, writer guest\n");
    assert_has(narrow, "\nGuest: 256 MiB, pattern random, ");
    g_autofree char *headings = line_of(wide, "RAM ", 0);
    assert_has(headings, "vCPUs");
    assert_has(headings, "writer");
    g_assert_null(strstr(headings, "pattern"));
    assert_fits(wide, 200);
}

static void
test_interleaved_results_are_grouped(void)
{
    g_autoptr(GPtrArray) results = g_ptr_array_new_with_free_func((GDestroyNotify)bench_result_free);
    g_ptr_array_add(results, fixture_measured("none", "shmem", 1));
    g_ptr_array_add(results, fixture_measured("none", "hugetlb-2M", 1));
    g_ptr_array_add(results, fixture_measured("kvm-ring", "shmem", 1));
    g_autofree char *text = text_of(results, 80);
    const char *shmem = strstr(text, "\nshmem\n"), *ring = strstr(text, "kvm-ring"), *huge = strstr(text, "\nhugetlb-2M\n");
    g_assert_true(shmem && ring && huge && shmem < ring && ring < huge);
    g_assert_null(strstr(shmem + 1, "\nshmem\n"));
}

static void
test_handlers_are_told_apart(void)
{
    g_autoptr(GPtrArray) results = fixture_quick(1);
    BenchResult *other = fixture_measured("uffd-wp", "shmem", 1);
    g_free(other->handler_cpu);
    other->handler_cpu = g_strdup("unpinned");
    g_ptr_array_add(results, other);
    g_autofree char *text = text_of(results, 80);
    assert_has(text, "\n  uffd-wp same ");
    assert_has(text, "\n  uffd-wp unpinned ");
    assert_fits(text, 80);
}

static void
test_wide_has_intervals(void)
{
    g_autoptr(GPtrArray) results = fixture_quick(1);
    g_autofree char *text = text_of(results, 170), *row = line_of(text, "shmem       kvm-bitmap ", 0);
    g_test_message("\n%s", text);
    assert_fits(text, 170);
    assert_has(row, "1.82ms ±1%");
}

static void
test_nothing_and_interrupted(void)
{
    g_autoptr(GPtrArray) none = g_ptr_array_new();
    g_autoptr(DocumentInfo) info = fixture_info();
    g_autoptr(GString) out = g_string_new(NULL);
    info->complete = FALSE;
    bench_table_text(none, info, 80, out);
    assert_has(out->str, "Interrupted: ");
    assert_has(out->str, "No page was judged\n");
}

static void
test_failures_are_counted(void)
{
    g_autoptr(GPtrArray) results = fixture_quick(1);
    BenchResult *first = g_ptr_array_index(results, 0);
    first->status = BENCH_FAILED;
    first->reason = g_strdup("the guest\npanicked");
    g_autofree char *text = text_of(results, 80);
    assert_has(text, "none             failed: the guest panicked\n");
    assert_has(text, "; 1\n  case failed\n");
}

static void
test_markdown(void)
{
    g_autoptr(GPtrArray) results = fixture_quick(1);
    g_autoptr(DocumentInfo) info = fixture_info();
    g_autoptr(GString) out = g_string_new(NULL);
    AccuracyResult *accuracy = fixture_accuracy(g_ptr_array_index(results, 1), 0);
    accuracy->missed_pages = accuracy->expected_missed_pages = 9;
    bench_table_markdown(results, info, out);
    assert_has(out->str, "| RAM | tracker | missed | extra | amp |");
    assert_has(out->str, "| shmem | kvm-bitmap | 9\\* | 0 | 1.00 |");
    assert_has(out->str, "| shmem | soft-dirty | unsupported: ");
    assert_has(out->str, "- 0 undeclared misses");

    /* Every row of the table has as many cells as the first. */
    g_auto(GStrv) lines = g_strsplit(out->str, "\n", -1);
    guint n_cells = 0;
    for (guint i = 0; lines[i]; i++) {
        if (*lines[i] != '|')
            continue;
        g_auto(GStrv) cells = g_strsplit(lines[i], " |", -1);
        if (!g_str_has_prefix(lines[i], "|---") && n_cells)
            g_assert_cmpuint(g_strv_length(cells), ==, n_cells);
        else if (!n_cells)
            n_cells = g_strv_length(cells);
    }
    g_assert_cmpuint(n_cells, >, 10);
}

/* Counts the fields of one CSV record, and ends behind it. */
static guint
count_fields(const char **at)
{
    guint fields = 1;
    gboolean quoted = FALSE;
    for (; **at && (quoted || **at != '\n'); (*at)++) {
        if (**at == '"')
            quoted = !quoted;
        fields += **at == ',' && !quoted;
    }
    g_assert_false(quoted);
    *at += **at == '\n';
    return fields;
}

static void
test_csv(void)
{
    g_autoptr(GPtrArray) results = fixture_quick(1);
    g_autoptr(GString) out = g_string_new(NULL);
    BenchResult *last = g_ptr_array_index(results, results->len - 1);

    g_free(last->reason);
    last->reason = g_strdup("commas, \"quotes\"\nand lines");
    bench_table_csv(results, out);
    g_assert_true(
        g_str_has_prefix(out->str, "tracker,ram,unit_bytes,memory_bytes,vcpus,writer,pattern,pages,passes,runs,warmup,"));
    assert_has(out->str,
               ",write_list_missed_pages,write_list_expected_missed_pages,write_list_extra_pages,write_list_extra_granularity,");
    assert_has(out->str, ",arm_ns_median,arm_ns_ci95_low,arm_ns_ci95_high,");
    assert_has(out->str,
               "\nkvm-bitmap,shmem,4096,268435456,1,guest,random,6451,5,3,1,,measured,,arena,1935360,96765,96765,0,0,0,");
    assert_has(out->str, ",unsupported,\"commas, \"\"quotes\"\"\nand lines\",,,,");

    const char *at = out->str;
    guint expected = count_fields(&at), records = 0;
    for (; *at; records++)
        g_assert_cmpuint(count_fields(&at), ==, expected);
    g_assert_cmpuint(records, ==, results->len);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/bench-table/quick-fits-80-columns", test_quick_fits_80_columns);
    g_test_add_func("/bench-table/extreme-figures-fit", test_extreme_figures_fit);
    g_test_add_func("/bench-table/declared-misses-are-marked", test_declared_misses_are_marked);
    g_test_add_func("/bench-table/undeclared-misses-are-plain", test_undeclared_misses_are_plain);
    g_test_add_func("/bench-table/declared-miss-that-does-not-occur-is-marked", test_declared_miss_that_does_not_occur_is_marked);
    g_test_add_func("/bench-table/extra-pages", test_extra_pages);
    g_test_add_func("/bench-table/what-varies-heads-its-rows", test_what_varies_heads_its_rows);
    g_test_add_func("/bench-table/interleaved-results-are-grouped", test_interleaved_results_are_grouped);
    g_test_add_func("/bench-table/handlers-are-told-apart", test_handlers_are_told_apart);
    g_test_add_func("/bench-table/wide-has-intervals", test_wide_has_intervals);
    g_test_add_func("/bench-table/nothing-and-interrupted", test_nothing_and_interrupted);
    g_test_add_func("/bench-table/failures-are-counted", test_failures_are_counted);
    g_test_add_func("/bench-table/markdown", test_markdown);
    g_test_add_func("/bench-table/csv", test_csv);
    return g_test_run();
}
