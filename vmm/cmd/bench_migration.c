/* SPDX-License-Identifier: MIT */
/* `dirtylab bench-migration`: live migrations, measured and judged. Options in, migration_bench_run(), a table and JSON out. */
#include "bench/migration_bench.h"

#include <unistd.h>

#include "cmd/bench_options.h"
#include "results/migration_json.h"
#include "results/migration_table.h"

/** What the user typed, before it is understood. */
typedef struct {
    BenchTyped common;
    char *loads, *transports, *bandwidth, *downtime_limit, *time_limit, *moves;
    gboolean auto_converge;
} Typed;

static void
typed_clear(Typed *typed)
{
    char *texts[] = {typed->loads, typed->transports, typed->bandwidth, typed->downtime_limit, typed->time_limit, typed->moves};

    bench_typed_clear(&typed->common);
    for (guint i = 0; i < G_N_ELEMENTS(texts); i++)
        g_free(texts[i]);
}

/* --- options --- */

/* A:B@PASS */
static gboolean
parse_move(const char *text, MigrationMove *move)
{
    g_auto(GStrv) parts = g_strsplit_set(text, ":@", 4);
    guint from, to;

    if (g_strv_length(parts) != 3 || !cmd_lookup_tracker(parts[0], &from) || !cmd_lookup_tracker(parts[1], &to) ||
        !g_ascii_string_to_unsigned(parts[2], 10, 1, 1000000, &move->pass, NULL))
        return FALSE;
    move->from = dl_tracker_facts(from)->name;
    move->to = dl_tracker_facts(to)->name;
    return from != to && dl_tracker_facts(from)->holds != DL_HOLDS_NOTHING && dl_tracker_facts(to)->holds != DL_HOLDS_NOTHING;
}

static gboolean
parse_moves(const char *text, GArray *moves, GError **error)
{
    g_auto(GStrv) words = g_strsplit(text, ",", 64);

    for (guint i = 0; words[i]; i++) {
        MigrationMove move;

        if (!parse_move(words[i], &move)) {
            g_autofree char *known = cmd_known_trackers();
            g_set_error(error, CMD_ERROR, CMD_ERROR_USAGE,
                        "--move: \"%s\" is no A:B@PASS with two trackers out of %s and a pass from 1 on", words[i], known);
            return FALSE;
        }
        g_array_append_val(moves, move);
    }
    return TRUE;
}

/* Unless trackers are named, a move names them: those that it starts from. */
static char *
trackers_of_moves(const GArray *moves)
{
    return g_strdup(g_array_index(moves, MigrationMove, 0).from);
}

static gboolean
parse_limits(const Typed *typed, MigrationOptions *options, GError **error)
{
    guint64 seconds = 60;

    if (typed->bandwidth && !cmd_parse_size("--bandwidth", typed->bandwidth, &options->bandwidth, error))
        return FALSE;
    if (typed->downtime_limit &&
        !cmd_parse_count("--downtime-limit", typed->downtime_limit, 1, 2000000, &options->downtime_limit_ms, error))
        return FALSE;
    if (typed->time_limit && !cmd_parse_count("--time-limit", typed->time_limit, 1, 800, &seconds, error))
        return FALSE;
    options->limit_ms = (guint)seconds * 1000;
    return TRUE;
}

static gboolean
understand(Typed *typed, MigrationOptions *options, GError **error)
{
    if (typed->moves && !parse_moves(typed->moves, options->moves, error))
        return FALSE;
    if (!typed->common.trackers && options->moves->len)
        typed->common.trackers = trackers_of_moves(options->moves);
    options->auto_converge = typed->auto_converge;
    return bench_understand(&typed->common, &options->common, error) &&
           bench_parse_plain_list("--load", typed->loads ? typed->loads : "heavy", load_from_name, N_LOADS, "idle,moderate,heavy",
                                  &options->loads, error) &&
           bench_parse_plain_list("--transport", typed->transports ? typed->transports : "unix", transport_from_name,
                                  N_TRANSPORTS, "unix,tcp,tls", &options->transports, error) &&
           parse_limits(typed, options, error);
}

/* --- progress and output --- */

static char *
describe_case(const MigrationPlanCase *plan_case)
{
    const MigrationResult *model = plan_case->model;

    return g_strdup_printf("%s, %s, %u vCPU%s, %s, %s, %s", model->tracker, model->ram, model->vcpus,
                           model->vcpus == 1 ? "" : "s", model->load, model->pattern, model->transport);
}

