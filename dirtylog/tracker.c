/* SPDX-License-Identifier: MIT */
/* The registry of trackers. A new tracker is one file and one line here; the order is the one in which tables show them. */
#include "dirtylog/trackers.h"

static const DlTrackerClass *const registry[] = {
    &dl_none_class,    &dl_kvm_bitmap_class,   &dl_kvm_bitmap_clear_class, &dl_kvm_ring_class,
    &dl_uffd_wp_class, &dl_pagemap_scan_class, &dl_soft_dirty_class,
};

guint
dl_n_trackers(void)
{
    return G_N_ELEMENTS(registry);
}

const DlTrackerClass *
dl_tracker_class_at(guint index)
{
    g_return_val_if_fail(index < G_N_ELEMENTS(registry), NULL);
    return registry[index];
}

const DlTrackerClass *
dl_tracker_class_by_name(const char *name)
{
    for (guint i = 0; i < G_N_ELEMENTS(registry); i++) {
        if (g_strcmp0(registry[i]->facts.name, name) == 0)
            return registry[i];
    }
    return NULL;
}

const DlTrackerFacts *
dl_tracker_facts(guint index)
{
    const DlTrackerClass *class = dl_tracker_class_at(index);

    return class ? &class->facts : NULL;
}

const DlTrackerFacts *
dl_tracker_facts_by_name(const char *name)
{
    const DlTrackerClass *class = dl_tracker_class_by_name(name);

    return class ? &class->facts : NULL;
}

guint64
dl_tracker_unit(const DlTrackerFacts *facts, DlRamKind kind)
{
    const DlTrackerClass *class = dl_tracker_class_by_name(facts->name);

    /* A class from outside the registry (a test's) is known only by its facts, which are its first member. */
    if (!class || &class->facts != facts)
        class = (const DlTrackerClass *)facts;
    return class->unit(kind);
}
