/* SPDX-License-Identifier: MIT */
/*
 * The stage of most cases: memory of the cell's RAM kind with a DlLog over it, some places to write to, and what has to be
 * reported. A place is one 4 KiB page inside a backing page of its own, some pages from its start, so that rounding in either
 * direction shows. The rest of the tracker's unit may be reported with it: that is granularity, and counts as exact.
 *
 *   scene = scene_open(cell, &error);      populated, every page with bytes of its own
 *   scene_arm(scene, &error);
 *   scene_store(scene, 0);                 place 0 must be reported from here on
 *   …
 *   scene_harvest(scene, &error);          what is reported is judged, and the next round begins
 */
#pragma once

#include "dirtylog/tiny_vm.h"
#include "semantics/semantics.h"

#define SCENE_PLACES 8

/**
 * Scene:
 * @stride: pages from one place to the next
 * @unit: pages that the tracker reports at once
 * @copy: RAM as it was at the last scene_remember()
 * @vm: open where the scene was made with one
 */
typedef struct {
    Cell *cell;
    DlMemory *memory;
    DlLayout *layout;
    DlLog *log;
    DlConsumer *consumer;
    guint64 pages, stride, unit;
    DlBitmap *must, *allowed, *found;
    guint8 *copy;
    TinyVm vm;
} Scene;

/** scene_open: with the log, not armed. */
Scene *scene_open(Cell *cell, GError **error);
/** scene_open_vm: the same as the RAM of a VM with one vCPU; the trackers on KVM need it. @entries: of the ring, if it is one. */
Scene *scene_open_vm(Cell *cell, guint32 entries, GError **error);
void scene_free(Scene *scene);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Scene, scene_free)

/** scene_arm: arms the cell's tracker and takes what the first harvest reports, unjudged. */
gboolean scene_arm(Scene *scene, GError **error);

guint64 scene_page(const Scene *scene, guint place);
guint8 *scene_address(const Scene *scene, guint place);

/** scene_store: user code stores one byte that is new. Marked. */
void scene_store(Scene *scene, guint place);
/** scene_guest_store: the same by the vCPU. */
gboolean scene_guest_store(Scene *scene, guint place, GError **error);
/** scene_mark: the page of @place, or of @page, has to be reported. */
void scene_mark(Scene *scene, guint place);
void scene_mark_page(Scene *scene, guint64 page);

/** scene_remember: copies RAM. scene_mark_changed: every page that differs from the copy has to be reported. */
void scene_remember(Scene *scene);
void scene_mark_changed(Scene *scene);

/** scene_harvest: a full harvest, judged. Nothing is marked afterwards. */
gboolean scene_harvest(Scene *scene, GError **error);
/** scene_skip: a full harvest that is not judged. */
gboolean scene_skip(Scene *scene, GError **error);
