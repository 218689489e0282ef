/* SPDX-License-Identifier: MIT */
#include <devices/console.h>

gsize
console_buffer_put(ConsoleBuffer *buffer, const guint8 *bytes, gsize n_bytes)
{
    gsize taken = MIN(n_bytes, CONSOLE_BUFFER_BYTES - buffer->count);

    for (gsize i = 0; i < taken; i++)
        buffer->bytes[(buffer->first + buffer->count++) % CONSOLE_BUFFER_BYTES] = bytes[i];
    buffer->refused = buffer->refused || taken < n_bytes;
    return taken;
}

gsize
console_buffer_get(ConsoleBuffer *buffer, guint8 *bytes, gsize n_bytes)
{
    gsize taken = MIN(n_bytes, buffer->count);

    for (gsize i = 0; i < taken; i++) {
        bytes[i] = buffer->bytes[buffer->first];
        buffer->first = (buffer->first + 1) % CONSOLE_BUFFER_BYTES;
        buffer->count--;
    }
    return taken;
}

gboolean
console_buffer_freed(ConsoleBuffer *buffer)
{
    gboolean freed = buffer->refused && buffer->count < CONSOLE_BUFFER_BYTES;

    buffer->refused = buffer->refused && !freed;
    return freed;
}

void
console_buffer_save(const ConsoleBuffer *buffer, GByteArray *out)
{
    wire_put_u16(out, (guint16)buffer->count);
    for (guint i = 0; i < CONSOLE_BUFFER_BYTES; i++)
        wire_put_u8(out, i < buffer->count ? buffer->bytes[(buffer->first + i) % CONSOLE_BUFFER_BYTES] : 0);
}

gboolean
console_buffer_load(ConsoleBuffer *buffer, WireReader *reader)
{
    buffer->first = 0;
    buffer->count = wire_get_u16(reader);
    wire_get_bytes(reader, buffer->bytes, sizeof buffer->bytes);
    if (buffer->count <= CONSOLE_BUFFER_BYTES)
        return TRUE;
    buffer->count = 0;
    return FALSE;
}
