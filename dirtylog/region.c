/* SPDX-License-Identifier: MIT */
/*
 * The layout: regions in the order of their gpa, and the numbers of their pages. Immutable once made, so that any thread may ask;
 * every question is a binary search and every answer is checked with subtractions, which cannot wrap.
 */
#include "dirtylog/private.h"

#include <string.h>

typedef struct {
    DlRegion region;
    DlPageRange pages;
} Entry;

struct DlLayout {
    int references;
    guint n_regions;
    guint64 n_bits;
    guint64 n_pages;
    Entry *by_gpa;
    guint *by_hva; /* indices into by_gpa, in the order of the hva */
};

static int
compare_gpa(const void *a, const void *b)
{
    guint64 left = ((const Entry *)a)->region.gpa;
    guint64 right = ((const Entry *)b)->region.gpa;

    return left < right ? -1 : left > right;
}

static int
compare_hva(const void *a, const void *b, gpointer user)
{
    const DlLayout *layout = user;
    const guint8 *left = layout->by_gpa[*(const guint *)a].region.hva;
    const guint8 *right = layout->by_gpa[*(const guint *)b].region.hva;

    return left < right ? -1 : left > right;
}

static gboolean
check_region(const DlRegion *region, GError **error)
{
    guint64 hva = (guint64)(guintptr)region->hva;
    const char *wrong = NULL;

    if (region->size == 0)
        wrong = "is empty";
    else if (region->kind >= DL_N_RAM_KINDS)
        wrong = "is of an unknown RAM kind";
    else if (region->size % DL_PAGE_SIZE || region->gpa % DL_PAGE_SIZE)
        wrong = "is not aligned to 4 KiB";
    else if (!region->hva || hva % dl_ram_kind_page_size(region->kind))
        wrong = "is mapped at an address that is not aligned to the page of its backing";
    else if (region->size - 1 > G_MAXUINT64 - region->gpa)
        wrong = "wraps around in gpa";
    else if (region->size > G_MAXINT64 || dl_region_span(region) - 1 > (guint64)G_MAXINT64 - hva)
        wrong = "wraps around in the address space";
    if (!wrong)
        return TRUE;

    dl_set_error(error, DL_ERROR_INVALID, 0, NULL, "the region at gpa 0x%" G_GINT64_MODIFIER "x, size %" G_GUINT64_FORMAT ", %s",
                 region->gpa, region->size, wrong);
    return FALSE;
}

/* Neighbours in each order must not touch each other's bytes. */
static gboolean
check_overlaps(const DlLayout *layout, GError **error)
{
    for (guint i = 1; i < layout->n_regions; i++) {
        const DlRegion *low = &layout->by_gpa[i - 1].region;
        const DlRegion *high = &layout->by_gpa[i].region;
        const DlRegion *left = &layout->by_gpa[layout->by_hva[i - 1]].region;
        const DlRegion *right = &layout->by_gpa[layout->by_hva[i]].region;

        if (high->gpa - low->gpa < low->size || (guint64)(right->hva - left->hva) < dl_region_span(left)) {
            dl_set_error(error, DL_ERROR_INVALID, 0, NULL, "regions overlap, at gpa 0x%" G_GINT64_MODIFIER "x or nearby",
                         high->gpa);
            return FALSE;
        }
    }
    return TRUE;
}

static void
number_pages(DlLayout *layout)
{
    for (guint i = 0; i < layout->n_regions; i++) {
        Entry *entry = &layout->by_gpa[i];
        entry->pages = (DlPageRange){layout->n_bits, entry->region.size / DL_PAGE_SIZE};
        layout->n_pages += entry->pages.count;
        layout->n_bits += dl_round_up(entry->pages.count, 64);
    }
}

DlLayout *
dl_layout_new(const DlRegion *regions, guint n_regions, GError **error)
{
    if (n_regions == 0) {
        dl_set_error(error, DL_ERROR_INVALID, 0, NULL, "a layout needs at least one region");
        return NULL;
    }
    for (guint i = 0; i < n_regions; i++) {
        if (!check_region(&regions[i], error))
            return NULL;
    }

    g_autoptr(DlLayout) layout = g_new0(DlLayout, 1);
    layout->references = 1;
    layout->n_regions = n_regions;
    layout->by_gpa = g_new0(Entry, n_regions);
    layout->by_hva = g_new0(guint, n_regions);
    for (guint i = 0; i < n_regions; i++) {
        layout->by_gpa[i].region = regions[i];
        layout->by_hva[i] = i;
    }
    qsort(layout->by_gpa, n_regions, sizeof(Entry), compare_gpa);
    g_qsort_with_data(layout->by_hva, (gint)n_regions, sizeof(guint), compare_hva, layout);
    if (!check_overlaps(layout, error))
        return NULL;
    number_pages(layout);
    return g_steal_pointer(&layout);
}

DlLayout *
dl_layout_ref(DlLayout *layout)
{
    g_atomic_int_inc(&layout->references);
    return layout;
}

