/* SPDX-License-Identifier: MIT */
/* What a guest is made of, as the source says it in HELLO, and whether the destination's board is the same. */
#pragma once

#include <board/board.h>

/** hello_encode: @present: bytes of RAM that exist at the source, for the destination to see whether it has so many. */
GByteArray *hello_encode(Board *board, guint64 present);

/**
 * hello_check: whether @board can take that guest. RAM kinds may differ. Errors: MIGRATION_ERROR_REFUSED, the message names each
 * difference; MIGRATION_ERROR_DAMAGED: @payload makes no sense.
 */
gboolean hello_check(Board *board, const guint8 *payload, gsize size, GError **error);
