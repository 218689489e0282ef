/* SPDX-License-Identifier: MIT */
/*
 * A writer that does not stop. Every page carries a counter; the reader takes what is reported, protects and copies, and when the writer
 * stands, one more pass must leave copy and memory equal. Three orders: protect and report in one call, then copy; report and
 * protect in two calls; copy before protecting.
 */
#include <string.h>

#include "semantics/cases.h"
#include "semantics/scan.h"

#define PAGES 64
#define HUGE_PAGES 4
#define ROUNDS 300

enum {
    ONE_CALL,
    TWO_CALLS,
    COPY_FIRST,
};

typedef struct {
    Scan *scan;
    guint8 *copy;
    gint stop;
} Race;

static gpointer
write_on(gpointer user)
{
    Race *race = user;
    guint64 pages = race->scan->pages / race->scan->backing;

    for (guint64 turn = 0; !g_atomic_int_get(&race->stop); turn++) {
        volatile guint64 *counter =
            (volatile guint64 *)(race->scan->memory->hva + turn % pages * race->scan->backing * DL_PAGE_SIZE);
        *counter = turn + 1;
    }
    return NULL;
}

static void
copy_found(Race *race)
{
    Scan *scan = race->scan;

    for (guint64 page = 0; page < scan->pages; page += scan->backing)
        if (dl_bitmap_test(scan->found, page))
            memcpy(race->copy + page * DL_PAGE_SIZE, scan->memory->hva + page * DL_PAGE_SIZE, sizeof(guint64));
    dl_bitmap_clear_all(scan->found);
    scan->duplicates = 0;
}

/* Protects what was written, and takes no note of it. */
static gboolean
protect_blindly(Scan *scan, GError **error)
{
    return scan_all(scan, scan_arg(scan, PM_SCAN_WP_MATCHING | PM_SCAN_CHECK_WPASYNC, NULL, 0), error);
}

static gboolean
pass(Race *race, int order, GError **error)
{
    if (order == ONE_CALL) {
        if (!scan_get(race->scan, TRUE, error))
            return FALSE;
        copy_found(race);
        return TRUE;
    }
    if (!scan_get(race->scan, FALSE, error))
        return FALSE;
    if (order == COPY_FIRST)
        copy_found(race);
    g_thread_yield();
    if (!protect_blindly(race->scan, error))
        return FALSE;
    copy_found(race);
    return TRUE;
}

static guint64
count_stale(const Race *race)
{
    guint64 stale = 0;

    for (guint64 page = 0; page < race->scan->pages; page += race->scan->backing)
        stale += memcmp(race->copy + page * DL_PAGE_SIZE, race->scan->memory->hva + page * DL_PAGE_SIZE, sizeof(guint64)) != 0;
    return stale;
}

static gboolean
run(Cell *cell, GError **error)
{
    g_autoptr(Scan) scan = scan_open(cell, cell->ram == DL_RAM_SHMEM ? PAGES : HUGE_PAGES, error);
    int order = cell->about->variant;
    gboolean worked = TRUE;
    guint64 stale = 0;

    if (!scan)
        return FALSE;
    /* The control: the wrong order for the right one, and the right one for the wrong. */
    if (!cell_step(cell))
        order = order == ONE_CALL ? COPY_FIRST : ONE_CALL;
    g_autofree guint8 *copy = g_memdup2(scan->memory->hva, scan->memory->size);
    for (guint round = 0; worked && round < ROUNDS; round++) {
        Race race = {scan, copy, 0};
        GThread *writer = g_thread_new("writer", write_on, &race);
        for (guint i = 0; worked && i < 5; i++)
            worked = pass(&race, order, error);
        g_atomic_int_set(&race.stop, 1);
        g_thread_join(writer);
        worked = worked && pass(&race, order, error);
        stale += count_stale(&race);
        memcpy(copy, scan->memory->hva, scan->memory->size);
    }
    cell_count(cell, stale, 0, stale, 0);
    cell_say(cell, "%u rounds, %" G_GUINT64_FORMAT " stale pages", ROUNDS, stale);
    return worked;
}

#define REQUIRED "under a writer that does not stop no update is lost"

const SemanticsCase case_scan_writer = {
    .name = "scan.writer",
    .required = REQUIRED,
    .left_out = "protecting before the copy",
    .trackers = "pagemap-scan",
    .rams = SCAN_RAMS,
    .run = run,
    .variant = ONE_CALL,
    .limit_ms = 60000,
};
const SemanticsCase case_scan_writer_copy_first = {
    .name = "scan.writer-copy-first",
    .required = REQUIRED,
    .left_out = "copying before protecting",
    .finding =
        "A page that is copied before it is protected is lost when it is written in between: protect, then read, then send.",
    .trackers = "pagemap-scan",
    .rams = SCAN_RAMS,
    .run = run,
    .variant = COPY_FIRST,
    .limit_ms = 60000,
};

const SemanticsCase case_scan_writer_two_calls = {
    .name = "scan.writer-two-calls",
    .required = REQUIRED,
    .left_out = "getting and protecting in two calls",
    .finding = "What is written between a call that reports and a call that protects is lost: protect and report in one call.",
    .trackers = "pagemap-scan",
    .rams = SCAN_RAMS,
    .run = run,
    .variant = TWO_CALLS,
    .limit_ms = 60000,
};
