/* SPDX-License-Identifier: MIT */
/* Digests of RAM, piece by piece and page by page. */
#include "machine/ram_digest.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

static guint64
region_pieces(const DlLayout *layout, guint region)
{
    return (dl_layout_region_pages(layout, region).count + RAM_DIGEST_PIECE_PAGES - 1) / RAM_DIGEST_PIECE_PAGES;
}

guint64
ram_digest_n_pieces(const DlLayout *layout)
{
    guint64 pieces = 0;

    for (guint region = 0; region < dl_layout_n_regions(layout); region++)
        pieces += region_pieces(layout, region);
    return pieces;
}

/* Where a piece lies, and of how many pages it is. */
static const guint8 *
find_piece(const DlLayout *layout, guint64 piece, guint64 *n_pages)
{
    guint region = 0;

    while (piece >= region_pieces(layout, region)) {
        piece -= region_pieces(layout, region++);
        g_assert(region < dl_layout_n_regions(layout));
    }
    guint64 first = piece * RAM_DIGEST_PIECE_PAGES;
    *n_pages = MIN(dl_layout_region_pages(layout, region).count - first, RAM_DIGEST_PIECE_PAGES);
    return dl_layout_region(layout, region)->hva + first * DL_PAGE_SIZE;
}

void
ram_digest_pieces(const DlLayout *layout, guint64 first, guint64 count, guint64 *digests)
{
    for (guint64 i = 0; i < count; i++) {
        guint64 n_pages;
        const guint8 *bytes = find_piece(layout, first + i, &n_pages);
        digests[i] = XXH3_64bits(bytes, n_pages * DL_PAGE_SIZE);
    }
}

guint
ram_digest_pages(const DlLayout *layout, guint64 piece, guint64 digests[RAM_DIGEST_PIECE_PAGES])
{
    guint64 n_pages;
    const guint8 *bytes = find_piece(layout, piece, &n_pages);

    for (guint64 i = 0; i < n_pages; i++)
        digests[i] = XXH3_64bits(bytes + i * DL_PAGE_SIZE, DL_PAGE_SIZE);
    return (guint)n_pages;
}
