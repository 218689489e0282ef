/* SPDX-License-Identifier: MIT */
/*
 * Two processes that map the same GiB of a hugetlb file at an aligned address share the page table page. Write-protecting one would protect
 * the other, and the other's faults would fill it in behind the tracker's back: registering has to unshare it, and to keep it so.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "semantics/cases.h"
#include "semantics/semantics.h"

#define GIB (UINT64_C(1) << 30)
#define HUGE_BYTES (UINT64_C(2) << 20)
#define USED 6U /* huge pages that are ever touched */

enum {
    BEFORE,
    AFTER,
};

/* Reserves nothing: a GiB of the file, of which a few pages are used. */
static guint8 *
map_gib(int fd)
{
    guint8 *room = mmap(NULL, 2 * GIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (room == MAP_FAILED)
        return NULL;
    guint8 *start = (guint8 *)(((guintptr)room + GIB - 1) / GIB * GIB);
    guint8 *mapped = mmap(start, GIB, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | MAP_NORESERVE, fd, 0);
    return mapped == MAP_FAILED ? NULL : mapped;
}

static void
touch(const guint8 *memory)
{
    for (guint i = 0; i < USED; i++) {
        volatile guint8 seen = memory[i * HUGE_BYTES];
        (void)seen;
    }
}

/* Maps the file for itself, touches it and waits to be killed. */
static pid_t
start_sharer(int fd)
{
    int ready[2];
    char byte = 0;

    if (pipe(ready))
        return -1;
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(ready[0]);
        guint8 *memory = map_gib(fd);
        if (memory)
            touch(memory);
        if (write(ready[1], "r", 1) == 1)
            close(ready[1]);
        for (guint i = 0; i < 100; i++) { /* and keeps at it */
            if (memory)
                touch(memory);
            g_usleep(100000);
        }
        _exit(0);
    }
    close(ready[1]);
    if (read(ready[0], &byte, 1) != 1)
        byte = 0;
    close(ready[0]);
    return child;
}

static gboolean
judge_store(Cell *cell, DlLog *log, DlConsumer *consumer, guint8 *memory, guint index, GError **error)
{
    guint64 pages = HUGE_BYTES / DL_PAGE_SIZE, n_bits = dl_layout_n_bits(dl_log_layout(log));
    g_autoptr(DlBitmap) must = dl_bitmap_new(n_bits), allowed = dl_bitmap_new(n_bits), found = dl_bitmap_new(n_bits);

    memory[index * HUGE_BYTES] = (guint8)(memory[index * HUGE_BYTES] + 1);
    dl_bitmap_set(must, index * pages);
    dl_bitmap_set_range(allowed, (DlPageRange){index * pages, pages});
    if (!dl_log_harvest(log, error))
        return FALSE;
    dl_consumer_take(consumer, (DlPageRange){0, n_bits}, found);
    cell_judge(cell, must, allowed, found);
    return TRUE;
}

static gboolean
track(Cell *cell, int fd, guint8 *memory, GError **error)
{
    DlHost host = {.vm_fd = -1};
    DlRegion region = {.size = GIB, .hva = memory, .kind = DL_RAM_HUGETLB_2M};
    g_autoptr(DlLayout) layout = dl_layout_new(&region, 1, error);
    g_autoptr(DlLog) log = layout ? dl_log_new(layout, &host, error) : NULL;
    g_autoptr(DlBitmap) first = layout ? dl_bitmap_new(dl_layout_n_bits(layout)) : NULL;
    pid_t sharer = -1;

    if (!log)
        return FALSE;
    DlConsumer *consumer = dl_log_subscribe(log);
    if (cell->about->variant == BEFORE && cell_step(cell))
        sharer = start_sharer(fd);
    touch(memory);
    gboolean worked = dl_log_move(log, cell->tracker->name, NULL, NULL, error) && dl_log_harvest(log, error);
    if (worked)
        dl_consumer_take(consumer, (DlPageRange){0, dl_bitmap_size(first)}, first);
    if (worked && cell->about->variant == AFTER && cell_step(cell))
        sharer = start_sharer(fd);
    for (guint i = 0; worked && i < USED; i++)
        worked = judge_store(cell, log, consumer, memory, i % 3, error);
    if (sharer > 0) {
        kill(sharer, SIGKILL);
        waitpid(sharer, NULL, 0);
    }
    return worked;
}

static gboolean
run(Cell *cell, GError **error)
{
    int fd = memfd_create("shared", MFD_CLOEXEC | MFD_HUGETLB | (21 << 26)); /* MFD_HUGE_2MB */
    guint64 free_pages = 0;
    g_autofree char *text = NULL;

    if (fd < 0 || ftruncate(fd, (off_t)GIB))
        return cell_unsupported(error, "no hugetlb file: %s", g_strerror(errno));
    if (g_file_get_contents("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", &text, NULL, NULL))
        free_pages = g_ascii_strtoull(text, NULL, 10);
    if (free_pages < (guint64)2 * USED)
        return cell_unsupported(error, "too few free hugepages of 2 MiB");
    guint8 *memory = map_gib(fd);
    if (!memory)
        return cell_fail(error, "mapping a GiB");
    return track(cell, fd, memory, error);
}

#define REQUIRED "stores to hugetlb memory whose page table another process shares, or would, are reported"

const SemanticsCase case_pte_pmd_sharing_before = {
    .name = "pte.pmd-sharing-before",
    .required = REQUIRED,
    .left_out = "the other process",
    .trackers = "pagemap-scan,uffd-wp",
    .rams = "hugetlb-2M",
    .run = run,
    .variant = BEFORE,
};
const SemanticsCase case_pte_pmd_sharing_after = {
    .name = "pte.pmd-sharing-after",
    .required = REQUIRED,
    .left_out = "the other process",
    .trackers = "pagemap-scan,uffd-wp",
    .rams = "hugetlb-2M",
    .run = run,
    .variant = AFTER,
};
