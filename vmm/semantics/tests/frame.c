/* SPDX-License-Identifier: MIT */
/*
 * The frame, by cases of the test's own: a verdict without a control that differs does not stand, a lie is noticed, and a case that
 * hangs, crashes or fails costs nothing but its cell. And a fast part of the real matrix, each cell of which has to reach a verdict.
 */
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include <json-glib/json-glib.h>

#include "results/semantics_table.h"
#include "semantics/scene.h"
#include "semantics/semantics.h"

#define FEW 64

static SemanticsRow *
run_one(const SemanticsCase *about)
{
    return semantics_run_cell(about, dl_tracker_facts_by_name("none"), DL_RAM_SHMEM);
}

/* What has to be reported, and what was: of a tracker that does as @found says. */
static gboolean
judge(Cell *cell, guint64 must, guint64 found)
{
    g_autoptr(DlBitmap) written = dl_bitmap_new(FEW), reported = dl_bitmap_new(FEW), allowed = dl_bitmap_new(FEW);

    dl_bitmap_words(written)[0] = must;
    dl_bitmap_words(reported)[0] = found;
    cell_judge(cell, written, allowed, reported);
    return TRUE;
}

static gboolean
honest(Cell *cell, GError **error)
{
    (void)error;
    return judge(cell, 6, 6);
}

static gboolean
dropping(Cell *cell, GError **error)
{
    (void)error;
    return judge(cell, 6, 2);
}

static gboolean
adding(Cell *cell, GError **error)
{
    (void)error;
    return judge(cell, 6, 14);
}

static void
test_verdicts(void)
{
    static const struct {
        gboolean (*run)(Cell *cell, GError **error);
        SemanticsVerdict verdict;
        const char *control;
    } trackers[] = {{honest, SEMANTICS_EXACT, "drops one page: MISSED"},
                    {dropping, SEMANTICS_MISSED, "reports all pages: extra"},
                    {adding, SEMANTICS_EXTRA, "drops one page: MISSED"}};

    for (guint i = 0; i < G_N_ELEMENTS(trackers); i++) {
        SemanticsCase about = {.name = "test.verdict", .required = "-", .run = trackers[i].run, .finding = "lost"};
        g_autoptr(SemanticsRow) row = run_one(&about);
        g_assert_cmpint(row->verdict, ==, trackers[i].verdict);
        g_assert_nonnull(strstr(row->control, trackers[i].control));
        g_assert_cmpint(row->finding != NULL, ==, row->verdict == SEMANTICS_MISSED);
    }
}

/* Its judge sees nothing: the lie is not noticed, and the verdict must not stand. */
static gboolean
blind(Cell *cell, GError **error)
{
    (void)error;
    cell_count(cell, 1, 1, 0, 0);
    return TRUE;
}

static gboolean
lying_in_the_control(Cell *cell, GError **error)
{
    cell->take = TAKE_REAL; /* whatever it is asked, it does the same */
    return honest(cell, error);
}

static void
test_control(void)
{
    static const SemanticsCase cases[] = {
        {.name = "test.blind", .required = "-", .run = blind},
        {.name = "test.blind-step", .required = "-", .run = blind, .left_out = "a step"},
        {.name = "test.lying", .required = "-", .run = lying_in_the_control, .left_out = "a step"},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(SemanticsRow) row = run_one(&cases[i]);
        g_assert_cmpint(row->verdict, ==, SEMANTICS_NONE);
        g_assert_nonnull(strstr(row->observed, "no control came out otherwise"));
    }
}

/* What was there for the real take is gone when the control asks for it: nothing is claimed. */
static gboolean
short_lived(Cell *cell, GError **error)
{
    return cell_step(cell) ? blind(cell, error) : cell_unsupported(error, "no memory any more");
}

static void
test_control_unavailable(void)
{
    SemanticsCase about = {.name = "test.short-lived", .required = "-", .run = short_lived, .left_out = "a step"};
    g_autoptr(SemanticsRow) row = run_one(&about);

    g_assert_cmpint(row->verdict, ==, SEMANTICS_UNSUPPORTED);
    g_assert_nonnull(strstr(row->observed, "no memory any more"));
    g_assert_null(row->control);
}

static gboolean
hang(Cell *cell, GError **error)
{
    (void)cell;
    (void)error;
    while (pause() < 0)
        ;
    return TRUE;
}

static gboolean
crash(Cell *cell, GError **error)
{
    (void)cell;
    (void)error;
    raise(SIGKILL);
    return TRUE;
}

static gboolean
lack(Cell *cell, GError **error)
{
    (void)cell;
    return cell_unsupported(error, "there is none here");
}

