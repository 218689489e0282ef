/* SPDX-License-Identifier: MIT */
/*
 * What a page is made of: all results of all files, each with the host that it comes from. Files of the same host are put together,
 * so that several runs (sizes of RAM, shares of dirty pages) make one curve.
 */
#pragma once

#include "report/report.h"
#include "results/bench_result.h"
#include "results/migration_result.h"
#include "results/result_file.h"

/** ViewHost: @name: `A`, `B`, …; @label: that with the kernel. */
typedef struct {
    const HostInfo *info;
    char *name;
    char *label;
} ViewHost;

typedef struct {
    gconstpointer result;
    guint host;
} ViewEntry;

/** View: @reference: of the cases the one that most results share, by which the plots select; NULL when nothing was measured. */
typedef struct {
    const ReportInput *input;
    GArray *hosts;                   /* ViewHost */
    GArray *entries[N_RESULT_KINDS]; /* ViewEntry */
    GPtrArray *bench;                /* BenchResult: those of entries[RESULT_BENCH] */
    const BenchResult *reference;
} View;

View *view_new(const ReportInput *input);
void view_free(View *view);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(View, view_free)

const ViewHost *view_host(const View *view, guint index);
const ViewEntry *view_entry(const View *view, ResultKind kind, guint index);
const BenchResult *view_bench(const View *view, guint index);

/** view_share: of the guest's RAM, how much a pass writes, in per cent. */
double view_share(const BenchResult *result);
gboolean view_same_share(const BenchResult *a, const BenchResult *b);

/** ViewMatch: in what a result has to be like the reference. */
typedef enum {
    VIEW_MEMORY = 1 << 0,
    VIEW_SHARE = 1 << 1,
    VIEW_PATTERN = 1 << 2,
} ViewMatch;
/** view_matches: measured, and like @reference in vCPUs, writer and what @match says. */
gboolean view_matches(const BenchResult *result, const BenchResult *reference, guint match);

/** ViewPanel: one host and one kind of RAM. */
typedef struct {
    guint host;
    const char *ram;
} ViewPanel;
/** view_panels: of the bench results, in the order in which they come; free with g_array_unref(). */
GArray *view_panels(const View *view);
/** view_panel_title: `shmem`; with several hosts `shmem, A: Linux 6.12`. Free with g_free(). */
char *view_panel_title(const View *view, const ViewPanel *panel);

/** view_describe: `256 MiB, 1 vCPU, writer guest, …`: what @match holds fixed, as @like has it. Free with g_free(). */
char *view_describe(const BenchResult *like, guint match);

/** view_tracker_style: a number for a tracker's colour and mark, 0 to VIEW_N_STYLES - 1. */
#define VIEW_N_STYLES 8
guint view_tracker_style(const char *tracker);
