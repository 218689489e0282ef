/* SPDX-License-Identifier: MIT */
/* The replica oracle. The copy is laid out by page bits, so that one bit finds a page in it, in RAM and in every bitmap. */
#include "bench/replica.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

/* RAM is compared in pieces of this size first; only a piece that differs is looked at page by page. */
#define PIECE_PAGES UINT64_C(64)

struct Replica {
    DlLayout *layout;
    guint8 *copy;
    gsize size;
    DlBitmap *changed;
};

static guint8 *
copy_of(const Replica *replica, guint64 page)
{
    return replica->copy + page * DL_PAGE_SIZE;
}

Replica *
replica_new(DlLayout *layout, GError **error)
{
    gsize size = dl_layout_n_bits(layout) * DL_PAGE_SIZE;
    guint8 *copy = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (copy == MAP_FAILED) {
        g_set_error(error, DL_ERROR, DL_ERROR_RESOURCE,
                    "no memory for a replica of the guest's RAM (%s): use less --memory or --oracle write-list",
                    g_strerror(errno));
        return NULL;
    }
    madvise(copy, size, MADV_HUGEPAGE); /* filled at once and in full: a fault each 2 MiB instead of each 4 KiB */
    Replica *replica = g_new0(Replica, 1);
    *replica = (Replica){dl_layout_ref(layout), copy, size, dl_bitmap_new(dl_layout_n_bits(layout))};
    for (guint i = 0; i < dl_layout_n_regions(layout); i++) {
        const DlRegion *region = dl_layout_region(layout, i);
        memcpy(copy_of(replica, dl_layout_region_pages(layout, i).first), region->hva, region->size);
    }
    return replica;
}

void
replica_free(Replica *replica)
{
    munmap(replica->copy, replica->size);
    dl_layout_unref(replica->layout);
    dl_bitmap_free(replica->changed);
    g_free(replica);
}

/* The page is read once, into a buffer: the guest may be writing to it. */
static void
apply_page(Replica *replica, guint64 page)
{
    guint8 now[DL_PAGE_SIZE];

    memcpy(now, dl_layout_hva_of_page(replica->layout, page), DL_PAGE_SIZE);
    if (memcmp(copy_of(replica, page), now, DL_PAGE_SIZE) == 0)
        return;
    memcpy(copy_of(replica, page), now, DL_PAGE_SIZE);
    dl_bitmap_set(replica->changed, page);
}

void
replica_apply(Replica *replica, const DlBitmap *pages)
{
    guint64 end = dl_layout_n_bits(replica->layout);

    for (DlPageRange run = {0}; dl_bitmap_next_run(pages, run.first + run.count, end, &run);) {
        for (guint64 page = run.first; page < run.first + run.count; page++)
            apply_page(replica, page);
    }
}

const DlBitmap *
replica_changed(const Replica *replica)
{
    return replica->changed;
}

void
replica_open_window(Replica *replica)
{
    dl_bitmap_clear_all(replica->changed);
}

static void
compare_piece(Replica *replica, guint64 page, guint64 n_pages, const guint8 *ram, DlBitmap *missed)
{
    if (memcmp(copy_of(replica, page), ram, n_pages * DL_PAGE_SIZE) == 0)
        return;
    for (guint64 i = 0; i < n_pages; i++) {
        if (memcmp(copy_of(replica, page + i), ram + i * DL_PAGE_SIZE, DL_PAGE_SIZE) == 0)
            continue;
        memcpy(copy_of(replica, page + i), ram + i * DL_PAGE_SIZE, DL_PAGE_SIZE);
        dl_bitmap_set(missed, page + i);
    }
}

void
replica_compare(Replica *replica, DlBitmap *missed)
{
    for (guint i = 0; i < dl_layout_n_regions(replica->layout); i++) {
        const guint8 *ram = dl_layout_region(replica->layout, i)->hva;
        DlPageRange pages = dl_layout_region_pages(replica->layout, i);

        for (guint64 done = 0; done < pages.count; done += PIECE_PAGES)
            compare_piece(replica, pages.first + done, MIN(PIECE_PAGES, pages.count - done), ram + done * DL_PAGE_SIZE, missed);
    }
}