static void
show_progress(guint done, guint total, const MigrationPlanCase *next, double seconds_left, gpointer user G_GNUC_UNUSED)
{
    g_autofree char *what = describe_case(next);

    bench_show_progress(done, total, what, seconds_left);
}

static void
list_plan(const MigrationPlan *plan, const MigrationOptions *options)
{
    for (guint i = 0; i < plan->cases->len; i++) {
        const MigrationPlanCase *plan_case = g_ptr_array_index(plan->cases, i);
        g_autofree char *what = describe_case(plan_case);

        g_print("%s%s%s\n", what, plan_case->runnable ? "" : ": skipped: ", plan_case->runnable ? "" : plan_case->model->reason);
    }
    g_print("%u cases, %u skipped, some %.0f s\n", plan->cases->len, plan->cases->len - plan->n_runnable,
            migration_plan_estimate_seconds(plan, options));
}

static int
write_results(const Typed *typed, const MigrationPlan *plan, const DocumentInfo *info)
{
    const char *format = typed->common.format;
    g_autoptr(GPtrArray) results = migration_plan_results(plan);
    g_autoptr(GString) text = g_string_new(NULL);
    g_autofree char *json = migration_json_write(results, info);

    if (g_strcmp0(format, "json") == 0)
        g_string_append(text, json);
    else if (g_strcmp0(format, "csv") == 0)
        migration_table_csv(results, text);
    else if (g_strcmp0(format, "md") == 0)
        migration_table_markdown(results, info, text);
    else
        migration_table_text(results, info, cmd_columns(), text);
    int status = bench_write_output(&typed->common, text->str, json);
    for (guint i = 0; i < results->len; i++) {
        if (!migration_result_is_sound(g_ptr_array_index(results, i)))
            status = EXIT_FAILED;
    }
    return status;
}

static int
measure(const Typed *typed, const MigrationOptions *options)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(DocumentInfo) info = cmd_document_info(options->common.seed);
    const volatile gint *cancelled = cmd_catch_signals();
    g_autoptr(MigrationPlan) plan = migration_plan_new(options, &error);
    gboolean terminal = isatty(STDERR_FILENO);

    if (!plan)
        return cmd_fail(error);
    if (typed->common.list) {
        list_plan(plan, options);
        return EXIT_DONE;
    }
    info->complete = migration_bench_run(plan, options, cancelled, terminal ? show_progress : NULL, NULL);
    if (terminal)
        bench_clear_progress();
    int status = write_results(typed, plan, info);
    return info->complete ? status : cmd_signal_status();
}

static int
run(int argc, char **argv)
{
    Typed typed = {0};
    const GOptionEntry entries[] = {
        BENCH_COMMON_ENTRIES(typed.common),
        {"load", 0, 0, G_OPTION_ARG_STRING, &typed.loads, "How the guest writes: idle,moderate,heavy (heavy)", "LIST"},
        {"transport", 0, 0, G_OPTION_ARG_STRING, &typed.transports, "unix,tcp,tls (unix)", "LIST"},
        {"bandwidth", 0, 0, G_OPTION_ARG_STRING, &typed.bandwidth, "At most so much a second while the guest runs (no limit)",
         "SIZE"},
        {"downtime-limit", 0, 0, G_OPTION_ARG_STRING, &typed.downtime_limit, "Stop the guest when the rest takes no longer (300)",
         "MS"},
        {"auto-converge", 0, 0, G_OPTION_ARG_NONE, &typed.auto_converge, "Slow the guest down if it outruns the channel", NULL},
        {"time-limit", 0, 0, G_OPTION_ARG_STRING, &typed.time_limit, "Cancel a migration that takes longer (60)", "S"},
        {"move", 0, 0, G_OPTION_ARG_STRING, &typed.moves, "Change from tracker A to B when pass PASS begins", "A:B@PASS,…"},
        {0}};
    MigrationOptions options;
    g_autoptr(GError) error = NULL;
    int status;

    migration_options_init(&options);
    if (cmd_parse(&cmd_bench_migration, entries, argc, argv, &error) && understand(&typed, &options, &error))
        status = measure(&typed, &options);
    else
        status = error ? cmd_fail(error) : EXIT_DONE;
    migration_options_clear(&options);
    typed_clear(&typed);
    return status;
}

const Subcommand cmd_bench_migration = {
    .name = "bench-migration",
    .summary = "Migrate running guests with each tracker, judge every pass, compare all RAM.",
    .example = "dirtylab bench-migration --tracker all --ram shmem,hugetlb-2M --load moderate,heavy",
    .run = run,
};
