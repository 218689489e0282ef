/* SPDX-License-Identifier: MIT */
/*
 * A serial port: the registers of a 16550A, as Linux's 8250 driver knows them. What is sent is out at once unless the output takes no
 * more; input waits outside until the guest raises RTS, so that what is typed before a driver listens is not lost when the driver
 * clears its FIFO.
 */
#pragma once

#include <devices/console.h>
#include <machine/bus.h>
#include <machine/section.h>

#define SERIAL_PORTS 8

typedef struct Serial Serial;

/** SerialInterrupt: the line's new level; called when it changes, with the port's lock held. */
typedef void (*SerialInterrupt)(gpointer user, gboolean level);

/**
 * serial_new: a port at @base of @bus, which uses it until it is freed. @output gets bytes on the vCPU's thread. Errors: INVALID (the
 * ports are taken).
 */
Serial *serial_new(Bus *bus, guint64 base, ConsoleOutput output, gpointer user, GError **error);
void serial_free(Serial *serial);

/** serial_set_interrupt, serial_set_room: before the machine starts. Without an interrupt the guest has to poll. */
void serial_set_interrupt(Serial *serial, SerialInterrupt interrupt, gpointer user);
void serial_set_room(Serial *serial, ConsoleRoom room, gpointer user);

/** serial_receive: input for the guest, from any thread; returns how many bytes were taken. */
gsize serial_receive(Serial *serial, const guint8 *bytes, gsize n_bytes);
/** serial_output_ready: the output takes bytes again. From any thread, with no lock of the output's held. */
void serial_output_ready(Serial *serial);

extern const SectionClass serial_section; /* its user is the Serial */
