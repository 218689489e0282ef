/* SPDX-License-Identifier: MIT */
/*
 * soft-dirty: writing 4 to clear_refs write-protects the whole process and clears bit 55 of each page's entry in pagemap; a
 * store sets it again.
 *
 * Reading the bits and clearing them are two steps with nothing between them that would catch a store, so every writer has to
 * stand still for both: DlLog pauses them, since the facts say so. A program whose only writer is the thread that calls the
 * library passes a pause and a resume that do nothing, and vouches with that for being alone. Without any, the tracker is
 * refused.
 *
 * The bits of a VMA that is flagged VM_SOFTDIRTY (new, or merged with a new one) all read as set: so are they reported, since an
 * entry's own bit cannot be told from the flag's there. A clear takes the flag away too.
 *
 * On a kernel without CONFIG_MEM_SOFT_DIRTY the clear succeeds and does nothing, and bit 55 is always 0. So an arm looks
 * whether a store of its own sets the bit and a clear takes it away, before anything is trusted to it.
 */
#include <fcntl.h>
#include <sys/mman.h>

#include "dirtylog/private.h"
#include "dirtylog/trackers.h"
#include "dirtylog/trial.h"

#define SOFT_DIRTY_BIT 55
#define READ_ENTRIES UINT64_C(16384)

typedef struct {
    DlTracker base;
    int pagemap;
    int clear_refs;
    guint64 *entries; /* READ_ENTRIES */
} SoftDirty;

/* A huge page of shmem is cleared and set as one; UFFDIO_WRITEPROTECT, which would split it, is not in play. */
static guint64
soft_dirty_unit(DlRamKind kind)
{
    return dl_ram_kind_page_size(kind);
}

static gboolean
check_kind(DlRamKind kind, GError **error)
{
    if (kind < DL_RAM_HUGETLB_2M)
        return TRUE;
    dl_set_error(error, DL_ERROR_UNSUPPORTED, 0, NULL, "the kernel keeps no soft-dirty bits for hugetlb memory");
    return FALSE;
}

static gboolean
soft_dirty_probe(DlRamKind kind, char **remedy, GError **error)
{
    (void)remedy;
    if (!check_kind(kind, error))
        return FALSE;
    return dl_trial_process(&dl_soft_dirty_class, kind, error);
}

static DlTracker *
soft_dirty_new(const DlTrackerContext *context, GError **error)
{
    for (guint i = 0; i < dl_layout_n_regions(context->layout); i++) {
        if (!check_kind(dl_layout_region(context->layout, i)->kind, error))
            return NULL;
    }
    if (!context->host->pause || !context->host->resume) {
        dl_set_error(error, DL_ERROR_UNSUPPORTED, 0, NULL,
                     "soft-dirty is exact only while every writer stands, and the program gave no way to pause them");
        return NULL;
    }

    SoftDirty *soft = g_new0(SoftDirty, 1);
    soft->base = (DlTracker){&dl_soft_dirty_class, context};
    soft->pagemap = -1;
    soft->clear_refs = -1;
    soft->entries = g_new(guint64, READ_ENTRIES);
    return &soft->base;
}

static gboolean
clear_bits(SoftDirty *soft, GError **error)
{
    if (pwrite(soft->clear_refs, "4", 1, 0) == 1)
        return TRUE;
    dl_set_error(error, dl_error_from_errno(errno), errno, NULL, "writing to /proc/self/clear_refs");
    return FALSE;
}

