/* SPDX-License-Identifier: MIT */
/* `dirtylab bench`: the dirty-log benchmark on a running guest. Options in, bench_run(), a table and JSON out. */
#include "bench/bench.h"

#include <unistd.h>

#include "cmd/bench_options.h"
#include "results/bench_json.h"
#include "results/bench_table.h"

/** What the user typed, before it is understood. */
typedef struct {
    BenchTyped common;
    char *writers, *passes, *handler;
} Typed;

static void
typed_clear(Typed *typed)
{
    bench_typed_clear(&typed->common);
    g_free(typed->writers);
    g_free(typed->passes);
    g_free(typed->handler);
}

/* --- options --- */

static gboolean
lookup_writer(const char *name, guint *value)
{
    Writer writer;

    if (!writer_from_name(name, &writer))
        return FALSE;
    *value = writer;
    return TRUE;
}

static gboolean
parse_handler(const char *text, BenchOptions *options, GError **error)
{
    g_auto(GStrv) places = g_strsplit(text, ",", 8);

    for (guint i = 0; places[i]; i++) {
        guint64 cpu;

        if (g_str_equal(places[i], "same"))
            options->handler_same = TRUE;
        else if (g_str_equal(places[i], "other"))
            options->handler_other = TRUE;
        else if (options->handler_cpu < 0 &&
                 g_ascii_string_to_unsigned(places[i], 10, 0, (guint64)MAX(sysconf(_SC_NPROCESSORS_ONLN), 1) - 1, &cpu, NULL))
            options->handler_cpu = (gint)cpu;
        else {
            g_set_error(error, CMD_ERROR, CMD_ERROR_USAGE,
                        "--uffd-handler: \"%s\" is neither same, other nor an online CPU's number, of which there may be one",
                        places[i]);
            return FALSE;
        }
    }
    if (places[0])
        return TRUE;
    g_set_error_literal(error, CMD_ERROR, CMD_ERROR_USAGE, "--uffd-handler: give same, other or a CPU's number");
    return FALSE;
}

/* What this benchmark has and the other has not: writers, passes, the handler's place. */
static gboolean
understand(const Typed *typed, BenchOptions *options, GError **error)
{
    guint64 passes;

    if (!bench_understand(&typed->common, options, error) ||
        !bench_parse_plain_list("--writer", typed->writers ? typed->writers : "guest", lookup_writer, N_WRITERS,
                                "guest,guest-ring0,vmm,vmm-syscall,alias,kvm", &options->writers, error) ||
        (typed->handler && !parse_handler(typed->handler, options, error)))
        return FALSE;
    if (!typed->passes)
        return TRUE;
    if (!cmd_parse_count("--passes", typed->passes, 1, 100000, &passes, error))
        return FALSE;
    options->passes = (guint)passes;
    return TRUE;
}

/* --- progress --- */

static char *
describe_case(const BenchResult *result)
{
    return g_strdup_printf("%s, %s, %u vCPU%s, %s, %s", result->tracker, result->ram, result->vcpus,
                           result->vcpus == 1 ? "" : "s", result->writer, result->pattern);
}

static void
show_progress(guint done, guint total, const PlanCase *next, double seconds_left, gpointer user G_GNUC_UNUSED)
{
    g_autofree char *what = describe_case(next->result);

    bench_show_progress(done, total, what, seconds_left);
}

/* --- output --- */

static void
list_plan(const Plan *plan, const BenchOptions *options)
{
    for (guint i = 0; i < plan->cases->len; i++) {
        const PlanCase *plan_case = g_ptr_array_index(plan->cases, i);
        g_autofree char *what = describe_case(plan_case->result);

        if (plan_case->runnable)
            g_print("%s, %" G_GUINT64_FORMAT " pages a pass\n", what, plan_case->result->pages);
        else
            g_print("%s: skipped: %s\n", what, plan_case->result->reason);
    }
    g_print("%u cases, %u skipped, some %.0f s\n", plan->cases->len, plan->cases->len - plan->n_runnable,
            plan_estimate_seconds(plan, options));
}

