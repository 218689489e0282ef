/* SPDX-License-Identifier: MIT */
/* The guest's histogram of store times, read from guest RAM and turned into ns. Only this file and the guest know its shape. */
#pragma once

#include "guest-tests/abi.h"
#include "machine/ram.h"
#include "results/bench_result.h"

/** stall_read: adds the histograms of @vcpus vCPUs to @sum. The machine stands still. */
void stall_read(const GuestRam *ram, guint vcpus, struct abi_histogram *sum);
void stall_add(struct abi_histogram *sum, const struct abi_histogram *more);

/**
 * stall_since: takes @before, read earlier from the same guest, out of @now. @now's maximum stays: whoever wants that of the time between
 * clears it in the guest then (stall_clear_max()).
 */
void stall_since(struct abi_histogram *now, const struct abi_histogram *before);
/** stall_clear_max: the machine stands still. */
void stall_clear_max(GuestRam *ram, guint vcpus);

/** stall_percentile: the time in ns below which @share (0 to 1) of the stores lie; the middle of their bucket. 0 of no stores. */
double stall_percentile(const struct abi_histogram *histogram, double share, double ns_per_cycle);

/** stall_result: the figures of all runs together; @result, which is empty, owns its histogram; its samples are left to the caller. */
void stall_result(const struct abi_histogram *histogram, double ns_per_cycle, StallResult *result);

/** tsc_ns_per_cycle: of this host's TSC, which guests see too; measured against CLOCK_MONOTONIC over some 20 ms. */
double tsc_ns_per_cycle(void);
