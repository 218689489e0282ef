/* SPDX-License-Identifier: MIT */
/* The stage of the scan cases. */
#include "semantics/scan.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "dirtylog/private.h"
#include "dirtylog/uffd.h"

#define CALLS_LIMIT 100000

static gboolean
make_memory(Scan *scan, guint64 backing_pages, GError **error)
{
    scan->backing = dl_ram_kind_page_size(scan->cell->ram) / DL_PAGE_SIZE;
    scan->pages = backing_pages * scan->backing;
    scan->memory = dl_memory_new(scan->cell->ram, scan->pages * DL_PAGE_SIZE, error);
    if (!scan->memory)
        return FALSE;
    memset(scan->memory->hva, 1, scan->memory->size);
    DlRegion region = {.size = scan->memory->size, .hva = scan->memory->hva, .kind = scan->cell->ram};
    scan->layout = dl_layout_new(&region, 1, error);
    if (!scan->layout)
        return FALSE;
    scan->must = dl_bitmap_new(dl_layout_n_bits(scan->layout));
    scan->allowed = dl_bitmap_new(dl_layout_n_bits(scan->layout));
    scan->found = dl_bitmap_new(dl_layout_n_bits(scan->layout));
    return TRUE;
}

static gboolean
open_kernel(Scan *scan, GError **error)
{
    struct pm_scan_arg nothing = {.size = sizeof(nothing), .category_mask = PAGE_IS_WRITTEN, .return_mask = PAGE_IS_WRITTEN};

    scan->pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    if (scan->pagemap < 0)
        return cell_fail(error, "/proc/self/pagemap");
    if (ioctl(scan->pagemap, PAGEMAP_SCAN, &nothing) < 0 && errno == ENOTTY)
        return cell_unsupported(error, "this kernel has no PAGEMAP_SCAN; try: Linux 6.7 or newer");
    scan->uffd = dl_uffd_open(UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_WP_HUGETLBFS_SHMEM | UFFD_FEATURE_WP_UNPOPULATED |
                                  UFFD_FEATURE_WP_ASYNC,
                              0, FALSE, error);
    return scan->uffd >= 0;
}

Scan *
scan_open(Cell *cell, guint64 backing_pages, GError **error)
{
    g_autoptr(Scan) scan = g_new0(Scan, 1);

    scan->cell = cell;
    scan->uffd = scan->pagemap = -1;
    if (!open_kernel(scan, error) || !make_memory(scan, backing_pages, error) ||
        !dl_uffd_register(scan->uffd, scan->layout, error) || !dl_uffd_protect_all(scan->uffd, scan->layout, TRUE, error))
        return NULL;
    return g_steal_pointer(&scan);
}

void
scan_free(Scan *scan)
{
    dl_fd_clear(&scan->uffd);
    dl_fd_clear(&scan->pagemap);
    g_clear_pointer(&scan->layout, dl_layout_unref);
    g_clear_pointer(&scan->memory, dl_memory_free);
    g_clear_pointer(&scan->must, dl_bitmap_free);
    g_clear_pointer(&scan->allowed, dl_bitmap_free);
    g_clear_pointer(&scan->found, dl_bitmap_free);
    g_free(scan);
}

void
scan_store(Scan *scan, guint64 page)
{
    volatile guint8 *byte = scan->memory->hva + page * DL_PAGE_SIZE + 100;

    (*byte)++;
    scan_mark(scan, page);
}

void
scan_mark(Scan *scan, guint64 page)
{
    dl_bitmap_set(scan->must, page);
    dl_bitmap_set_range(scan->allowed, (DlPageRange){page / scan->backing * scan->backing, scan->backing});
}

guint64
scan_store_every(Scan *scan, guint64 first, guint64 step)
{
    guint64 count = 0;

    for (guint64 page = first; page < scan->pages / scan->backing; page += step, count++)
        scan_store(scan, page * scan->backing);
    return count;
}

struct pm_scan_arg
scan_arg(const Scan *scan, guint64 flags, struct page_region *vector, guint64 length)
{
    guint64 start = (guint64)(guintptr)scan->memory->hva;

    return (struct pm_scan_arg){
        .size = sizeof(struct pm_scan_arg),
        .flags = flags,
        .start = start,
        .end = start + scan->pages * DL_PAGE_SIZE,
        .vec = (guint64)(guintptr)vector,
        .vec_len = length,
        .category_mask = PAGE_IS_WRITTEN,
        .return_mask = PAGE_IS_WRITTEN,
    };
}

void
scan_ask_inverted(struct pm_scan_arg *arg)
{
    arg->category_inverted = PAGE_IS_PFNZERO;
    arg->category_mask = PAGE_IS_WRITTEN | PAGE_IS_PFNZERO;
}

void
scan_ask_any_of(struct pm_scan_arg *arg)
{
    arg->category_mask = 0;
    arg->category_anyof_mask = PAGE_IS_WRITTEN | PAGE_IS_PFNZERO;
}

static void
note_region(Scan *scan, const struct page_region *region)
{
    DlPageRange pages;

    if (!(region->categories & PAGE_IS_WRITTEN) || region->end <= region->start ||
        !dl_layout_pages_of_hva(scan->layout, (gconstpointer)(guintptr)region->start, region->end - region->start, &pages))
        return;
    scan->duplicates += dl_bitmap_count_range(scan->found, pages);
    dl_bitmap_set_range(scan->found, pages);
}

int
scan_once(Scan *scan, struct pm_scan_arg *arg)
{
    const struct page_region *regions = (const struct page_region *)(guintptr)arg->vec;
    int found = ioctl(scan->pagemap, PAGEMAP_SCAN, arg);

    for (int i = 0; regions && i < found && (guint64)i < arg->vec_len; i++)
        note_region(scan, &regions[i]);
    return found;
}

gboolean
scan_all(Scan *scan, struct pm_scan_arg arg, GError **error)
{
    for (guint calls = 0; arg.start < arg.end; calls++) {
        if (scan_once(scan, &arg) < 0)
            return cell_fail(error, "PAGEMAP_SCAN");
        if (calls == CALLS_LIMIT || arg.walk_end <= arg.start || arg.walk_end > arg.end) {
            cell_say(scan->cell, "walk_end makes no sense");
            break;
        }
        arg.start = arg.walk_end;
    }
    return TRUE;
}

gboolean
scan_get(Scan *scan, gboolean protect, GError **error)
{
    struct page_region vector[SCAN_VECTOR];

    return scan_all(scan, scan_arg(scan, protect ? PM_SCAN_WP_MATCHING | PM_SCAN_CHECK_WPASYNC : 0, vector, SCAN_VECTOR), error);
}

void
scan_judge(Scan *scan)
{
    cell_judge(scan->cell, scan->must, scan->allowed, scan->found);
    if (scan->duplicates) {
        cell_count(scan->cell, 0, scan->duplicates, 0, scan->duplicates);
        cell_say(scan->cell, "%" G_GUINT64_FORMAT " pages reported twice", scan->duplicates);
    }
    scan->duplicates = 0;
    dl_bitmap_clear_all(scan->must);
    dl_bitmap_clear_all(scan->allowed);
    dl_bitmap_clear_all(scan->found);
}
