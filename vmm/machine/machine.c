/* SPDX-License-Identifier: MIT */
/*
 * The VM: creation, and who stops whom (the rules stand in machine.h, the vCPU's side of them in run.c).
 *
 * RAM comes before the TSS address and the interrupt controllers: a slot added after them costs 5 to 8 ms instead of 0.07
 * (kernel-facts).
 *
 * System calls: ioctl, close, sched_getaffinity.
 */
#include <errno.h>
#include <machine/error.h>
#include <machine/kvm.h>
#include <machine/private.h>
#include <machine/vcpu.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Three pages and one page in the hole below 4 GiB, which VMX without unrestricted guest needs */
#define TSS_GPA 0xfffbd000ul
#define IDENTITY_MAP_GPA 0xfffbc000ull

#define PAUSE_TIMEOUT_MS 30000
#define RING_ENTRY_BYTES 16
#define RING_MIN_ENTRIES 256 /* a page */
#define MAX_HOST_CPUS 8192

/* --- creation --- */

static gboolean
set_memslot(Machine *machine, const DlRegion *region, gboolean logged, GError **error)
{
    struct kvm_userspace_memory_region slot = {.slot = region->slot,
                                               .flags = logged ? KVM_MEM_LOG_DIRTY_PAGES : 0,
                                               .guest_phys_addr = region->gpa,
                                               .memory_size = region->size,
                                               .userspace_addr = (guintptr)region->hva};

    if (ioctl(machine->vm_fd, KVM_SET_USER_MEMORY_REGION, &slot) == 0)
        return TRUE;
    machine_set_errno_error(error, "KVM_SET_USER_MEMORY_REGION");
    return FALSE;
}

static gboolean
add_memslots(Machine *machine, GError **error)
{
    DlLayout *layout = guest_ram_layout(machine->ram);

    for (guint i = 0; i < dl_layout_n_regions(layout); i++) {
        if (!set_memslot(machine, dl_layout_region(layout, i), FALSE, error))
            return FALSE;
    }
    return TRUE;
}

static gboolean
add_interrupt_controllers(Machine *machine, GError **error)
{
    guint64 identity_map = IDENTITY_MAP_GPA;

    if (ioctl(machine->vm_fd, KVM_SET_IDENTITY_MAP_ADDR, &identity_map) < 0 ||
        ioctl(machine->vm_fd, KVM_SET_TSS_ADDR, TSS_GPA) < 0) {
        machine_set_errno_error(error, "KVM_SET_TSS_ADDR");
        return FALSE;
    }
    if (ioctl(machine->vm_fd, KVM_CREATE_IRQCHIP, 0) < 0) {
        machine_set_errno_error(error, "KVM_CREATE_IRQCHIP");
        return FALSE;
    }
    return TRUE;
}

static gboolean
add_pit(Machine *machine, GError **error)
{
    struct kvm_pit_config config = {.flags = KVM_PIT_SPEAKER_DUMMY};

    if (ioctl(machine->vm_fd, KVM_CREATE_PIT2, &config) == 0)
        return TRUE;
    machine_set_errno_error(error, "KVM_CREATE_PIT2");
    return FALSE;
}

static gboolean
enable_dirty_ring(Machine *machine, guint32 entries, GError **error)
{
    int capability;
    guint32 max = kvm_dirty_ring_max_entries(machine->kvm_fd, &capability);

    if (!max) {
        g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_UNSUPPORTED,
                    "this KVM has no dirty ring: it takes Linux 5.11 and x86 or arm64");
        return FALSE;
    }
    if (entries & (entries - 1) || entries < RING_MIN_ENTRIES) {
        g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_INVALID,
                    "a dirty ring of %u entries: a power of two it must be, and at least %d", entries, RING_MIN_ENTRIES);
        return FALSE;
    }
    if (entries > max) {
        g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_RESOURCE, "a dirty ring of %u entries: this KVM has at most %u", entries,
                    max);
        return FALSE;
    }
    struct kvm_enable_cap enable = {.cap = (guint32)capability, .args = {(guint64)entries * RING_ENTRY_BYTES}};
    if (ioctl(machine->vm_fd, KVM_ENABLE_CAP, &enable) < 0) {
        g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_UNSUPPORTED, "KVM refuses a dirty ring of %u entries: %s", entries,
                    g_strerror(errno));
        return FALSE;
    }
    machine->dirty_ring_bytes = entries * RING_ENTRY_BYTES;
    return TRUE;
}

