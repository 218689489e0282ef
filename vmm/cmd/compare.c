/* SPDX-License-Identifier: MIT */
/* `dirtylab compare`: two result files, and whether the second is worse. */
#include "report/compare.h"

#include <string.h>

#include "cmd/cmd.h"

typedef struct {
    char **files;
    char *json;
} Options;

static void
options_clear(Options *options)
{
    g_strfreev(options->files);
    g_free(options->json);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Options, options_clear)

static gboolean
check_options(const Options *options, GError **error)
{
    if (!options->files || g_strv_length(options->files) != 2) {
        g_set_error_literal(error, CMD_ERROR, CMD_ERROR_USAGE,
                            "compare needs two result files: dirtylab compare old.json new.json");
        return FALSE;
    }
    return !options->json || cmd_check_output(options->json, error);
}

static gboolean
write_results(const Options *options, const CompareResult *result, const ResultFile *old, const ResultFile *new, GError **error)
{
    if (!options->json || !g_str_equal(options->json, "-")) {
        g_autoptr(GString) text = g_string_new(NULL);
        compare_text(result, old, new, cmd_columns(), text);
        if (!document_write_file("-", text->str, text->len, error))
            return FALSE;
    }
    if (!options->json)
        return TRUE;
    g_autofree char *command = cmd_command_line();
    g_autofree char *json = compare_json(result, old, new, command);
    return document_write_file(options->json, json, strlen(json), error);
}

static int
compare(const Options *options)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(ResultFile) old = result_file_load(options->files[0], &error);
    g_autoptr(ResultFile) new = old ? result_file_load(options->files[1], &error) : NULL;
    g_autoptr(CompareResult) result = new ? compare_files(old, new, &error) : NULL;

    if (!result || !write_results(options, result, old, new, &error))
        return cmd_fail(error);
    return compare_count(result, COMPARE_WORSE) ? EXIT_FAILED : EXIT_DONE;
}

static int
run(int argc, char **argv)
{
    g_auto(Options) options = {0};
    const GOptionEntry entries[] = {
        {"json", 0, 0, G_OPTION_ARG_FILENAME, &options.json, "Write JSON; - is standard output, instead of the table", "FILE"},
        {G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &options.files, NULL, "OLD.json NEW.json"},
        {0}};
    g_autoptr(GError) error = NULL;

    if (!cmd_parse(&cmd_compare, entries, argc, argv, &error))
        return error ? cmd_fail(error) : EXIT_DONE;
    if (!check_options(&options, &error))
        return cmd_fail(error);
    return compare(&options);
}

const Subcommand cmd_compare = {
    .name = "compare",
    .summary = "Show what got better or worse from one run to another, beyond noise; 1 when anything got worse.",
    .example = "dirtylab compare old.json new.json",
    .run = run,
};
