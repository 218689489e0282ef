/* SPDX-License-Identifier: MIT */
/*
 * A vCPU outside its thread: creation, CPUID, registers, clock, placement. System calls: ioctl, mmap, munmap, close,
 * sched_setaffinity.
 */
#include <asm/kvm_para.h>
#include <errno.h>
#include <machine/cpuid.h>
#include <machine/error.h>
#include <machine/private.h>
#include <machine/vcpu.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define MSR_MISC_ENABLE 0x1a0
#define MISC_ENABLE_FAST_STRING 1u
#define MSR_MTRR_DEF_TYPE 0x2ff
#define MTRR_ENABLED (1u << 11)
#define MTRR_WRITE_BACK 6u

static gboolean
set_cpuid(const Machine *machine, Vcpu *vcpu, GError **error)
{
    g_autofree struct kvm_cpuid2 *cpuid = cpuid_new(machine->kvm_fd, vcpu->index, machine->n_vcpus, error);

    if (!cpuid)
        return FALSE;
    if (ioctl(vcpu->fd, KVM_SET_CPUID2, cpuid) < 0) {
        machine_set_errno_error(error, "KVM_SET_CPUID2");
        return FALSE;
    }
    vcpu->cpuid = g_steal_pointer(&cpuid);
    return TRUE;
}

gboolean
vcpu_create(Machine *machine, guint index, GError **error)
{
    Vcpu *vcpu = &machine->vcpus[index];

    vcpu->machine = machine;
    vcpu->index = index;
    vcpu->fd = ioctl(machine->vm_fd, KVM_CREATE_VCPU, (unsigned long)index);
    if (vcpu->fd < 0) {
        machine_set_errno_error(error, "KVM_CREATE_VCPU");
        return FALSE;
    }
    void *run = mmap(NULL, machine->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
    if (run == MAP_FAILED) {
        machine_set_errno_error(error, "mapping a vCPU's shared page");
        return FALSE;
    }
    vcpu->run = run;
    if (!set_cpuid(machine, vcpu, error))
        return FALSE;

    g_autofree char *name = g_strdup_printf("vcpu-%u", index);
    vcpu->thread = g_thread_try_new(name, vcpu_thread, vcpu, error);
    if (!vcpu->thread)
        return FALSE;
    g_mutex_lock(&machine->lock);
    while (!vcpu->tid)
        g_cond_wait(&machine->changed, &machine->lock);
    g_mutex_unlock(&machine->lock);
    return TRUE;
}

void
vcpu_destroy(Vcpu *vcpu)
{
    if (vcpu->run)
        munmap(vcpu->run, vcpu->machine->run_size);
    g_free(vcpu->cpuid);
    if (vcpu->machine && vcpu->fd >= 0)
        close(vcpu->fd);
}

int
vcpu_fd(Machine *machine, guint vcpu)
{
    g_return_val_if_fail(vcpu < machine->n_vcpus, -1);
    return machine->vcpus[vcpu].fd;
}

pid_t
vcpu_tid(Machine *machine, guint vcpu)
{
    g_return_val_if_fail(vcpu < machine->n_vcpus, 0);
    return machine->vcpus[vcpu].tid;
}

const struct kvm_cpuid2 *
vcpu_cpuid(Machine *machine, guint vcpu)
{
    g_return_val_if_fail(vcpu < machine->n_vcpus, NULL);
    return machine->vcpus[vcpu].cpuid;
}

guint64
vcpu_exits(Machine *machine, guint vcpu)
{
    g_return_val_if_fail(vcpu < machine->n_vcpus, 0);
    return __atomic_load_n(&machine->vcpus[vcpu].exits, __ATOMIC_RELAXED);
}

gboolean
vcpu_pin(Machine *machine, guint vcpu, int cpu, GError **error)
{
    g_autofree cpu_set_t *set = g_memdup2(machine->affinity, machine->affinity_size);

    if (cpu >= 0) {
        CPU_ZERO_S(machine->affinity_size, set);
        CPU_SET_S((gsize)cpu, machine->affinity_size, set);
    }
    if (sched_setaffinity(machine->vcpus[vcpu].tid, machine->affinity_size, set) == 0)
        return TRUE;
    g_set_error(error, MACHINE_ERROR, errno == EINVAL ? MACHINE_ERROR_INVALID : MACHINE_ERROR_FAILED,
                "cannot pin vCPU %u to CPU %d: %s", vcpu, cpu,
                errno == EINVAL ? "there is no such CPU, or this process may not use it" : g_strerror(errno));
    return FALSE;
}

gboolean
vcpu_get_regs(Machine *machine, guint vcpu, struct kvm_regs *regs, struct kvm_sregs *sregs, GError **error)
{
    int fd = vcpu_fd(machine, vcpu);

    if ((regs && ioctl(fd, KVM_GET_REGS, regs) < 0) || (sregs && ioctl(fd, KVM_GET_SREGS, sregs) < 0)) {
        machine_set_errno_error(error, "reading a vCPU's registers");
        return FALSE;
    }
    return TRUE;
}

gboolean
vcpu_set_regs(Machine *machine, guint vcpu, const struct kvm_regs *regs, const struct kvm_sregs *sregs, GError **error)
{
    int fd = vcpu_fd(machine, vcpu);

    if ((sregs && ioctl(fd, KVM_SET_SREGS, sregs) < 0) || (regs && ioctl(fd, KVM_SET_REGS, regs) < 0)) {
        machine_set_errno_error(error, "setting a vCPU's registers");
        return FALSE;
    }
    return TRUE;
}

gboolean
vcpu_set_firmware_msrs(Machine *machine, guint vcpu, GError **error)
{
    static const struct kvm_msr_entry entries[] = {
        {.index = MSR_MTRR_DEF_TYPE, .data = MTRR_ENABLED | MTRR_WRITE_BACK},
        {.index = MSR_MISC_ENABLE, .data = MISC_ENABLE_FAST_STRING},
    };
    g_autofree struct kvm_msrs *msrs = g_malloc0(sizeof *msrs + sizeof entries[0]);

    for (guint i = 0; i < G_N_ELEMENTS(entries); i++) {
        msrs->nmsrs = 1;
        msrs->entries[0] = entries[i];
        if (ioctl(vcpu_fd(machine, vcpu), KVM_SET_MSRS, msrs) < 0) {
            machine_set_errno_error(error, "KVM_SET_MSRS");
            return FALSE;
        }
    }
    return TRUE;
}

gboolean
vcpu_enable_kvmclock(Machine *machine, guint vcpu, guint64 gpa, GError **error)
{
    g_autofree struct kvm_msrs *msrs = g_malloc0(sizeof *msrs + sizeof msrs->entries[0]);

    msrs->nmsrs = 1;
    msrs->entries[0] = (struct kvm_msr_entry){.index = MSR_KVM_SYSTEM_TIME_NEW, .data = gpa | 1};
    int set = ioctl(vcpu_fd(machine, vcpu), KVM_SET_MSRS, msrs);

    if (set == 1)
        return TRUE;
    if (set == 0)
        g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_UNSUPPORTED,
                    "this KVM has no kvmclock: it refuses MSR_KVM_SYSTEM_TIME_NEW");
    else
        machine_set_errno_error(error, "enabling kvmclock");
    return FALSE;
}

gboolean
vcpu_touch_kvmclock(Machine *machine, guint vcpu, GError **error)
{
    if (ioctl(vcpu_fd(machine, vcpu), KVM_KVMCLOCK_CTRL, 0) == 0)
        return TRUE;
    machine_set_errno_error(error, "KVM_KVMCLOCK_CTRL");
    return FALSE;
}
