/* SPDX-License-Identifier: MIT */
/* What the kvm cases share. */
#include "semantics/kvm.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "dirtylog/uapi.h"

#define STORE_GPA 0x1100 /* in the tiny VM's code page, behind its own code */
#define LOAD_GPA 0x1200
#define RUN_LIMIT 100000

/* 1: mov %al,(%rdi); add $0x1000,%rdi; dec %rcx; jnz 1b; 2: mov %al,TINY_VM_EXIT_GPA; jmp 2b */
static const guint8 store_code[] = {0x88, 0x07, 0x48, 0x81, 0xc7, 0x00, 0x10, 0x00, 0x00, 0x48, 0xff, 0xc9,
                                    0x75, 0xf2, 0x88, 0x04, 0x25, 0x00, 0x00, 0x00, 0x30, 0xeb, 0xf7};

static void
load_programs(const Scene *scene)
{
    guint8 *ram = scene->memory->hva;

    memcpy(ram + STORE_GPA, store_code, sizeof(store_code));
    memcpy(ram + LOAD_GPA, store_code, sizeof(store_code));
    ram[LOAD_GPA] = 0x8a; /* mov (%rdi),%al */
}

/* One KVM_RUN: its exit reason, or -1 with an error. */
static int
run_once(const Scene *scene, GError **error)
{
    while (ioctl(scene->vm.vcpu, KVM_RUN, 0)) {
        if (errno != EINTR && errno != EAGAIN) {
            cell_fail(error, "KVM_RUN");
            return -1;
        }
    }
    return (int)scene->vm.run->exit_reason;
}

gboolean
kvm_run(Scene *scene, KvmProgram program, guint64 page, guint64 count, gboolean ignore_full, guint *full_exits, GError **error)
{
    struct kvm_regs registers = {.rip = program == KVM_PROGRAM_STORE ? STORE_GPA : LOAD_GPA,
                                 .rdi = page * DL_PAGE_SIZE + 300,
                                 .rcx = count,
                                 .rax = 'K',
                                 .rflags = 2};

    load_programs(scene);
    if (ioctl(scene->vm.vcpu, KVM_SET_REGS, &registers))
        return cell_fail(error, "KVM_SET_REGS");
    for (guint runs = 0; runs < RUN_LIMIT; runs++) {
        int reason = run_once(scene, error);
        if (reason < 0)
            return FALSE;
        if (reason == KVM_EXIT_MMIO)
            return TRUE;
        if (reason != KVM_EXIT_DIRTY_RING_FULL)
            return cell_unsupported(error, "the guest left by KVM exit %d", reason);
        (*full_exits)++;
        if (ignore_full && *full_exits > 10)
            return TRUE;
        if (!ignore_full && !dl_log_ring_full(scene->log, 0, error))
            return FALSE;
    }
    return cell_unsupported(error, "the guest does not come to its end");
}

gboolean
kvm_enter_ring0(const Scene *scene, GError **error)
{
    struct kvm_sregs sregs;

    if (ioctl(scene->vm.vcpu, KVM_GET_SREGS, &sregs))
        return cell_fail(error, "KVM_GET_SREGS");
    sregs.cs.selector = 0x8;
    sregs.ss.selector = 0x10;
    sregs.cs.dpl = sregs.ss.dpl = 0;
    return ioctl(scene->vm.vcpu, KVM_SET_SREGS, &sregs) == 0 || cell_fail(error, "KVM_SET_SREGS");
}

gboolean
kvm_set_slot(const Scene *scene, guint64 gpa, guint64 size, gboolean logging, GError **error)
{
    struct kvm_userspace_memory_region region = {
        .flags = logging ? KVM_MEM_LOG_DIRTY_PAGES : 0,
        .guest_phys_addr = gpa,
        .memory_size = size,
        .userspace_addr = (guint64)(guintptr)scene->memory->hva,
    };

    return ioctl(scene->vm.vm, KVM_SET_USER_MEMORY_REGION, &region) == 0 || cell_fail(error, "KVM_SET_USER_MEMORY_REGION");
}

gboolean
kvm_manual(const Scene *scene, guint64 flags, GError **error)
{
    struct kvm_enable_cap cap = {.cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, .args = {flags}};

    if (ioctl(scene->vm.vm, KVM_ENABLE_CAP, &cap) == 0)
        return TRUE;
    return cell_unsupported(error, "this KVM has no KVM_CLEAR_DIRTY_LOG with these flags");
}

gboolean
kvm_get(const Scene *scene, DlBitmap *bits, GError **error)
{
    struct kvm_dirty_log get = {.dirty_bitmap = dl_bitmap_words(bits)};

    return ioctl(scene->vm.vm, KVM_GET_DIRTY_LOG, &get) == 0 || cell_fail(error, "KVM_GET_DIRTY_LOG");
}

gboolean
kvm_clear(const Scene *scene, guint32 first, guint32 count, DlBitmap *bits)
{
    struct kvm_clear_dirty_log clear = {
        .num_pages = count, .first_page = first, .dirty_bitmap = dl_bitmap_words(bits) + first / 64};

    return ioctl(scene->vm.vm, KVM_CLEAR_DIRTY_LOG, &clear) == 0;
}

gboolean
kvm_judge(Scene *scene, GError **error)
{
    dl_bitmap_clear_all(scene->found);
    if (!kvm_get(scene, scene->found, error))
        return FALSE;
    dl_bitmap_clear_range(scene->found, (DlPageRange){0, TINY_VM_OWN_PAGES});
    cell_judge(scene->cell, scene->must, scene->allowed, scene->found);
    dl_bitmap_clear_all(scene->must);
    dl_bitmap_clear_all(scene->allowed);
    return TRUE;
}
