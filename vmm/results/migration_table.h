/* SPDX-License-Identifier: MIT */
/*
 * Migrations for people (table, Markdown) and for spreadsheets (CSV). @results: of MigrationResult, in the order in which they are to be
 * shown. The runs of a case share a row: medians of their times, sums of their counts. Cases are grouped by what varies, in the
 * order of first appearance.
 */
#pragma once

#include "results/document.h"
#include "results/migration_result.h"

/** migration_table_text: at most @columns wide (never narrower than 80, 0 is 80). */
void migration_table_text(const GPtrArray *results, const DocumentInfo *info, guint columns, GString *out);
/** migration_table_markdown: a table as GitHub renders it, with a column for whatever varies, the same lines above and beneath. */
void migration_table_markdown(const GPtrArray *results, const DocumentInfo *info, GString *out);
/** migration_table_csv: a line of headings, then one line a result, every scalar; of the passes their sums. */
void migration_table_csv(const GPtrArray *results, GString *out);