static GPtrArray *
results_of(const Plan *plan)
{
    GPtrArray *results = g_ptr_array_new();

    for (guint i = 0; i < plan->cases->len; i++)
        g_ptr_array_add(results, ((PlanCase *)g_ptr_array_index(plan->cases, i))->result);
    return results;
}

static void
format_results(const char *format, const GPtrArray *results, const DocumentInfo *info, GString *out)
{
    if (g_strcmp0(format, "json") == 0) {
        g_autofree char *json = bench_json_write(results, info);
        g_string_append(out, json);
    } else if (g_strcmp0(format, "csv") == 0) {
        bench_table_csv(results, out);
    } else if (g_strcmp0(format, "md") == 0) {
        bench_table_markdown(results, info, out);
    } else {
        bench_table_text(results, info, cmd_columns(), out);
    }
}

static int
write_results(const Typed *typed, const Plan *plan, const DocumentInfo *info)
{
    g_autoptr(GPtrArray) results = results_of(plan);
    g_autoptr(GString) text = g_string_new(NULL);
    g_autofree char *json = bench_json_write(results, info);

    format_results(typed->common.format, results, info, text);
    int status = bench_write_output(&typed->common, text->str, json);
    for (guint i = 0; i < results->len; i++) {
        if (!bench_result_is_sound(g_ptr_array_index(results, i)))
            status = EXIT_FAILED;
    }
    return status;
}

static int
measure(const Typed *typed, const BenchOptions *options)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(DocumentInfo) info = cmd_document_info(options->seed);
    const volatile gint *cancelled = cmd_catch_signals();
    g_autoptr(Plan) plan = plan_new(options, &error);
    gboolean terminal = isatty(STDERR_FILENO);

    if (plan && !plan->cases->len)
        g_set_error_literal(&error, CMD_ERROR, CMD_ERROR_USAGE,
                            "nothing to measure: such a writer knows no such pattern; see dirtylab bench --help");
    if (!plan || error)
        return cmd_fail(error);
    if (typed->common.list) {
        list_plan(plan, options);
        return EXIT_DONE;
    }
    info->complete = bench_run(plan, options, cancelled, terminal ? show_progress : NULL, NULL);
    if (terminal)
        bench_clear_progress();
    int status = write_results(typed, plan, info);
    return info->complete ? status : cmd_signal_status();
}

static int
run(int argc, char **argv)
{
    Typed typed = {0};
    const GOptionEntry entries[] = {BENCH_COMMON_ENTRIES(typed.common),
                                    {"writer", 0, 0, G_OPTION_ARG_STRING, &typed.writers,
                                     "Who writes: guest,guest-ring0,vmm,vmm-syscall,alias,kvm (guest)", "LIST"},
                                    {"passes", 0, 0, G_OPTION_ARG_STRING, &typed.passes, "Passes a run (5)", "N"},
                                    {"uffd-handler", 0, 0, G_OPTION_ARG_STRING, &typed.handler,
                                     "CPU of uffd-wp's handler: vCPU 0's, another, a number (same)", "same,other or CPU"},
                                    {0}};
    BenchOptions options;
    g_autoptr(GError) error = NULL;
    int status;

    bench_options_init(&options);
    if (cmd_parse(&cmd_bench, entries, argc, argv, &error) && understand(&typed, &options, &error))
        status = measure(&typed, &options);
    else
        status = error ? cmd_fail(error) : EXIT_DONE;
    bench_options_clear(&options);
    typed_clear(&typed);
    return status;
}

const Subcommand cmd_bench = {
    .name = "bench",
    .summary = "Measure how exact and how dear each dirty tracker is, on a running guest, against two oracles.",
    .example = "dirtylab bench --tracker all --ram shmem,hugetlb-2M --json bench.json",
    .run = run,
};
