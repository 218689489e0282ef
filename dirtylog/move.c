/* SPDX-License-Identifier: MIT */
/*
 * From one tracker, A, to another, B, with the guest running and no store lost. What the two hold decides how:
 *
 *   different things          arm B, collect A, release A: the two overlap (OVERLAP)
 *   both the memslots' log    harvest A, arm B, release A: the flag, and the kernel's bitmap with it, stays (HANDED_ON)
 *   both the same other thing A has to go before B can come (a second userfaultfd on a range gets EBUSY). With a pause, every
 *                             writer stands from A's collect to B's arm, which is exact (PAUSED). Without one, but with a VM,
 *                             KVM's log is armed over the gap: it sees what vCPUs and KVM write, and the program notes its own
 *                             stores; a writer that only A and B see must stand meanwhile (BRIDGED). Without either, all is
 *                             reported once B is armed (ALL_DIRTY)
 *   userfaultfd and soft-dirty, either way, count as the same thing, since each spoils what the other keeps in the page table:
 *                             before Linux 6.2 or so an unprotect by userfaultfd opens the page whether or not soft-dirty waits
 *                             for its next store, and a protect splits a huge page of shmem by dropping its entry, soft-dirty
 *                             bit and all. There is always a pause: soft-dirty cannot be had without
 *
 * HANDED_ON harvests before it arms. From A = kvm-bitmap-clear, that clears what A had handed out and not cleared, which B
 * could not know. To B = kvm-bitmap-clear, B's arm changes what KVM_GET_DIRTY_LOG does, and A must not get in that mode.
 *
 * Whatever fails, A is active again afterwards. Where A was gone already and comes back, all is reported. Only when A does not
 * come back either, nothing is active (`none`), and the error says so.
 */
#include "dirtylog/log_private.h"
#include "dirtylog/private.h"
#include "dirtylog/trackers.h"

typedef struct {
    DlLog *log;
    DlInstance *from;
    DlInstance *to;
    DlMoveResult result;
} Move;

static gboolean
arm_new(Move *move, GError **error)
{
    gint64 start = dl_now_ns();
    gboolean ok = dl_instance_arm(move->log, move->to, error);

    move->result.arm_ns = dl_now_ns() - start;
    return ok;
}

static void
release_old(Move *move)
{
    gint64 start = dl_now_ns();

    dl_instance_release(move->from);
    move->result.release_ns = dl_now_ns() - start;
}

static gboolean
overlap(Move *move, GError **error)
{
    move->result.kind = DL_MOVE_OVERLAP;
    if (!arm_new(move, error))
        return FALSE;
    if (!dl_instance_collect(move->log, move->from, error)) {
        dl_instance_release(move->to);
        return FALSE;
    }
    release_old(move);
    return TRUE;
}

static gboolean
hand_on(Move *move, GError **error)
{
    move->result.kind = DL_MOVE_HANDED_ON;
    if (!dl_instance_harvest(move->log, move->from, error) || !arm_new(move, error))
        return FALSE;
    release_old(move);
    return TRUE;
}

static void
count_gap(DlLog *log)
{
    __atomic_fetch_add(&log->stats.gaps, 1, __ATOMIC_RELEASE);
}

/* A is released and B did not come: A again, with everything dirty. */
static void
bring_back(Move *move, GError **error)
{
    g_autoptr(GError) second = NULL;
    DlLog *log = move->log;

    if (!dl_instance_arm(log, move->from, &second)) {
        g_prefix_error(error,
                       "%s could not be armed again (%s), nothing is tracked now: ", move->from->tracker->class->facts.name,
                       second->message);
        dl_instance_free(log->instance);
        log->instance = dl_instance_new(log, &dl_none_class, NULL, NULL);
        __atomic_store_n(&log->class, &dl_none_class, __ATOMIC_RELEASE);
        count_gap(log);
    }
    dl_log_report_all(log);
}

/* A's last collect and release, then B's arm. The gap between them is the caller's to cover. */
static gboolean
swap(Move *move, GError **error)
{
    if (!dl_instance_collect(move->log, move->from, error))
        return FALSE;
    release_old(move);
    if (arm_new(move, error))
        return TRUE;
    bring_back(move, error);
    return FALSE;
}

static gboolean
swap_paused(Move *move, GError **error)
{
    const DlHost *host = &move->log->host;

    move->result.kind = DL_MOVE_PAUSED;
    if (!host->pause(host->user, error))
        return FALSE;
    gboolean ok = swap(move, error);
    host->resume(host->user);
    return ok;
}

