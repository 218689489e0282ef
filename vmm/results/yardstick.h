/* SPDX-License-Identifier: MIT */
/*
 * What the kernel's own benchmark says: the text that dirty_log_perf_test of the kernel's selftests prints on standard output. Its
 * phases are set beside those of dirtylab bench.
 */
#pragma once

#include "results/samples.h"

/** The phases, in the order in which the program goes through them. */
typedef enum {
    YARDSTICK_POPULATE,
    YARDSTICK_ENABLE,
    YARDSTICK_DIRTY,
    YARDSTICK_GET,
    YARDSTICK_CLEAR,
    YARDSTICK_DISABLE,
} YardstickPhase;
#define N_YARDSTICK_PHASES 6
const char *yardstick_phase_name(YardstickPhase phase);

/** Yardstick: @memory_bytes: of the guest memory that it tests, 0 when it does not say. @phase: ns; without samples where it has none. */
typedef struct {
    guint64 memory_bytes;
    Samples *phase[N_YARDSTICK_PHASES];
} Yardstick;

void yardstick_free(Yardstick *yardstick);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Yardstick, yardstick_free)

/** yardstick_read: of several runs in one text the samples are put together. Errors: FORMAT when the text holds no phase at all. */
Yardstick *yardstick_read(const char *text, gsize length, GError **error);
