/* SPDX-License-Identifier: MIT */
/*
 * kvm-bitmap-clear: with KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 KVM_GET_DIRTY_LOG only reads; KVM_CLEAR_DIRTY_LOG clears and
 * write-protects a range later, just before its pages are read.
 *
 * A clear takes exactly the bits that a get has handed out (`collected`): a bit that came on after the get is not ours to
 * clear, or its page would be lost. What was written between get and clear to a page whose bit was on already is in memory when
 * the page is protected, and the page is read after that. The range of a clear starts at a multiple of 64 pages and ends at one
 * or at the slot's very end; the bits decide what is cleared, so widening costs nothing.
 *
 * INITIALLY_SET is left alone: it would report all of RAM once, and an arm() is to report what is written from then on.
 */
#include "dirtylog/kvm_log.h"
#include "dirtylog/log_flag.h"
#include "dirtylog/private.h"
#include "dirtylog/trackers.h"
#include "dirtylog/trial.h"
#include "dirtylog/uapi.h"

#include <string.h>
#include <sys/ioctl.h>

/* Pages of one clear: KVM walks them under its mmu_lock, and vCPU faults wait that long. 1 GiB of memory. */
#define CLEAR_PAGES UINT64_C(262144)

typedef struct {
    DlTracker base;
    guint64 *scratch;
    DlBitmap *collected; /* handed out by a get and not cleared yet */
} KvmBitmapClear;

static guint64
kvm_bitmap_clear_unit(DlRamKind kind)
{
    (void)kind;
    return DL_PAGE_SIZE;
}

static gboolean
kvm_bitmap_clear_probe(DlRamKind kind, char **remedy, GError **error)
{
    (void)remedy;
    return dl_trial_kvm(&dl_kvm_bitmap_clear_class, kind, 0, error);
}

static DlTracker *
kvm_bitmap_clear_new(const DlTrackerContext *context, GError **error)
{
    if (!dl_kvm_log_check(context, error))
        return NULL;
    int modes = ioctl(context->host->vm_fd, KVM_CHECK_EXTENSION, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2);
    if (modes <= 0 || !(modes & KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE)) {
        dl_set_error(error, DL_ERROR_UNSUPPORTED, 0, "Linux 5.2 or newer", "this KVM has no KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2");
        return NULL;
    }

    KvmBitmapClear *clear = g_new0(KvmBitmapClear, 1);
    clear->base = (DlTracker){&dl_kvm_bitmap_clear_class, context};
    clear->scratch = dl_kvm_log_scratch(context->layout);
    clear->collected = dl_bitmap_new(dl_layout_n_bits(context->layout));
    return &clear->base;
}

static gboolean
set_manual(DlTracker *tracker, gboolean on, GError **error)
{
    struct kvm_enable_cap cap = {
        .cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
        .args = {on ? KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE : 0},
    };

    if (ioctl(tracker->context->host->vm_fd, KVM_ENABLE_CAP, &cap) == 0)
        return TRUE;
    dl_set_error(error, dl_error_from_errno(errno), errno, NULL, "switching KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 %s",
                 on ? "on" : "off");
    return FALSE;
}

static void
unset_manual(DlTracker *tracker)
{
    g_autoptr(GError) error = NULL;

    if (!set_manual(tracker, FALSE, &error))
        g_warning("%s", error->message);
}

/* The capability first: no get in between may find the log on and the capability off, since that get would clear. */
static gboolean
kvm_bitmap_clear_arm(DlTracker *tracker, GError **error)
{
    if (!set_manual(tracker, TRUE, error))
        return FALSE;
    if (dl_log_flag_acquire(tracker->context->log_flag, error))
        return TRUE;
    unset_manual(tracker);
    return FALSE;
}

static gboolean
kvm_bitmap_clear_collect(DlTracker *tracker, DlBitmap *out, GError **error)
{
    KvmBitmapClear *clear = (KvmBitmapClear *)tracker;

    return dl_kvm_log_get(tracker->context, clear->scratch, out, clear->collected, error);
}

