/* SPDX-License-Identifier: MIT */
/*
 * Lying trackers. Each hands everything on to an honest one and falsifies its harvest. The lab harvests twice a pass, running and
 * then stopped; a lie that only shows between windows is held back for two harvests.
 */
#include "bench/tests/liars.h"

typedef struct {
    DlTracker base;
    DlTracker *inner;
    guint n_harvests;
    DlBitmap *found;         /* by the inner one, this time */
    DlBitmap *ever_reported; /* LIE_NO_REARM */
    guint64 held[2];         /* LIE_LATE: pages of the last two harvests, 0: none */
} Liar;

static Liar *
liar_of(DlTracker *tracker)
{
    return (Liar *)tracker;
}

/* The tests' guests have one region. */
static DlPageRange
everything(const Liar *liar)
{
    return dl_layout_region_pages(liar->base.context->layout, 0);
}

/* A page of the arena, not of the guest's own, and not in the last word. */
static guint64
some_found(const Liar *liar)
{
    DlPageRange run;
    guint64 end = everything(liar).count;

    return dl_bitmap_next_run(liar->found, end / 2, end, &run) ? run.first : 0;
}

static gboolean
inner_harvest(Liar *liar, DlBitmap *out, GError **error)
{
    const DlTrackerClass *inner = liar->inner->class;

    if (inner->harvest)
        return inner->harvest(liar->inner, out, error);
    return inner->collect(liar->inner, out, error) && inner->rearm(liar->inner, everything(liar), out, error);
}

static void
drop(Liar *liar)
{
    dl_bitmap_clear(liar->found, some_found(liar));
}

static void
add(Liar *liar)
{
    guint64 page = everything(liar).count / 2 + UINT64_C(64) * liar->n_harvests;

    while (dl_bitmap_test(liar->found, page))
        page++;
    dl_bitmap_set(liar->found, page);
}

static void
hold_back(Liar *liar)
{
    guint64 page = some_found(liar);

    dl_bitmap_clear(liar->found, page);
    if (liar->held[0])
        dl_bitmap_set(liar->found, liar->held[0]);
    liar->held[0] = liar->held[1];
    liar->held[1] = page;
}

static void
truncate_last_words(Liar *liar)
{
    DlLayout *layout = liar->base.context->layout;

    for (guint i = 0; i < dl_layout_n_regions(layout); i++) {
        DlPageRange pages = dl_layout_region_pages(layout, i);
        guint64 whole = (pages.count - 1) / 64 * 64;
        dl_bitmap_clear_range(liar->found, (DlPageRange){pages.first + whole, pages.count - whole});
    }
}

static void
report_once(Liar *liar)
{
    g_autoptr(DlBitmap) found = dl_bitmap_copy(liar->found);

    dl_bitmap_and_not(liar->found, liar->ever_reported);
    dl_bitmap_or(liar->ever_reported, found);
}

static gboolean
harvest_and(DlTracker *tracker, DlBitmap *out, void (*falsify)(Liar *liar), GError **error)
{
    Liar *liar = liar_of(tracker);

    liar->n_harvests++;
    dl_bitmap_clear_all(liar->found);
    if (!inner_harvest(liar, liar->found, error))
        return FALSE;
    falsify(liar);
    dl_bitmap_or(out, liar->found);
    return TRUE;
}

/* At the running harvest the pages go out before they are protected again; what the late re-arm finds is thrown away. */
static gboolean
harvest_before_rearm(DlTracker *tracker, DlBitmap *out, GError **error)
{
    Liar *liar = liar_of(tracker);
    const DlTrackerClass *inner = liar->inner->class;

    if (liar->n_harvests++ % 2 == 0)
        return inner->collect(liar->inner, out, error);
    dl_bitmap_clear_all(liar->found);
    return inner->rearm(liar->inner, everything(liar), liar->found, error) && inner_harvest(liar, out, error);
}

#define HARVEST(lie, falsify)                                                        \
    static gboolean harvest_##lie(DlTracker *tracker, DlBitmap *out, GError **error) \
    {                                                                                \
        return harvest_and(tracker, out, falsify, error);                            \
    }
