/* SPDX-License-Identifier: MIT */
/*
 * Steps on plain anonymous mappings, under the soft-dirty bits and under PAGEMAP_SCAN, which was made to avoid their trouble (the PAGEMAP_SCAN
 * discussion, linux-mm 2022): the soft-dirty bits of a VMA that is new or was merged with a new one all read as set, since the flag is the
 * VMA's; and clearing is of the whole process.
 */
#pragma once

#include "dirtylog/uapi.h"
#include "semantics/semantics.h"

#define METER_PAGES 16 /* of the tracked mapping */
#define METER_ROOM 64  /* of the address range that the case may use; bit 0 is its first page */

/**
 * Meter:
 * @room: METER_ROOM pages of nothing; the tracked mapping is its first METER_PAGES
 * @armed_pages: what meter_arm() covers
 */
typedef struct {
    Cell *cell;
    gboolean soft_dirty;
    int uffd, pagemap, clear_refs;
    guint8 *room;
    guint64 armed_pages;
    DlBitmap *must, *allowed, *found;
} Meter;

/** meter_open: with the tracked mapping there, populated. UNSUPPORTED where the kernel has not got the tracker. */
Meter *meter_open(Cell *cell, GError **error);
void meter_free(Meter *meter);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Meter, meter_free)

/** meter_arm: the tracked mapping; with soft-dirty that is the whole process. */
gboolean meter_arm(Meter *meter, GError **error);
/** meter_map: maps @count fresh pages at page @first of the room, populated by reads only; FALSE with errno. */
gboolean meter_map(const Meter *meter, guint first, guint count);
void meter_store(Meter *meter, guint page);
/** meter_judge: reads pages 0 to @count, and judges. */
gboolean meter_judge(Meter *meter, guint count, GError **error);
/** meter_judge_entries: the same by the page table's entries alone, whatever the VMA's flag says (PAGEMAP_SCAN's PAGE_IS_SOFT_DIRTY). */
gboolean meter_judge_entries(Meter *meter, guint count, GError **error);
