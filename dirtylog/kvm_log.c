/* SPDX-License-Identifier: MIT */
/*
 * KVM_GET_DIRTY_LOG. A region's bits start at a multiple of 64, so that its slot's bitmap is ORed in by words. What KVM might
 * return past the slot's last page is masked off.
 */
#include "dirtylog/kvm_log.h"

#include <sys/ioctl.h>

#include "dirtylog/private.h"
#include "dirtylog/uapi.h"
#include "dirtylog/words.h"

gboolean
dl_kvm_log_check(const DlTrackerContext *context, GError **error)
{
    if (context->host->vm_fd < 0) {
        dl_set_error(error, DL_ERROR_UNSUPPORTED, 0, NULL, "KVM's dirty bitmaps need a KVM VM, and there is none");
        return FALSE;
    }
    if (context->host->dirty_ring_bytes) {
        dl_set_error(error, DL_ERROR_UNSUPPORTED, 0, "a VM made without dirty rings",
                     "this VM was made with dirty rings, and KVM_GET_DIRTY_LOG answers ENXIO on such a VM");
        return FALSE;
    }
    if (!context->host->set_logging) {
        dl_set_error(error, DL_ERROR_UNSUPPORTED, 0, NULL, "the program gave no way to switch a memslot's dirty log on");
        return FALSE;
    }
    return TRUE;
}

guint64 *
dl_kvm_log_scratch(const DlLayout *layout)
{
    guint64 most = 0;

    for (guint i = 0; i < dl_layout_n_regions(layout); i++)
        most = MAX(most, dl_layout_region_pages(layout, i).count);
    return g_new0(guint64, most / 64 + 1);
}

gboolean
dl_kvm_log_get(const DlTrackerContext *context, guint64 *scratch, DlBitmap *out, DlBitmap *also, GError **error)
{
    for (guint i = 0; i < dl_layout_n_regions(context->layout); i++) {
        const DlRegion *region = dl_layout_region(context->layout, i);
        DlPageRange pages = dl_layout_region_pages(context->layout, i);
        guint64 n_words = (pages.count + 63) / 64;
        struct kvm_dirty_log log = {.slot = region->slot, .dirty_bitmap = scratch};

        if (ioctl(context->host->vm_fd, KVM_GET_DIRTY_LOG, &log)) {
            dl_set_error(error, dl_error_from_errno(errno), errno, NULL, "KVM_GET_DIRTY_LOG of slot %u", region->slot);
            return FALSE;
        }
        if (pages.count % 64)
            scratch[n_words - 1] &= ~UINT64_C(0) >> (64 - pages.count % 64);
        guint64 *into[] = {dl_bitmap_words(out) + pages.first / 64, also ? dl_bitmap_words(also) + pages.first / 64 : NULL};
        dl_or_words(into, also ? 2 : 1, scratch, n_words, FALSE);
    }
    return TRUE;
}
