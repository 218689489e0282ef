/* SPDX-License-Identifier: MIT */
/*
 * The benchmark's results for people (table, Markdown) and for spreadsheets (CSV). @results: of BenchResult, in the order in which
 * they are to be shown; the table groups them by RAM kind, and by whatever else varies, in the order of first appearance.
 *
 * A row's missed and extra pages are the larger of its oracles' counts. Beneath the table stands what each oracle judged.
 */
#pragma once

#include "results/bench_result.h"
#include "results/document.h"

/** bench_table_text: at most @columns wide (never narrower than 80, 0 is 80); with room enough, medians have their intervals. */
void bench_table_text(const GPtrArray *results, const DocumentInfo *info, guint columns, GString *out);

/** bench_table_markdown: a table as GitHub renders it, the same lines above and beneath. */
void bench_table_markdown(const GPtrArray *results, const DocumentInfo *info, GString *out);

/** bench_table_csv: a line of headings, then one line a result: every scalar, each oracle's counts, medians with their intervals. */
void bench_table_csv(const GPtrArray *results, GString *out);
