/* SPDX-License-Identifier: MIT */
/*
 * kvm-bitmap: KVM_GET_DIRTY_LOG, which hands out the slot's dirty bitmap, clears it and write-protects what was set, all at once.
 * It sees what vCPUs and KVM itself write, page by page on any backing: a slot that is logged is mapped in 4 KiB.
 */
#include "dirtylog/kvm_log.h"
#include "dirtylog/log_flag.h"
#include "dirtylog/trackers.h"
#include "dirtylog/trial.h"

typedef struct {
    DlTracker base;
    guint64 *scratch;
} KvmBitmap;

static guint64
kvm_bitmap_unit(DlRamKind kind)
{
    (void)kind;
    return DL_PAGE_SIZE;
}

static gboolean
kvm_bitmap_probe(DlRamKind kind, char **remedy, GError **error)
{
    (void)remedy;
    return dl_trial_kvm(&dl_kvm_bitmap_class, kind, 0, error);
}

static DlTracker *
kvm_bitmap_new(const DlTrackerContext *context, GError **error)
{
    if (!dl_kvm_log_check(context, error))
        return NULL;

    KvmBitmap *bitmap = g_new0(KvmBitmap, 1);
    bitmap->base = (DlTracker){&dl_kvm_bitmap_class, context};
    bitmap->scratch = dl_kvm_log_scratch(context->layout);
    return &bitmap->base;
}

static gboolean
kvm_bitmap_arm(DlTracker *tracker, GError **error)
{
    return dl_log_flag_acquire(tracker->context->log_flag, error);
}

static gboolean
kvm_bitmap_collect(DlTracker *tracker, DlBitmap *out, GError **error)
{
    return dl_kvm_log_get(tracker->context, ((KvmBitmap *)tracker)->scratch, out, NULL, error);
}

static void
kvm_bitmap_release(DlTracker *tracker)
{
    dl_log_flag_release(tracker->context->log_flag);
}

static void
kvm_bitmap_free(DlTracker *tracker)
{
    g_free(((KvmBitmap *)tracker)->scratch);
    g_free(tracker);
}

const DlTrackerClass dl_kvm_bitmap_class = {
    .facts =
        {
            .name = "kvm-bitmap",
            .interface = "KVM_GET_DIRTY_LOG",
            .holds = DL_HOLDS_MEMSLOT_LOG,
            .rearm = DL_REARM_WITH_COLLECT,
            .unseen = DL_WRITER_VMM | DL_WRITER_VMM_SYSCALL | DL_WRITER_ALIAS,
            .kernel = "2.6.20",
            .privileges = "read and write on /dev/kvm",
        },
    .plain_collect = TRUE,
    .unit = kvm_bitmap_unit,
    .probe = kvm_bitmap_probe,
    .new = kvm_bitmap_new,
    .arm = kvm_bitmap_arm,
    .collect = kvm_bitmap_collect,
    .release = kvm_bitmap_release,
    .free = kvm_bitmap_free,
};
