/* SPDX-License-Identifier: MIT */
/*
 * Digests of guest RAM, by which two machines find out whether their RAM is equal: XXH3, 64 bits, of pieces of 2 MiB, and of the pages
 * of a piece that differs. It knows nothing of how RAM came there. Against accidents, not against enemies.
 *
 * Pieces are numbered through the layout's regions in order; a region begins a new one, and its last may be shorter. Two layouts of the
 * same RAM size have the same pieces, whatever backs them. RAM stands still meanwhile; what has no backing yet reads as zeroes,
 * and may get some by that.
 */
#pragma once

#include <dirtylog/dirtylog.h>

#define RAM_DIGEST_PIECE_PAGES 512

guint64 ram_digest_n_pieces(const DlLayout *layout);
/** ram_digest_pieces: of @count pieces from @first on, all of which exist. */
void ram_digest_pieces(const DlLayout *layout, guint64 first, guint64 count, guint64 *digests);
/** ram_digest_pages: of each page of piece @piece, which exists; returns how many it has, RAM_DIGEST_PIECE_PAGES at most. */
guint ram_digest_pages(const DlLayout *layout, guint64 piece, guint64 digests[RAM_DIGEST_PIECE_PAGES]);