static gboolean
create_vm(Machine *machine, GError **error)
{
    do
        machine->vm_fd = ioctl(machine->kvm_fd, KVM_CREATE_VM, 0ul);
    while (machine->vm_fd < 0 && errno == EINTR);
    if (machine->vm_fd < 0) {
        machine_set_errno_error(error, "KVM_CREATE_VM");
        return FALSE;
    }
    int size = ioctl(machine->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
    if (size < (int)sizeof(struct kvm_run)) {
        g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_UNSUPPORTED, "this KVM's shared page is too small: %d bytes", size);
        return FALSE;
    }
    machine->run_size = (gsize)size;
    if (!kvm_capability(machine->kvm_fd, KVM_CAP_IMMEDIATE_EXIT)) {
        g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_UNSUPPORTED, "this KVM has no immediate_exit: it takes Linux 4.12");
        return FALSE;
    }
    return TRUE;
}

static gboolean
check_vcpus(const Machine *machine, guint n_vcpus, GError **error)
{
    guint max = kvm_max_vcpus(machine->kvm_fd);

    if (!n_vcpus)
        g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_INVALID, "a machine needs at least one vCPU");
    else if (n_vcpus > max)
        g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_RESOURCE, "%u vCPUs: this KVM has at most %u", n_vcpus, max);
    else
        return TRUE;
    return FALSE;
}

static void
save_affinity(Machine *machine)
{
    machine->affinity_size = CPU_ALLOC_SIZE(MAX_HOST_CPUS);
    machine->affinity = g_malloc0(machine->affinity_size);
    if (sched_getaffinity(0, machine->affinity_size, machine->affinity) < 0)
        memset(machine->affinity, 0xff, machine->affinity_size);
}

static gboolean
build(Machine *machine, const MachineConfig *config, GError **error)
{
    machine->kvm_fd = kvm_open(error);
    if (machine->kvm_fd < 0 || !check_vcpus(machine, config->vcpus, error) || !create_vm(machine, error))
        return FALSE;
    if (config->dirty_ring_entries && !enable_dirty_ring(machine, config->dirty_ring_entries, error))
        return FALSE;
    if (!add_memslots(machine, error) || !add_interrupt_controllers(machine, error))
        return FALSE;
    if (config->pit && !add_pit(machine, error))
        return FALSE;
    vcpu_install_signal();
    save_affinity(machine);
    machine->vcpus = g_new0(Vcpu, config->vcpus);
    machine->n_vcpus = config->vcpus;
    machine->has_pit = config->pit;
    for (guint i = 0; i < machine->n_vcpus; i++) {
        if (!vcpu_create(machine, i, error))
            return FALSE;
    }
    state_add_sections(machine);
    return TRUE;
}

Machine *
machine_new(GuestRam *ram, const MachineConfig *config, GError **error)
{
    g_autoptr(Machine) machine = g_new0(Machine, 1);

    g_mutex_init(&machine->stop_lock);
    g_mutex_init(&machine->pause_lock);
    g_mutex_init(&machine->lock);
    g_cond_init(&machine->changed);
    machine->ram = ram;
    machine->bus = bus_new();
    machine->kvm_fd = machine->vm_fd = -1;
    machine->pause_timeout_us = (gint64)(config->pause_timeout_ms ? config->pause_timeout_ms : PAUSE_TIMEOUT_MS) * 1000;
    machine->pausables = g_array_new(FALSE, FALSE, sizeof(Pausable));
    machine->stop_hooks = g_array_new(FALSE, FALSE, sizeof(StopHook));
    machine->sections = machine_sections_new();
    machine->gates = g_ptr_array_new_with_free_func(machine_gate_destroy);
    return build(machine, config, error) ? g_steal_pointer(&machine) : NULL;
}

