/* SPDX-License-Identifier: MIT */
/*
 * pagemap-scan: userfaultfd in WP_ASYNC mode, where the kernel itself lifts the protection at the first store, and
 * PAGEMAP_SCAN, which tells the pages that are not protected any more from those that are.
 *
 * A scan that protects notifies KVM of its whole range, dirty or not, and KVM drops its entries for all of it: guest reads
 * fault again, and faults wait for as long as the range is being walked. A scan that only gets notifies nobody. So a collect
 * gets, over all of a region in one call; and a rearm protects with a get-and-protect of those pieces only in which the collect
 * found something (`open_pages`), windows of a few MiB at most. Pieces further than GAP_PAGES apart are scanned one by one: a
 * call costs about as much as walking that many clean pages.
 *
 * A get-and-protect reports what it protects, so that a store after the collect is not lost: it is reported now, and its page
 * is read after that. A store outside the pieces leaves its page unprotected, which is what the next collect finds.
 *
 * What the kernel gets wrong (kernel-facts) decides the arguments: vec_len is at most 512, category_mask and return_mask are
 * PAGE_IS_WRITTEN and nothing else, max_pages is never used, protecting always checks WPASYNC, and arming is
 * UFFDIO_WRITEPROTECT's, which also protects what is not populated and splits huge pages of shmem, so that 4 KiB are 4 KiB.
 */
#include <fcntl.h>
#include <sys/ioctl.h>

#include "dirtylog/private.h"
#include "dirtylog/trackers.h"
#include "dirtylog/trial.h"
#include "dirtylog/uapi.h"
#include "dirtylog/uffd.h"

#define SCAN_VECTOR 512
#define WINDOW_PAGES UINT64_C(1024)
#define GAP_PAGES UINT64_C(512)

typedef struct {
    DlTracker base;
    int uffd;
    int pagemap;
    DlBitmap *open_pages; /* collected, and not protected again since */
} PagemapScan;

static guint64
pagemap_scan_unit(DlRamKind kind)
{
    return kind == DL_RAM_SHMEM_THP ? DL_PAGE_SIZE : dl_ram_kind_page_size(kind);
}

static gboolean
pagemap_scan_probe(DlRamKind kind, char **remedy, GError **error)
{
    (void)remedy;
    return dl_trial_process(&dl_pagemap_scan_class, kind, error);
}

static DlTracker *
pagemap_scan_new(const DlTrackerContext *context, GError **error)
{
    (void)error;
    PagemapScan *scan = g_new0(PagemapScan, 1);

    scan->base = (DlTracker){&dl_pagemap_scan_class, context};
    scan->uffd = -1;
    scan->pagemap = -1;
    scan->open_pages = dl_bitmap_new(dl_layout_n_bits(context->layout));
    return &scan->base;
}

/* An empty range: ENOTTY from a kernel without the ioctl, 0 from one with it. */
static gboolean
open_pagemap(PagemapScan *scan, GError **error)
{
    struct pm_scan_arg nothing = {
        .size = sizeof(nothing),
        .category_mask = PAGE_IS_WRITTEN,
        .return_mask = PAGE_IS_WRITTEN,
    };

    scan->pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    if (scan->pagemap < 0) {
        dl_set_error(error, dl_error_from_errno(errno), errno, "open it before privileges are dropped", "/proc/self/pagemap");
        return FALSE;
    }
    if (ioctl(scan->pagemap, PAGEMAP_SCAN, &nothing) < 0 && (errno == ENOTTY || errno == EINVAL)) {
        int saved_errno = errno;
        if (saved_errno == ENOTTY) {
            dl_set_error(error, DL_ERROR_UNSUPPORTED, 0, "Linux 6.7 or newer", "this kernel has no PAGEMAP_SCAN");
            return FALSE;
        }
    }
    return TRUE;
}

static void
close_all(PagemapScan *scan)
{
    dl_fd_clear(&scan->uffd);
    dl_fd_clear(&scan->pagemap);
}

