/* SPDX-License-Identifier: MIT */
/* dirtylab-tools: all subcommands; picks one, nothing else. See cmd/tools.h. */
#include <locale.h>
#include <string.h>
#include <sys/prctl.h>

#include "cmd/cmd.h"

static const Subcommand *const subcommands[] = {
    &cmd_probe, &cmd_boot, &cmd_bench, &cmd_bench_migration, &cmd_migrate, &cmd_semantics, &cmd_report, &cmd_compare,
};

static void
print_help(void)
{
    g_print("Which pages were written? Dirty trackers of KVM and mm, measured on a running guest.\n\n"
            "Usage:\n  dirtylab SUBCOMMAND [OPTION…]\n  dirtylab --help | --version\n\nSubcommands:\n");
    for (guint i = 0; i < G_N_ELEMENTS(subcommands); i++)
        g_print("  %-16s %s\n                   %s\n", subcommands[i]->name, subcommands[i]->summary, subcommands[i]->example);
    g_print("\ndirtylab SUBCOMMAND --help shows a subcommand's options.\n");
}

int
main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "--help";

    cmd_fill_standard_descriptors();
    prctl(PR_SET_NAME, "dirtylab"); /* what the user started */
    setlocale(LC_ALL, "");
    setlocale(LC_NUMERIC, "C");
    for (guint i = 0; i < G_N_ELEMENTS(subcommands); i++) {
        if (g_str_equal(name, subcommands[i]->name))
            return subcommands[i]->run(argc - 1, argv + 1);
    }
    if (g_str_equal(name, "--help") || g_str_equal(name, "-h")) {
        print_help();
        return argc > 1 ? EXIT_DONE : EXIT_USAGE;
    }
    g_printerr("dirtylab: \"%s\" is no subcommand: see dirtylab --help\n", name);
    return EXIT_USAGE;
}
