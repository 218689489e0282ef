/* SPDX-License-Identifier: MIT */
/*
 * A slot changes between two harvests: its log flag off and on, removed and added, moved away and back, or added without the flag. The
 * bitmap belongs to the slot and goes with it; a ring's entries and the protection of a userfaultfd do not.
 */
#include "semantics/cases.h"
#include "semantics/kvm.h"

#define RING_ENTRIES 4096
#define ELSEWHERE (UINT64_C(4) << 30)

enum {
    TOGGLED,
    REMOVED,
    MOVED,
    HARVESTED = 8, /* before the change, as a VMM has to */
};

static gboolean
change_slot(const Scene *scene, GError **error)
{
    guint64 size = scene->memory->size;
    /* The trackers that are none of KVM's leave the flag off. */
    gboolean logging = scene->cell->tracker->holds == DL_HOLDS_MEMSLOT_LOG || scene->cell->tracker->holds == DL_HOLDS_RING;

    switch (scene->cell->about->variant & ~HARVESTED) {
    case TOGGLED:
        return kvm_set_slot(scene, 0, size, !logging, error) && kvm_set_slot(scene, 0, size, logging, error);
    case REMOVED:
        return kvm_set_slot(scene, 0, 0, FALSE, error) && kvm_set_slot(scene, 0, size, logging, error);
    default:
        return kvm_set_slot(scene, ELSEWHERE, size, logging, error) && kvm_set_slot(scene, 0, size, logging, error);
    }
}

static gboolean
run(Cell *cell, GError **error)
{
    g_autoptr(Scene) scene = scene_open_vm(cell, RING_ENTRIES, error);

    if (!scene || !scene_arm(scene, error) || !scene_guest_store(scene, 1, error))
        return FALSE;
    /* The control of each is the other. */
    gboolean harvested = (cell->about->variant & HARVESTED) != 0;
    if (harvested == cell_step(cell) && !scene_harvest(scene, error))
        return FALSE;
    if (!change_slot(scene, error) || !scene_guest_store(scene, 2, error) || !scene_harvest(scene, error))
        return FALSE;
    return scene_guest_store(scene, 1, error) && scene_harvest(scene, error);
}

#define TRACKERS KVM_TRACKERS ",pagemap-scan,uffd-wp"
#define BITMAPS "kvm-bitmap,kvm-bitmap-clear" /* what a ring holds stands the change */
#define REQUIRED "what the guest wrote before the change, and after it, is reported"
#define FINDING                                                                                                                            \
    "A slot's dirty bitmap goes with its log flag and with the slot itself: harvest it, with the vCPUs stopped, before any change of the " \
    "slot."

const SemanticsCase case_kvm_flag_toggled = {
    .name = "kvm.flag-toggled",
    .required = REQUIRED,
    .left_out = "leaving the harvest until after the change",
    .finding = FINDING,
    .trackers = TRACKERS,
    .run = run,
    .variant = TOGGLED,
};
const SemanticsCase case_kvm_flag_toggled_told = {
    .name = "kvm.flag-toggled-told",
    .required = REQUIRED,
    .left_out = "the harvest before the change",
    .trackers = BITMAPS,
    .run = run,
    .variant = TOGGLED | HARVESTED,
};
const SemanticsCase case_kvm_slot_removed = {
    .name = "kvm.slot-removed",
    .required = REQUIRED,
    .left_out = "leaving the harvest until after the change",
    .finding = FINDING,
    .trackers = TRACKERS,
    .run = run,
    .variant = REMOVED,
};
const SemanticsCase case_kvm_slot_removed_told = {
    .name = "kvm.slot-removed-told",
    .required = REQUIRED,
    .left_out = "the harvest before the change",
    .trackers = BITMAPS,
    .run = run,
    .variant = REMOVED | HARVESTED,
};
const SemanticsCase case_kvm_slot_moved = {
    .name = "kvm.slot-moved",
    .required = REQUIRED,
    .left_out = "leaving the harvest until after the change",
    .finding = FINDING,
    .trackers = TRACKERS,
    .run = run,
    .variant = MOVED,
};

/* Added without the flag, as a hotplug that does not know of a migration under way. */
static gboolean
run_added(Cell *cell, GError **error)
{
    g_autoptr(Scene) scene = scene_open_vm(cell, 0, error);
    g_autoptr(GError) refusal = NULL;

    if (!scene || !kvm_set_slot(scene, 0, 0, FALSE, error) ||
        !kvm_set_slot(scene, 0, scene->memory->size, !cell_step(cell), error) || !scene_guest_store(scene, 1, error))
        return FALSE;
    if (kvm_judge(scene, &refusal))
        return TRUE;
    cell_refused(cell, "%s", refusal->message);
    return FALSE;
}

const SemanticsCase case_kvm_slot_added = {
    .name = "kvm.slot-added",
    .required = "a slot that was added without logging says so when it is asked",
    .left_out = "leaving out the flag",
    .trackers = "kvm-bitmap",
    .run = run_added,
};
