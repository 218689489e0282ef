/* SPDX-License-Identifier: MIT */
/* `dirtylab report`: one HTML page from result documents. Nothing is written unless all of them can be read. */
#include "report/report.h"

#include <string.h>

#include "cmd/cmd.h"
#include "cmd/revision.h"
#include "results/result_file.h"

#define MOST_RESULTS 6000 /* of one page */

typedef struct {
    char **files;
    char *html;
    char *yardstick;
} Options;

static void
options_clear(Options *options)
{
    g_strfreev(options->files);
    g_free(options->html);
    g_free(options->yardstick);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Options, options_clear)

static gboolean
check_options(const Options *options, GError **error)
{
    if (!options->files || !options->files[0])
        g_set_error_literal(error, CMD_ERROR, CMD_ERROR_USAGE,
                            "report needs a result file: dirtylab report bench.json --html report.html");
    else if (!options->html)
        g_set_error_literal(error, CMD_ERROR, CMD_ERROR_USAGE,
                            "report needs a name for the page: --html FILE, or - for standard output");
    else
        return cmd_check_output(options->html, error);
    return FALSE;
}

static GPtrArray *
load_files(char **paths, GError **error)
{
    g_autoptr(GPtrArray) files = g_ptr_array_new_with_free_func((GDestroyNotify)result_file_free);
    guint n_results = 0;

    for (guint i = 0; paths[i]; i++) {
        ResultFile *file = result_file_load(paths[i], error);
        if (!file)
            return NULL;
        g_ptr_array_add(files, file);
        n_results += file->results->len;
        if (n_results > MOST_RESULTS) {
            g_set_error(error, CMD_ERROR, CMD_ERROR_USAGE, "%s: more than %u results are too many for one page: give fewer files",
                        paths[i], MOST_RESULTS);
            return NULL;
        }
    }
    return g_steal_pointer(&files);
}

static Yardstick *
load_yardstick(const char *path, GError **error)
{
    gsize length = 0;
    g_autofree char *text = document_read_file(path, &length, error);
    Yardstick *yardstick = text ? yardstick_read(text, length, error) : NULL;

    if (text && !yardstick)
        g_prefix_error(error, "%s: ", path);
    return yardstick;
}

static gboolean
write_page(const Options *options, GError **error)
{
    g_autoptr(GPtrArray) files = load_files(options->files, error);
    g_autoptr(Yardstick) yardstick = files && options->yardstick ? load_yardstick(options->yardstick, error) : NULL;

    if (!files || (options->yardstick && !yardstick))
        return FALSE;
    g_autofree char *name = options->yardstick ? g_path_get_basename(options->yardstick) : NULL;
    ReportInput input = {files, yardstick, name, "dirtylab " DIRTYLAB_VERSION " (" DIRTYLAB_REVISION ")"};
    g_autofree char *html = report_html(&input);
    return document_write_file(options->html, html, strlen(html), error);
}

static int
run(int argc, char **argv)
{
    g_auto(Options) options = {0};
    const GOptionEntry entries[] = {
        {"html", 0, 0, G_OPTION_ARG_FILENAME, &options.html, "Write the page here; - is standard output", "FILE"},
        {"yardstick", 0, 0, G_OPTION_ARG_FILENAME, &options.yardstick,
         "What the kernel's dirty_log_perf_test printed, to stand beside", "FILE"},
        {G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &options.files, NULL, "FILE.json…"},
        {0}};
    g_autoptr(GError) error = NULL;

    if (!cmd_parse(&cmd_report, entries, argc, argv, &error))
        return error ? cmd_fail(error) : EXIT_DONE;
    if (!check_options(&options, &error) || !write_page(&options, &error))
        return cmd_fail(error);
    return EXIT_DONE;
}

const Subcommand cmd_report = {
    .name = "report",
    .summary = "Make one self-contained page with tables and plots from result files.",
    .example = "dirtylab report bench.json semantics.json --html report.html",
    .run = run,
};
