/* SPDX-License-Identifier: MIT */
/* Results and a document's head as a benchmark would have them. */
#pragma once

#include "results/bench_result.h"
#include "results/document.h"

DocumentInfo *fixture_info(void);
/** fixture_measured: figures are @scale times typical ones; two oracles, nothing amiss. */
BenchResult *fixture_measured(const char *tracker, const char *ram, double scale);
BenchResult *fixture_unsupported(const char *tracker, const char *ram, const char *reason);
/** fixture_quick: all trackers on two RAM kinds, one of them not to be had. */
GPtrArray *fixture_quick(double scale);
AccuracyResult *fixture_accuracy(BenchResult *result, guint index);
