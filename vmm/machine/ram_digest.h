/* SPDX-License-Identifier: MIT */
/*
 * Digests of guest RAM, by which two machines find out whether their RAM is equal: XXH3, 64 bits, of pieces of 2 MiB, and of the pages
 * of a piece that differs. It knows nothing of how RAM came there. Against accidents, not against enemies.
 *
 * Pieces are numbered through the layout's regions in order; a region begins a new one, and its last may be shorter. Two RAMs of the
 * same size have the same pieces, whatever backs them. RAM stands still meanwhile. What has no backing yet counts as zeroes, and gets none
 * by that, but on hugetlbfs, which does not say where its holes are.
 */
#pragma once

#include <machine/ram.h>

#define RAM_DIGEST_PIECE_PAGES 512

guint64 ram_digest_n_pieces(const GuestRam *ram);
/** ram_digest_pieces: of @count pieces from @first on, all of which exist. */
void ram_digest_pieces(const GuestRam *ram, guint64 first, guint64 count, guint64 *digests);
/** ram_digest_pages: of each page of piece @piece, which exists; returns how many it has, RAM_DIGEST_PIECE_PAGES at most. */
guint ram_digest_pages(const GuestRam *ram, guint64 piece, guint64 digests[RAM_DIGEST_PIECE_PAGES]);
