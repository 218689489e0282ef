/* SPDX-License-Identifier: MIT */
/*
 * One vCPU and three instructions.
 *
 * The vCPU starts in 64-bit mode and ring 3, since a KVM that emulates ring 0 may not know every instruction there, and
 * identity-maps the first 5 GiB by huge pages whose accessed and dirty bits are set, so that the page walk has nothing to
 * write. It stores to the address in RDI and then to an address with nothing behind it, which ends KVM_RUN with an MMIO exit.
 */
#include "dirtylog/tiny_vm.h"

#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "dirtylog/private.h"
#include "dirtylog/uapi.h"

#define CODE_GPA 0x1000
#define PML4_GPA 0x2000
#define PDPT_GPA 0x3000
#define PD_GPA 0x4000 /* and the four pages after it */
#define N_PDS UINT64_C(5)
#define RUN_LIMIT 100

static gboolean
fail(GError **error, const char *what)
{
    int saved_errno = errno;

    dl_set_error(error, dl_error_from_errno(saved_errno), saved_errno, NULL, "%s", what);
    return FALSE;
}

static gboolean
open_kvm(TinyVm *vm, GError **error)
{
    vm->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (vm->kvm >= 0)
        return TRUE;
    if (errno == ENOENT)
        dl_set_error(error, DL_ERROR_UNSUPPORTED, 0,
                     "modprobe kvm_intel or kvm_amd, and virtualization switched on in the firmware, or nested",
                     "there is no /dev/kvm");
    else if (errno == EACCES || errno == EPERM)
        dl_set_error(error, DL_ERROR_PERMISSION, 0, "usermod -aG kvm USER, and log in again", "no permission on /dev/kvm");
    else
        dl_set_error(error, DL_ERROR_UNSUPPORTED, errno, NULL, "opening /dev/kvm");
    return FALSE;
}

static gboolean
enable_ring(TinyVm *vm, GError **error)
{
    struct kvm_enable_cap cap = {.cap = KVM_CAP_DIRTY_LOG_RING_ACQ_REL, .args = {vm->ring_bytes}};

    if (vm->ring_bytes == 0)
        return TRUE;
    if (ioctl(vm->vm, KVM_CHECK_EXTENSION, KVM_CAP_DIRTY_LOG_RING_ACQ_REL) <= 0)
        cap.cap = KVM_CAP_DIRTY_LOG_RING;
    if (ioctl(vm->vm, KVM_ENABLE_CAP, &cap) == 0)
        return TRUE;
    dl_set_error(error, DL_ERROR_UNSUPPORTED, errno, "Linux 5.11 or newer", "this KVM has no dirty rings");
    return FALSE;
}

static gboolean
set_slot(TinyVm *vm, const DlRegion *of, gboolean logging, GError **error)
{
    struct kvm_userspace_memory_region region = {
        .slot = of->slot,
        .flags = logging ? KVM_MEM_LOG_DIRTY_PAGES : 0,
        .guest_phys_addr = of->gpa,
        .memory_size = of->size,
        .userspace_addr = (guint64)(guintptr)of->hva,
    };

    return ioctl(vm->vm, KVM_SET_USER_MEMORY_REGION, &region) == 0 || fail(error, "KVM_SET_USER_MEMORY_REGION");
}

static gboolean
set_slots(TinyVm *vm, GError **error)
{
    for (guint i = 0; i < dl_layout_n_regions(vm->layout); i++) {
        if (!set_slot(vm, dl_layout_region(vm->layout, i), FALSE, error))
            return FALSE;
    }
    return TRUE;
}

static gboolean
set_logging(gpointer user, guint32 slot, gboolean on, GError **error)
{
    TinyVm *vm = user;

    for (guint i = 0; i < dl_layout_n_regions(vm->layout); i++) {
        if (dl_layout_region(vm->layout, i)->slot == slot)
            return set_slot(vm, dl_layout_region(vm->layout, i), on, error);
    }
    return FALSE;
}

static void
write_guest(guint8 *ram)
{
    /* mov %al,(%rdi); 1: mov %al,TINY_VM_EXIT_GPA; jmp 1b */
    static const guint8 code[] = {0x88, 0x07, 0x88, 0x04, 0x25, 0x00, 0x00, 0x00, 0x30, 0xeb, 0xf7};
    guint64 *pd = (guint64 *)(ram + PD_GPA);

    memcpy(ram + CODE_GPA, code, sizeof(code));
    *(guint64 *)(ram + PML4_GPA) = PDPT_GPA | 0x67; /* present, writable, user, accessed, dirty */
    for (guint64 i = 0; i < N_PDS; i++)
        ((guint64 *)(ram + PDPT_GPA))[i] = (PD_GPA + i * DL_PAGE_SIZE) | 0x67;
    for (guint64 i = 0; i < 512 * N_PDS; i++)
        pd[i] = i << 21 | 0xe7; /* and 2 MiB */
}

