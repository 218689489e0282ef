/* SPDX-License-Identifier: MIT */
/* A vCPU stores, in ring 3 or in ring 0, where some KVMs emulate; and the VMM stores to the RAM of a VM, which KVM's own trackers do not see. */
#include "semantics/cases.h"
#include "semantics/kvm.h"
#include "semantics/writer.h"

#define RING_ENTRIES 4096

enum {
    RING3,
    RING0,
    VMM,
    VMM_TOLD,
};

static gboolean
store(Scene *scene, guint place, GError **error)
{
    int variant = scene->cell->about->variant;

    if (variant < VMM)
        return scene_guest_store(scene, place, error);
    scene_store(scene, place);
    return variant == VMM || dl_log_note_written(scene->log, scene_page(scene, place) * DL_PAGE_SIZE, DL_PAGE_SIZE);
}

static gboolean
run(Cell *cell, GError **error)
{
    g_autoptr(Scene) scene = scene_open_vm(cell, RING_ENTRIES, error);

    if (!scene || (cell->about->variant == RING0 && !kvm_enter_ring0(scene, error)))
        return FALSE;
    return writer_run_on(scene, store, error);
}

const SemanticsCase case_writer_guest = {
    .name = "writer.guest",
    .required = WRITER_REQUIRED,
    .left_out = "the store",
    .trackers = ALL_TRACKERS,
    .run = run,
    .variant = RING3,
};
const SemanticsCase case_writer_guest_ring0 = {
    .name = "writer.guest-ring0",
    .required = WRITER_REQUIRED,
    .left_out = "the store",
    .trackers = ALL_TRACKERS,
    .run = run,
    .variant = RING0,
};
const SemanticsCase case_writer_vmm = {
    .name = "writer.vmm",
    .required = WRITER_REQUIRED,
    .left_out = "the store",
    .trackers = ALL_TRACKERS,
    .run = run,
    .variant = VMM,
};
const SemanticsCase case_writer_vmm_told = {
    .name = "writer.vmm-told",
    .required = WRITER_REQUIRED,
    .left_out = "the store",
    .trackers = ALL_TRACKERS,
    .run = run,
    .variant = VMM_TOLD,
};
