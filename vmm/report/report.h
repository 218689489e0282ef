/* SPDX-License-Identifier: MIT */
/* One self-contained HTML page from result documents: tables, plots, a verdict. Nothing in it comes from elsewhere. */
#pragma once

#include <glib.h>

#include "results/result_file.h"
#include "results/yardstick.h"

/**
 * ReportInput: what the page is made of.
 * @files: of ResultFile, at least one
 * @yardstick: what dirty_log_perf_test said; NULL: nothing
 * @yardstick_name: where that comes from
 * @generator: program and version, for the page's foot
 */
typedef struct {
    const GPtrArray *files;
    const Yardstick *yardstick;
    const char *yardstick_name;
    const char *generator;
} ReportInput;

/** report_html: the page. Free with g_free(). */
char *report_html(const ReportInput *input);
