/* SPDX-License-Identifier: MIT */
/* Which of the RAM's pages soft-dirty reports because their mapping is new, not because anybody wrote to them. */
#pragma once

#include <dirtylog/dirtylog.h>

/**
 * new_mappings_add: ORs into @out the pages in mappings that the kernel flags VM_SOFTDIRTY now: made since the last clear_refs, or
 * merged with one that was. Until the next clear, which a harvest ends with, all of their pages read as written.
 */
void new_mappings_add(const DlLayout *layout, DlBitmap *out);
