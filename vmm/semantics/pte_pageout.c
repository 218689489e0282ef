/* SPDX-License-Identifier: MIT */
/* Memory goes to swap and comes back: the record of writes has to go with it (swap entries, or markers in the page tables). */
#include <sys/mman.h>

#include "dirtylog/private.h"
#include "semantics/cases.h"
#include "semantics/pte.h"

static guint64
resident(const Scene *scene)
{
    g_autofree guchar *there = g_malloc0(scene->pages);
    guint64 count = 0;

    if (mincore(scene->memory->hva, scene->memory->size, there))
        return 0;
    for (guint64 page = 0; page < scene->pages; page++)
        count += there[page] & 1;
    return count;
}

static gboolean
step(Scene *scene, GError **error)
{
    for (guint tries = 0; tries < 5; tries++) {
        if (madvise(scene->memory->hva, scene->memory->size, MADV_PAGEOUT))
            return cell_fail(error, "madvise(MADV_PAGEOUT)");
        if (resident(scene) < scene->pages / 2)
            return TRUE;
        g_usleep(20000);
    }
    return cell_unsupported(error, "MADV_PAGEOUT left the pages in memory");
}

static gboolean
run(Cell *cell, GError **error)
{
    guint64 kib = 0;
    g_autofree char *swap = dl_read_field("/proc/meminfo", "SwapTotal:");

    if (swap)
        kib = g_ascii_strtoull(swap, NULL, 10);
    if (!kib)
        return cell_unsupported(error, "this host has no swap; try: swapon FILE");
    return pte_run(cell, step, error);
}

const SemanticsCase case_pte_pageout = {
    .name = "pte.pageout",
    .required = PTE_REQUIRED,
    .left_out = "the paging out",
    .rams = "shmem,shmem-thp",
    .run = run,
};
