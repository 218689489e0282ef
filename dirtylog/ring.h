/* SPDX-License-Identifier: MIT */
/*
 * Walking KVM's dirty rings, without the ioctls: what the kernel and the host do stands behind DlRingOps, so that a test can
 * put a simulated kernel there and overflow it. kvm_ring.c puts the real one there.
 */
#pragma once

#include "dirtylog/tracker_class.h"
#include "dirtylog/uapi.h"

/**
 * DlRingOps:
 * @reset: KVM_RESET_DIRTY_RINGS: how many entries of all rings were reset, or -errno
 * @reprotect: makes KVM write-protect all memory again
 * @report: ORs the entry's page into @out, if it is one
 * @report_all: every page into @out
 */
typedef struct {
    gint64 (*reset)(gpointer user);
    gboolean (*pause)(gpointer user, GError **error);
    void (*resume)(gpointer user);
    gboolean (*reprotect)(gpointer user, GError **error);
    void (*report)(gpointer user, guint32 slot, guint64 offset, DlBitmap *out);
    void (*report_all)(gpointer user, DlBitmap *out);
    gpointer user;
} DlRingOps;

/**
 * DlRingTrust:
 * @DL_RING_UNSURE: a DIRTY entry at the position, with none before it, confirms it: after arming
 * @DL_RING_LOST: the kernel's reset index may be anywhere, and its dirty index ahead of what is in the ring: after an overflow
 * @DL_RING_SURE: the position is the kernel's reset index, modulo the size
 */
typedef enum {
    DL_RING_UNSURE,
    DL_RING_LOST,
    DL_RING_SURE,
} DlRingTrust;

/**
 * DlRing: one vCPU's.
 * @entries, @size: the mapping; a power of two entries
 * @position: the first entry that the kernel has not reset, as far as we know
 * @walked: entries from there on that are marked harvested and not known to be reset
 * @trust: what @position is worth
 * @starved: the vCPU reported a full ring, nothing was visible in it, and nothing has been harvested from it since
 * @reported: counts the entries that were reported, atomically; may be NULL
 */
typedef struct {
    struct kvm_dirty_gfn *entries;
    guint32 size;
    guint32 position;
    guint32 walked;
    DlRingTrust trust;
    gboolean starved;
    guint64 *reported;
} DlRing;

/**
 * DlRingSet:
 * @overflowed: an overflow was noticed and the recovery from it is not complete
 */
typedef struct {
    DlRing *rings;
    guint n_rings;
    DlRingOps ops;
    DlLogStats *stats;
    gboolean overflowed;
} DlRingSet;

/** dl_ring_set_harvest: every entry that is visible, and reset. After an overflow: all pages, with the rings in order again. */
gboolean dl_ring_set_harvest(DlRingSet *set, DlBitmap *out, GError **error);

/** dl_ring_set_full: the same, for a vCPU that stands and has reported its ring full. */
gboolean dl_ring_set_full(DlRingSet *set, guint index, DlBitmap *out, GError **error);

/**
 * dl_ring_set_drain: empties the rings of a log that has been switched off, so that whoever arms it next finds them clean. What
 * was in them is in @out, and nothing is recovered.
 */
gboolean dl_ring_set_drain(DlRingSet *set, DlBitmap *out, GError **error);