static void
test_ends(void)
{
    SemanticsCase hanging = {.name = "test.hang", .required = "-", .run = hang, .limit_ms = 200};
    SemanticsCase known = {.name = "test.known", .required = "-", .run = hang, .limit_ms = 200, .hang = "this kernel hangs"};
    SemanticsCase crashing = {.name = "test.crash", .required = "-", .run = crash};
    SemanticsCase lacking = {.name = "test.lack", .required = "-", .run = lack};
    gint64 begin = g_get_monotonic_time();
    g_autoptr(SemanticsRow) hung = run_one(&hanging);
    g_autoptr(SemanticsRow) expected = run_one(&known);
    g_autoptr(SemanticsRow) crashed = run_one(&crashing);
    g_autoptr(SemanticsRow) lacked = run_one(&lacking);

    g_assert_cmpint(g_get_monotonic_time() - begin, <, (gint64)60 * G_USEC_PER_SEC);
    g_assert_cmpint(hung->verdict, ==, SEMANTICS_NONE);
    g_assert_nonnull(strstr(hung->observed, "did not come back within 200 ms"));
    g_assert_cmpint(expected->verdict, ==, SEMANTICS_UNSUPPORTED);
    g_assert_cmpstr(expected->finding, ==, "this kernel hangs");
    g_assert_cmpint(crashed->verdict, ==, SEMANTICS_NONE);
    g_assert_nonnull(strstr(crashed->observed, "signal 9"));
    g_assert_cmpint(lacked->verdict, ==, SEMANTICS_UNSUPPORTED);
    g_assert_cmpstr(lacked->observed, ==, "there is none here");
}

static void
test_names(void)
{
    for (guint i = 0; i < semantics_n_cases(); i++) {
        const SemanticsCase *about = semantics_case(i);
        g_assert_nonnull(strchr(about->name, '.'));
        g_assert_nonnull(about->required);
        for (guint j = 0; j < i; j++)
            g_assert_cmpstr(about->name, !=, semantics_case(j)->name);
    }
    g_assert_cmpuint(semantics_n_cases(), >=, 60);

    SemanticsCase about = {.name = "pte.cold"};
    g_assert_true(semantics_case_matches(&about, "pte"));
    g_assert_true(semantics_case_matches(&about, "scan,pte.c*"));
    g_assert_true(semantics_case_matches(&about, "pte.cold"));
    g_assert_false(semantics_case_matches(&about, "pt,cold,pte.c,scan"));
}

static void
check_rows(const GPtrArray *rows)
{
    for (guint i = 0; i < rows->len; i++) {
        const SemanticsRow *row = g_ptr_array_index(rows, i);
        if (row->verdict == SEMANTICS_NONE)
            g_test_message("%s, %s, %s: %s", row->name, row->tracker, row->ram, row->observed);
        g_assert_cmpint(row->verdict, !=, SEMANTICS_NONE);
        g_assert_cmpint(row->control != NULL, ==, row->verdict != SEMANTICS_UNSUPPORTED);
        if (g_str_has_suffix(row->name, "-told")) /* what libdirtylog is told of it loses on no kernel */
            g_assert_cmpint(row->verdict, !=, SEMANTICS_MISSED);
    }
}

static void
test_matrix(void)
{
    static const char *const patterns =
        "discard.madv*,discard.truncate-written*,pte.dontneed*,pte.fork,pte.remap,writer.store,writer.alias-told,writer.pinned-told,writer.guest,"
        "writer.vmm*,scan.vec-len,scan.walk-end,scan.unregistered*,uffd.second,uffd.user-mode-only,uffd.handler-killed,"
        "kvm.write-between,kvm.ring-wrapped,kvm.*-told,scan.writer-hole,punch.missing*,punch.many*,punch.window,punch.reader-told,softdirty.remapped,softdirty.hugetlb";
    g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func((GDestroyNotify)semantics_row_free);
    g_autoptr(DocumentInfo) info = document_info_new();
    g_autoptr(GString) table = g_string_new(NULL);
    g_autoptr(JsonParser) parser = json_parser_new();

    for (guint i = 0; i < semantics_n_cases(); i++)
        if (semantics_case_matches(semantics_case(i), patterns))
            semantics_run_case(semantics_case(i), rows);
    check_rows(rows);

    document_info_start(info);
    g_autofree char *text = semantics_json_write(rows, info);
    g_assert_true(json_parser_load_from_data(parser, text, -1, NULL));
    JsonObject *root = json_node_get_object(json_parser_get_root(parser));
    g_assert_cmpstr(json_object_get_string_member(root, "schema"), ==, SEMANTICS_SCHEMA);
    g_assert_cmpuint(json_array_get_length(json_object_get_array_member(root, "results")), ==, rows->len);
    semantics_table_text(rows, info, 80, table);
    g_assert_nonnull(strstr(table->str, "discard.madv-remove-clean-told"));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/semantics/verdicts-and-lies", test_verdicts);
    g_test_add_func("/semantics/a-verdict-needs-a-control", test_control);
    g_test_add_func("/semantics/a-control-that-cannot-be-had", test_control_unavailable);
    g_test_add_func("/semantics/a-case-that-hangs-or-crashes-ends", test_ends);
    g_test_add_func("/semantics/names", test_names);
    g_test_add_func("/semantics/a-fast-part-of-the-matrix", test_matrix);
    return g_test_run();
}
