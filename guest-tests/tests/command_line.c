/* SPDX-License-Identifier: MIT */
/* The guest's command line, its own source built for the host. */
#include <glib.h>
#include <guest-tests/guest.h>

#define ARENA UINT64_C(10000)

static void
test_defaults(void)
{
    struct guest_options options;

    g_assert_true(parse_command_line("", ARENA, &options));
    g_assert_cmpuint(options.workload.pattern, ==, ABI_RANDOM);
    g_assert_cmpuint(options.workload.pages, ==, ARENA / 10);
    g_assert_cmpuint(options.workload.passes, ==, 5);
    g_assert_cmpuint(options.workload.seed, ==, 1);
    g_assert_cmpuint(options.workload.vcpus, ==, 1);
    g_assert_cmpuint(options.workload.ring, ==, 3);
    g_assert_cmpuint(options.workload.pace, ==, 0);
    g_assert_cmpuint(options.workload.arena_pages, ==, ARENA);
    g_assert_false(options.quiet || options.serial || options.touch);
}

static void
test_every_key(void)
{
    struct guest_options options;

    g_assert_true(parse_command_line(
        "  pattern=stride pages=17 passes=0 seed=18446744073709551615 vcpus=64 ring=0 pace=5000  serial=1 quiet touch=1 ", ARENA,
        &options));
    g_assert_cmpuint(options.workload.pattern, ==, ABI_STRIDE);
    g_assert_cmpuint(options.workload.pages, ==, 17);
    g_assert_cmpuint(options.workload.passes, ==, 0);
    g_assert_cmpuint(options.workload.seed, ==, UINT64_MAX);
    g_assert_cmpuint(options.workload.vcpus, ==, 64);
    g_assert_cmpuint(options.workload.ring, ==, 0);
    g_assert_cmpuint(options.workload.pace, ==, 5000);
    g_assert_true(options.quiet && options.serial && options.touch);
}

static void
test_pages_are_clamped(void)
{
    struct guest_options options;

    g_assert_true(parse_command_line("pages=99999999", ARENA, &options));
    g_assert_cmpuint(options.workload.pages, ==, ARENA);
    g_assert_true(parse_command_line("pattern=stride pages=99999999", ARENA, &options));
    g_assert_cmpuint(options.workload.pages, ==, ARENA / 512);
    g_assert_true(parse_command_line("pattern=idle pages=5", ARENA, &options));
    g_assert_cmpuint(options.workload.pages, ==, 0);
}

static void
test_refuses(void)
{
    static const char *const bad[] = {"patern=random",
                                      "pattern=",
                                      "pattern=randomly",
                                      "pattern=rand",
                                      "pages=",
                                      "pages=-1",
                                      "pages=1k",
                                      "pages=18446744073709551616",
                                      "ring=1",
                                      "vcpus=0",
                                      "vcpus=65",
                                      "serial=2",
                                      "quiet=1",
                                      "loud",
                                      "=1",
                                      "=",
                                      "pages",
                                      "pages==1",
                                      "pace=fast",
                                      "touch=2"};
    struct guest_options options;

    for (guint i = 0; i < G_N_ELEMENTS(bad); i++)
        g_assert_false(parse_command_line(bad[i], ARENA, &options));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/guest/command-line/has-defaults", test_defaults);
    g_test_add_func("/guest/command-line/takes-every-key", test_every_key);
    g_test_add_func("/guest/command-line/clamps-pages-to-the-pattern", test_pages_are_clamped);
    g_test_add_func("/guest/command-line/refuses-what-does-not-parse", test_refuses);
    return g_test_run();
}
