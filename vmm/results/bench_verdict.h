/* SPDX-License-Identifier: MIT */
/* What the benchmark's results say together: the lines above and beneath a table. */
#pragma once

#include "results/bench_result.h"
#include "results/document.h"

/** Of a result's oracles the one that found most amiss, then most pages; NULL when none judged it. */
const AccuracyResult *verdict_missed(const BenchResult *result);
const AccuracyResult *verdict_extra(const BenchResult *result);

/** verdict_mark: what stands behind the number of missed pages: `*` all declared, `!` not as declared, else nothing. */
const char *verdict_mark(const AccuracyResult *accuracy);

/** verdict_head: lines (of char *) on the host and on what all cases have in common. */
GPtrArray *verdict_head(const GPtrArray *results, const DocumentInfo *info);
/** verdict_lines: footnotes, what was judged by which oracle, extra pages by cause, overflows; the verdict comes last. */
GPtrArray *verdict_lines(const GPtrArray *results);
