/* SPDX-License-Identifier: MIT */
/* Memory goes to swap and comes back: the record of writes has to go with it (swap entries, or markers in the page tables). */
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dirtylog/private.h"
#include "semantics/cases.h"
#include "semantics/pte.h"

#define PRESENT_BIT 63

/*
 * Pages that this process still has mapped. Whether their data has come as far as the swap device does not matter here: the entry is gone, and
 * with it whatever was noted in it alone. mincore() would count what stands in the swap cache.
 */
static guint64
mapped(const Scene *scene)
{
    DlFd pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    gsize bytes = scene->pages * sizeof(guint64);
    g_autofree guint64 *entries = g_malloc0(bytes);
    off_t offset = (off_t)((guint64)(guintptr)scene->memory->hva / DL_PAGE_SIZE * sizeof(guint64));
    guint64 count = 0;

    if (pagemap < 0 || pread(pagemap, entries, bytes, offset) != (gssize)bytes)
        return scene->pages;
    dl_fd_clear(&pagemap);
    for (guint64 page = 0; page < scene->pages; page++)
        count += entries[page] >> PRESENT_BIT;
    return count;
}

static gboolean
step(Scene *scene, GError **error)
{
    for (guint tries = 0; tries < 5; tries++) {
        if (madvise(scene->memory->hva, scene->memory->size, MADV_PAGEOUT))
            return cell_fail(error, "madvise(MADV_PAGEOUT)");
        if (mapped(scene) < scene->pages / 2)
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
