/* SPDX-License-Identifier: MIT */
/* Steps on plain anonymous mappings, under the soft-dirty bits and under PAGEMAP_SCAN. */
#include "semantics/softdirty_meter.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dirtylog/private.h"
#include "dirtylog/uffd.h"

#define SOFT_DIRTY_BIT 55

static guint64
entry_of(const Meter *meter, guint page)
{
    guint64 entry = 0;
    guint64 number = (guint64)(guintptr)meter->room / DL_PAGE_SIZE + page;

    if (pread(meter->pagemap, &entry, sizeof(entry), (off_t)(number * sizeof(entry))) != (gssize)sizeof(entry))
        return 0;
    return entry >> SOFT_DIRTY_BIT & 1;
}

static gboolean
clear_all(const Meter *meter, GError **error)
{
    return pwrite(meter->clear_refs, "4", 1, 0) == 1 || cell_fail(error, "clear_refs");
}

/* A kernel without the bits says yes to everything. */
static gboolean
check_soft_dirty(const Meter *meter, GError **error)
{
    volatile guint8 *byte = meter->room;

    if (!clear_all(meter, error))
        return FALSE;
    gboolean clean = !entry_of(meter, 0);
    *byte = 9;
    if (clean && entry_of(meter, 0))
        return TRUE;
    return cell_unsupported(error, "this kernel has no soft-dirty bits; try: a kernel with CONFIG_MEM_SOFT_DIRTY");
}

static gboolean
check_scan(Meter *meter, GError **error)
{
    struct pm_scan_arg nothing = {.size = sizeof(nothing), .category_mask = PAGE_IS_WRITTEN, .return_mask = PAGE_IS_WRITTEN};

    if (ioctl(meter->pagemap, PAGEMAP_SCAN, &nothing) < 0 && errno == ENOTTY)
        return cell_unsupported(error, "this kernel has no PAGEMAP_SCAN; try: Linux 6.7 or newer");
    meter->uffd = dl_uffd_open(UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_WP_HUGETLBFS_SHMEM | UFFD_FEATURE_WP_UNPOPULATED |
                                   UFFD_FEATURE_WP_ASYNC,
                               0, FALSE, error);
    return meter->uffd >= 0;
}

Meter *
meter_open(Cell *cell, GError **error)
{
    g_autoptr(Meter) meter = g_new0(Meter, 1);

    meter->cell = cell;
    meter->uffd = -1;
    meter->armed_pages = METER_PAGES;
    meter->soft_dirty = g_str_equal(cell->tracker->name, "soft-dirty");
    meter->pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    meter->clear_refs = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
    meter->room = mmap(NULL, METER_ROOM * DL_PAGE_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (meter->pagemap < 0 || meter->clear_refs < 0 || meter->room == MAP_FAILED || !meter_map(meter, 0, METER_PAGES)) {
        cell_fail(error, "the tracked mapping");
        return NULL;
    }
    for (guint page = 0; page < METER_PAGES; page++)
        memset(meter->room + page * DL_PAGE_SIZE, 1, DL_PAGE_SIZE);
    meter->must = dl_bitmap_new(METER_ROOM);
    meter->allowed = dl_bitmap_new(METER_ROOM);
    meter->found = dl_bitmap_new(METER_ROOM);
    if (!(meter->soft_dirty ? check_soft_dirty(meter, error) : check_scan(meter, error)))
        return NULL;
    return g_steal_pointer(&meter);
}

void
meter_free(Meter *meter)
{
    dl_fd_clear(&meter->uffd);
    dl_fd_clear(&meter->pagemap);
    dl_fd_clear(&meter->clear_refs);
    g_clear_pointer(&meter->must, dl_bitmap_free);
    g_clear_pointer(&meter->allowed, dl_bitmap_free);
    g_clear_pointer(&meter->found, dl_bitmap_free);
    g_free(meter);
}

gboolean
meter_map(const Meter *meter, guint first, guint count)
{
    guint8 *start = meter->room + first * DL_PAGE_SIZE;

    return mmap(start, count * DL_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == start;
}

gboolean
meter_arm(Meter *meter, GError **error)
{
    guint64 start = (guint64)(guintptr)meter->room, size = meter->armed_pages * DL_PAGE_SIZE;
    struct uffdio_register how = {.range = {start, size}, .mode = UFFDIO_REGISTER_MODE_WP};

    if (meter->soft_dirty)
        return clear_all(meter, error);
    return (ioctl(meter->uffd, UFFDIO_REGISTER, &how) == 0 || cell_fail(error, "UFFDIO_REGISTER")) &&
           dl_uffd_protect(meter->uffd, start, size, TRUE, error);
}

void
meter_store(Meter *meter, guint page)
{
    *(volatile guint8 *)(meter->room + page * DL_PAGE_SIZE) += 1;
    dl_bitmap_set(meter->must, page);
}

static gboolean
scan(const Meter *meter, guint count, guint64 category, GError **error)
{
    struct page_region regions[METER_ROOM];
    guint64 start = (guint64)(guintptr)meter->room;
    struct pm_scan_arg arg = {.size = sizeof(arg),
                              .start = start,
                              .end = start + count * DL_PAGE_SIZE,
                              .vec = (guint64)(guintptr)regions,
                              .vec_len = METER_ROOM,
                              .category_mask = category,
                              .return_mask = category};
    int found = ioctl(meter->pagemap, PAGEMAP_SCAN, &arg);

    if (found < 0 && (errno == ENOTTY || errno == EINVAL))
        return cell_unsupported(error, "this kernel's PAGEMAP_SCAN has no such category");
    if (found < 0)
        return cell_fail(error, "PAGEMAP_SCAN");
    for (int i = 0; i < found; i++)
        dl_bitmap_set_range(meter->found, (DlPageRange){(regions[i].start - start) / DL_PAGE_SIZE,
                                                        (regions[i].end - regions[i].start) / DL_PAGE_SIZE});
    return TRUE;
}

gboolean
meter_judge(Meter *meter, guint count, GError **error)
{
    for (guint page = 0; meter->soft_dirty && page < count; page++)
        if (entry_of(meter, page))
            dl_bitmap_set(meter->found, page);
    if (!meter->soft_dirty && !scan(meter, count, PAGE_IS_WRITTEN, error))
        return FALSE;
    cell_judge(meter->cell, meter->must, meter->allowed, meter->found);
    return TRUE;
}

gboolean
meter_judge_entries(Meter *meter, guint count, GError **error)
{
    if (!meter->soft_dirty)
        return meter_judge(meter, count, error);
    if (!scan(meter, count, PAGE_IS_SOFT_DIRTY, error))
        return FALSE;
    cell_judge(meter->cell, meter->must, meter->allowed, meter->found);
    return TRUE;
}
