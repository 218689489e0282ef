/* SPDX-License-Identifier: MIT */
/*
 * docs/protocol.md, of which dirtylab-protocol(7) is made, says of the frames what the program does: their numbers, names and lengths, the
 * header, and the states.
 *   protocol PAGE.md
 */
#include <migration/migration.h>
#include <migration/stream.h>

#include <string.h>

static char *page;

/* The bounds as the table writes them: `8`, `0 … 1,024`. What a machine decides (its longest section) is bounded by the program's own. */
static void
read_bounds(const char *cell, gsize *least, gsize *most)
{
    g_auto(GStrv) words = g_strsplit(cell, ",", -1);
    g_autofree char *digits = g_strjoinv("", words);
    const char *dots = strstr(digits, "…");

    *least = *most = g_ascii_strtoull(digits, NULL, 10);
    if (dots)
        *most = strstr(dots, "longest section") ? STREAM_SECTION_HEAD + STREAM_SECTION_MAX
                                                : g_ascii_strtoull(dots + strlen("…"), NULL, 10);
}

static void
check_frame(guint64 number, const char *name, const char *bytes)
{
    FrameType type = (FrameType)number;
    gsize least = 0, most = 0;

    g_assert_cmpuint(number, <, FRAME_N_TYPES);
    g_assert_cmpstr(frame_type_name(type), ==, name);
    read_bounds(bytes, &least, &most);
    g_test_message("%s: %zu … %zu", name, least, most);
    g_assert_true(stream_length_is_valid(type, least));
    g_assert_true(stream_length_is_valid(type, most));
    g_assert_true(least == 0 || !stream_length_is_valid(type, least - 1));
    g_assert_false(stream_length_is_valid(type, most + 1));
}

static void
the_table_has_each_frame(void)
{
    g_autoptr(GRegex) row = g_regex_new("^\\| (\\d+) ([A-Z]+) \\| [a-z]+ \\| ([^|]+) \\|", G_REGEX_MULTILINE, 0, NULL);
    g_autoptr(GMatchInfo) match = NULL;
    guint64 n = 0;

    for (g_regex_match(row, page, 0, &match); g_match_info_matches(match); g_match_info_next(match, NULL)) {
        g_autofree char *number = g_match_info_fetch(match, 1);
        g_autofree char *name = g_match_info_fetch(match, 2);
        g_autofree char *bytes = g_match_info_fetch(match, 3);

        g_assert_cmpuint(g_ascii_strtoull(number, NULL, 10), ==, ++n);
        check_frame(n, name, bytes);
    }
    g_assert_cmpuint(n, ==, FRAME_N_TYPES - 1);
}

static void
assert_says(const char *format, guint number)
{
    g_autofree char *words = g_strdup_printf(format, number);

    g_test_message("%s", words);
    g_assert_nonnull(strstr(page, words));
}

static void
the_header_is_as_said(void)
{
    assert_says("The header has %u bytes", STREAM_HEADER_BYTES);
    assert_says("| version of the protocol: %u |", STREAM_VERSION);
    assert_says("bytes of payload |\n| %u | u32 | number", 12);
    assert_says("| %u | u64 | XXH3 of bytes 0 to 23 |", STREAM_HEADER_BYTES - 8);
}

static void
the_states_are_named(void)
{
    static const MigrationStatus drawn[] = {MIGRATION_NONE,   MIGRATION_SETUP,     MIGRATION_ACTIVE, MIGRATION_PRE_SWITCHOVER,
                                            MIGRATION_DEVICE, MIGRATION_COMPLETED, MIGRATION_FAILED};

    for (guint i = 0; i < G_N_ELEMENTS(drawn); i++) {
        g_test_message("%s", migration_status_name(drawn[i]));
        g_assert_nonnull(strstr(page, migration_status_name(drawn[i])));
    }
}

int
main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;

    g_test_init(&argc, &argv, NULL);
    g_assert_cmpint(argc, ==, 2);
    g_file_get_contents(argv[1], &page, NULL, &error);
    g_assert_no_error(error);
    g_test_add_func("/protocol/the table has each frame", the_table_has_each_frame);
    g_test_add_func("/protocol/the header is as said", the_header_is_as_said);
    g_test_add_func("/protocol/the states are named", the_states_are_named);
    int status = g_test_run();
    g_free(page);
    return status;
}
