/* SPDX-License-Identifier: MIT */
/* The guest writes between the collect and the re-arm of a harvest: to a page that was collected, and to its neighbours in the window. */
#include "semantics/cases.h"
#include "semantics/kvm.h"

#define RING_ENTRIES 4096

static void
take(Scene *scene, DlBitmap *into)
{
    dl_consumer_take(scene->consumer, (DlPageRange){0, dl_bitmap_size(into)}, into);
}

static gboolean
run(Cell *cell, GError **error)
{
    g_autoptr(Scene) scene = scene_open_vm(cell, RING_ENTRIES, error);
    g_autoptr(DlBitmap) taken = scene ? dl_bitmap_new(dl_layout_n_bits(scene->layout)) : NULL;

    if (!scene || !scene_arm(scene, error) || !scene_guest_store(scene, 1, error) || !dl_log_collect(scene->log, error))
        return FALSE;
    /* The control reads what was collected too early: that copy is stale when the guest writes again. */
    if (!cell_step(cell)) {
        take(scene, taken);
        dl_bitmap_clear_all(taken);
    }
    if (!scene_guest_store(scene, 1, error) || !scene_guest_store(scene, 2, error) ||
        !dl_log_rearm(scene->log, (DlPageRange){0, dl_bitmap_size(taken)}, error))
        return FALSE;
    take(scene, taken);
    if (!scene_skip(scene, error))
        return FALSE;
    dl_bitmap_or(scene->found, taken);
    dl_bitmap_clear_range(scene->found, (DlPageRange){0, MAX(scene->unit, TINY_VM_OWN_PAGES)});
    cell_judge(cell, scene->must, scene->allowed, scene->found);
    return TRUE;
}

const SemanticsCase case_kvm_write_between = {
    .name = "kvm.write-between",
    .required = "what the guest writes between a collect and its re-arm is reported by the re-arm or the next collect",
    .left_out = "re-arming before the pages are read",
    .trackers = KVM_TRACKERS "," PLAIN_TRACKERS,
    .run = run,
};
