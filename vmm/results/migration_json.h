/* SPDX-License-Identifier: MIT */
/*
 * Schema dirtylab.migration/1, out and in. What is not known is null: times of a migration that did not get so far, an iteration's figures
 * of the oracle when it was not judged (pass 1), `verified` when there was nothing to compare.
 */
#pragma once

#include "results/document.h"
#include "results/migration_result.h"

#define MIGRATION_SCHEMA "dirtylab.migration/1"

/** migration_json_write: the document as text, with a newline at its end. @results: of MigrationResult. */
char *migration_json_write(const GPtrArray *results, const DocumentInfo *info);

/**
 * migration_json_read: the results (of MigrationResult, owned by the array) and, unless @info is NULL, the document's head. As
 * bench_json_read(): the text may be anybody's. Errors: FORMAT, naming the field.
 */
GPtrArray *migration_json_read(const char *text, gsize length, DocumentInfo **info, GError **error);
