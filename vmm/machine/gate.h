/* SPDX-License-Identifier: MIT */
/*
 * A gate for writers of guest RAM that are no vCPUs: host-side writer threads, device threads. Each store happens between
 * machine_gate_enter() and machine_gate_leave(). The gate of a machine that is paused, or not started yet, is shut and nobody is
 * inside.
 */
#pragma once

#include <machine/machine.h>

typedef struct MachineGate MachineGate;

/** machine_gate_new: a gate of @machine, which owns it; it goes with machine_free(). Before machine_start(). */
MachineGate *machine_gate_new(Machine *machine);

/**
 * machine_gate_enter: waits while the gate is shut. FALSE: the machine has crashed or is stopping; nothing was entered. Who is
 * inside must not call what takes DlLog's harvest lock, nor machine_pause(): whoever pauses waits for it.
 */
gboolean machine_gate_enter(MachineGate *gate);
/** machine_gate_try_enter: never waits. FALSE: the gate is shut, or the machine is ending; nothing was entered. */
gboolean machine_gate_try_enter(MachineGate *gate);
void machine_gate_leave(MachineGate *gate);
