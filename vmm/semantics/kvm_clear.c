/* SPDX-License-Identifier: MIT */
/*
 * KVM_CLEAR_DIRTY_LOG, by the words of Documentation/virt/kvm/api.rst 4.117: start and length are multiples of 64 pages, and every bit that
 * is set in the caller's bitmap is cleared and its page protected. A bit that the caller never read, or has used already, takes
 * a write with it that nobody was told of.
 */
#include <errno.h>

#include "semantics/cases.h"
#include "semantics/kvm.h"

#define WINDOW 64

static gboolean
begin(Scene *scene, GError **error)
{
    return kvm_manual(scene, KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE, error) &&
           kvm_set_slot(scene, 0, scene->memory->size, TRUE, error);
}

/* The window of the place, of which only @bits is cleared. */
static gboolean
clear_window(const Scene *scene, guint place, DlBitmap *bits)
{
    return kvm_clear(scene, (guint32)(scene_page(scene, place) / WINDOW * WINDOW), WINDOW, bits);
}

static gboolean
run_unaligned(Cell *cell, GError **error)
{
    g_autoptr(Scene) scene = scene_open_vm(cell, 0, error);
    g_autoptr(DlBitmap) bits = scene ? dl_bitmap_new(dl_layout_n_bits(scene->layout)) : NULL;

    if (!scene || !begin(scene, error) || !scene_guest_store(scene, 1, error) || !kvm_get(scene, bits, error))
        return FALSE;
    if (!kvm_clear(scene, cell_step(cell) ? 1 : 0, WINDOW, bits)) {
        cell_refused(cell, "KVM_CLEAR_DIRTY_LOG from page 1 on: %s", g_strerror(errno));
        return FALSE;
    }
    scene_guest_store(scene, 1, NULL);
    return kvm_judge(scene, error);
}

const SemanticsCase case_kvm_clear_unaligned = {
    .name = "kvm.clear-unaligned",
    .required = "a range that begins inside a word of the bitmap is refused",
    .left_out = "the offset",
    .trackers = "kvm-bitmap-clear",
    .run = run_unaligned,
};

/* The last window is shorter than 64 pages: its length is the slot's rest exactly, and never rounded up. */
static gboolean
run_tail(Cell *cell, GError **error)
{
    g_autoptr(Scene) scene = scene_open_vm(cell, 0, error);
    g_autoptr(DlBitmap) bits = scene ? dl_bitmap_new(dl_layout_n_bits(scene->layout)) : NULL;

    if (!scene)
        return FALSE;
    guint64 rest = 43, last = (scene->pages - WINDOW) / WINDOW * WINDOW;
    if (!kvm_manual(scene, KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE, error) || !kvm_set_slot(scene, 0, 0, FALSE, error) ||
        !kvm_set_slot(scene, 0, (last + rest) * DL_PAGE_SIZE, TRUE, error))
        return FALSE;
    for (guint round = 0; round < 2; round++) {
        if (!tiny_vm_store(&scene->vm, (last + rest - 1) * DL_PAGE_SIZE, error))
            return FALSE;
        scene_mark_page(scene, last + rest - 1);
        if (!kvm_judge(scene, error) || !kvm_get(scene, bits, error))
            return FALSE;
        if (!kvm_clear(scene, (guint32)last, cell_step(cell) ? WINDOW : (guint32)rest, bits)) {
            cell_refused(cell, "KVM_CLEAR_DIRTY_LOG past the slot's end: %s", g_strerror(errno));
            return FALSE;
        }
    }
    return TRUE;
}

const SemanticsCase case_kvm_clear_tail = {
    .name = "kvm.clear-tail",
    .required = "a range that reaches past the slot's end is refused, one that ends with it inside a word is cleared",
    .left_out = "the length past the end",
    .trackers = "kvm-bitmap-clear",
    .run = run_tail,
};

static gboolean
run_overlap(Cell *cell, GError **error)
{
    g_autoptr(Scene) scene = scene_open_vm(cell, 0, error);
    g_autoptr(DlBitmap) bits = scene ? dl_bitmap_new(dl_layout_n_bits(scene->layout)) : NULL;

    if (!scene || !begin(scene, error) || !scene_guest_store(scene, 1, error) || !kvm_get(scene, bits, error))
        return FALSE;
    dl_bitmap_clear_all(scene->must);
    if (!clear_window(scene, 1, bits))
        return cell_fail(error, "KVM_CLEAR_DIRTY_LOG");
    /* Written again after its re-arm: the second clear of the same window must not take that away. */
    if (!scene_guest_store(scene, 1, error) || (cell_step(cell) && !clear_window(scene, 1, bits)))
        return FALSE;
    return kvm_judge(scene, error);
}

const SemanticsCase case_kvm_clear_overlap = {
    .name = "kvm.clear-overlap",
    .required = "a page written after one clear is reported though a second clear overlaps it",
    .left_out = "the second clear",
    .finding =
        "KVM_CLEAR_DIRTY_LOG of overlapping ranges with the bits of one get loses what was written between the clears: use each bit once.",
    .trackers = "kvm-bitmap-clear",
    .run = run_overlap,
};

static gboolean
run_full_mask(Cell *cell, GError **error)
{
    g_autoptr(Scene) scene = scene_open_vm(cell, 0, error);
    g_autoptr(DlBitmap) bits = scene ? dl_bitmap_new(dl_layout_n_bits(scene->layout)) : NULL;

    if (!scene || !begin(scene, error) || !kvm_get(scene, bits, error) || !scene_guest_store(scene, 1, error))
        return FALSE;
    if (cell_step(cell))
        dl_bitmap_set_range(bits, (DlPageRange){0, dl_bitmap_size(bits)});
    if (!clear_window(scene, 1, bits))
        return cell_fail(error, "KVM_CLEAR_DIRTY_LOG");
    return kvm_judge(scene, error);
}

const SemanticsCase case_kvm_clear_full_mask = {
    .name = "kvm.clear-full-mask",
    .required = "a page written between get and clear is reported by the next get",
    .left_out = "the full mask",
    .finding =
        "KVM_CLEAR_DIRTY_LOG with bits that the get did not return loses what was written since: clear exactly what was read.",
    .trackers = "kvm-bitmap-clear",
    .run = run_full_mask,
};

static gboolean
run_initially_set(Cell *cell, GError **error)
{
    g_autoptr(Scene) scene = scene_open_vm(cell, 0, error);
    guint64 flags = KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | (cell_step(cell) ? KVM_DIRTY_LOG_INITIALLY_SET : 0);

    if (!scene || !kvm_manual(scene, flags, error) || !kvm_set_slot(scene, 0, scene->memory->size, TRUE, error) ||
        !scene_guest_store(scene, 1, error))
        return FALSE;
    return kvm_judge(scene, error);
}

const SemanticsCase case_kvm_initially_set = {
    .name = "kvm.initially-set",
    .required = "the first get reports at least what was written",
    .left_out = "KVM_DIRTY_LOG_INITIALLY_SET",
    .trackers = "kvm-bitmap-clear",
    .run = run_initially_set,
};