void
machine_free(Machine *machine)
{
    if (!machine)
        return;
    machine_stop(machine);
    for (guint i = 0; i < machine->n_vcpus; i++)
        vcpu_destroy(&machine->vcpus[i]);
    if (machine->vm_fd >= 0)
        close(machine->vm_fd);
    if (machine->kvm_fd >= 0)
        close(machine->kvm_fd);
    g_free(machine->vcpus);
    bus_free(machine->bus);
    g_array_unref(machine->pausables);
    g_array_unref(machine->stop_hooks);
    g_array_unref(machine->sections);
    state_free_sections(machine->state_sections);
    g_ptr_array_unref(machine->gates);
    g_free(machine->crash_reason);
    g_free(machine->affinity);
    g_mutex_clear(&machine->stop_lock);
    g_mutex_clear(&machine->pause_lock);
    g_mutex_clear(&machine->lock);
    g_cond_clear(&machine->changed);
    g_free(machine);
}

/* --- what it is made of --- */

GuestRam *
machine_ram(Machine *machine)
{
    return machine->ram;
}

Bus *
machine_bus(Machine *machine)
{
    return machine->bus;
}

guint
machine_n_vcpus(Machine *machine)
{
    return machine->n_vcpus;
}

int
machine_vm_fd(Machine *machine)
{
    return machine->vm_fd;
}

void
machine_add_pausable(Machine *machine, MachinePauseFunc pause, MachineResumeFunc resume, gpointer user)
{
    Pausable pausable = {.pause = pause, .resume = resume, .user = user};

    g_array_append_val(machine->pausables, pausable);
}

void
machine_add_stop_hook(Machine *machine, MachineHookFunc hook, gpointer user)
{
    StopHook stop_hook = {.hook = hook, .user = user};

    g_array_append_val(machine->stop_hooks, stop_hook);
}

void
machine_set_ring_full(Machine *machine, MachineRingFullFunc ring_full, gpointer user)
{
    machine->ring_full = ring_full;
    machine->ring_full_user = user;
}

gboolean
machine_set_logging(Machine *machine, guint32 slot, gboolean on, GError **error)
{
    DlLayout *layout = guest_ram_layout(machine->ram);

    for (guint i = 0; i < dl_layout_n_regions(layout); i++) {
        if (dl_layout_region(layout, i)->slot == slot)
            return set_memslot(machine, dl_layout_region(layout, i), on, error);
    }
    g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_INVALID, "there is no memslot %u", slot);
    return FALSE;
}

/* --- DlHost --- */

static int
host_vcpu_fd(gpointer user, guint vcpu)
{
    return vcpu_fd(user, vcpu);
}

static gboolean
host_set_logging(gpointer user, guint32 slot, gboolean on, GError **error)
{
    return machine_set_logging(user, slot, on, error);
}

static void
host_kick(gpointer user)
{
    machine_kick(user);
}

static gboolean
host_pause(gpointer user, GError **error)
{
    return machine_pause(user, error);
}

static void
host_resume(gpointer user)
{
    machine_resume(user);
}

void
machine_host(Machine *machine, DlHost *host)
{
    *host = (DlHost){.vm_fd = machine->vm_fd,
                     .n_vcpus = machine->n_vcpus,
                     .vcpu_fd = host_vcpu_fd,
                     .dirty_ring_bytes = machine->dirty_ring_bytes,
                     .set_logging = host_set_logging,
                     .kick = host_kick,
                     .pause = host_pause,
                     .resume = host_resume,
                     .user = machine};
}
