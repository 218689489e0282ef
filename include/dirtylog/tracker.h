/* SPDX-License-Identifier: MIT */
/*
 * Trackers: the ways of learning which pages were written, and what is true of each. DlLog drives them; a program that only wants
 * to track memory needs nothing of this header but the names and the facts.
 */
#pragma once

#include <dirtylog/bitmap.h>
#include <dirtylog/host.h>
#include <dirtylog/region.h>

G_BEGIN_DECLS
#pragma GCC visibility push(default)

/** Writers, as a set: who wrote to a page. */
typedef enum {
    DL_WRITER_GUEST = 1 << 0,       /* a vCPU in ring 3 */
    DL_WRITER_GUEST_RING0 = 1 << 1, /* a vCPU in ring 0 */
    DL_WRITER_VMM = 1 << 2,         /* user code through the region's own mapping */
    DL_WRITER_VMM_SYSCALL = 1 << 3, /* the kernel on behalf of a system call, into the same mapping */
    DL_WRITER_ALIAS = 1 << 4,       /* another mapping of the memfd */
    DL_WRITER_KVM = 1 << 5,         /* KVM itself: kvmclock, steal time */
} DlWriters;
#define DL_WRITERS_ALL 0x3f

/** What a tracker occupies; two that hold the same cannot be armed at once. */
typedef enum {
    DL_HOLDS_NOTHING,
    DL_HOLDS_MEMSLOT_LOG, /* the slots' dirty bitmaps */
    DL_HOLDS_RING,        /* the vCPUs' dirty rings: chosen at VM creation */
    DL_HOLDS_UFFD,        /* the userfaultfd registration of the range */
    DL_HOLDS_PROCESS,     /* the soft-dirty bits of the whole process */
} DlHolds;

typedef enum {
    DL_REARM_NONE,         /* nothing to arm */
    DL_REARM_WITH_COLLECT, /* collect protects again; rearm() has nothing left to do */
    DL_REARM_BY_RANGE,     /* rearm() protects a range just before it is read */
} DlRearm;

/**
 * DlTrackerFacts: what holds of a tracker on any host.
 * @name: the name on the command line and in the JSON
 * @interface: the kernel interface in words
 * @unseen: the writers that it cannot see; a miss of one of them is declared, any other is a defect
 * @writers_paused: collect is exact only while every writer is paused; DlLog then pauses through DlHost
 * @kernel: the oldest kernel that has it
 * @privileges: what the process needs
 */
typedef struct {
    const char *name;
    const char *interface;
    DlHolds holds;
    DlRearm rearm;
    DlWriters unseen;
    gboolean writers_paused;
    const char *kernel;
    const char *privileges;
} DlTrackerFacts;

/** The registry, in the order in which tables show them: none first. */
guint dl_n_trackers(void);
const DlTrackerFacts *dl_tracker_facts(guint index);
const DlTrackerFacts *dl_tracker_facts_by_name(const char *name); /* NULL: unknown */

/** dl_tracker_unit: bytes that the tracker reports at once on memory of that kind (the unit column of design.md). */
guint64 dl_tracker_unit(const DlTrackerFacts *facts, DlRamKind kind);

#pragma GCC visibility pop
G_END_DECLS
