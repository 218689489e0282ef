/* SPDX-License-Identifier: MIT */
/*
 * A VM as small as can be, to try KVM's trackers with a real guest store: one slot, one vCPU, and two instructions.
 *
 * The vCPU starts in 64-bit mode and ring 3, since a KVM that emulates ring 0 may not know every instruction there, and identity-maps
 * the first GiB by huge pages whose accessed and dirty bits are set, so that the page walk has nothing to write. It stores to the
 * address in RDI and then to an address with nothing behind it, which ends KVM_RUN with an MMIO exit.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "dirtylog/private.h"
#include "dirtylog/trial.h"
#include "dirtylog/uapi.h"

#define SLOT_BYTES (UINT64_C(2) << 20)
#define CODE_GPA 0x1000
#define PML4_GPA 0x2000
#define PDPT_GPA 0x3000
#define PD_GPA 0x4000
#define OWN_PAGES 16 /* code and tables; what nested paging writes there is not judged */
#define EXIT_GPA 0x30000000
#define RUN_LIMIT 100

typedef struct {
    int kvm;
    int vm;
    int vcpu;
    guint32 ring_bytes;
    struct kvm_run *run;
    gsize run_bytes;
    DlMemory *memory;
} Machine;

static gboolean
fail(GError **error, const char *what)
{
    int saved_errno = errno;

    dl_set_error(error, dl_error_from_errno(saved_errno), saved_errno, NULL, "%s", what);
    return FALSE;
}

static gboolean
open_kvm(Machine *machine, GError **error)
{
    machine->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (machine->kvm >= 0)
        return TRUE;
    if (errno == ENOENT)
        dl_set_error(error, DL_ERROR_UNSUPPORTED, 0, "modprobe kvm_intel or kvm_amd, and virtualization switched on in the firmware, or nested",
                     "there is no /dev/kvm");
    else if (errno == EACCES || errno == EPERM)
        dl_set_error(error, DL_ERROR_PERMISSION, 0, "usermod -aG kvm USER, and log in again", "no permission on /dev/kvm");
    else
        dl_set_error(error, DL_ERROR_UNSUPPORTED, errno, NULL, "opening /dev/kvm");
    return FALSE;
}

static gboolean
enable_ring(Machine *machine, GError **error)
{
    struct kvm_enable_cap cap = {.cap = KVM_CAP_DIRTY_LOG_RING_ACQ_REL, .args = {machine->ring_bytes}};

    if (machine->ring_bytes == 0)
        return TRUE;
    if (ioctl(machine->vm, KVM_CHECK_EXTENSION, KVM_CAP_DIRTY_LOG_RING_ACQ_REL) <= 0)
        cap.cap = KVM_CAP_DIRTY_LOG_RING;
    if (ioctl(machine->vm, KVM_ENABLE_CAP, &cap) == 0)
        return TRUE;
    dl_set_error(error, DL_ERROR_UNSUPPORTED, errno, "Linux 5.11 or newer", "this KVM has no dirty rings");
    return FALSE;
}

static gboolean
set_logging(gpointer user, guint32 slot, gboolean on, GError **error)
{
    Machine *machine = user;
    struct kvm_userspace_memory_region region = {
        .slot = slot,
        .flags = on ? KVM_MEM_LOG_DIRTY_PAGES : 0,
        .memory_size = SLOT_BYTES,
        .userspace_addr = (guint64)(guintptr)machine->memory->hva,
    };

    return ioctl(machine->vm, KVM_SET_USER_MEMORY_REGION, &region) == 0 || fail(error, "KVM_SET_USER_MEMORY_REGION");
}

static void
write_guest(guint8 *ram)
{
    /* mov %al,(%rdi); 1: mov %al,EXIT_GPA; jmp 1b */
    static const guint8 code[] = {0x88, 0x07, 0x88, 0x04, 0x25, 0x00, 0x00, 0x00, 0x30, 0xeb, 0xf7};
    guint64 *pd = (guint64 *)(ram + PD_GPA);

    memcpy(ram + CODE_GPA, code, sizeof(code));
    *(guint64 *)(ram + PML4_GPA) = PDPT_GPA | 0x67; /* present, writable, user, accessed, dirty */
    *(guint64 *)(ram + PDPT_GPA) = PD_GPA | 0x67;
    for (guint64 i = 0; i < 512; i++)
        pd[i] = i << 21 | 0xe7; /* and 2 MiB */
}

static gboolean
set_registers(Machine *machine, GError **error)
{
    struct kvm_sregs sregs;
    struct kvm_segment code = {.limit = 0xffffffff, .selector = 0x33, .type = 11, .present = 1, .s = 1, .l = 1, .g = 1, .dpl = 3};
    struct kvm_segment data = {.limit = 0xffffffff, .selector = 0x2b, .type = 3, .present = 1, .s = 1, .db = 1, .g = 1, .dpl = 3};

    if (ioctl(machine->vcpu, KVM_GET_SREGS, &sregs))
        return fail(error, "KVM_GET_SREGS");
    sregs.cr3 = PML4_GPA;
    sregs.cr4 = 0x20;       /* PAE */
    sregs.cr0 = 0x80050033; /* paging, protected mode */
    sregs.efer = 0x500;     /* long mode */
    sregs.cs = code;
    sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
    return ioctl(machine->vcpu, KVM_SET_SREGS, &sregs) == 0 || fail(error, "KVM_SET_SREGS");
}