/* Clears the collected bits of @pages, which lie in region @index and are no more than CLEAR_PAGES. */
static gboolean
clear_pages(KvmBitmapClear *clear, guint index, DlPageRange pages, GError **error)
{
    const DlTrackerContext *context = clear->base.context;
    DlPageRange region = dl_layout_region_pages(context->layout, index);
    guint64 start = dl_round_down(pages.first - region.first, 64);
    guint64 end = MIN(dl_round_up(pages.first + pages.count - region.first, 64), region.count);
    const guint64 *collected = dl_bitmap_words_const(clear->collected) + (region.first + start) / 64;
    guint64 n_words = (end - start + 63) / 64;
    guint64 before = pages.first - region.first - start;
    guint64 after = start + n_words * 64 - (pages.first + pages.count - region.first);
    struct kvm_clear_dirty_log log = {
        .slot = dl_layout_region(context->layout, index)->slot,
        .num_pages = (guint32)(end - start),
        .first_page = start,
        .dirty_bitmap = clear->scratch,
    };

    memcpy(clear->scratch, collected, n_words * sizeof(guint64));
    clear->scratch[0] &= ~UINT64_C(0) << before;
    clear->scratch[n_words - 1] &= ~UINT64_C(0) >> after;
    if (ioctl(context->host->vm_fd, KVM_CLEAR_DIRTY_LOG, &log)) {
        dl_set_error(error, dl_error_from_errno(errno), errno, NULL, "KVM_CLEAR_DIRTY_LOG of slot %u", log.slot);
        return FALSE;
    }
    dl_bitmap_clear_range(clear->collected, pages);
    return TRUE;
}

static gboolean
clear_region(KvmBitmapClear *clear, guint index, guint64 first, guint64 end, GError **error)
{
    DlPageRange run = {.first = first};

    /* From the first collected bit on, so that a clean range costs no call; never more than one call's worth. */
    while (dl_bitmap_next_run(clear->collected, run.first + run.count, end, &run)) {
        DlPageRange pages = {run.first, MIN(end - run.first, CLEAR_PAGES)};
        if (!clear_pages(clear, index, pages, error))
            return FALSE;
        run = pages;
    }
    return TRUE;
}

static gboolean
kvm_bitmap_clear_rearm(DlTracker *tracker, DlPageRange range, DlBitmap *out, GError **error)
{
    const DlLayout *layout = tracker->context->layout;

    (void)out; /* what was written since the get keeps its bit for the next collect */
    for (guint i = 0; i < dl_layout_n_regions(layout); i++) {
        DlPageRange region = dl_layout_region_pages(layout, i);
        guint64 first = MAX(range.first, region.first);
        guint64 end = MIN(range.first + range.count, region.first + region.count);
        if (first < end && !clear_region((KvmBitmapClear *)tracker, i, first, end, error))
            return FALSE;
    }
    return TRUE;
}

/* The flag before the capability: a slot that another tracker still logs goes on in the mode that it knows. */
static void
kvm_bitmap_clear_release(DlTracker *tracker)
{
    dl_log_flag_release(tracker->context->log_flag);
    unset_manual(tracker);
}

static void
kvm_bitmap_clear_free(DlTracker *tracker)
{
    KvmBitmapClear *clear = (KvmBitmapClear *)tracker;

    g_free(clear->scratch);
    dl_bitmap_free(clear->collected);
    g_free(clear);
}

const DlTrackerClass dl_kvm_bitmap_clear_class = {
    .facts =
        {
            .name = "kvm-bitmap-clear",
            .interface = "KVM_GET_DIRTY_LOG and KVM_CLEAR_DIRTY_LOG (KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2)",
            .holds = DL_HOLDS_MEMSLOT_LOG,
            .rearm = DL_REARM_BY_RANGE,
            .unseen = DL_WRITER_VMM | DL_WRITER_VMM_SYSCALL | DL_WRITER_ALIAS,
            .kernel = "5.2",
            .privileges = "read and write on /dev/kvm",
        },
    .plain_collect = TRUE,
    .unit = kvm_bitmap_clear_unit,
    .probe = kvm_bitmap_clear_probe,
    .new = kvm_bitmap_clear_new,
    .arm = kvm_bitmap_clear_arm,
    .collect = kvm_bitmap_clear_collect,
    .rearm = kvm_bitmap_clear_rearm,
    .release = kvm_bitmap_clear_release,
    .free = kvm_bitmap_clear_free,
};
