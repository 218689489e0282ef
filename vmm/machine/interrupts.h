/* SPDX-License-Identifier: MIT */
/*
 * Interrupts into the guest and doorbells out of it. GSI n is pin n of the in-kernel I/O APIC, and below 16 of the PICs too
 * (api.rst, "KVM_CREATE_IRQCHIP"). Pins 0 (PIT), 2 (cascade), 8 (RTC) and 9 (ACPI) are the platform's; a device takes one of
 * MACHINE_FIRST_GSI and above, or a legacy one that is its by custom (COM1: 4).
 */
#pragma once

#include <machine/machine.h>

#define MACHINE_FIRST_GSI 5u
#define MACHINE_N_GSIS 24u

/** machine_set_interrupt: the line's level, KVM_IRQ_LINE; an edge is TRUE, then FALSE. From any thread. */
void machine_set_interrupt(Machine *machine, guint gsi, gboolean level);

/**
 * machine_bind_interrupt: KVM_IRQFD: each write to the eventfd @event is an edge on @gsi, without a system call of ours to KVM.
 * The binding goes with the machine; @event stays the caller's. Errors: INVALID (no such GSI), FAILED.
 */
gboolean machine_bind_interrupt(Machine *machine, guint gsi, int event, GError **error);

/**
 * machine_bind_doorbell: KVM_IOEVENTFD: a guest's store of @size bytes (1, 2, 4 or 8) at @gpa whose value is @match signals the
 * eventfd @event instead of leaving KVM_RUN. Other values and sizes go to the bus. Errors: FAILED.
 */
gboolean machine_bind_doorbell(Machine *machine, guint64 gpa, guint size, guint64 match, int event, GError **error);
