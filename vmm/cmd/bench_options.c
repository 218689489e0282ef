/* SPDX-License-Identifier: MIT */
/* Options, progress line and output of the benchmarks. */
#include "cmd/bench_options.h"

#include <stdio.h>

void
bench_typed_clear(BenchTyped *typed)
{
    char **texts[] = {&typed->trackers, &typed->rams,   &typed->memory, &typed->vcpus,   &typed->patterns, &typed->pages,
                      &typed->runs,     &typed->warmup, &typed->seed,   &typed->oracles, &typed->json,     &typed->format};

    for (guint i = 0; i < G_N_ELEMENTS(texts); i++)
        g_free(*texts[i]);
}

/* --- options --- */

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

gboolean
bench_parse_plain_list(const char *option, const char *text, CmdLookup lookup, guint n_values, const char *known, PlanList *list,
                       GError **error)
{
    if (!cmd_parse_list(option, text, lookup, known, &list->all, list->values, error))
        return FALSE;
    for (guint i = 0; list->all && i < n_values; i++)
        g_array_append_val(list->values, i);
    return TRUE;
}

static gboolean
parse_lists(const BenchTyped *typed, BenchOptions *options, GError **error)
{
    g_autofree char *trackers = cmd_known_trackers();
    g_autofree char *rams = cmd_known_rams();

    return cmd_parse_list("--tracker", typed->trackers ? typed->trackers : "all", cmd_lookup_tracker, trackers,
                          &options->trackers.all, options->trackers.values, error) &&
           cmd_parse_list("--ram", typed->rams ? typed->rams : "shmem", cmd_lookup_ram, rams, &options->rams.all,
                          options->rams.values, error) &&
           bench_parse_plain_list("--pattern", typed->patterns ? typed->patterns : "random", pattern_from_name, N_BENCH_PATTERNS,
                                  "sequential,random,hotspot,stride,silent,read", &options->patterns, error);
}

static gboolean
parse_oracles(const BenchTyped *typed, BenchOptions *options, GError **error)
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
parse_counts(const BenchTyped *typed, BenchOptions *options, GError **error)
{
    const struct {
        const char *option, *text;
        guint64 low, high;
        guint *value;
    } counts[] = {
        {"--vcpus", typed->vcpus, 1, G_MAXINT32, &options->vcpus},
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
parse_format(const BenchTyped *typed, GError **error)
{
    static const char *const formats[] = {"table", "json", "csv", "md", NULL};

    if (!typed->format || g_strv_contains(formats, typed->format))
        return TRUE;
    g_set_error(error, CMD_ERROR, CMD_ERROR_USAGE, "--format: \"%s\" is none of table,json,csv,md", typed->format);
    return FALSE;
}

gboolean
bench_understand(const BenchTyped *typed, BenchOptions *options, GError **error)
{
    if (typed->quick)
        bench_options_quick(options);
    return parse_lists(typed, options, error) && parse_oracles(typed, options, error) && parse_counts(typed, options, error) &&
           (!typed->memory || parse_memory(typed->memory, options, error)) &&
           (!typed->pages || parse_pages(typed->pages, options, error)) && parse_format(typed, error) &&
           (!typed->json || cmd_check_output(typed->json, error));
}

/* --- progress --- */

void
bench_show_progress(guint done, guint total, const char *what, double seconds_left)
{
    g_autofree char *line = g_strdup_printf("%u/%u  %s  about %.0f s left", done, total, what, seconds_left);

    fprintf(stderr, "\r%-78.78s", line);
    fflush(stderr);
}

void
bench_clear_progress(void)
{
    fprintf(stderr, "\r%78s\r", "");
}

/* --- output --- */

/* The table comes first and whatever becomes of the file: a full disk must not cost the measurement. */
int
bench_write_output(const BenchTyped *typed, const char *text, const char *json)
{
    g_autoptr(GError) error = NULL;
    int status = EXIT_DONE;

    if (!typed->json || !g_str_equal(typed->json, "-")) {
        if (!document_write_file("-", text, strlen(text), &error))
            status = cmd_fail(error);
        g_clear_error(&error);
    }
    if (typed->json && !document_write_file(typed->json, json, strlen(json), &error))
        status = cmd_fail(error);
    return status;
}