void
dl_layout_unref(DlLayout *layout)
{
    if (!layout || !g_atomic_int_dec_and_test(&layout->references))
        return;
    g_free(layout->by_gpa);
    g_free(layout->by_hva);
    g_free(layout);
}

guint
dl_layout_n_regions(const DlLayout *layout)
{
    return layout->n_regions;
}

const DlRegion *
dl_layout_region(const DlLayout *layout, guint index)
{
    g_assert(index < layout->n_regions);
    return &layout->by_gpa[index].region;
}

DlPageRange
dl_layout_region_pages(const DlLayout *layout, guint index)
{
    g_assert(index < layout->n_regions);
    return layout->by_gpa[index].pages;
}

guint64
dl_layout_n_bits(const DlLayout *layout)
{
    return layout->n_bits;
}

guint64
dl_layout_n_pages(const DlLayout *layout)
{
    return layout->n_pages;
}

/* The last region whose gpa is not above @gpa, or NULL. */
static const Entry *
entry_of_gpa(const DlLayout *layout, guint64 gpa)
{
    guint low = 0;
    guint high = layout->n_regions;

    while (low < high) {
        guint middle = low + (high - low) / 2;
        if (layout->by_gpa[middle].region.gpa <= gpa)
            low = middle + 1;
        else
            high = middle;
    }
    return low ? &layout->by_gpa[low - 1] : NULL;
}

static const Entry *
entry_of_hva(const DlLayout *layout, const guint8 *hva)
{
    guint low = 0;
    guint high = layout->n_regions;

    while (low < high) {
        guint middle = low + (high - low) / 2;
        if (layout->by_gpa[layout->by_hva[middle]].region.hva <= hva)
            low = middle + 1;
        else
            high = middle;
    }
    return low ? &layout->by_gpa[layout->by_hva[low - 1]] : NULL;
}

static const Entry *
entry_of_page(const DlLayout *layout, guint64 page)
{
    guint low = 0;
    guint high = layout->n_regions;

    while (low < high) {
        guint middle = low + (high - low) / 2;
        if (layout->by_gpa[middle].pages.first <= page)
            low = middle + 1;
        else
            high = middle;
    }
    const Entry *entry = low ? &layout->by_gpa[low - 1] : NULL;
    return entry && page - entry->pages.first < entry->pages.count ? entry : NULL;
}

/* The pages that hold [offset, offset + size) of the region; FALSE when that is not all inside. */
static gboolean
pages_in_entry(const Entry *entry, guint64 offset, guint64 size, DlPageRange *pages)
{
    if (offset >= entry->region.size || size > entry->region.size - offset)
        return FALSE;
    guint64 first = offset / DL_PAGE_SIZE;
    guint64 last = size ? (offset + size - 1) / DL_PAGE_SIZE + 1 : first;
    *pages = (DlPageRange){entry->pages.first + first, last - first};
    return TRUE;
}

gboolean
dl_layout_pages_of_gpa(const DlLayout *layout, guint64 gpa, guint64 size, DlPageRange *pages)
{
    const Entry *entry = entry_of_gpa(layout, gpa);

    return entry && pages_in_entry(entry, gpa - entry->region.gpa, size, pages);
}

gboolean
dl_layout_pages_of_hva(const DlLayout *layout, gconstpointer hva, guint64 size, DlPageRange *pages)
{
    const Entry *entry = entry_of_hva(layout, hva);

    return entry && pages_in_entry(entry, (guint64)((const guint8 *)hva - entry->region.hva), size, pages);
}

gboolean
dl_layout_gpa_of_page(const DlLayout *layout, guint64 page, guint64 *gpa)
{
    const Entry *entry = entry_of_page(layout, page);

    if (!entry)
        return FALSE;
    *gpa = entry->region.gpa + (page - entry->pages.first) * DL_PAGE_SIZE;
    return TRUE;
}

guint8 *
dl_layout_hva_of_page(const DlLayout *layout, guint64 page)
{
    const Entry *entry = entry_of_page(layout, page);

    return entry ? entry->region.hva + (page - entry->pages.first) * DL_PAGE_SIZE : NULL;
}

guint8 *
dl_layout_hva_of_gpa(const DlLayout *layout, guint64 gpa, guint64 size)
{
    const Entry *entry = entry_of_gpa(layout, gpa);
    DlPageRange pages;

    if (!entry || !pages_in_entry(entry, gpa - entry->region.gpa, size, &pages))
        return NULL;
    return entry->region.hva + (gpa - entry->region.gpa);
}

gboolean
dl_layout_region_of_page(const DlLayout *layout, guint64 page, guint *index)
{
    const Entry *entry = entry_of_page(layout, page);

    if (!entry)
        return FALSE;
    *index = (guint)(entry - layout->by_gpa);
    return TRUE;
}

void
dl_layout_fill(const DlLayout *layout, DlBitmap *bitmap)
{
    for (guint i = 0; i < layout->n_regions; i++)
        dl_bitmap_set_range(bitmap, layout->by_gpa[i].pages);
}
