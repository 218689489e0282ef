/* SPDX-License-Identifier: MIT */
/* `dirtylab semantics`: what this kernel does to each tracker, case by case, each in a process of its own. */
#include "semantics/semantics.h"
#include <string.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "results/semantics_table.h"

typedef struct {
    char *cases;
    char *json;
    gboolean list;
    gboolean strict;
} Options;

static void
free_row(gpointer row)
{
    semantics_row_free(row);
}

static gboolean
wanted(const Options *options, guint index)
{
    return !options->cases || g_str_equal(options->cases, "all") || semantics_case_matches(semantics_case(index), options->cases);
}

/* Each name, group or glob has to match something: a typing error must not pass as a matrix without a miss. */
static gboolean
check_patterns(const Options *options, GError **error)
{
    g_auto(GStrv) each = g_strsplit(options->cases ? options->cases : "all", ",", 0);

    for (guint i = 0; each[i]; i++) {
        gboolean known = g_str_equal(each[i], "all") && !each[1];
        for (guint c = 0; c < semantics_n_cases(); c++)
            known = known || semantics_case_matches(semantics_case(c), each[i]);
        if (known)
            continue;
        g_set_error(error, CMD_ERROR, CMD_ERROR_USAGE,
                    "--case: \"%s\" is no case, group or glob of them: see dirtylab semantics --list", each[i]);
        return FALSE;
    }
    if (each[0])
        return TRUE;
    g_set_error_literal(error, CMD_ERROR, CMD_ERROR_USAGE, "--case: the list is empty: see dirtylab semantics --list");
    return FALSE;
}

static void
list_cases(const Options *options)
{
    for (guint i = 0; i < semantics_n_cases(); i++)
        if (wanted(options, i))
            g_print("%-34s %s\n", semantics_case(i)->name, semantics_case(i)->required);
}

static GPtrArray *
run_cases(const Options *options, const volatile gint *interrupted)
{
    GPtrArray *rows = g_ptr_array_new_with_free_func(free_row);
    gboolean terminal = isatty(STDERR_FILENO);

    for (guint i = 0; i < semantics_n_cases() && !*interrupted; i++) {
        if (!wanted(options, i))
            continue;
        if (terminal)
            g_printerr("\r%-60s\r%s", "", semantics_case(i)->name);
        semantics_run_case(semantics_case(i), rows);
    }
    if (terminal)
        g_printerr("\r%-60s\r", "");
    return rows;
}

static gboolean
write_results(const Options *options, const GPtrArray *rows, const DocumentInfo *info, GError **error)
{
    if (!options->json || !g_str_equal(options->json, "-")) {
        g_autoptr(GString) table = g_string_new(NULL);
        semantics_table_text(rows, info, cmd_columns(), table);
        if (!document_write_file("-", table->str, table->len, error))
            return FALSE;
    }
    if (!options->json)
        return TRUE;
    g_autofree char *text = semantics_json_write(rows, info);
    return document_write_file(options->json, text, strlen(text), error);
}

static int
status_of(const Options *options, const GPtrArray *rows)
{
    for (guint i = 0; i < rows->len; i++) {
        SemanticsVerdict verdict = ((const SemanticsRow *)g_ptr_array_index(rows, i))->verdict;
        if (verdict == SEMANTICS_NONE || (options->strict && verdict == SEMANTICS_MISSED))
            return EXIT_FAILED;
    }
    return EXIT_DONE;
}

static int
run_with(Options *options, int argc, char **argv)
{
    const GOptionEntry entries[] = {
        {"case", 0, 0, G_OPTION_ARG_STRING, &options->cases, "Names, groups (pte) or globs (pte.*) of cases (all)", "LIST"},
        {"list", 0, 0, G_OPTION_ARG_NONE, &options->list, "Print the cases and what each requires", NULL},
        {"strict", 0, 0, G_OPTION_ARG_NONE, &options->strict, "Fail when any verdict is MISSED", NULL},
        {"json", 0, 0, G_OPTION_ARG_FILENAME, &options->json,
         "Write the results as JSON; - is standard output, instead of the table", "FILE"},
        {0}};
    g_autoptr(GError) error = NULL;

    if (!cmd_parse(&cmd_semantics, entries, argc, argv, &error))
        return error ? cmd_fail(error) : EXIT_DONE;
    if (!check_patterns(options, &error) || (options->json && !cmd_check_output(options->json, &error)))
        return cmd_fail(error);
    if (options->list) {
        list_cases(options);
        return EXIT_DONE;
    }

    const volatile gint *interrupted = cmd_catch_signals();
    g_autoptr(DocumentInfo) info = cmd_document_info(0);
    g_autoptr(GPtrArray) rows = run_cases(options, interrupted);
    info->complete = !*interrupted;
    if (!write_results(options, rows, info, &error))
        return cmd_fail(error);
    return *interrupted ? cmd_signal_status() : status_of(options, rows);
}

static int
run(int argc, char **argv)
{
    Options options = {0};
    int status = run_with(&options, argc, argv);

    g_free(options.cases);
    g_free(options.json);
    return status;
}

const Subcommand cmd_semantics = {
    .name = "semantics",
    .summary = "Show what this kernel does to each tracker: discards, page tables, writers, and the interfaces' own contracts.",
    .example = "dirtylab semantics --case pte,scan.walk-end --strict",
    .run = run,
};