static gboolean
read_entries(SoftDirty *soft, guint64 hva, guint64 n_pages, GError **error)
{
    gsize wanted = n_pages * sizeof(guint64);
    gsize done = 0;

    while (done < wanted) {
        gssize got = pread(soft->pagemap, (char *)soft->entries + done, wanted - done,
                           (off_t)(hva / DL_PAGE_SIZE * sizeof(guint64) + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            dl_set_error(error, DL_ERROR_FAILED, got < 0 ? errno : EIO, NULL, "reading /proc/self/pagemap");
            return FALSE;
        }
        done += (gsize)got;
    }
    return TRUE;
}

static gboolean
is_soft_dirty(guint64 entry)
{
    return (entry >> SOFT_DIRTY_BIT & 1) != 0;
}

/* A page of our own: set by a store, cleared by a clear, set by another store. */
static gboolean
bits_work(SoftDirty *soft, GError **error)
{
    volatile guint8 *page = mmap(NULL, DL_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    gboolean seen[3] = {0};
    gboolean read = TRUE;

    if (page == MAP_FAILED) {
        dl_set_error(error, DL_ERROR_RESOURCE, errno, NULL, "mmap");
        return FALSE;
    }
    for (guint i = 0; i < G_N_ELEMENTS(seen) && read; i++) {
        if (i != 1)
            *page = (guint8)(i + 1);
        else
            read = clear_bits(soft, error);
        read = read && read_entries(soft, (guint64)(guintptr)page, 1, error);
        seen[i] = read && is_soft_dirty(soft->entries[0]);
    }
    munmap((gpointer)page, DL_PAGE_SIZE);
    if (!read)
        return FALSE;
    if (seen[0] && !seen[1] && seen[2])
        return TRUE;
    dl_set_error(error, DL_ERROR_UNSUPPORTED, 0, "a kernel with CONFIG_MEM_SOFT_DIRTY",
                 "this kernel has no soft-dirty bits: clear_refs succeeds and does nothing");
    return FALSE;
}

static void
close_all(SoftDirty *soft)
{
    dl_fd_clear(&soft->pagemap);
    dl_fd_clear(&soft->clear_refs);
}

static gboolean
soft_dirty_arm(DlTracker *tracker, GError **error)
{
    SoftDirty *soft = (SoftDirty *)tracker;

    soft->pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    soft->clear_refs = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
    if (soft->pagemap < 0 || soft->clear_refs < 0)
        dl_set_error(error, dl_error_from_errno(errno), errno, "open them before privileges are dropped",
                     "/proc/self/pagemap and /proc/self/clear_refs");
    else if (bits_work(soft, error) && clear_bits(soft, error))
        return TRUE;
    close_all(soft);
    return FALSE;
}

static gboolean
collect_region(SoftDirty *soft, const DlRegion *region, DlPageRange pages, DlBitmap *out, GError **error)
{
    guint64 unit = soft_dirty_unit(region->kind) / DL_PAGE_SIZE;

    for (guint64 first = 0; first < pages.count; first += READ_ENTRIES) {
        guint64 count = MIN(READ_ENTRIES, pages.count - first);
        if (!read_entries(soft, (guint64)(guintptr)region->hva + first * DL_PAGE_SIZE, count, error))
            return FALSE;
        for (guint64 i = 0; i < count; i++) {
            if (!is_soft_dirty(soft->entries[i]))
                continue;
            /* pagemap repeats a huge page's bit for each of its pages; not relying on it costs nothing. */
            guint64 start = dl_round_down(first + i, unit);
            dl_bitmap_set_range(out, (DlPageRange){pages.first + start, MIN(unit, pages.count - start)});
        }
    }
    return TRUE;
}

static gboolean
soft_dirty_collect(DlTracker *tracker, DlBitmap *out, GError **error)
{
    SoftDirty *soft = (SoftDirty *)tracker;
    const DlLayout *layout = tracker->context->layout;

    for (guint i = 0; i < dl_layout_n_regions(layout); i++) {
        if (!collect_region(soft, dl_layout_region(layout, i), dl_layout_region_pages(layout, i), out, error))
            return FALSE;
    }
    return clear_bits(soft, error);
}

/* The bits stay set from now on and slow nobody: a store to a page whose bit is cleared takes one fault, once. */
static void
soft_dirty_release(DlTracker *tracker)
{
    close_all((SoftDirty *)tracker);
}

static void
soft_dirty_free(DlTracker *tracker)
{
    g_free(((SoftDirty *)tracker)->entries);
    g_free(tracker);
}

const DlTrackerClass dl_soft_dirty_class = {
    .facts =
        {
            .name = "soft-dirty",
            .interface = "/proc/self/clear_refs and bit 55 of /proc/self/pagemap",
            .holds = DL_HOLDS_PROCESS,
            .rearm = DL_REARM_WITH_COLLECT,
            .unseen = DL_WRITER_ALIAS,
            .writers_paused = TRUE,
            .kernel = "3.11",
            .privileges = "none",
        },
    .unit = soft_dirty_unit,
    .probe = soft_dirty_probe,
    .new = soft_dirty_new,
    .arm = soft_dirty_arm,
    .collect = soft_dirty_collect,
    .release = soft_dirty_release,
    .free = soft_dirty_free,
};
