/* SPDX-License-Identifier: MIT */
/*
 * The protocol in good times: the kernel fills the entry at its dirty index and sets the flag DIRTY; we walk from our position,
 * take each DIRTY entry, set it to RESET; KVM_RESET_DIRTY_RINGS goes from the kernel's reset index over the entries that are
 * RESET, sets them to 0, protects their pages again, and stops at the first that is not RESET. Our position and its reset index
 * are the same, modulo the size.
 *
 * Overflow. The kernel does not stop at a full ring: the vCPU is only asked to exit, and what runs on in the kernel meanwhile (an
 * emulated batch of instructions) writes over entries that nobody has read, while the dirty index runs on. The first entry to be
 * overwritten is the one at the reset index. So an overflow shows as one of two things:
 *   - a walk finds `size` entries DIRTY, if it happened before or during the walk;
 *   - the reset stops short of what we marked, since an entry that was RESET is DIRTY again, if it happened after.
 * Either may also be a false alarm (exactly full), which is not worth telling apart. recover() then stops the vCPUs, drains
 * what can be drained, has all memory protected again, since the overwritten entries' pages are unprotected and in no entry,
 * and reports all.
 *
 * What remains is the kernel's dirty index, which is k entries further than entries exist: the rings are clean from our position
 * on, and the next entry shows up k further (modulo the size). Such a ring is therefore searched (settle()): with the vCPUs
 * stopped and the DIRTY entries in one run, all the clean entries are marked RESET, the kernel's reset index then advances
 * from wherever it is to the start of the run and stops there, and the marks that are left are taken back. The run's start is
 * then the reset index whatever our position was. The slots and offsets in the clean entries are stale: the kernel protects
 * those pages once more, which harms nothing. It may never be done without a DIRTY entry in sight, since the reset index would
 * run past the dirty index, and their difference is unsigned.
 *
 * If k is so large that the kernel counts the ring as full with nothing in it, the vCPU exits again and again (skip_quarter()).
 * Two such exits in a row, with nothing found in the ring at and between them, prove that the kernel counts at least its soft
 * limit, which is more than a quarter of any ring: then a quarter can be skipped the same way, until the count is below the
 * limit.
 *
 * Every loop is bounded, because the memory is shared with a kernel that is not trusted to keep to this.
 */
#include "dirtylog/ring.h"

#include "dirtylog/private.h"

/* Resets in a row that make no progress before we believe that there is none: a signal may make one return early. */
#define IDLE_RESETS 4
#define DRAIN_ROUNDS 64

static struct kvm_dirty_gfn *
entry_at(const DlRing *ring, guint32 index)
{
    return &ring->entries[index & (ring->size - 1)];
}

static guint32
flags_of(const DlRing *ring, guint32 index)
{
    return __atomic_load_n(&entry_at(ring, index)->flags, __ATOMIC_ACQUIRE);
}

static void
set_flags(DlRing *ring, guint32 index, guint32 flags)
{
    __atomic_store_n(&entry_at(ring, index)->flags, flags, __ATOMIC_RELEASE);
}

static gboolean
is_dirty(const DlRing *ring, guint32 index)
{
    return (flags_of(ring, index) & KVM_DIRTY_GFN_F_DIRTY) != 0;
}

/* Calls reset until @wanted entries are reset or it makes no more progress. Returns how many, or -errno. */
static gint64
reset_entries(DlRingSet *set, guint64 wanted)
{
    guint64 done = 0;
    guint idle = 0;

    while (done < wanted && idle < IDLE_RESETS) {
        gint64 now = set->ops.reset(set->ops.user);
        if (now < 0 && now != -EINTR && now != -EAGAIN)
            return now;
        if (now > 0) {
            done += (guint64)now;
            idle = 0;
        } else {
            idle++;
        }
    }
    return (gint64)done;
}

static gboolean
reset_failed(gint64 result, GError **error)
{
    if (result >= 0)
        return FALSE;
    dl_set_error(error, dl_error_from_errno((int)-result), (int)-result, NULL, "KVM_RESET_DIRTY_RINGS");
    return TRUE;
}

