/* SPDX-License-Identifier: MIT */
/*
 * The bus: ranges of I/O ports and of guest-physical addresses outside RAM, each with a handler. A device registers itself here
 * before the machine starts; the table does not change while vCPUs run, so dispatch takes no lock.
 *
 * A handler runs on the vCPU's thread. One that waits for anything but a short lock brackets the wait with vcpu_park() and
 * vcpu_unpark().
 */
#pragma once

#include <glib.h>

typedef enum {
    BUS_PIO,  /* I/O ports: 0 … 0xffff */
    BUS_MMIO, /* guest-physical addresses */
} BusSpace;

/**
 * BusHandler: a device's side of an access. Either may be NULL: reads then give all ones, writes vanish, as where nobody answers.
 * @vcpu: index of the vCPU that made the access
 * @offset: bytes from the range's start; @offset + @size never exceeds the range's size
 * @size: 1, 2 or 4 for ports, up to 8 (any number) for MMIO
 * @value: little-endian, the low @size bytes count
 */
typedef struct {
    guint64 (*read)(gpointer user, guint vcpu, guint64 offset, guint size);
    void (*write)(gpointer user, guint vcpu, guint64 offset, guint size, guint64 value);
} BusHandler;

typedef struct Bus Bus;

Bus *bus_new(void);
void bus_free(Bus *bus);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Bus, bus_free)

/**
 * bus_register: [@start, @start + @size) of @space belongs to @handler, which the bus copies.
 * @name: for errors; copied
 * Errors: INVALID: empty, runs over the space's end, or overlaps a range that is there (the message names it).
 */
gboolean bus_register(Bus *bus, BusSpace space, guint64 start, guint64 size, const char *name, const BusHandler *handler,
                      gpointer user, GError **error);

/** bus_read, bus_write: an access that no range holds as a whole reads all ones and writes nothing; FALSE then. @size: 1 to 8 */
gboolean bus_read(Bus *bus, BusSpace space, guint vcpu, guint64 address, guint size, guint64 *value);
gboolean bus_write(Bus *bus, BusSpace space, guint vcpu, guint64 address, guint size, guint64 value);
