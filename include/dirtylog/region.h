/* SPDX-License-Identifier: MIT */
/*
 * What is tracked: regions (a memslot each, or a piece of a process's memory) and the layout that numbers their pages.
 *
 * Bits are dense over the regions in the order of their gpa, and each region starts at a multiple of 64 bits, so that a memslot's
 * dirty bitmap can be read and ORed in words, whatever the hole below 4 GiB. The bits between a region's end and the next
 * multiple of 64 belong to no page and are never set.
 */
#pragma once

#include <dirtylog/bitmap.h>
#include <dirtylog/memory.h>

G_BEGIN_DECLS
#pragma GCC visibility push(default)

/**
 * DlRegion:
 * @gpa: guest-physical address of the first byte, 4 KiB-aligned; in plain process memory any number that orders the regions
 * @size: bytes, a multiple of 4 KiB, not 0
 * @hva: where this process has it mapped, aligned to the kind's page
 * @slot: memslot id as in KVM_SET_USER_MEMORY_REGION (address space 0), different in each region; unused without a VM
 * @kind: what backs it; decides the unit of the trackers that go by the page table
 */
typedef struct {
    guint64 gpa;
    guint64 size;
    guint8 *hva;
    guint32 slot;
    DlRamKind kind;
} DlRegion;

typedef struct DlLayout DlLayout;

/**
 * dl_layout_new: copies @regions, sorts them by gpa.
 * Errors: INVALID when they are empty, misaligned, overlap in gpa or hva, or wrap. (dl_log_new() refuses two regions with one
 * slot.)
 */
DlLayout *dl_layout_new(const DlRegion *regions, guint n_regions, GError **error);
DlLayout *dl_layout_ref(DlLayout *layout);
void dl_layout_unref(DlLayout *layout);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DlLayout, dl_layout_unref)

guint dl_layout_n_regions(const DlLayout *layout);
const DlRegion *dl_layout_region(const DlLayout *layout, guint index);
/** The region's bits: first is a multiple of 64, count is size / 4096. */
DlPageRange dl_layout_region_pages(const DlLayout *layout, guint index);

guint64 dl_layout_n_bits(const DlLayout *layout);  /* for dl_bitmap_new(), padding included */
guint64 dl_layout_n_pages(const DlLayout *layout); /* real pages, padding excluded */

/**
 * Translations; each answers FALSE, and touches nothing, for what lies in no region or runs over a region's end.
 * Overflow-safe: any gpa and size may be asked.
 */
gboolean dl_layout_pages_of_gpa(const DlLayout *layout, guint64 gpa, guint64 size, DlPageRange *pages);
gboolean dl_layout_pages_of_hva(const DlLayout *layout, gconstpointer hva, guint64 size, DlPageRange *pages);
gboolean dl_layout_gpa_of_page(const DlLayout *layout, guint64 page, guint64 *gpa);
guint8 *dl_layout_hva_of_page(const DlLayout *layout, guint64 page); /* NULL: padding or outside */
guint8 *dl_layout_hva_of_gpa(const DlLayout *layout, guint64 gpa, guint64 size);
gboolean dl_layout_region_of_page(const DlLayout *layout, guint64 page, guint *index);

/** dl_layout_fill: sets every real page, no padding bit. */
void dl_layout_fill(const DlLayout *layout, DlBitmap *bitmap);

#pragma GCC visibility pop
G_END_DECLS
