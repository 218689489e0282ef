/* SPDX-License-Identifier: MIT */
/*
 * The second oracle: a copy of RAM that is fed by harvested pages only, each read after its re-arm, as a migration would. After the
 * harvest at a stop it must equal RAM byte for byte. It knows any writer and all of RAM; a store of the value that was there before
 * it cannot see.
 */
#pragma once

#include <dirtylog/dirtylog.h>

typedef struct Replica Replica;

/** replica_new: copies all RAM, as migration's first round does: the tracker is armed by now. Errors: RESOURCE. */
Replica *replica_new(DlLayout *layout, GError **error);
void replica_free(Replica *replica);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Replica, replica_free)

/** replica_apply: reads @pages from RAM, which may be written meanwhile. What differed is marked in replica_changed(). */
void replica_apply(Replica *replica, const DlBitmap *pages);
/** replica_changed: pages whose content came in changed since replica_open_window(). */
const DlBitmap *replica_changed(const Replica *replica);
void replica_open_window(Replica *replica);

/**
 * replica_compare: sets in @missed every page that differs from RAM, which must stand still, and takes its content over, so that a
 * miss is counted once.
 */
void replica_compare(Replica *replica, DlBitmap *missed);
