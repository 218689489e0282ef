/* SPDX-License-Identifier: MIT */
/* A serial port that prints: the registers of a 16550A, output only. */
#pragma once

#include <machine/bus.h>

#define SERIAL_PORTS 8

typedef struct Serial Serial;

/** SerialOutput: what the guest sends, on the vCPU's thread; calls do not overlap. */
typedef void (*SerialOutput)(gpointer user, const char *bytes, gsize n_bytes);

/** serial_new: a port at @base of @bus, which it must outlive. Errors: INVALID (the ports are taken). */
Serial *serial_new(Bus *bus, guint64 base, SerialOutput output, gpointer user, GError **error);
void serial_free(Serial *serial);
