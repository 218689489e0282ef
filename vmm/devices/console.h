/* SPDX-License-Identifier: MIT */
/*
 * What the serial port and virtio-console share: bytes go out to whoever takes them, and come in through a bounded buffer. Nobody waits:
 * who has more than the other side takes keeps it, and is told when there is room.
 */
#pragma once

#include <machine/wire.h>

/**
 * ConsoleOutput: what the guest sends, with the device's lock held; calls do not overlap. Returns how many bytes were taken: fewer than
 * @n_bytes means that the device keeps the rest until it is told to go on (serial_output_ready(), virtio_console_output_ready()).
 */
typedef gsize (*ConsoleOutput)(gpointer user, const char *bytes, gsize n_bytes);

/** ConsoleRoom: input that was refused may be offered again. Called on a vCPU's thread or a worker's, with the device's lock held. */
typedef void (*ConsoleRoom)(gpointer user);

#define CONSOLE_BUFFER_BYTES 256u

/** ConsoleBuffer: bytes on their way to the guest; zeroed is empty. @refused: there was more than it could hold. */
typedef struct {
    guint8 bytes[CONSOLE_BUFFER_BYTES];
    guint first;
    guint count;
    gboolean refused;
} ConsoleBuffer;

/** console_buffer_put: returns how many of @n_bytes it took. */
gsize console_buffer_put(ConsoleBuffer *buffer, const guint8 *bytes, gsize n_bytes);
/** console_buffer_get: takes at most @n_bytes out; returns how many. */
gsize console_buffer_get(ConsoleBuffer *buffer, guint8 *bytes, gsize n_bytes);
/** console_buffer_freed: whether to tell who was refused; asked after a get. */
gboolean console_buffer_freed(ConsoleBuffer *buffer);

#define CONSOLE_BUFFER_SAVED_BYTES (2 + CONSOLE_BUFFER_BYTES)
void console_buffer_save(const ConsoleBuffer *buffer, GByteArray *out);
/** console_buffer_load: FALSE: it holds more than it can. `refused` stays as it is: it is about this process's input. */
gboolean console_buffer_load(ConsoleBuffer *buffer, WireReader *reader);
