/* SPDX-License-Identifier: MIT */
/*
 * Little-endian numbers into a GByteArray and out of bytes that an enemy may have sent: for saved sections. A reader that has run over
 * the end reads zeroes from then on and says so once, at the end: wire_reader_finish().
 */
#pragma once

#include <glib.h>
#include <string.h>

static inline void
wire_put_bytes(GByteArray *out, gconstpointer bytes, gsize size)
{
    g_byte_array_append(out, bytes, (guint)size);
}

static inline void
wire_put_u8(GByteArray *out, guint8 value)
{
    wire_put_bytes(out, &value, sizeof value);
}

static inline void
wire_put_u16(GByteArray *out, guint16 value)
{
    guint16 little = GUINT16_TO_LE(value);

    wire_put_bytes(out, &little, sizeof little);
}

static inline void
wire_put_u32(GByteArray *out, guint32 value)
{
    guint32 little = GUINT32_TO_LE(value);

    wire_put_bytes(out, &little, sizeof little);
}

static inline void
wire_put_u64(GByteArray *out, guint64 value)
{
    guint64 little = GUINT64_TO_LE(value);

    wire_put_bytes(out, &little, sizeof little);
}

/** WireReader: @bytes and what is left of them; @overrun: more was asked for than there was. */
typedef struct {
    const guint8 *bytes;
    gsize left;
    gboolean overrun;
} WireReader;

/** wire_get_bytes: the next @size bytes into @to; zeroes when there are not so many. */
static inline void
wire_get_bytes(WireReader *reader, gpointer to, gsize size)
{
    if (reader->overrun || size > reader->left) {
        reader->overrun = TRUE;
        memset(to, 0, size);
        return;
    }
    memcpy(to, reader->bytes, size);
    reader->bytes += size;
    reader->left -= size;
}

static inline guint8
wire_get_u8(WireReader *reader)
{
    guint8 value;

    wire_get_bytes(reader, &value, sizeof value);
    return value;
}

static inline guint16
wire_get_u16(WireReader *reader)
{
    guint16 little;

    wire_get_bytes(reader, &little, sizeof little);
    return GUINT16_FROM_LE(little);
}

static inline guint32
wire_get_u32(WireReader *reader)
{
    guint32 little;

    wire_get_bytes(reader, &little, sizeof little);
    return GUINT32_FROM_LE(little);
}

static inline guint64
wire_get_u64(WireReader *reader)
{
    guint64 little;

    wire_get_bytes(reader, &little, sizeof little);
    return GUINT64_FROM_LE(little);
}

/** wire_reader_finish: TRUE when what was read is exactly what there was. */
static inline gboolean
wire_reader_finish(const WireReader *reader)
{
    return !reader->overrun && !reader->left;
}
