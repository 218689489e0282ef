/* SPDX-License-Identifier: MIT */
/* No tracking at all: the baseline for cost, and what is active before the first move and after the last. */
#include "dirtylog/trackers.h"
#include "dirtylog/trial.h"

static guint64
none_unit(DlRamKind kind)
{
    (void)kind;
    return DL_PAGE_SIZE;
}

static gboolean
none_probe(DlRamKind kind, char **remedy, GError **error)
{
    (void)remedy;
    return dl_trial_process(&dl_none_class, kind, error);
}

static DlTracker *
none_new(const DlTrackerContext *context, GError **error)
{
    DlTracker *tracker = g_new(DlTracker, 1);

    (void)error;
    *tracker = (DlTracker){&dl_none_class, context};
    return tracker;
}

static gboolean
none_arm(DlTracker *tracker, GError **error)
{
    (void)tracker;
    (void)error;
    return TRUE;
}

static gboolean
none_collect(DlTracker *tracker, DlBitmap *out, GError **error)
{
    (void)tracker;
    (void)out;
    (void)error;
    return TRUE;
}

static void
none_release(DlTracker *tracker)
{
    (void)tracker;
}

static void
none_free(DlTracker *tracker)
{
    g_free(tracker);
}

const DlTrackerClass dl_none_class = {
    .facts =
        {
            .name = "none",
            .interface = "no tracking",
            .holds = DL_HOLDS_NOTHING,
            .rearm = DL_REARM_NONE,
            .unseen = DL_WRITERS_ALL,
            .kernel = "any",
            .privileges = "none",
        },
    .unit = none_unit,
    .probe = none_probe,
    .new = none_new,
    .arm = none_arm,
    .collect = none_collect,
    .release = none_release,
    .free = none_free,
};
