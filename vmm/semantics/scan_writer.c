/* SPDX-License-Identifier: MIT */
/* Three orders under a writer: protect and report in one call, then copy; report and protect in two calls; copy before protecting. */
#include "semantics/cases.h"
#include "semantics/scan_race.h"

enum {
    ONE_CALL,
    TWO_CALLS,
    COPY_FIRST,
};

static gboolean
one_call(Scan *scan, guint8 *copy, GError **error)
{
    if (!scan_get(scan, TRUE, error))
        return FALSE;
    scan_race_copy_found(scan, copy);
    return TRUE;
}

/* Protects what was written, and takes no note of it. */
static gboolean
protect_blindly(Scan *scan, GError **error)
{
    return scan_all(scan, scan_arg(scan, PM_SCAN_WP_MATCHING | PM_SCAN_CHECK_WPASYNC, NULL, 0), error);
}

static gboolean
two_calls(Scan *scan, guint8 *copy, GError **error)
{
    if (!scan_get(scan, FALSE, error))
        return FALSE;
    g_thread_yield();
    if (!protect_blindly(scan, error))
        return FALSE;
    scan_race_copy_found(scan, copy);
    return TRUE;
}

static gboolean
copy_first(Scan *scan, guint8 *copy, GError **error)
{
    if (!scan_get(scan, FALSE, error))
        return FALSE;
    scan_race_copy_found(scan, copy);
    g_thread_yield();
    return protect_blindly(scan, error);
}

static gboolean
run(Cell *cell, GError **error)
{
    static ScanRacePass *const orders[] = {[ONE_CALL] = one_call, [TWO_CALLS] = two_calls, [COPY_FIRST] = copy_first};
    g_autoptr(Scan) scan = scan_open(cell, SCAN_RACE_PAGES(cell), error);
    int order = cell->about->variant;

    if (!scan)
        return FALSE;
    /* The control: the wrong order for the right one, and the right one for the wrong. */
    if (!cell_step(cell))
        order = order == ONE_CALL ? COPY_FIRST : ONE_CALL;
    return scan_race_run(scan, orders[order], error);
}

const SemanticsCase case_scan_writer = {
    .name = "scan.writer",
    .required = SCAN_RACE_REQUIRED,
    .left_out = "protecting before the copy",
    .trackers = "pagemap-scan",
    .rams = SCAN_RAMS,
    .run = run,
    .variant = ONE_CALL,
    .limit_ms = SCAN_RACE_LIMIT_MS,
};
const SemanticsCase case_scan_writer_copy_first = {
    .name = "scan.writer-copy-first",
    .required = SCAN_RACE_REQUIRED,
    .left_out = "copying before protecting",
    .finding =
        "A page that is copied before it is protected is lost when it is written in between: protect, then read, then send.",
    .trackers = "pagemap-scan",
    .rams = SCAN_RAMS,
    .run = run,
    .variant = COPY_FIRST,
    .limit_ms = SCAN_RACE_LIMIT_MS,
};

const SemanticsCase case_scan_writer_two_calls = {
    .name = "scan.writer-two-calls",
    .required = SCAN_RACE_REQUIRED,
    .left_out = "getting and protecting in two calls",
    .finding = "What is written between a call that reports and a call that protects is lost: protect and report in one call.",
    .trackers = "pagemap-scan",
    .rams = SCAN_RAMS,
    .run = run,
    .variant = TWO_CALLS,
    .limit_ms = SCAN_RACE_LIMIT_MS,
};
