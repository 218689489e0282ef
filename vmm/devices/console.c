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
