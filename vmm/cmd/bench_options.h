/* SPDX-License-Identifier: MIT */
/* What the benchmarks' command lines have in common: options, the progress line, where the results go. */
#pragma once

#include "bench/plan.h"
#include "cmd/cmd.h"

/** What the user typed, before it is understood. */
typedef struct {
    char *trackers, *rams, *memory, *vcpus, *patterns, *pages, *runs, *warmup, *seed, *oracles, *json, *format;
    gboolean quick, list;
} BenchTyped;

void bench_typed_clear(BenchTyped *typed);

/** Entries for cmd_parse() that fill in a BenchTyped. */
#define BENCH_COMMON_ENTRIES(typed)                                                                                                \
    {"tracker", 0, 0, G_OPTION_ARG_STRING, &(typed).trackers, "Trackers, or all that the host supports (all)", "LIST"},            \
        {"ram", 0, 0, G_OPTION_ARG_STRING, &(typed).rams, "What backs the guest's RAM (shmem)", "LIST"},                           \
        {"memory", 0, 0, G_OPTION_ARG_STRING, &(typed).memory, "Guest RAM (256M)", "SIZE"},                                        \
        {"vcpus", 0, 0, G_OPTION_ARG_STRING, &(typed).vcpus, "vCPUs (1)", "N"},                                                    \
        {"pattern", 0, 0, G_OPTION_ARG_STRING, &(typed).patterns, "sequential,random,hotspot,stride,silent,read (random)",         \
         "LIST"},                                                                                                                  \
        {"pages", 0, 0, G_OPTION_ARG_STRING, &(typed).pages, "Distinct pages a pass, all vCPUs together (10%)", "N or P%"},        \
        {"runs", 0, 0, G_OPTION_ARG_STRING, &(typed).runs, "Runs a case, each with a fresh guest (3)", "N"},                       \
        {"warmup", 0, 0, G_OPTION_ARG_STRING, &(typed).warmup, "Runs a case before those that count (1)", "N"},                    \
        {"seed", 0, 0, G_OPTION_ARG_STRING, &(typed).seed, "Decides pages, stops and the order of runs (1)", "N"},                 \
        {"oracle", 0, 0, G_OPTION_ARG_STRING, &(typed).oracles, "What judges accuracy: write-list,replica,none (all)", "LIST"},    \
        {"quick", 0, 0, G_OPTION_ARG_NONE, &(typed).quick, "Less of everything: under a minute, 80 columns", NULL},                \
        {"list", 0, 0, G_OPTION_ARG_NONE, &(typed).list, "Print the cases, what is skipped and why, the time; run nothing", NULL}, \
        {"json", 0, 0, G_OPTION_ARG_FILENAME, &(typed).json, "Write JSON; - is standard output, instead of the table", "FILE"},    \
    {                                                                                                                              \
        "format", 0, 0, G_OPTION_ARG_STRING, &(typed).format, "Of standard output: table,json,csv,md (table)", "FORMAT"            \
    }

/** bench_understand: fills in @options, initialised before, from all of it. Errors: CMD_ERROR, RESULTS_ERROR. */
gboolean bench_understand(const BenchTyped *typed, BenchOptions *options, GError **error);
/** bench_parse_plain_list: a list whose `all` means every value there is, whatever the host. */
gboolean bench_parse_plain_list(const char *option, const char *text, CmdLookup lookup, guint n_values, const char *known,
                                PlanList *list, GError **error);

/** bench_show_progress: one line that is written over; it is cut so that it never wraps. */
void bench_show_progress(guint done, guint total, const char *what, double seconds_left);
void bench_clear_progress(void);

/** bench_write_output: @text to standard output, unless JSON goes there, @json to its file. Returns the exit status so far. */
int bench_write_output(const BenchTyped *typed, const char *text, const char *json);