/* Marks every DIRTY entry from the position on, and reports it. What is RESET already counts as walked (only in a recovery). */
static guint32
walk(DlRingSet *set, DlRing *ring, DlBitmap *out)
{
    guint32 walked = 0;

    for (; walked < ring->size; walked++) {
        guint32 index = ring->position + walked;
        guint32 flags = flags_of(ring, index);
        if (flags & KVM_DIRTY_GFN_F_DIRTY) {
            const struct kvm_dirty_gfn *entry = entry_at(ring, index);
            set->ops.report(set->ops.user, entry->slot, entry->offset, out);
            set_flags(ring, index, KVM_DIRTY_GFN_F_RESET);
            if (ring->reported)
                __atomic_fetch_add(ring->reported, 1, __ATOMIC_RELAXED);
        } else if (!(flags & KVM_DIRTY_GFN_F_RESET)) {
            break;
        }
    }
    ring->walked = walked;
    return walked;
}

/* Moves the position over the walked entries that the kernel has reset, with the vCPUs stopped. */
static void
advance(DlRing *ring)
{
    for (; ring->walked && flags_of(ring, ring->position) == 0; ring->walked--)
        ring->position++;
    ring->walked = 0;
}

/* Takes back every mark that the kernel did not come by, so that it does not come by later and take it for a harvested entry. */
static void
unmark(DlRing *ring, gboolean dirty_too)
{
    for (guint32 i = 0; i < ring->size; i++) {
        guint32 flags = flags_of(ring, i);
        if (flags && (dirty_too || !(flags & KVM_DIRTY_GFN_F_DIRTY)))
            set_flags(ring, i, 0);
    }
}

/* With the vCPUs stopped: everything visible out of the rings, as far as the kernel goes along. */
static gboolean
drain(DlRingSet *set, DlBitmap *out, GError **error)
{
    for (guint i = 0; i < set->n_rings; i++)
        advance(&set->rings[i]);

    for (guint round = 0; round < DRAIN_ROUNDS; round++) {
        guint64 walked = 0;
        for (guint i = 0; i < set->n_rings; i++)
            walked += walk(set, &set->rings[i], out);
        if (walked == 0)
            break;
        gint64 done = reset_entries(set, walked);
        if (reset_failed(done, error))
            return FALSE;
        for (guint i = 0; i < set->n_rings; i++)
            advance(&set->rings[i]);
        if (done == 0)
            break;
    }

    /* What the kernel did not reset, it does not count from where we do. All is reported and protected anyway. */
    for (guint i = 0; i < set->n_rings; i++) {
        unmark(&set->rings[i], TRUE);
        set->rings[i].trust = DL_RING_LOST;
        set->rings[i].starved = FALSE;
    }
    return TRUE;
}

static gboolean
recover(DlRingSet *set, DlBitmap *out, GError **error)
{
    if (!set->overflowed)
        __atomic_fetch_add(&set->stats->ring_overflows, 1, __ATOMIC_RELAXED);
    set->overflowed = TRUE; /* until all of the following has succeeded, at the next harvest if need be */
    set->ops.report_all(set->ops.user, out);

    if (!set->ops.pause(set->ops.user, error))
        return FALSE;
    gboolean recovered = drain(set, out, error) && set->ops.reprotect(set->ops.user, error);
    set->overflowed = !recovered;
    set->ops.resume(set->ops.user);
    return recovered;
}

/* The runs of DIRTY entries in the ring, taken as a circle, and the start of the last one seen. */
static guint32
count_runs(const DlRing *ring, guint32 *start)
{
    guint32 runs = 0;

    for (guint32 i = 0; i < ring->size; i++) {
        if (is_dirty(ring, i) && !is_dirty(ring, i - 1)) {
            *start = i;
            runs++;
        }
    }
    return runs;
}

/* settle() with the vCPUs stopped. */
static gboolean
search(DlRingSet *set, DlRing *ring, gboolean *lost, GError **error)
{
    guint32 start = 0;
    guint32 runs = count_runs(ring, &start);

    /* No start though there is a DIRTY entry: full. More than one: not what the kernel does. */
    *lost = runs != 1;
    if (*lost)
        return TRUE;

    for (guint32 i = 0; i < ring->size; i++) {
        if (flags_of(ring, i) == 0)
            set_flags(ring, i, KVM_DIRTY_GFN_F_RESET);
    }
    gint64 skipped = reset_entries(set, ring->size);
    unmark(ring, FALSE);
    if (reset_failed(skipped, error))
        return FALSE;

    ring->position = start;
    ring->trust = DL_RING_SURE;
    if (skipped > 0)
        __atomic_fetch_add(&set->stats->ring_resyncs, 1, __ATOMIC_RELAXED);
    return TRUE;
}

