/* SPDX-License-Identifier: MIT */
/* What machine.c, run.c, vcpu.c and gate.c share. Everything below `lock` is guarded by it, unless it says otherwise. */
#pragma once

#include <linux/kvm.h>
#include <machine/gate.h>
#include <machine/machine.h>

typedef enum {
    VCPU_STANDING, /* at the gate, parked, or its thread has ended */
    VCPU_IN_GUEST, /* about to call KVM_RUN, or in it */
    VCPU_HANDLING, /* between KVM_RUN's return and the gate */
} VcpuState;

/**
 * Vcpu:
 * @needs_completion: the last exit was an access that only the next KVM_RUN completes; the thread's own
 * @halted: HLT without an interrupt controller: nothing will wake it; the thread's own
 * @exits: atomic
 * @left_generation: the latest machine->kick_generation at which it was outside the guest
 */
typedef struct {
    Machine *machine;
    guint index;
    int fd;
    struct kvm_run *run;
    struct kvm_cpuid2 *cpuid; /* as it was set */
    GThread *thread;
    gboolean needs_completion;
    gboolean halted;
    guint64 exits;
    pid_t tid;
    VcpuState state;
    gboolean exit_requested;
    guint64 left_generation;
} Vcpu;

typedef struct StateSections StateSections;

typedef struct {
    MachinePauseFunc pause;
    MachineResumeFunc resume;
    gpointer user;
} Pausable;

typedef struct {
    MachineHookFunc hook;
    gpointer user;
} StopHook;

struct Machine {
    /* set once by machine_new(), or before the start */
    GuestRam *ram;
    Bus *bus;
    int kvm_fd;
    int vm_fd;
    gsize run_size;
    guint n_vcpus;
    Vcpu *vcpus;
    guint32 dirty_ring_bytes;
    gint64 pause_timeout_us;
    gpointer affinity; /* cpu_set_t that the process had */
    gsize affinity_size;
    GArray *pausables;
    GArray *stop_hooks;
    GArray *sections;
    gboolean has_pit;
    StateSections *state_sections; /* its own among them */
    GPtrArray *gates;
    MachineRingFullFunc ring_full;
    gpointer ring_full_user;

    GMutex stop_lock;  /* vCPU threads are joined by one caller, and the others wait for that */
    GMutex pause_lock; /* one pause or resume at a time; taken before `lock` */
    GMutex lock;
    GCond changed; /* anything below, or a vCPU's state */
    MachineState state;
    gboolean ending;       /* crashed, shut down or stopping: vCPU threads end at the gate */
    GThread *hooks_thread; /* whose call runs the stop hooks, or ran them; NULL: they have not begun */
    gboolean hooks_done;
    char *crash_reason; /* set once */
    MachineEnd end;
    guint pauses;
    guint64 kick_generation;
};

/* --- vcpu.c --- */

gboolean vcpu_create(Machine *machine, guint index, GError **error);
void vcpu_destroy(Vcpu *vcpu);

/* --- run.c: the vCPU's thread --- */

gpointer vcpu_thread(gpointer user);
/** vcpu_install_signal: the signal that makes KVM_RUN return; once a process. */
void vcpu_install_signal(void);
/** vcpu_request_exit: with the machine's lock held. */
void vcpu_request_exit(Vcpu *vcpu);
/** vcpu_handle_exit: what KVM_RUN came back with; @result and @error_number are its own. exits.c */
void vcpu_handle_exit(Vcpu *vcpu, int result, int error_number);

/* --- section.c --- */

GArray *machine_sections_new(void);

/* --- state_vm.c --- */

/** state_add_sections: registers the machine's own sections: time, interrupt controllers, PIT, vCPUs. Last in machine_new(). */
void state_add_sections(Machine *machine);
void state_free_sections(StateSections *sections);

/* --- gate.c --- */

void machine_gate_destroy(gpointer user);
