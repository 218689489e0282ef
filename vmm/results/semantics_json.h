/* SPDX-License-Identifier: MIT */
/* Schema dirtylab.semantics/1: what this kernel does to a tracker, one row a case, tracker and RAM kind. */
#pragma once

#include "results/document.h"

#define SEMANTICS_SCHEMA "dirtylab.semantics/1"

/**
 * SemanticsVerdict:
 * @SEMANTICS_NONE: the case came to no verdict (crashed, ran out of time, or its control failed); null in the JSON
 * @SEMANTICS_EXACT: what had to be reported was, and nothing else (by the tracker's unit)
 * @SEMANTICS_EXTRA: and more than that: safe
 * @SEMANTICS_MISSED: data would be lost
 * @SEMANTICS_REFUSED: the kernel or the library says no, and nothing is lost
 * @SEMANTICS_UNSUPPORTED: cannot be asked here; `observed` says why
 */
typedef enum {
    SEMANTICS_NONE,
    SEMANTICS_EXACT,
    SEMANTICS_EXTRA,
    SEMANTICS_MISSED,
    SEMANTICS_REFUSED,
    SEMANTICS_UNSUPPORTED,
} SemanticsVerdict;
#define N_SEMANTICS_VERDICTS 6

const char *semantics_verdict_name(SemanticsVerdict verdict); /* NULL for SEMANTICS_NONE */

/**
 * SemanticsRow: all strings are owned by it.
 * @tracker: `-` where the case is about no tracker
 * @required: what must hold for a VMM to be safe
 * @observed: what happened, or why there is no verdict
 * @written, @reported, @missed, @extra: 4 KiB pages; all 0 where the case counts none
 * @control: what came of the controls; NULL when none ran
 * @finding: what a VMM author has to know of it; NULL: nothing
 */
typedef struct {
    char *name;
    char *tracker;
    char *ram;
    char *required;
    char *observed;
    SemanticsVerdict verdict;
    guint64 written, reported, missed, extra;
    char *control;
    char *finding;
} SemanticsRow;

void semantics_row_free(SemanticsRow *row);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SemanticsRow, semantics_row_free)

/** semantics_json_write: the document as text, with a newline at its end. @rows: of SemanticsRow. */
char *semantics_json_write(const GPtrArray *rows, const DocumentInfo *info);
/** semantics_json_read: the rows (of SemanticsRow, owned by the array), as bench_json_read() does it. Errors: FORMAT, naming the field. */
GPtrArray *semantics_json_read(const char *text, gsize length, DocumentInfo **info, GError **error);
