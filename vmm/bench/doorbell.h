/* SPDX-License-Identifier: MIT */
/* The doorbell of guest-tests/abi.h: holds each vCPU of the embedded guest before each pass until the benchmark lets it go. */
#pragma once

#include "machine/machine.h"

typedef struct Doorbell Doorbell;

/** doorbell_new: registers with the machine's bus, before machine_start(). The machine is stopped before doorbell_free(). */
Doorbell *doorbell_new(Machine *machine, GError **error);
void doorbell_free(Doorbell *doorbell);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Doorbell, doorbell_free)

/** doorbell_release: every vCPU may begin one pass more. */
void doorbell_release(Doorbell *doorbell);

/** doorbell_open: from now on no vCPU is held. */
void doorbell_open(Doorbell *doorbell);

/** doorbell_all_ready: whether every vCPU has finished each pass that it was let go for and is held again. */
gboolean doorbell_all_ready(Doorbell *doorbell);
