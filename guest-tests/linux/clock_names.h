/* SPDX-License-Identifier: MIT */
/* The clocks that the workload watches and the tests hold against the host's. */
#pragma once

enum {
    MONOTONIC,
    REALTIME,
    BOOTTIME,
    TSC,
    N_CLOCKS
};
static const char *const clock_names[N_CLOCKS] = {"CLOCK_MONOTONIC", "CLOCK_REALTIME", "CLOCK_BOOTTIME", "the TSC"};
