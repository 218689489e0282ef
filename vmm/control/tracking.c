/* SPDX-License-Identifier: MIT */
#include "control/tracking.h"

#include "control/qmp.h"

struct Tracking {
    DlLog *log;
    DlRamKind ram;
    gboolean has_rings;

    GMutex lock; /* guards all down to `borrowed`; held over a move */
    GPtrArray *holders;
    gboolean began_with_none;     /* the first holder found no tracker, and nobody has chosen one since */
    const DlTrackerFacts *former; /* what is to come back; NULL: what is active stays */
    gboolean borrowed;

    GMutex probes_lock;
    DlProbe *probes; /* NULL until somebody asks */
};

Tracking *
tracking_new(Board *board)
{
    Tracking *tracking = g_new0(Tracking, 1);
    DlHost host;

    machine_host(board_machine(board), &host);
    tracking->log = board_log(board);
    tracking->ram = guest_ram_kind(board_ram(board));
    tracking->has_rings = host.dirty_ring_bytes != 0;
    tracking->holders = g_ptr_array_new();
    g_mutex_init(&tracking->lock);
    g_mutex_init(&tracking->probes_lock);
    return tracking;
}

void
tracking_free(Tracking *tracking)
{
    if (!tracking)
        return;
    for (guint i = 0; tracking->probes && i < dl_n_trackers(); i++)
        dl_probe_clear(&tracking->probes[i]);
    g_free(tracking->probes);
    g_ptr_array_unref(tracking->holders);
    g_mutex_clear(&tracking->lock);
    g_mutex_clear(&tracking->probes_lock);
    g_free(tracking);
}

static gboolean
is_none(const DlTrackerFacts *facts)
{
    return facts && facts->holds == DL_HOLDS_NOTHING;
}

/* --- moves --- */

static gboolean
check_holders(const Tracking *tracking, const char *name, GError **error)
{
    if (!tracking->holders->len || !is_none(dl_tracker_facts_by_name(name)))
        return TRUE;
    g_set_error(error, QMP_ERROR, QMP_ERROR_GENERIC,
                "%s is under way and needs a tracker: choose another one, or wait for its end",
                (const char *)g_ptr_array_index(tracking->holders, 0));
    return FALSE;
}

gboolean
tracking_set(Tracking *tracking, const char *name, const DlTrackerFacts **from, DlMoveResult *result, GError **error)
{
    g_mutex_lock(&tracking->lock);
    if (from)
        *from = dl_log_tracker(tracking->log);
    gboolean ok = check_holders(tracking, name, error) && dl_log_move(tracking->log, name, NULL, result, error);
    if (ok) {
        tracking->former = NULL;
        tracking->began_with_none = FALSE;
    }
    g_mutex_unlock(&tracking->lock);
    return ok;
}

/* With the lock held: what was there before the borrower, or the first holder, comes back, when nobody needs it otherwise any more. */
static void
settle(Tracking *tracking)
{
    g_autoptr(GError) error = NULL;

    if (!tracking->former || tracking->borrowed || (is_none(tracking->former) && tracking->holders->len))
        return;
    const DlTrackerFacts *former = g_steal_pointer(&tracking->former);
    if (!dl_log_move(tracking->log, former->name, NULL, NULL, &error))
        g_message("the tracker stays %s: %s", dl_log_tracker(tracking->log)->name, error->message);
}

void
tracking_hold(Tracking *tracking, const char *who)
{
    g_mutex_lock(&tracking->lock);
    if (!tracking->holders->len)
        tracking->began_with_none = is_none(dl_log_tracker(tracking->log));
    g_ptr_array_add(tracking->holders, (gpointer)who);
    g_mutex_unlock(&tracking->lock);
}

void
tracking_release(Tracking *tracking, const char *who)
{
    g_mutex_lock(&tracking->lock);
    g_ptr_array_remove(tracking->holders, (gpointer)who);
    if (!tracking->holders->len && tracking->began_with_none) {
        tracking->former = dl_tracker_facts_by_name("none");
        tracking->began_with_none = FALSE;
    }
    settle(tracking);
    g_mutex_unlock(&tracking->lock);
}

gboolean
tracking_borrow(Tracking *tracking, const DlTrackerFacts *facts, GError **error)
{
    g_mutex_lock(&tracking->lock);
    const DlTrackerFacts *active = dl_log_tracker(tracking->log);
    gboolean ok = dl_log_move(tracking->log, facts->name, NULL, NULL, error);
    tracking->borrowed = ok;
    if (ok && active != facts && !tracking->former)
        tracking->former = active;
    g_mutex_unlock(&tracking->lock);
    return ok;
}

void
tracking_give_back(Tracking *tracking)
{
    g_mutex_lock(&tracking->lock);
    tracking->borrowed = FALSE;
    settle(tracking);
    g_mutex_unlock(&tracking->lock);
}

/* --- what can be had --- */

static void
probe(const Tracking *tracking, const DlTrackerFacts *facts, DlProbe *answer)
{
    if (facts->holds == DL_HOLDS_MEMSLOT_LOG && tracking->has_rings) {
        *answer = (DlProbe){FALSE, g_strdup("this guest was made with dirty rings, and KVM then keeps no bitmaps"),
                            g_strdup("boot it without --dirty-ring-size")};
    } else if (facts->holds == DL_HOLDS_RING && !tracking->has_rings) {
        *answer = (DlProbe){FALSE, g_strdup("this guest was made without dirty rings"),
                            g_strdup("boot it with --dirty-ring-size 4096")};
    } else {
        dl_probe(facts, tracking->ram, answer);
    }
}

const DlProbe *
tracking_probe(Tracking *tracking, guint index)
{
    g_return_val_if_fail(index < dl_n_trackers(), NULL);
    g_mutex_lock(&tracking->probes_lock);
    if (!tracking->probes) {
        tracking->probes = g_new0(DlProbe, dl_n_trackers());
        for (guint i = 0; i < dl_n_trackers(); i++)
            probe(tracking, dl_tracker_facts(i), &tracking->probes[i]);
    }
    g_mutex_unlock(&tracking->probes_lock);
    return &tracking->probes[index];
}
