/* SPDX-License-Identifier: MIT */
/* A scan under a writer that does not stop. */
#include "semantics/scan_race.h"

#include <string.h>

#define ROUNDS 100
#define PASSES 5

typedef struct {
    Scan *scan;
    guint8 *copy;
    gint stop;
} Race;

static gpointer
write_on(gpointer user)
{
    Race *race = user;
    const Scan *scan = race->scan;
    guint64 pages = scan->pages / scan->backing;

    for (guint64 turn = 0; !g_atomic_int_get(&race->stop); turn++) {
        guint64 page = turn % pages;
        if (page < scan->gap_first || page >= scan->gap_end)
            *(volatile guint64 *)(scan->memory->hva + page * scan->backing * DL_PAGE_SIZE) = turn + 1;
    }
    return NULL;
}

static gboolean
is_mapped(const Scan *scan, guint64 page)
{
    return page / scan->backing < scan->gap_first || page / scan->backing >= scan->gap_end;
}

void
scan_race_copy_found(Scan *scan, guint8 *copy)
{
    for (guint64 page = 0; page < scan->pages; page += scan->backing)
        if (is_mapped(scan, page) && dl_bitmap_test(scan->found, page))
            memcpy(copy + page * DL_PAGE_SIZE, scan->memory->hva + page * DL_PAGE_SIZE, sizeof(guint64));
    dl_bitmap_clear_all(scan->found);
    scan->duplicates = 0;
}

/* What is stale is counted, and put right for the next round. */
static guint64
count_stale(const Race *race)
{
    const Scan *scan = race->scan;
    guint64 stale = 0;

    for (guint64 page = 0; page < scan->pages; page += scan->backing) {
        gsize offset = page * DL_PAGE_SIZE;
        if (!is_mapped(scan, page) || memcmp(race->copy + offset, scan->memory->hva + offset, sizeof(guint64)) == 0)
            continue;
        stale++;
        memcpy(race->copy + offset, scan->memory->hva + offset, sizeof(guint64));
    }
    return stale;
}

gboolean
scan_race_run(Scan *scan, ScanRacePass *pass, GError **error)
{
    g_autofree guint8 *copy = g_malloc0(scan->memory->size);
    gboolean worked = TRUE;
    guint64 stale = 0;

    for (guint64 page = 0; page < scan->pages; page += scan->backing)
        if (is_mapped(scan, page))
            memcpy(copy + page * DL_PAGE_SIZE, scan->memory->hva + page * DL_PAGE_SIZE, sizeof(guint64));
    for (guint round = 0; worked && round < ROUNDS; round++) {
        Race race = {scan, copy, 0};
        GThread *writer = g_thread_new("writer", write_on, &race);
        for (guint i = 0; worked && i < PASSES; i++)
            worked = pass(scan, copy, error);
        g_atomic_int_set(&race.stop, 1);
        g_thread_join(writer);
        worked = worked && pass(scan, copy, error);
        stale += count_stale(&race);
    }
    cell_count(scan->cell, stale, 0, stale, 0);
    cell_say(scan->cell, "%u rounds, %" G_GUINT64_FORMAT " stale pages", ROUNDS, stale);
    return worked;
}
