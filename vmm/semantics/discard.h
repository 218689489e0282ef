/* SPDX-License-Identifier: MIT */
/*
 * What every discard case does. A place's backing page is discarded; then all that differs from before has to be reported, since a
 * destination holds the old bytes; then a store to the place has to be reported too.
 *
 * The trackers are not told of a discard by the kernel: an armed clean page stays clean though its content is now zero
 * (uffd-wp for shmem and hugetlbfs, 2021: the marker outlives the page). So it is the VMM that has to tell: dl_log_discard().
 */
#pragma once

#include "semantics/scene.h"

/** Variants of each operation. */
typedef enum {
    DISCARD_WRITTEN = 1, /* the page was written since the last harvest; else it is clean */
    DISCARD_TOLD = 2,    /* through dl_log_discard(); else behind the library's back */
} DiscardVariant;

/** The operation on [@address, @address + @size), which is at @offset of the memfd and may reach to its end. */
typedef gboolean (*DiscardOperation)(Scene *scene, guint64 offset, guint64 size, GError **error);

/** discard_run: @to_end: the operation takes everything from there to the end. */
gboolean discard_run(Cell *cell, DiscardOperation operation, gboolean to_end, GError **error);

#define DISCARD_RAMS PLAIN_RAMS ",hugetlb-1G"
#define DISCARD_LIMIT_MS 120000 /* a page of 1 GiB is filled, copied and compared, on an emulated processor too */
#define DISCARD_LOST                                                                                                            \
    "A discard of a clean page changes its content and no tracker reports it: a VMM has to report the range itself, under the " \
    "lock that its harvest takes (dl_log_discard)."
#define DISCARD_LOST_WRITTEN                                                                                                             \
    "A discard changes the clean pages of its range unreported, and of hugetlb memory it takes the record of earlier writes with it: a " \
    "VMM has to report the range itself (dl_log_discard)."
#define DISCARD_REQUIRED "what a discard changed is reported, and the next store to it too"
