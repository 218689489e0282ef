/* SPDX-License-Identifier: MIT */
/*
 * The VM: its memslots, its vCPU threads, its bus, and the rules by which everything that writes guest RAM is stopped and goes
 * on.
 *
 * A vCPU is running (in KVM_RUN or handling an exit) or it stands: not started, paused, parked, ended. machine_pause() returns
 * when all stand. Before a vCPU stands because of a pause it enters KVM_RUN once more with immediate_exit set: an I/O or MMIO
 * exit is completed only by the next KVM_RUN (api.rst, "KVM_EXIT_IO"), so registers read at a pause are those after the
 * instruction. The exception is a parked vCPU: its access is still being answered.
 *
 * Locks: pause, resume and kick may be called from any thread, also with DlLog's harvest lock held, and also from a bus handler
 * or hook that runs on a vCPU's thread, provided that vCPU is parked. They never call out but to the pausables.
 */
#pragma once

#include <machine/bus.h>
#include <machine/ram.h>
#include <sys/types.h>

typedef struct Machine Machine;

typedef enum {
    MACHINE_CREATED,   /* machine_start() has not been called */
    MACHINE_STARTED,   /* vCPUs run, or are paused */
    MACHINE_CRASHED,   /* triple fault, emulation failure, …: every vCPU has ended or is about to; the reason is in words */
    MACHINE_SHUT_DOWN, /* the guest powered off or asked for a reset: every vCPU has ended or is about to */
    MACHINE_STOPPED,   /* machine_stop(): the threads are gone; a machine that had crashed or shut down stays that */
} MachineState;

/** How a guest ended by itself, or by its user at the terminal (MACHINE_QUIT). A reset ends the machine too: whoever wants it to run again builds a new one. */
typedef enum {
    MACHINE_NOT_ENDED,
    MACHINE_POWERED_OFF,
    MACHINE_RESET,
    MACHINE_QUIT,
} MachineEnd;

/**
 * MachineConfig:
 * @vcpus: 1 … KVM_CAP_MAX_VCPUS; APIC ids are the indices
 * @dirty_ring_entries: 0: dirty bitmaps; else a power of two: each vCPU has a ring of so many 16-byte entries, and no bitmaps
 * @pit: with a PIT (i8254), KVM's own, and its port 0x61
 * @pause_timeout_ms: how long machine_pause() waits before it gives up; 0: 30 s
 */
typedef struct {
    guint vcpus;
    guint32 dirty_ring_entries;
    gboolean pit;
    guint pause_timeout_ms;
} MachineConfig;

/**
 * machine_new: a VM over @ram (borrowed, outlives the machine) with in-kernel interrupt controllers and its vCPUs, each with a
 * thread that waits for machine_start(). All vCPUs are in KVM's reset state: 0 is the bootstrap processor, the others wait for
 * INIT and SIPI. Errors: UNSUPPORTED, PERMISSION (kvm_open(), a capability), RESOURCE (more vCPUs or ring entries than KVM's
 * maximum, which the message names), INVALID (no vCPU, ring entries no power of two), FAILED.
 */
Machine *machine_new(GuestRam *ram, const MachineConfig *config, GError **error);
/** machine_free: stops first. */
void machine_free(Machine *machine);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Machine, machine_free)

GuestRam *machine_ram(Machine *machine);
Bus *machine_bus(Machine *machine);
guint machine_n_vcpus(Machine *machine);
int machine_vm_fd(Machine *machine);

/** machine_host: the table for dl_log_new(); its user pointer is the machine. */
void machine_host(Machine *machine, DlHost *host);

/**
 * machine_set_logging: KVM_MEM_LOG_DIRTY_PAGES of one memslot. May be called while vCPUs run. Errors: INVALID (no such slot),
 * FAILED.
 */
gboolean machine_set_logging(Machine *machine, guint32 slot, gboolean on, GError **error);

/* --- running --- */

/** machine_start: lets the vCPUs go; at once paused when the machine is paused. Once only. */
gboolean machine_start(Machine *machine, GError **error);
/**
 * machine_stop: ends the vCPU threads and joins them; stop hooks have run by then, in whichever caller's thread. May be called in any state, twice, by several threads at
 * once, and while paused, but not from a vCPU's thread. There is no way back.
 */
void machine_stop(Machine *machine);

/**
 * machine_pause: returns TRUE when every vCPU and every pausable stands. Nests: each successful call needs one machine_resume().
 * A vCPU that a uffd-wp fault blocks inside KVM_RUN (kernels that ignore the signal there) is waited for until its fault is
 * resolved. Errors: FAILED when something still runs after the time limit (the message says who); nothing is paused by this
 * call then.
 */
gboolean machine_pause(Machine *machine, GError **error);
void machine_resume(Machine *machine);

/**
 * machine_kick: returns when every vCPU has been outside the guest at some time since the call (KVM flushes what the CPU
 * buffered, PML, on the way out). Those that stand or are handling an exit count as done; the others go on by themselves.
 */
void machine_kick(Machine *machine);

MachineState machine_state(Machine *machine);
/** machine_crash_reason: in words, one line without a full stop; NULL unless crashed. Valid until machine_free(). */
const char *machine_crash_reason(Machine *machine);
/** machine_shut_down: for devices: the guest asked for it, or its user at the terminal did. The first end wins. Callable on a vCPU's thread. */
void machine_shut_down(Machine *machine, MachineEnd how);
/** machine_end: how the guest shut down; MACHINE_NOT_ENDED unless the state is SHUT_DOWN. */
MachineEnd machine_end(Machine *machine);
/**
 * machine_wait: until the machine has crashed, shut down or is stopped, or @timeout_ms have passed (negative: for ever). TRUE: it has ended.
 */
gboolean machine_wait(Machine *machine, gint64 timeout_ms);
/** machine_crash: for devices: what only a broken guest does. First reason wins. Callable on a vCPU's thread. */
void machine_crash(Machine *machine, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* --- what others register, before machine_start() --- */

/** A writer of guest RAM that is no vCPU: @pause returns when it stands (TRUE) or cannot (FALSE, @error); calls do not nest. */
typedef gboolean (*MachinePauseFunc)(gpointer user, GError **error);
typedef void (*MachineResumeFunc)(gpointer user);
void machine_add_pausable(Machine *machine, MachinePauseFunc pause, MachineResumeFunc resume, gpointer user);

/**
 * machine_add_stop_hook: called once, when the machine crashes or shuts down (on the vCPU's thread) or is about to be stopped, with no lock
 * held: wakes what waits in a parked bus handler, which then finds that vcpu_unpark() answers FALSE and returns; also how an
 * owner learns of a crash (machine_state()).
 */
typedef void (*MachineHookFunc)(gpointer user);
void machine_add_stop_hook(Machine *machine, MachineHookFunc hook, gpointer user);

/**
 * machine_set_ring_full: for KVM_EXIT_DIRTY_RING_FULL, on the vCPU's thread, which is parked meanwhile. An error crashes the
 * machine.
 */
typedef gboolean (*MachineRingFullFunc)(gpointer user, guint vcpu, GError **error);
void machine_set_ring_full(Machine *machine, MachineRingFullFunc ring_full, gpointer user);
