/* SPDX-License-Identifier: MIT */
/* Columns of text: alignment by what a terminal shows, wrapping, Markdown. */
#include <string.h>

#include "results/table.h"

static Table *
two_columns(void)
{
    Table *table = table_new();
    table_add_column(table, "name", TABLE_LEFT);
    table_add_column(table, "long\nfigure", TABLE_RIGHT);
    return table;
}
#define ROW(table, ...) \
    table_add_row(table, (const char *const[]){__VA_ARGS__}, G_N_ELEMENTS(((const char *const[]){__VA_ARGS__})))

static void
test_alignment(void)
{
    g_autoptr(Table) table = two_columns();
    g_autoptr(GString) out = g_string_new(NULL);
    ROW(table, "a", "1.5µs");
    ROW(table, "日本", "7");
    ROW(table, "e\xcc\x81");
    table_format(table, 80, out);
    g_assert_cmpstr(out->str, ==,
                    "        long\n"
                    "name  figure\n"
                    "a      1.5µs\n"
                    "日本       7\n"
                    "e\xcc\x81\n");
    g_assert_cmpuint(table_width(table), ==, 12);
}

static void
test_heading_and_span(void)
{
    g_autoptr(Table) table = two_columns();
    g_autoptr(GString) out = g_string_new(NULL);
    table_add_heading(table, "group");
    ROW(table, "a", "1");
    table_add_span(table, (const char *const[]){"b"}, 1, "words that do not fit into one line of twenty-four");
    table_format(table, 24, out);
    g_assert_cmpstr(out->str, ==,
                    "          long\n"
                    "  name  figure\n"
                    "group\n"
                    "  a          1\n"
                    "  b     words that do\n"
                    "        not fit into one\n"
                    "        line of\n"
                    "        twenty-four\n");
}

static void
test_gap_shrinks_to_fit(void)
{
    g_autoptr(Table) table = two_columns();
    g_autoptr(GString) out = g_string_new(NULL);
    ROW(table, "a", "1");
    table_format(table, 11, out);
    g_assert_cmpstr(out->str, ==, "       long\nname figure\na         1\n");
}

static void
test_wrap(void)
{
    g_autoptr(GString) out = g_string_new(NULL);
    table_wrap("one two three", 80, 2, out);
    table_wrap("", 80, 2, out);
    table_wrap("one two three four", 9, 2, out);
    table_wrap("unbreakableword next", 12, 2, out);
    g_assert_cmpstr(out->str, ==,
                    "one two three\n"
                    "\n"
                    "one two\n"
                    "  three four\n"
                    "unbreakablew\n"
                    "  ord next\n");
}

static void
test_hostile_text(void)
{
    g_autoptr(Table) table = two_columns();
    g_autoptr(GString) out = g_string_new(NULL), turning = g_string_new("z");
    g_string_append_unichar(turning, 0x202e); /* from here on, right to left */
    ROW(table, "\033[31m", "a\nb");
    ROW(table, "\xff", turning->str);
    table_add_span(table, NULL, 0, "\xc2\x9bmore");
    table_format(table, 80, out);
    g_assert_true(g_utf8_validate(out->str, -1, NULL));
    g_assert_null(strchr(out->str, '\033'));
    g_assert_null(strstr(out->str, "\xc2\x9b"));
    g_assert_null(strstr(out->str, turning->str));
    g_assert_nonnull(strstr(out->str, "a b"));
}

static void
test_markdown(void)
{
    g_autoptr(Table) table = two_columns();
    g_autoptr(GString) out = g_string_new(NULL);
    ROW(table, "a|b", "5*");
    table_add_span(table, (const char *const[]){"c"}, 1, "not <here>");
    table_format_markdown(table, out);
    g_assert_cmpstr(out->str, ==,
                    "| name | long figure |\n"
                    "|---|---:|\n"
                    "| a\\|b | 5\\* |\n"
                    "| c | not \\<here\\> |\n");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/table/alignment", test_alignment);
    g_test_add_func("/table/heading-and-span", test_heading_and_span);
    g_test_add_func("/table/gap-shrinks-to-fit", test_gap_shrinks_to_fit);
    g_test_add_func("/table/wrap", test_wrap);
    g_test_add_func("/table/hostile-text", test_hostile_text);
    g_test_add_func("/table/markdown", test_markdown);
    return g_test_run();
}
