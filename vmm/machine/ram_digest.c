/* SPDX-License-Identifier: MIT */
/*
 * Digests of RAM, piece by piece and page by page. Reading a hole of the memfd would make a page there: what SEEK_DATA does not name is
 * digested as the zeroes that it holds. A kernel that cannot say has data everywhere.
 *
 * System calls: lseek.
 */
#include "machine/ram_digest.h"

#include <errno.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

static const guint8 zeroes[DL_PAGE_SIZE];

/** Piece: @offset: in the region's memory, bytes */
typedef struct {
    const DlMemory *memory;
    guint64 offset;
    guint64 size;
} Piece;

static guint64
region_pieces(const DlLayout *layout, guint region)
{
    return (dl_layout_region_pages(layout, region).count + RAM_DIGEST_PIECE_PAGES - 1) / RAM_DIGEST_PIECE_PAGES;
}

guint64
ram_digest_n_pieces(const GuestRam *ram)
{
    const DlLayout *layout = guest_ram_layout(ram);
    guint64 pieces = 0;

    for (guint region = 0; region < dl_layout_n_regions(layout); region++)
        pieces += region_pieces(layout, region);
    return pieces;
}

static Piece
find_piece(const GuestRam *ram, guint64 piece)
{
    const DlLayout *layout = guest_ram_layout(ram);
    guint region = 0;

    while (piece >= region_pieces(layout, region)) {
        piece -= region_pieces(layout, region++);
        g_assert(region < dl_layout_n_regions(layout));
    }
    guint64 first = piece * RAM_DIGEST_PIECE_PAGES;
    guint64 n_pages = MIN(dl_layout_region_pages(layout, region).count - first, RAM_DIGEST_PIECE_PAGES);
    return (Piece){guest_ram_memory(ram, region), first * DL_PAGE_SIZE, n_pages * DL_PAGE_SIZE};
}

/* The first data in [@from, @end), and in @hole where it ends; @end when there is none. */
static guint64
next_data(const DlMemory *memory, guint64 from, guint64 end, guint64 *hole)
{
    off_t data = lseek(memory->fd, (off_t)from, SEEK_DATA), past;

    *hole = end;
    if (data < 0)
        return errno == ENXIO ? end : from;
    if ((guint64)data >= end)
        return end;
    past = lseek(memory->fd, data, SEEK_HOLE);
    if (past > data)
        *hole = MIN((guint64)past, end);
    return (guint64)data;
}

static void
add_zeroes(XXH3_state_t *state, guint64 size)
{
    for (; size; size -= DL_PAGE_SIZE)
        XXH3_64bits_update(state, zeroes, DL_PAGE_SIZE);
}

static guint64
digest_piece(const Piece *piece)
{
    guint64 at = piece->offset, end = piece->offset + piece->size, hole;
    guint64 data = next_data(piece->memory, at, end, &hole);
    XXH3_state_t state;

    if (data == at && hole == end)
        return XXH3_64bits(piece->memory->hva + at, piece->size);
    XXH3_INITSTATE(&state);
    XXH3_64bits_reset(&state);
    for (; at < end; at = hole) {
        data = next_data(piece->memory, at, end, &hole);
        add_zeroes(&state, data - at);
        XXH3_64bits_update(&state, piece->memory->hva + data, hole - data);
    }
    return XXH3_64bits_digest(&state);
}

void
ram_digest_pieces(const GuestRam *ram, guint64 first, guint64 count, guint64 *digests)
{
    for (guint64 i = 0; i < count; i++) {
        Piece piece = find_piece(ram, first + i);
        digests[i] = digest_piece(&piece);
    }
}

guint
ram_digest_pages(const GuestRam *ram, guint64 piece_number, guint64 digests[RAM_DIGEST_PIECE_PAGES])
{
    const Piece piece = find_piece(ram, piece_number);
    const guint64 end = piece.offset + piece.size, of_zeroes = XXH3_64bits(zeroes, sizeof zeroes);
    guint64 hole, data, *out = digests;

    for (guint64 at = piece.offset; at < end; at = hole) {
        data = next_data(piece.memory, at, end, &hole);
        for (; at < data; at += DL_PAGE_SIZE)
            *out++ = of_zeroes;
        for (; at < hole; at += DL_PAGE_SIZE)
            *out++ = XXH3_64bits(piece.memory->hva + at, DL_PAGE_SIZE);
    }
    return (guint)(out - digests);
}
