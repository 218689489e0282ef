/* SPDX-License-Identifier: MIT */
/* The workloads by name: patterns (what order pages are written in) and writers (who writes them). */
#pragma once

#include <dirtylog/dirtylog.h>

#include "guest-tests/abi.h"

/** Patterns that the command line offers; `idle` is what the guest does while another writer works. */
#define N_BENCH_PATTERNS ABI_IDLE
const char *pattern_name(guint pattern);
gboolean pattern_from_name(const char *name, guint *pattern);

typedef enum {
    WRITER_GUEST,       /* vCPUs in ring 3 */
    WRITER_GUEST_RING0, /* vCPUs in ring 0 */
    WRITER_VMM,         /* a thread of ours through the store path, which notes each store */
    WRITER_VMM_SYSCALL, /* preadv(2) from a file straight into guest RAM, noted by nobody */
    WRITER_ALIAS,       /* a thread of ours through a second mapping of the memfd, noted by nobody */
    WRITER_KVM,         /* KVM, into its kvmclock pages */
} Writer;
#define N_WRITERS 6
const char *writer_name(Writer writer);
gboolean writer_from_name(const char *name, Writer *writer);

/** writer_is_guest: TRUE when the vCPUs themselves write. */
gboolean writer_is_guest(Writer writer);

/**
 * writer_is_unseen: whether a miss of @writer is declared by the tracker. What goes through the store path is noted and so
 * reaches every consumer whatever the tracker.
 */
gboolean writer_is_unseen(Writer writer, const DlTrackerFacts *facts);
