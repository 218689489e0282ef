/* SPDX-License-Identifier: MIT */
/*
 * The dirty ring at its limits (Documentation/virt/kvm/api.rst 8.29). Near full, KVM_RUN ends with KVM_EXIT_DIRTY_RING_FULL, until entries are
 * reset; an emulated ring 0 stores in batches and can run past the end. Small: 1024 entries, some of them in reserve.
 */
#include "semantics/cases.h"
#include "semantics/kvm.h"

#define RING_ENTRIES 1024
#define FIRST 512
#define MANY 3000
#define FEW 600
#define ROUNDS 5

enum {
    SOFT_FULL,
    RING0,
};

static void
mark(Scene *scene, guint64 count)
{
    for (guint64 page = FIRST; page < FIRST + count; page++)
        scene_mark_page(scene, page);
}

static gboolean
run_many(Cell *cell, GError **error)
{
    g_autoptr(Scene) scene = scene_open_vm(cell, RING_ENTRIES, error);
    guint full = 0;
    DlLogStats stats;

    if (!scene || (cell->about->variant == RING0 && !kvm_enter_ring0(scene, error)) || !scene_arm(scene, error) ||
        !kvm_run(scene, KVM_PROGRAM_STORE, FIRST, MANY, FALSE, &full, error))
        return FALSE;
    mark(scene, MANY);
    if (!scene_harvest(scene, error))
        return FALSE;
    dl_log_stats(scene->log, &stats);
    cell_say(cell, "%u exits, %" G_GUINT64_FORMAT " overflows", full, stats.ring_overflows);
    if (stats.ring_overflows)
        cell_find(
            cell,
            "The dirty ring overflows inside the kernel where ring 0 is emulated in batches, and drops entries without an exit: a VMM "
            "has to detect a ring found full, report all RAM dirty and find the ring's position again, as libdirtylog does.");
    /* And the ring is in order afterwards. */
    if (!scene_guest_store(scene, 1, error))
        return FALSE;
    return scene_harvest(scene, error);
}

const SemanticsCase case_kvm_ring_soft_full = {
    .name = "kvm.ring-soft-full",
    .required =
        "a guest that writes more pages than the ring holds loses none: each is reported by an exit's harvest or the next",
    .trackers = "kvm-ring",
    .rams = "shmem-thp,hugetlb-2M",
    .run = run_many,
    .variant = SOFT_FULL,
};
const SemanticsCase case_kvm_ring_overflow = {
    .name = "kvm.ring-overflow",
    .required = "stores in ring 0, which may be emulated in batches, lose no page, and the ring is in order afterwards",
    .trackers = "kvm-ring",
    .rams = "shmem-thp,hugetlb-2M",
    .run = run_many,
    .variant = RING0,
};

static gboolean
run_ignored(Cell *cell, GError **error)
{
    g_autoptr(Scene) scene = scene_open_vm(cell, RING_ENTRIES, error);
    guint full = 0;

    if (!scene || !scene_arm(scene, error) || !kvm_run(scene, KVM_PROGRAM_STORE, FIRST, MANY, cell_step(cell), &full, error))
        return FALSE;
    if (cell_step(cell) && full > 10) {
        cell_refused(cell, "KVM_RUN ends with KVM_EXIT_DIRTY_RING_FULL until the ring is reset");
        return FALSE;
    }
    mark(scene, MANY);
    return scene_harvest(scene, error);
}

const SemanticsCase case_kvm_ring_ignored = {
    .name = "kvm.ring-ignored",
    .required = "a vCPU whose full ring nobody resets does not run on",
    .left_out = "ignoring the exit",
    .trackers = "kvm-ring",
    .rams = "shmem-thp,hugetlb-2M",
    .run = run_ignored,
};

static gboolean
run_wrapped(Cell *cell, GError **error)
{
    g_autoptr(Scene) scene = scene_open_vm(cell, RING_ENTRIES, error);
    guint full = 0;

    if (!scene || !scene_arm(scene, error))
        return FALSE;
    for (guint round = 0; round < ROUNDS; round++) {
        if (!kvm_run(scene, KVM_PROGRAM_STORE, FIRST, FEW, FALSE, &full, error))
            return FALSE;
        mark(scene, FEW);
        if (!scene_harvest(scene, error))
            return FALSE;
    }
    return TRUE;
}

const SemanticsCase case_kvm_ring_wrapped = {
    .name = "kvm.ring-wrapped",
    .required = "every page is reported when the ring's index runs past its end and begins anew",
    .trackers = "kvm-ring",
    .rams = "shmem-thp,hugetlb-2M",
    .run = run_wrapped,
};
