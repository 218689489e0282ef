/* SPDX-License-Identifier: MIT */
/* One vCPU of a machine, seen from outside: by its index, 0 … machine_n_vcpus() - 1. */
#pragma once

#include <linux/kvm.h>
#include <machine/machine.h>

/**
 * vcpu_park, vcpu_unpark: on the vCPU's own thread, around a wait in a bus handler or a hook: the vCPU counts as standing in
 * between and must not touch guest RAM. vcpu_unpark() blocks while the machine is paused; FALSE: the machine has crashed or is
 * stopping, return at once.
 */
void vcpu_park(Machine *machine, guint vcpu);
gboolean vcpu_unpark(Machine *machine, guint vcpu);

int vcpu_fd(Machine *machine, guint vcpu);
/** vcpu_tid: kernel thread id, for /proc/self/task and the scheduler; valid from machine_new() to machine_stop(). */
pid_t vcpu_tid(Machine *machine, guint vcpu);
/**
 * vcpu_pin: the thread runs on host CPU @cpu only; a negative one undoes it (all CPUs that the process had). Any time before
 * the stop.
 */
gboolean vcpu_pin(Machine *machine, guint vcpu, int cpu, GError **error);
/** vcpu_cpuid: what the guest is shown; set once, so that it can be had while the vCPU runs. */
const struct kvm_cpuid2 *vcpu_cpuid(Machine *machine, guint vcpu);
/** vcpu_exits: KVM_RUN calls that returned so far, kicks included. */
guint64 vcpu_exits(Machine *machine, guint vcpu);

/*
 * What follows are KVM ioctls on the vCPU, which wait for KVM_RUN to return: call them before machine_start(), with the machine
 * paused, or on the vCPU's own thread (a bus handler).
 */

gboolean vcpu_get_regs(Machine *machine, guint vcpu, struct kvm_regs *regs, struct kvm_sregs *sregs, GError **error);
gboolean vcpu_set_regs(Machine *machine, guint vcpu, const struct kvm_regs *regs, const struct kvm_sregs *sregs, GError **error);

/**
 * vcpu_set_firmware_msrs: what a PC's firmware leaves behind and Linux looks at: all memory write-back (MTRRdefType), fast strings.
 * A KVM that knows none of them is left as it is. Errors: FAILED.
 */
gboolean vcpu_set_firmware_msrs(Machine *machine, guint vcpu, GError **error);

/**
 * vcpu_enable_kvmclock: MSR_KVM_SYSTEM_TIME_NEW := @gpa | 1 (cpuid.rst, msr.rst): KVM writes the vCPU's 32-byte clock at @gpa
 * at the next KVM_RUN. Errors: UNSUPPORTED (this KVM has no kvmclock), FAILED.
 */
gboolean vcpu_enable_kvmclock(Machine *machine, guint vcpu, guint64 gpa, GError **error);
/** vcpu_touch_kvmclock: makes KVM write the clock again at the next KVM_RUN (KVM_KVMCLOCK_CTRL). Errors: FAILED (not enabled). */
gboolean vcpu_touch_kvmclock(Machine *machine, guint vcpu, GError **error);
