/* SPDX-License-Identifier: MIT */
/* The guest only reads. KVM may install a writable entry for the page all the same, and then has to count it as written. */
#include "semantics/cases.h"
#include "semantics/kvm.h"

#define RING_ENTRIES 4096

static gboolean
run(Cell *cell, GError **error)
{
    g_autoptr(Scene) scene = scene_open_vm(cell, RING_ENTRIES, error);
    guint full = 0;

    if (!scene || !scene_arm(scene, error))
        return FALSE;
    for (guint round = 0; round < 2; round++) {
        for (guint place = 1; cell_step(cell) && place < 4; place++)
            if (!kvm_run(scene, KVM_PROGRAM_LOAD, scene_page(scene, place), 1, FALSE, &full, error))
                return FALSE;
        if (!scene_guest_store(scene, round, error) || !scene_harvest(scene, error))
            return FALSE;
    }
    return TRUE;
}

const SemanticsCase case_kvm_read_fault = {
    .name = "kvm.read-fault",
    .required = "a page that the guest only reads need not be reported; one that it reads and then writes is",
    .left_out = "the loads",
    .trackers = KVM_TRACKERS "," PLAIN_TRACKERS,
    .run = run,
};