HARVEST(drop, drop)
HARVEST(add, add)
HARVEST(late, hold_back)
HARVEST(truncate, truncate_last_words)
HARVEST(no_rearm, report_once)

static gboolean
liar_arm(DlTracker *tracker, GError **error)
{
    return liar_of(tracker)->inner->class->arm(liar_of(tracker)->inner, error);
}

/* Only the moves collect without a harvest; nothing is judged there. */
static gboolean
liar_collect(DlTracker *tracker, DlBitmap *out, GError **error)
{
    return liar_of(tracker)->inner->class->collect(liar_of(tracker)->inner, out, error);
}

static gboolean
liar_rearm(DlTracker *tracker, DlPageRange range, DlBitmap *out, GError **error)
{
    return liar_of(tracker)->inner->class->rearm(liar_of(tracker)->inner, range, out, error);
}

static void
liar_release(DlTracker *tracker)
{
    liar_of(tracker)->inner->class->release(liar_of(tracker)->inner);
}

static void
liar_free(DlTracker *tracker)
{
    Liar *liar = liar_of(tracker);

    liar->inner->class->free(liar->inner);
    dl_bitmap_free(liar->found);
    dl_bitmap_free(liar->ever_reported);
    g_free(liar);
}

static DlTracker *
liar_new(const DlTrackerContext *context, const DlTrackerClass *class, GError **error)
{
    const DlTrackerClass *inner_class = dl_tracker_class_by_name(LIAR_INNER);
    DlTracker *inner = inner_class->new (context, error);

    if (!inner)
        return NULL;
    Liar *liar = g_new0(Liar, 1);
    guint64 n_bits = dl_layout_n_bits(context->layout);
    *liar =
        (Liar){.base = {class, context}, .inner = inner, .found = dl_bitmap_new(n_bits), .ever_reported = dl_bitmap_new(n_bits)};
    return &liar->base;
}

static const DlTrackerClass classes[N_LIES];

#define NEW(lie, index)                                                          \
    static DlTracker *new_##lie(const DlTrackerContext *context, GError **error) \
    {                                                                            \
        return liar_new(context, &classes[index], error);                        \
    }
NEW(drop, LIE_DROP)
NEW(add, LIE_ADD)
NEW(late, LIE_LATE)
NEW(truncate, LIE_TRUNCATE)
NEW(no_rearm, LIE_NO_REARM)
NEW(before_rearm, LIE_READ_BEFORE_REARM)

#define LIAR(lie)                                                                                                         \
    {                                                                                                                     \
        .facts = {.name = "liar-" #lie, .interface = "a lie", .holds = DL_HOLDS_MEMSLOT_LOG, .rearm = DL_REARM_BY_RANGE}, \
        .new = new_##lie, .arm = liar_arm, .collect = liar_collect, .rearm = liar_rearm, .harvest = harvest_##lie,        \
        .release = liar_release, .free = liar_free,                                                                       \
    }
static const DlTrackerClass classes[N_LIES] = {
    [LIE_DROP] = LIAR(drop),         [LIE_ADD] = LIAR(add),           [LIE_LATE] = LIAR(late),
    [LIE_TRUNCATE] = LIAR(truncate), [LIE_NO_REARM] = LIAR(no_rearm), [LIE_READ_BEFORE_REARM] = LIAR(before_rearm),
};

const DlTrackerClass *
liar_class(Lie lie)
{
    return &classes[lie];
}

Diagnosis
liar_diagnosis(Lie lie)
{
    static const Diagnosis found[N_LIES] = {
        [LIE_DROP] = DIAGNOSIS_DROPS,
        [LIE_ADD] = DIAGNOSIS_ADDS,
        [LIE_LATE] = DIAGNOSIS_LATE,
        [LIE_TRUNCATE] = DIAGNOSIS_TRUNCATES,
        [LIE_NO_REARM] = DIAGNOSIS_DOES_NOT_REARM,
        [LIE_READ_BEFORE_REARM] = DIAGNOSIS_READS_BEFORE_REARM,
    };
    return found[lie];
}
