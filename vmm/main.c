/* SPDX-License-Identifier: MIT */
/* dirtylab: boots a guest by itself, and leaves every other subcommand to dirtylab-tools (cmd/tools.h). */
#include <locale.h>
#include <string.h>

#include "cmd/cmd.h"
#include "cmd/revision.h"
#include "cmd/tools.h"

int
main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "--help";

    cmd_fill_standard_descriptors();
    setlocale(LC_ALL, "");
    setlocale(LC_NUMERIC, "C");
    if (g_str_equal(name, cmd_boot.name))
        return cmd_boot.run(argc - 1, argv + 1);
    if (g_str_equal(name, "--version")) {
        g_print("dirtylab %s (%s)\n", DIRTYLAB_VERSION, DIRTYLAB_REVISION);
        return EXIT_DONE;
    }
    return tools_exec(argv);
}
