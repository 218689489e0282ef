/* SPDX-License-Identifier: MIT */
/* Slows a guest down by pausing it in slices, for auto-converge. */
#pragma once

#include <machine/machine.h>

typedef struct Throttle Throttle;

Throttle *throttle_new(Machine *machine);
/** throttle_free: the guest runs unhindered when this returns. */
void throttle_free(Throttle *throttle);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Throttle, throttle_free)

/** throttle_set: @percent of the time the guest stands; 0 … 99. */
void throttle_set(Throttle *throttle, guint percent);
guint throttle_percent(Throttle *throttle);
/** throttle_end: the guest runs unhindered when this returns, whatever is set; the percentage can still be asked for. */
void throttle_end(Throttle *throttle);
