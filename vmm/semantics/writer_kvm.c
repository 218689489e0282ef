/* SPDX-License-Identifier: MIT */
/* KVM itself writes to guest RAM: the clock and the steal time, at the next run after they were set, in the vCPU's context. */
#include <sys/ioctl.h>

#include "semantics/cases.h"
#include "semantics/writer.h"

#define RING_ENTRIES 4096
#define MSR_CLOCK 0x4b564d01
#define MSR_STEAL_TIME 0x4b564d03
#define CLOCK_PLACE 2

static gboolean
set_msr(const Scene *scene, guint32 index, guint64 value, GError **error)
{
    struct {
        struct kvm_msrs head;
        struct kvm_msr_entry entry;
    } msrs = {.head.nmsrs = 1, .entry = {.index = index, .data = value}};

    if (ioctl(scene->vm.vcpu, KVM_SET_MSRS, &msrs) == 1)
        return TRUE;
    return cell_unsupported(error, "this KVM does not take MSR 0x%x", index);
}

static gboolean
run(Cell *cell, GError **error)
{
    g_autoptr(Scene) scene = scene_open_vm(cell, RING_ENTRIES, error);
    guint64 gpa = scene ? scene_page(scene, CLOCK_PLACE) * DL_PAGE_SIZE : 0;

    if (!scene || !scene_arm(scene, error))
        return FALSE;
    for (guint round = 0; round < 2; round++) {
        /* The same value again: the structure is written anew. */
        if (cell_step(cell) && !set_msr(scene, (guint32)cell->about->variant, gpa | 1, error))
            return FALSE;
        scene_remember(scene);
        if (!scene_guest_store(scene, 0, error))
            return FALSE;
        scene_mark_changed(scene);
        if (!scene_harvest(scene, error))
            return FALSE;
    }
    return TRUE;
}

const SemanticsCase case_writer_kvmclock = {
    .name = "writer.kvmclock",
    .required = "the page that KVM wrote its clock to is reported",
    .left_out = "the clock",
    .trackers = KVM_TRACKERS "," PLAIN_TRACKERS,
    .run = run,
    .variant = MSR_CLOCK,
};
const SemanticsCase case_writer_steal_time = {
    .name = "writer.steal-time",
    .required = "the page that KVM wrote the steal time to is reported",
    .left_out = "the steal time",
    .trackers = KVM_TRACKERS "," PLAIN_TRACKERS,
    .run = run,
    .variant = MSR_STEAL_TIME,
};
