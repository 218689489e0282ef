/* SPDX-License-Identifier: MIT */
/*
 * What of guest RAM exists. Reading what does not would make it: zeroes that nobody needs, or on hugetlb a page out of the pool.
 * Offsets are bytes from the start of a region of guest_ram_layout().
 */
#pragma once

#include <machine/ram.h>

/**
 * ram_find_data: the first piece of [@from, @end) that exists: [@data, @hole), whole pages of the backing, clipped to @end; @data is @end
 * when there is none. @hole may be NULL: finding it takes a walk over all that exists from @data on, beyond @end too. Errors:
 * MIGRATION_ERROR_FAILED
 */
gboolean ram_find_data(GuestRam *ram, guint region, guint64 from, guint64 end, guint64 *data, guint64 *hole, GError **error);

/**
 * ram_find_behind: of [@from, @end), which ram_find_data() called a hole: cuts @end to where another mapping has left anything but zeroes. Only
 * hugetlbfs does not know that by itself. Errors: MIGRATION_ERROR_FAILED
 */
gboolean ram_find_behind(GuestRam *ram, guint region, guint64 from, guint64 *end, GError **error);

/** ram_allocated: bytes of RAM that exist, by its files' own account. Errors: MIGRATION_ERROR_FAILED */
gboolean ram_allocated(GuestRam *ram, guint64 *bytes, GError **error);

/**
 * ram_look: sets in @present the pages of every region that exist, and on hugetlb also those that this process has not mapped, if
 * their content is not all zeroes (kernel-facts: an alias may have made them). Errors: MIGRATION_ERROR_FAILED
 */
gboolean ram_look(GuestRam *ram, DlBitmap *present, GError **error);