static gboolean
swap_bridged(Move *move, GError **error)
{
    DlLog *log = move->log;
    DlInstance *bridge = dl_instance_new(log, &dl_kvm_bitmap_class, NULL, error);

    move->result.kind = DL_MOVE_BRIDGED;
    if (!bridge)
        return FALSE;
    gboolean ok = dl_instance_arm(log, bridge, error);
    if (ok) {
        g_autoptr(GError) bridge_error = NULL;
        ok = swap(move, error);
        if (!dl_instance_collect(log, bridge, &bridge_error)) {
            g_info("the bridge failed, all is reported: %s", bridge_error->message);
            move->result.kind = DL_MOVE_ALL_DIRTY;
            dl_log_report_all(log);
        }
        dl_instance_release(bridge);
    }
    dl_instance_free(bridge);
    return ok;
}

static gboolean
swap_all_dirty(Move *move, GError **error)
{
    move->result.kind = DL_MOVE_ALL_DIRTY;
    if (!swap(move, error))
        return FALSE;
    dl_log_report_all(move->log);
    return TRUE;
}

/* A ring is no bridge: it needs a host that can pause, and such a host pauses instead. */
static gboolean
can_bridge(const Move *move)
{
    DlHolds holds = move->from->tracker->class->facts.holds;

    return move->log->host.vm_fd >= 0 && move->log->host.set_logging && !move->log->host.dirty_ring_bytes &&
           holds != DL_HOLDS_RING && holds != DL_HOLDS_MEMSLOT_LOG;
}

/* Two that write to the same page-table entries. */
static gboolean
share_entries(DlHolds from, DlHolds to)
{
    return (from == DL_HOLDS_UFFD || from == DL_HOLDS_PROCESS) && (to == DL_HOLDS_UFFD || to == DL_HOLDS_PROCESS);
}

static gboolean
carry_out(Move *move, GError **error)
{
    DlHolds from = move->from->tracker->class->facts.holds;
    DlHolds to = move->to->tracker->class->facts.holds;

    if (from == DL_HOLDS_NOTHING || (from != to && !share_entries(from, to)))
        return overlap(move, error);
    if (from == DL_HOLDS_MEMSLOT_LOG)
        return hand_on(move, error);
    if (move->log->host.pause)
        return swap_paused(move, error);
    if (can_bridge(move))
        return swap_bridged(move, error);
    return swap_all_dirty(move, error);
}

static gboolean
move_locked(DlLog *log, const DlTrackerClass *class, const DlTrackerOptions *options, DlMoveResult *result, GError **error)
{
    Move move = {.log = log, .from = log->instance};

    if (class == log->class) {
        move.result.kind = DL_MOVE_HANDED_ON; /* to itself */
    } else {
        move.to = dl_instance_new(log, class, options, error);
        if (!move.to)
            return FALSE;
        if (!carry_out(&move, error)) {
            dl_instance_free(move.to);
            return FALSE;
        }
        log->instance = move.to;
        __atomic_store_n(&log->class, class, __ATOMIC_RELEASE);
        dl_instance_free(move.from);
        if (class == &dl_none_class)
            count_gap(log);
    }
    if (result)
        *result = move.result;
    return TRUE;
}

gboolean
dl_log_move_to_class(DlLog *log, const DlTrackerClass *class, const DlTrackerOptions *options, DlMoveResult *result,
                     GError **error)
{
    g_mutex_lock(&log->lock);
    gboolean ok = move_locked(log, class, options, result, error);
    g_mutex_unlock(&log->lock);
    return ok;
}

gboolean
dl_log_move(DlLog *log, const char *name, const DlTrackerOptions *options, DlMoveResult *result, GError **error)
{
    const DlTrackerClass *class = dl_tracker_class_by_name(name);

    if (class)
        return dl_log_move_to_class(log, class, options, result, error);

    g_autoptr(GString) names = g_string_new(NULL);
    for (guint i = 0; i < dl_n_trackers(); i++)
        g_string_append_printf(names, "%s%s", i ? ", " : "", dl_tracker_facts(i)->name);
    dl_set_error(error, DL_ERROR_INVALID, 0, NULL, "unknown tracker “%s”: it is one of %s", name ? name : "", names->str);
    return FALSE;
}

const char *
dl_move_kind_name(DlMoveKind kind)
{
    switch (kind) {
    case DL_MOVE_OVERLAP:
        return "overlap";
    case DL_MOVE_HANDED_ON:
        return "handed-on";
    case DL_MOVE_BRIDGED:
        return "bridged";
    case DL_MOVE_PAUSED:
        return "paused";
    case DL_MOVE_ALL_DIRTY:
        return "all-dirty";
    }
    return "unknown";
}
