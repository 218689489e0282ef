/* SPDX-License-Identifier: MIT */
/* System calls: readlink, execve. */
#include "cmd/tools.h"

#include <errno.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "machine/error.h"

#define PROGRAM "dirtylab-tools"

int
tools_exec(char **argv)
{
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
    g_autofree char *folder = g_path_get_dirname(self ? self : ".");
    g_autofree char *beside = g_build_filename(folder, PROGRAM, NULL);
    g_autoptr(GError) error = NULL;

    execv(beside, argv);
    if (errno == ENOENT)
        execv(DIRTYLAB_LIBEXEC "/" PROGRAM, argv);
    machine_set_errno_error(&error, PROGRAM ", which is neither beside this program nor in " DIRTYLAB_LIBEXEC);
    return cmd_fail(error);
}
