/* SPDX-License-Identifier: MIT */
/* `dirtylab bench`: the dirty-log benchmark on a running guest. Options in, bench_run(), a table and JSON out. */
#include "bench/bench.h"

#include <stdio.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "results/bench_json.h"
#include "results/bench_table.h"

/** What the user typed, before it is understood. */
typedef struct {
    char *trackers, *rams, *memory, *vcpus, *writers, *patterns, *pages, *passes, *runs, *warmup, *seed, *handler, *oracles,
        *json, *format;
    gboolean quick, list;
} Typed;

static void
typed_clear(Typed *typed)
{
    char **texts[] = {&typed->trackers, &typed->rams,    &typed->memory,  &typed->vcpus, &typed->writers,
                      &typed->patterns, &typed->pages,   &typed->passes,  &typed->runs,  &typed->warmup,
                      &typed->seed,     &typed->handler, &typed->oracles, &typed->json,  &typed->format};

    for (guint i = 0; i < G_N_ELEMENTS(texts); i++)
        g_free(*texts[i]);
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
lookup_oracle(const char *name, guint *value)
{
    static const char *const oracles[] = {"write-list", "replica", "none"};

    for (*value = 0; *value < G_N_ELEMENTS(oracles); (*value)++) {
        if (g_str_equal(name, oracles[*value]))
            return TRUE;
    }
    return FALSE;
}

/* A list whose `all` means every value there is, whatever the host. */
static gboolean
parse_plain_list(const char *option, const char *text, CmdLookup lookup, guint n_values, const char *known, PlanList *list,
                 GError **error)
{
    if (!cmd_parse_list(option, text, lookup, known, &list->all, list->values, error))
        return FALSE;
    for (guint i = 0; list->all && i < n_values; i++)
        g_array_append_val(list->values, i);
    return TRUE;
}

static gboolean
parse_lists(const Typed *typed, BenchOptions *options, GError **error)
{
    g_autofree char *trackers = cmd_known_trackers();
    g_autofree char *rams = cmd_known_rams();

    return cmd_parse_list("--tracker", typed->trackers ? typed->trackers : "all", cmd_lookup_tracker, trackers,
                          &options->trackers.all, options->trackers.values, error) &&
           cmd_parse_list("--ram", typed->rams ? typed->rams : "shmem", cmd_lookup_ram, rams, &options->rams.all,
                          options->rams.values, error) &&
           parse_plain_list("--writer", typed->writers ? typed->writers : "guest", lookup_writer, N_WRITERS,
                            "guest,guest-ring0,vmm,vmm-syscall,alias,kvm", &options->writers, error) &&
           parse_plain_list("--pattern", typed->patterns ? typed->patterns : "random", pattern_from_name, N_BENCH_PATTERNS,
                            "sequential,random,hotspot,stride,silent,read", &options->patterns, error);
}

static gboolean
parse_oracles(const Typed *typed, BenchOptions *options, GError **error)
{
    g_autoptr(GArray) values = g_array_new(FALSE, FALSE, sizeof(guint));
    gboolean all;

    if (!cmd_parse_list("--oracle", typed->oracles ? typed->oracles : "all", lookup_oracle, "write-list,replica,none", &all,
                        values, error))
        return FALSE;
    options->with_write_list = options->with_replica = all;
    for (guint i = 0; i < values->len; i++) {
        options->with_write_list = options->with_write_list || g_array_index(values, guint, i) == 0;
        options->with_replica = options->with_replica || g_array_index(values, guint, i) == 1;
    }
    return TRUE;
}

/* `10%` or a number of pages. */
static gboolean
parse_pages(const char *text, BenchOptions *options, GError **error)
{
    gsize length = strlen(text);

    if (length && text[length - 1] == '%') {
        char *end = NULL;
        options->pages_percent = g_ascii_isdigit(*text) ? g_ascii_strtod(text, &end) : 0;
        if (end == text + length - 1 && options->pages_percent > 0 && options->pages_percent <= 100)
            return TRUE;
        g_set_error(error, CMD_ERROR, CMD_ERROR_USAGE, "--pages: \"%s\" is no share above 0%% and up to 100%%", text);
        return FALSE;
    }
    struct abi_arena arena;
    stage_arena(options->memory_bytes, &arena);
    return cmd_parse_count("--pages", text, 1, abi_arena_pages(&arena), &options->pages, error);
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

static gboolean
parse_memory(const char *text, BenchOptions *options, GError **error)
{
    if (!cmd_parse_size("--memory", text, &options->memory_bytes, error))
        return FALSE;
    if (options->memory_bytes % ABI_PAGE_SIZE || options->memory_bytes < 2 * ABI_ARENA_GPA) {
        g_set_error(error, CMD_ERROR, CMD_ERROR_USAGE, "--memory: %s is no multiple of 4K from 8M up", text);
        return FALSE;
    }
    return TRUE;
}

static gboolean
parse_counts(const Typed *typed, BenchOptions *options, GError **error)
{
    const struct {
        const char *option, *text;
        guint64 low, high;
        guint *value;
    } counts[] = {
        {"--vcpus", typed->vcpus, 1, G_MAXINT32, &options->vcpus},
        {"--passes", typed->passes, 1, 100000, &options->passes},
        {"--runs", typed->runs, 1, 100000, &options->runs},
        {"--warmup", typed->warmup, 0, 100000, &options->warmup},
    };

    for (guint i = 0; i < G_N_ELEMENTS(counts); i++) {
        guint64 count;

        if (!counts[i].text)
            continue;
        if (!cmd_parse_count(counts[i].option, counts[i].text, counts[i].low, counts[i].high, &count, error))
            return FALSE;
        *counts[i].value = (guint)count;
    }
    return !typed->seed || cmd_parse_count("--seed", typed->seed, 0, G_MAXINT64, &options->seed, error);
}

static gboolean
parse_format(const Typed *typed, GError **error)
{
    static const char *const formats[] = {"table", "json", "csv", "md", NULL};

    if (!typed->format || g_strv_contains(formats, typed->format))
        return TRUE;
    g_set_error(error, CMD_ERROR, CMD_ERROR_USAGE, "--format: \"%s\" is none of table,json,csv,md", typed->format);
    return FALSE;
}

static gboolean
understand(const Typed *typed, BenchOptions *options, GError **error)
{
    if (typed->quick)
        bench_options_quick(options);
    return parse_lists(typed, options, error) && parse_oracles(typed, options, error) && parse_counts(typed, options, error) &&
           (!typed->memory || parse_memory(typed->memory, options, error)) &&
           (!typed->pages || parse_pages(typed->pages, options, error)) &&
           (!typed->handler || parse_handler(typed->handler, options, error)) && parse_format(typed, error) &&
           (!typed->json || cmd_check_output(typed->json, error));
}

/* --- progress --- */

static char *
describe_case(const BenchResult *result)
{
    return g_strdup_printf("%s, %s, %u vCPU%s, %s, %s", result->tracker, result->ram, result->vcpus,
                           result->vcpus == 1 ? "" : "s", result->writer, result->pattern);
}

/* One line that is written over; it is cut so that it never wraps. */
static void
show_progress(guint done, guint total, const PlanCase *next, double seconds_left, gpointer user G_GNUC_UNUSED)
{
    g_autofree char *what = describe_case(next->result);
    g_autofree char *line = g_strdup_printf("%u/%u  %s  about %.0f s left", done, total, what, seconds_left);

    fprintf(stderr, "\r%-78.78s", line);
    fflush(stderr);
}

static void
clear_progress(void)
{
    fprintf(stderr, "\r%78s\r", "");
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

/* The table comes first and whatever becomes of the file: a full disk must not cost the measurement. */
static int
write_results(const Typed *typed, const Plan *plan, const DocumentInfo *info)
{
    g_autoptr(GPtrArray) results = results_of(plan);
    g_autoptr(GString) text = g_string_new(NULL);
    g_autoptr(GError) error = NULL;
    int status = EXIT_DONE;

    if (!typed->json || !g_str_equal(typed->json, "-")) {
        format_results(typed->format, results, info, text);
        if (!document_write_file("-", text->str, text->len, &error))
            status = cmd_fail(error);
        g_clear_error(&error);
    }
    if (typed->json) {
        g_autofree char *json = bench_json_write(results, info);
        if (!document_write_file(typed->json, json, strlen(json), &error))
            status = cmd_fail(error);
    }
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
    if (typed->list) {
        list_plan(plan, options);
        return EXIT_DONE;
    }
    info->complete = bench_run(plan, options, cancelled, terminal ? show_progress : NULL, NULL);
    if (terminal)
        clear_progress();
    int status = write_results(typed, plan, info);
    return info->complete ? status : cmd_signal_status();
}

static int
run(int argc, char **argv)
{
    Typed typed = {0};
    const GOptionEntry entries[] = {
        {"tracker", 0, 0, G_OPTION_ARG_STRING, &typed.trackers, "Trackers, or all that the host supports (all)", "LIST"},
        {"ram", 0, 0, G_OPTION_ARG_STRING, &typed.rams, "What backs the guest's RAM (shmem)", "LIST"},
        {"memory", 0, 0, G_OPTION_ARG_STRING, &typed.memory, "Guest RAM (256M)", "SIZE"},
        {"vcpus", 0, 0, G_OPTION_ARG_STRING, &typed.vcpus, "vCPUs (1)", "N"},
        {"writer", 0, 0, G_OPTION_ARG_STRING, &typed.writers, "Who writes: guest,guest-ring0,vmm,vmm-syscall,alias,kvm (guest)",
         "LIST"},
        {"pattern", 0, 0, G_OPTION_ARG_STRING, &typed.patterns, "sequential,random,hotspot,stride,silent,read (random)", "LIST"},
        {"pages", 0, 0, G_OPTION_ARG_STRING, &typed.pages, "Distinct pages a pass, all vCPUs together (10%)", "N or P%"},
        {"passes", 0, 0, G_OPTION_ARG_STRING, &typed.passes, "Passes a run (5)", "N"},
        {"runs", 0, 0, G_OPTION_ARG_STRING, &typed.runs, "Runs a case, each with a fresh guest (3)", "N"},
        {"warmup", 0, 0, G_OPTION_ARG_STRING, &typed.warmup, "Runs a case before those that count (1)", "N"},
        {"seed", 0, 0, G_OPTION_ARG_STRING, &typed.seed, "Decides pages, stops and the order of runs (1)", "N"},
        {"uffd-handler", 0, 0, G_OPTION_ARG_STRING, &typed.handler,
         "CPU of uffd-wp's handler: vCPU 0's, another, a number (same)", "same,other or CPU"},
        {"oracle", 0, 0, G_OPTION_ARG_STRING, &typed.oracles, "What judges accuracy: write-list,replica,none (all)", "LIST"},
        {"quick", 0, 0, G_OPTION_ARG_NONE, &typed.quick, "Less of everything: under a minute, 80 columns", NULL},
        {"list", 0, 0, G_OPTION_ARG_NONE, &typed.list, "Print the cases, what is skipped and why, the time; run nothing", NULL},
        {"json", 0, 0, G_OPTION_ARG_FILENAME, &typed.json, "Write JSON; - is standard output, instead of the table", "FILE"},
        {"format", 0, 0, G_OPTION_ARG_STRING, &typed.format, "Of standard output: table,json,csv,md (table)", "FORMAT"},
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
