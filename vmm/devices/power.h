/* SPDX-License-Identifier: MIT */
/*
 * How a guest ends itself: ACPI's sleep control and reset registers (machine/platform.h), and the reset line of a PC's keyboard
 * controller, which operating systems try next. The controller has no keyboard: it reads as empty, so that nobody waits for it.
 */
#pragma once

#include <machine/machine.h>

/** power_add: Errors: INVALID (the ports are taken). Nothing to free. */
gboolean power_add(Machine *machine, GError **error);
