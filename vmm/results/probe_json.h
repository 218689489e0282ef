/* SPDX-License-Identifier: MIT */
/* Schema dirtylab.probe/1: what this host supports, one row a tracker and RAM kind. */
#pragma once

#include "results/document.h"

#define PROBE_SCHEMA "dirtylab.probe/1"

/**
 * ProbeRow:
 * @reason: why not, one sentence; NULL when supported
 * @remedy: what would make it so; NULL when nothing would, or supported
 */
typedef struct {
    char *tracker;
    char *ram;
    gboolean supported;
    char *reason;
    char *remedy;
} ProbeRow;

ProbeRow *probe_row_new(const char *tracker, const char *ram, gboolean supported, const char *reason, const char *remedy);
void probe_row_free(ProbeRow *row);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ProbeRow, probe_row_free)

/** probe_json_write: the document as text, with a newline at its end. @rows: of ProbeRow. */
char *probe_json_write(const GPtrArray *rows, const DocumentInfo *info);
/** probe_json_read: the rows (of ProbeRow, owned by the array), as bench_json_read() does it. Errors: FORMAT, naming the field. */
GPtrArray *probe_json_read(const char *text, gsize length, DocumentInfo **info, GError **error);