static gboolean
pagemap_scan_arm(DlTracker *tracker, GError **error)
{
    PagemapScan *scan = (PagemapScan *)tracker;
    const DlLayout *layout = tracker->context->layout;

    if (!open_pagemap(scan, error)) {
        close_all(scan);
        return FALSE;
    }
    scan->uffd = dl_uffd_open(UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_WP_HUGETLBFS_SHMEM | UFFD_FEATURE_WP_UNPOPULATED |
                                  UFFD_FEATURE_WP_ASYNC,
                              0, FALSE, error);
    if (scan->uffd < 0 || !dl_uffd_register(scan->uffd, layout, error)) {
        close_all(scan);
        return FALSE;
    }
    if (dl_uffd_protect_all(scan->uffd, layout, TRUE, error))
        return TRUE;
    dl_uffd_unregister(scan->uffd, layout);
    close_all(scan);
    dl_uffd_mend(layout);
    return FALSE;
}

typedef struct {
    const DlRegion *region;
    DlPageRange pages;
} Place;

/* Sets the pages of one answer; what it says beyond the region or beyond what was asked is clipped. */
static void
report(const Place *place, const struct page_region *answer, guint64 start, guint64 end, DlBitmap *out, DlBitmap *also)
{
    guint64 hva = (guint64)(guintptr)place->region->hva;
    guint64 low = MAX(answer->start, start);
    guint64 high = MIN(MIN(answer->end, end), hva + place->region->size);

    if (!(answer->categories & PAGE_IS_WRITTEN) || low >= high)
        return;
    guint64 first = (low - hva) / DL_PAGE_SIZE;
    DlPageRange pages = {place->pages.first + first, (high - hva + DL_PAGE_SIZE - 1) / DL_PAGE_SIZE - first};
    dl_bitmap_set_range(out, pages);
    if (also)
        dl_bitmap_set_range(also, pages);
}

/* One walk over [start, end), addresses in the place's mapping, in as many calls as the vector makes it. */
static gboolean
scan_range(PagemapScan *scan, const Place *place, guint64 start, guint64 end, guint64 flags, DlBitmap *out, DlBitmap *also,
           GError **error)
{
    struct page_region answers[SCAN_VECTOR];
    struct pm_scan_arg arg = {
        .size = sizeof(arg),
        .flags = flags,
        .start = start,
        .end = end,
        .vec = (guint64)(guintptr)answers,
        .vec_len = SCAN_VECTOR,
        .category_mask = PAGE_IS_WRITTEN,
        .return_mask = PAGE_IS_WRITTEN,
    };

    while (arg.start < end) {
        int found = ioctl(scan->pagemap, PAGEMAP_SCAN, &arg);
        if (found < 0) {
            if (errno == EINTR)
                continue;
            dl_set_error(error, dl_error_from_errno(errno), errno, NULL, "PAGEMAP_SCAN");
            return FALSE;
        }
        for (int i = 0; i < MIN(found, SCAN_VECTOR); i++)
            report(place, &answers[i], start, end, out, also);
        /* A walk that stands still, or runs off, would never end or leave something out. */
        if (arg.walk_end <= arg.start || arg.walk_end > end) {
            dl_set_error(error, DL_ERROR_FAILED, 0, NULL, "PAGEMAP_SCAN stopped at an address that makes no sense");
            return FALSE;
        }
        arg.start = arg.walk_end;
    }
    return TRUE;
}

static Place
place_of(const DlLayout *layout, guint index)
{
    return (Place){dl_layout_region(layout, index), dl_layout_region_pages(layout, index)};
}

static gboolean
pagemap_scan_collect(DlTracker *tracker, DlBitmap *out, GError **error)
{
    PagemapScan *scan = (PagemapScan *)tracker;

    for (guint i = 0; i < dl_layout_n_regions(tracker->context->layout); i++) {
        Place place = place_of(tracker->context->layout, i);
        guint64 start = (guint64)(guintptr)place.region->hva;
        if (!scan_range(scan, &place, start, start + dl_region_span(place.region), 0, out, scan->open_pages, error))
            return FALSE;
    }
    return TRUE;
}

