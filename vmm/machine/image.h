/* SPDX-License-Identifier: MIT */
/*
 * A kernel's file in memory, untrusted: it is read only through these, which check every offset and length against its size, and
 * it reaches guest RAM only by guest_ram_store(), which checks every address against RAM.
 */
#pragma once

#include <machine/error.h>
#include <string.h>

typedef struct {
    const guint8 *bytes;
    gsize size;
} Image;

/** image_piece: where @size bytes at @offset lie; NULL: not all of them are in the file. */
static inline const guint8 *
image_piece(const Image *image, guint64 offset, guint64 size)
{
    return offset <= image->size && size <= image->size - offset ? image->bytes + offset : NULL;
}

/** image_read: copies them; FALSE, and @to untouched, as above. */
static inline gboolean
image_read(const Image *image, guint64 offset, gpointer to, gsize size)
{
    const guint8 *from = image_piece(image, offset, size);

    if (from)
        memcpy(to, from, size);
    return from != NULL;
}

/** image_has: whether the bytes at @offset are @expected. */
static inline gboolean
image_has(const Image *image, guint64 offset, gconstpointer expected, gsize size)
{
    const guint8 *piece = image_piece(image, offset, size);

    return piece && memcmp(piece, expected, size) == 0;
}

/** image_refuse: INVALID, in words; FALSE, to be returned. */
static inline gboolean
image_refuse(GError **error, const char *what)
{
    g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_INVALID, "the kernel cannot be booted: %s", what);
    return FALSE;
}