/* Finds the position of a ring that is not sure of it, once there is a DIRTY entry to find it by. @lost: it is past finding. */
static gboolean
settle(DlRingSet *set, DlRing *ring, gboolean *lost, GError **error)
{
    guint32 i = 0;

    while (i < ring->size && !is_dirty(ring, ring->position + i))
        i++;
    if (i == ring->size)
        return TRUE;
    if (i == 0 && ring->trust == DL_RING_UNSURE && !is_dirty(ring, ring->position - 1)) {
        ring->trust = DL_RING_SURE; /* a run starts where we expected it */
        return TRUE;
    }

    if (!set->ops.pause(set->ops.user, error))
        return FALSE;
    gboolean ok = search(set, ring, lost, error);
    set->ops.resume(set->ops.user);
    return ok;
}

gboolean
dl_ring_set_harvest(DlRingSet *set, DlBitmap *out, GError **error)
{
    guint64 walked = 0;
    gboolean full = FALSE;

    if (set->overflowed)
        return recover(set, out, error);

    for (guint i = 0; i < set->n_rings; i++) {
        gboolean lost = FALSE;
        if (set->rings[i].trust != DL_RING_SURE && !settle(set, &set->rings[i], &lost, error))
            return FALSE;
        if (lost)
            return recover(set, out, error);
    }
    for (guint i = 0; i < set->n_rings; i++) {
        DlRing *ring = &set->rings[i];
        guint32 found = walk(set, ring, out);
        full |= found == ring->size;
        if (found)
            ring->starved = FALSE;
        walked += found;
    }
    if (walked == 0)
        return TRUE;

    gint64 done = reset_entries(set, walked);
    if (full || done < 0 || (guint64)done < walked)
        return recover(set, out, error);
    for (guint i = 0; i < set->n_rings; i++) {
        set->rings[i].position += set->rings[i].walked;
        set->rings[i].walked = 0;
    }
    return TRUE;
}

/* Nothing is visible, and the kernel counts at least its soft limit. Only the quarter with the reset index in it moves that. */
static gboolean
skip_quarter(DlRingSet *set, DlRing *ring, DlBitmap *out, GError **error)
{
    guint32 quarter = ring->size / 4;

    for (guint32 start = ring->position; start != ring->position + ring->size; start += quarter) {
        for (guint32 i = 0; i < quarter; i++)
            set_flags(ring, start + i, KVM_DIRTY_GFN_F_RESET);
        gint64 done = reset_entries(set, quarter);
        unmark(ring, FALSE);
        if (reset_failed(done, error))
            return FALSE;
        if (done > 0) {
            ring->position = start + quarter;
            ring->trust = DL_RING_LOST;
            __atomic_fetch_add(&set->stats->ring_resyncs, 1, __ATOMIC_RELAXED);
            return TRUE;
        }
    }
    return recover(set, out, error);
}

gboolean
dl_ring_set_full(DlRingSet *set, guint index, DlBitmap *out, GError **error)
{
    g_return_val_if_fail(index < set->n_rings, FALSE);
    DlRing *ring = &set->rings[index];
    gboolean twice = ring->starved;

    /* Cleared by whatever finds an entry in the ring, here or in another thread's harvest since the vCPU left the guest. */
    ring->starved = TRUE;
    if (!dl_ring_set_harvest(set, out, error)) {
        ring->starved = FALSE;
        return FALSE;
    }
    if (!ring->starved)
        return TRUE;
    if (ring->trust == DL_RING_SURE)
        ring->trust = DL_RING_UNSURE;
    if (!twice)
        return TRUE;
    ring->starved = FALSE;
    return skip_quarter(set, ring, out, error);
}

gboolean
dl_ring_set_drain(DlRingSet *set, DlBitmap *out, GError **error)
{
    for (guint i = 0; i < set->n_rings; i++) {
        gboolean lost = FALSE;
        if (set->rings[i].trust != DL_RING_SURE && !settle(set, &set->rings[i], &lost, error))
            return FALSE;
    }
    if (!set->ops.pause(set->ops.user, error))
        return FALSE;
    gboolean drained = drain(set, out, error);
    set->ops.resume(set->ops.user);
    return drained;
}