static gboolean
protect_piece(PagemapScan *scan, const Place *place, DlPageRange piece, DlBitmap *out, GError **error)
{
    guint64 unit = pagemap_scan_unit(place->region->kind) / DL_PAGE_SIZE;
    guint64 hva = (guint64)(guintptr)place->region->hva;
    guint64 first = dl_round_down(piece.first - place->pages.first, unit);
    guint64 end = dl_round_up(piece.first + piece.count - place->pages.first, unit);

    const DlPageRange whole = {place->pages.first + first, MIN(end, place->pages.count) - first};

    if (!scan_range(scan, place, hva + first * DL_PAGE_SIZE, hva + end * DL_PAGE_SIZE,
                    PM_SCAN_WP_MATCHING | PM_SCAN_CHECK_WPASYNC, out, NULL, error)) {
        dl_bitmap_set_range(out, whole); /* some of it may be protected by now, its answers lost */
        return FALSE;
    }
    dl_bitmap_clear_range(scan->open_pages, whole);
    return TRUE;
}

static gboolean
pagemap_scan_rearm(DlTracker *tracker, DlPageRange range, DlBitmap *out, GError **error)
{
    PagemapScan *scan = (PagemapScan *)tracker;

    for (guint i = 0; i < dl_layout_n_regions(tracker->context->layout); i++) {
        Place place = place_of(tracker->context->layout, i);
        const DlPieceLimits limits = {MAX(WINDOW_PAGES, pagemap_scan_unit(place.region->kind) / DL_PAGE_SIZE), GAP_PAGES};
        guint64 end = MIN(range.first + range.count, place.pages.first + place.pages.count);
        DlPageRange piece = {.first = MAX(range.first, place.pages.first)};

        while (piece.first + piece.count < end &&
               dl_uffd_next_piece(scan->open_pages, piece.first + piece.count, end, &limits, &piece)) {
            if (!protect_piece(scan, &place, piece, out, error))
                return FALSE;
        }
    }
    return TRUE;
}

/*
 * What was punched has lost its protection, or has kept it: either way its next store shows in the next collect, so nothing has
 * to be done for it. But protect-scanning a hugetlb page that is not populated hangs the thread for good on Linux before
 * 6.12.97: a page that was collected before the punch is not protected. It stays open, and that is reported, not lost.
 */
static void
pagemap_scan_discarded(DlTracker *tracker, DlPageRange range)
{
    guint index;

    if (dl_layout_region_of_page(tracker->context->layout, range.first, &index) &&
        dl_layout_region(tracker->context->layout, index)->kind >= DL_RAM_HUGETLB_2M)
        dl_bitmap_clear_range(((PagemapScan *)tracker)->open_pages, range);
}

static void
pagemap_scan_release(DlTracker *tracker)
{
    PagemapScan *scan = (PagemapScan *)tracker;

    dl_uffd_unregister(scan->uffd, tracker->context->layout);
    close_all(scan);
    dl_uffd_mend(tracker->context->layout);
}

static void
pagemap_scan_free(DlTracker *tracker)
{
    dl_bitmap_free(((PagemapScan *)tracker)->open_pages);
    g_free(tracker);
}

const DlTrackerClass dl_pagemap_scan_class = {
    .facts =
        {
            .name = "pagemap-scan",
            .interface = "userfaultfd WP_ASYNC and PAGEMAP_SCAN",
            .holds = DL_HOLDS_UFFD,
            .rearm = DL_REARM_BY_RANGE,
            .unseen = DL_WRITER_ALIAS,
            .kernel = "6.7",
            .privileges = "none",
        },
    .unit = pagemap_scan_unit,
    .probe = pagemap_scan_probe,
    .new = pagemap_scan_new,
    .arm = pagemap_scan_arm,
    .collect = pagemap_scan_collect,
    .rearm = pagemap_scan_rearm,
    .discarded = pagemap_scan_discarded,
    .release = pagemap_scan_release,
    .free = pagemap_scan_free,
};
