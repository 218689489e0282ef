/* SPDX-License-Identifier: MIT */
/* What the subcommands that write result documents share. */
#include "cmd/cmd.h"

#include <dirtylog/dirtylog.h>
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/revision.h"

/* As the kernel has it, with spaces for the NULs between arguments. */
char *
cmd_command_line(void)
{
    char *text = NULL;
    gsize length = 0;

    if (!g_file_get_contents("/proc/self/cmdline", &text, &length, NULL))
        return g_strdup("dirtylab");
    for (gsize i = 0; i + 1 < length; i++)
        if (!text[i])
            text[i] = ' ';
    return text;
}

DocumentInfo *
cmd_document_info(guint64 seed)
{
    DocumentInfo *info = document_info_new();
    g_auto(DlHostFacts) facts = {0};

    dl_host_facts(&facts);
    info->host = (HostInfo){g_strdup(facts.kernel), g_strdup(facts.kvm), g_strdup(facts.mmu),
                            g_strdup(facts.cpu),    facts.cores,         facts.memory_bytes};
    info->version = g_strdup(DIRTYLAB_VERSION);
    info->revision = g_strdup(DIRTYLAB_REVISION);
    info->command = cmd_command_line();
    info->seed = seed;
    info->complete = TRUE;
    document_info_start(info);
    return info;
}

gboolean
cmd_check_output(const char *path, GError **error)
{
    g_autofree char *folder = g_path_get_dirname(path);
    struct stat file;
    int problem = 0;

    if (g_str_equal(path, "-"))
        return TRUE;
    if (stat(path, &file) == 0) {
        if (S_ISDIR(file.st_mode))
            problem = EISDIR;
        else if (access(path, W_OK))
            problem = errno;
    } else if (access(folder, W_OK | X_OK)) {
        problem = errno;
    }
    if (!problem)
        return TRUE;
    g_set_error(error, RESULTS_ERROR, RESULTS_ERROR_IO, "%s cannot be written: %s; nothing was measured", path,
                g_strerror(problem));
    return FALSE;
}