/* Long mode needs a CPUID that has it. */
static gboolean
set_cpuid(Machine *machine, GError **error)
{
    enum { ENTRIES = 256 };
    g_autofree struct kvm_cpuid2 *cpuid = g_malloc0(sizeof(*cpuid) + ENTRIES * sizeof(struct kvm_cpuid_entry2));

    cpuid->nent = ENTRIES;
    return (ioctl(machine->kvm, KVM_GET_SUPPORTED_CPUID, cpuid) == 0 && ioctl(machine->vcpu, KVM_SET_CPUID2, cpuid) == 0) ||
           fail(error, "KVM_SET_CPUID2");
}

static gboolean
make_vcpu(Machine *machine, GError **error)
{
    machine->vcpu = ioctl(machine->vm, KVM_CREATE_VCPU, 0);
    int run_bytes = ioctl(machine->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
    if (machine->vcpu < 0 || run_bytes < 0)
        return fail(error, "KVM_CREATE_VCPU");

    machine->run_bytes = (gsize)run_bytes;
    machine->run = mmap(NULL, machine->run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, machine->vcpu, 0);
    if (machine->run == MAP_FAILED) {
        machine->run = NULL;
        return fail(error, "mapping kvm_run");
    }
    return set_cpuid(machine, error) && set_registers(machine, error);
}

static gboolean
make_machine(Machine *machine, DlRamKind kind, GError **error)
{
    if (!open_kvm(machine, error))
        return FALSE;
    machine->vm = ioctl(machine->kvm, KVM_CREATE_VM, 0);
    if (machine->vm < 0)
        return fail(error, "KVM_CREATE_VM");
    if (!enable_ring(machine, error))
        return FALSE;
    machine->memory = dl_memory_new(kind, SLOT_BYTES, error);
    if (!machine->memory || !set_logging(machine, 0, FALSE, error))
        return FALSE;
    write_guest(machine->memory->hva);
    /* Intel needs a place for its task state where no slot is. AMD says yes and ignores it. */
    if (ioctl(machine->vm, KVM_SET_TSS_ADDR, 0xfffbd000UL))
        return fail(error, "KVM_SET_TSS_ADDR");
    return make_vcpu(machine, error);
}

static void
free_machine(Machine *machine)
{
    if (machine->run)
        munmap(machine->run, machine->run_bytes);
    dl_fd_clear(&machine->vcpu);
    dl_fd_clear(&machine->vm);
    dl_fd_clear(&machine->kvm);
    dl_memory_free(machine->memory);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Machine, free_machine)

static gboolean
store_as_guest(gpointer user, guint64 page, GError **error)
{
    Machine *machine = user;
    struct kvm_regs registers = {.rip = CODE_GPA, .rdi = page * DL_PAGE_SIZE, .rax = 'D', .rflags = 2};

    if (ioctl(machine->vcpu, KVM_SET_REGS, &registers))
        return fail(error, "KVM_SET_REGS");
    for (guint runs = 0; runs < RUN_LIMIT; runs++) {
        if (ioctl(machine->vcpu, KVM_RUN, 0)) {
            if (errno == EINTR || errno == EAGAIN)
                continue;
            return fail(error, "KVM_RUN");
        }
        if (machine->run->exit_reason == KVM_EXIT_MMIO && machine->run->mmio.phys_addr == EXIT_GPA)
            return TRUE;
        break;
    }
    dl_set_error(error, DL_ERROR_UNSUPPORTED, 0, NULL, "a guest of two instructions does not run here: KVM exit %u",
                 machine->run->exit_reason);
    return FALSE;
}

static int
vcpu_fd(gpointer user, guint vcpu)
{
    (void)vcpu;
    return ((Machine *)user)->vcpu;
}

/* The vCPU runs only inside store_as_guest(), on the one thread that there is. */
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

gboolean
dl_trial_kvm(const DlTrackerClass *class, DlRamKind kind, guint32 ring_bytes, GError **error)
{
    g_auto(Machine) machine = {.kvm = -1, .vm = -1, .vcpu = -1, .ring_bytes = ring_bytes};

    if (!make_machine(&machine, kind, error))
        return FALSE;
    DlHost host = {
        .vm_fd = machine.vm,
        .n_vcpus = 1,
        .vcpu_fd = vcpu_fd,
        .dirty_ring_bytes = ring_bytes,
        .set_logging = set_logging,
        .kick = goes_nowhere,
        .pause = stands_already,
        .resume = goes_nowhere,
        .user = &machine,
    };
    DlRegion region = {.size = SLOT_BYTES, .hva = machine.memory->hva, .kind = kind};
    g_autoptr(DlLayout) layout = dl_layout_new(&region, 1, error);
    g_autoptr(DlLog) log = layout ? dl_log_new(layout, &host, error) : NULL;
    return log && dl_trial_run(class, log, OWN_PAGES, store_as_guest, &machine, error);
}