static gboolean
set_registers(TinyVm *vm, GError **error)
{
    struct kvm_sregs sregs;
    struct kvm_segment code = {.limit = 0xffffffff, .selector = 0x33, .type = 11, .present = 1, .s = 1, .l = 1, .g = 1, .dpl = 3};
    struct kvm_segment data = {.limit = 0xffffffff, .selector = 0x2b, .type = 3, .present = 1, .s = 1, .db = 1, .g = 1, .dpl = 3};

    if (ioctl(vm->vcpu, KVM_GET_SREGS, &sregs))
        return fail(error, "KVM_GET_SREGS");
    sregs.cr3 = PML4_GPA;
    sregs.cr4 = 0x20;       /* PAE */
    sregs.cr0 = 0x80050033; /* paging, protected mode */
    sregs.efer = 0x500;     /* long mode */
    sregs.cs = code;
    sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
    return ioctl(vm->vcpu, KVM_SET_SREGS, &sregs) == 0 || fail(error, "KVM_SET_SREGS");
}

/* Long mode needs a CPUID that has it. */
static gboolean
set_cpuid(TinyVm *vm, GError **error)
{
    enum {
        ENTRIES = 256
    };
    g_autofree struct kvm_cpuid2 *cpuid = g_malloc0(sizeof(*cpuid) + ENTRIES * sizeof(struct kvm_cpuid_entry2));

    cpuid->nent = ENTRIES;
    return (ioctl(vm->kvm, KVM_GET_SUPPORTED_CPUID, cpuid) == 0 && ioctl(vm->vcpu, KVM_SET_CPUID2, cpuid) == 0) ||
           fail(error, "KVM_SET_CPUID2");
}

static gboolean
make_vcpu(TinyVm *vm, GError **error)
{
    vm->vcpu = ioctl(vm->vm, KVM_CREATE_VCPU, 0);
    int run_bytes = ioctl(vm->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
    if (vm->vcpu < 0 || run_bytes < 0)
        return fail(error, "KVM_CREATE_VCPU");

    vm->run_bytes = (gsize)run_bytes;
    vm->run = mmap(NULL, vm->run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, vm->vcpu, 0);
    if (vm->run == MAP_FAILED) {
        vm->run = NULL;
        return fail(error, "mapping kvm_run");
    }
    return set_cpuid(vm, error) && set_registers(vm, error);
}

gboolean
tiny_vm_open(TinyVm *vm, DlLayout *layout, guint32 ring_bytes, GError **error)
{
    const DlRegion *first = dl_layout_region(layout, 0);

    g_return_val_if_fail(first->gpa == 0 && first->size >= TINY_VM_OWN_PAGES * DL_PAGE_SIZE, FALSE);
    vm->ring_bytes = ring_bytes;
    vm->layout = dl_layout_ref(layout);
    if (!open_kvm(vm, error))
        return FALSE;
    vm->vm = ioctl(vm->kvm, KVM_CREATE_VM, 0);
    if (vm->vm < 0)
        return fail(error, "KVM_CREATE_VM");
    if (!enable_ring(vm, error) || !set_slots(vm, error))
        return FALSE;
    write_guest(first->hva);
    /* Intel needs a place for its task state where no slot is. AMD says yes and ignores it. */
    if (ioctl(vm->vm, KVM_SET_TSS_ADDR, 0xfffbd000UL))
        return fail(error, "KVM_SET_TSS_ADDR");
    return make_vcpu(vm, error);
}

void
tiny_vm_close(TinyVm *vm)
{
    if (vm->run)
        munmap(vm->run, vm->run_bytes);
    vm->run = NULL;
    dl_fd_clear(&vm->vcpu);
    dl_fd_clear(&vm->vm);
    dl_fd_clear(&vm->kvm);
    g_clear_pointer(&vm->layout, dl_layout_unref);
}

gboolean
tiny_vm_store(TinyVm *vm, guint64 gpa, GError **error)
{
    struct kvm_regs registers = {.rip = CODE_GPA, .rdi = gpa, .rax = 'D', .rflags = 2};

    if (ioctl(vm->vcpu, KVM_SET_REGS, &registers))
        return fail(error, "KVM_SET_REGS");
    for (guint runs = 0; runs < RUN_LIMIT; runs++) {
        if (ioctl(vm->vcpu, KVM_RUN, 0)) {
            if (errno == EINTR || errno == EAGAIN)
                continue;
            return fail(error, "KVM_RUN");
        }
        if (vm->run->exit_reason == KVM_EXIT_MMIO && vm->run->mmio.phys_addr == TINY_VM_EXIT_GPA)
            return TRUE;
        break;
    }
    dl_set_error(error, DL_ERROR_UNSUPPORTED, 0, NULL, "a guest of three instructions does not run here: KVM exit %u",
                 vm->run->exit_reason);
    return FALSE;
}

static int
vcpu_fd(gpointer user, guint vcpu)
{
    (void)vcpu;
    return ((TinyVm *)user)->vcpu;
}

/* The vCPU runs only inside tiny_vm_store(), on the one thread that there is. */
static gboolean
stands_already(gpointer user, GError **error)
{
    (void)user;
    (void)error;
    return TRUE;
}

static void
goes_nowhere(gpointer user)
{
    (void)user;
}

DlHost
tiny_vm_host(TinyVm *vm)
{
    return (DlHost){
        .vm_fd = vm->vm,
        .n_vcpus = 1,
        .vcpu_fd = vcpu_fd,
        .dirty_ring_bytes = vm->ring_bytes,
        .set_logging = set_logging,
        .kick = goes_nowhere,
        .pause = stands_already,
        .resume = goes_nowhere,
        .user = vm,
    };
}
