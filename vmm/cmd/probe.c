/* SPDX-License-Identifier: MIT */
/* `dirtylab probe`: what this host supports, tracker by tracker and RAM kind by RAM kind, and what would make the rest work. */
#include <dirtylog/dirtylog.h>

#include "cmd/cmd.h"
#include "results/probe_json.h"
#include "results/probe_table.h"

static void
free_row(gpointer row)
{
    probe_row_free(row);
}

static GPtrArray *
probe_all(void)
{
    GPtrArray *rows = g_ptr_array_new_with_free_func(free_row);

    for (guint t = 0; t < dl_n_trackers(); t++) {
        for (guint ram = 0; ram < DL_N_RAM_KINDS; ram++) {
            const DlTrackerFacts *tracker = dl_tracker_facts(t);
            g_auto(DlProbe) probe = {0};

            dl_probe(tracker, (DlRamKind)ram, &probe);
            g_ptr_array_add(rows, probe_row_new(tracker->name, dl_ram_kind_name((DlRamKind)ram), probe.supported, probe.reason,
                                                probe.remedy));
        }
    }
    return rows;
}

static int
run(int argc, char **argv)
{
    g_autofree char *json = NULL;
    const GOptionEntry entries[] = {{"json", 0, 0, G_OPTION_ARG_FILENAME, &json,
                                     "Write the results as JSON; - is standard output, instead of the table", "FILE"},
                                    {0}};
    g_autoptr(GError) error = NULL;
    g_auto(DlHostFacts) facts = {0};

    if (!cmd_parse(&cmd_probe, entries, argc, argv, &error))
        return error ? cmd_fail(error) : EXIT_DONE;
    if (json && !cmd_check_output(json, &error))
        return cmd_fail(error);

    g_autoptr(DocumentInfo) info = cmd_document_info(0);
    g_autoptr(GPtrArray) rows = probe_all();
    dl_host_facts(&facts);
    if (!json || !g_str_equal(json, "-")) {
        g_autoptr(GString) table = g_string_new(NULL);
        probe_table_text(rows, info, facts.privileges, cmd_columns(), table);
        if (!document_write_file("-", table->str, table->len, &error))
            return cmd_fail(error);
    }
    if (json) {
        g_autofree char *text = probe_json_write(rows, info);
        if (!document_write_file(json, text, strlen(text), &error))
            return cmd_fail(error);
    }
    return EXIT_DONE;
}

const Subcommand cmd_probe = {
    .name = "probe",
    .summary = "Show which trackers work on which kinds of RAM here, and what would make the others work.",
    .example = "dirtylab probe --json probe.json",
    .run = run,
};
