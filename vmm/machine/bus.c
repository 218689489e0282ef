/* SPDX-License-Identifier: MIT */
#include <machine/bus.h>
#include <machine/error.h>
#include <stdint.h>

#define PIO_SPACE_END UINT64_C(0x10000)

typedef struct {
    BusSpace space;
    guint64 start;
    guint64 size;
    char *name;
    BusHandler handler;
    gpointer user;
} BusRange;

struct Bus {
    GArray *ranges; /* of BusRange; a handful, so lookups walk it */
};

static void
clear_range(gpointer data)
{
    g_free(((BusRange *)data)->name);
}

Bus *
bus_new(void)
{
    Bus *bus = g_new0(Bus, 1);

    bus->ranges = g_array_new(FALSE, FALSE, sizeof(BusRange));
    g_array_set_clear_func(bus->ranges, clear_range);
    return bus;
}

void
bus_free(Bus *bus)
{
    if (!bus)
        return;
    g_array_unref(bus->ranges);
    g_free(bus);
}

/* Neither sum can wrap: ranges end inside their space. */
static gboolean
overlap(const BusRange *range, BusSpace space, guint64 start, guint64 size)
{
    return range->space == space && start < range->start + range->size && range->start < start + size;
}

gboolean
bus_register(Bus *bus, BusSpace space, guint64 start, guint64 size, const char *name, const BusHandler *handler, gpointer user,
             GError **error)
{
    guint64 space_end = space == BUS_PIO ? PIO_SPACE_END : G_MAXUINT64;

    if (!size || start >= space_end || size > space_end - start) {
        g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_INVALID,
                    "%s: 0x%" G_GINT64_MODIFIER "x bytes at 0x%" G_GINT64_MODIFIER "x are no range of the %s bus", name, size,
                    start, space == BUS_PIO ? "port" : "memory");
        return FALSE;
    }
    for (guint i = 0; i < bus->ranges->len; i++) {
        const BusRange *range = &g_array_index(bus->ranges, BusRange, i);
        if (overlap(range, space, start, size)) {
            g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_INVALID, "%s at 0x%" G_GINT64_MODIFIER "x overlaps %s", name, start,
                        range->name);
            return FALSE;
        }
    }
    BusRange range = {.space = space, .start = start, .size = size, .name = g_strdup(name), .handler = *handler, .user = user};
    g_array_append_val(bus->ranges, range);
    return TRUE;
}

static const BusRange *
find_range(const Bus *bus, BusSpace space, guint64 address, guint size)
{
    for (guint i = 0; i < bus->ranges->len; i++) {
        const BusRange *range = &g_array_index(bus->ranges, BusRange, i);
        if (range->space == space && address >= range->start && address - range->start < range->size &&
            size <= range->size - (address - range->start))
            return range;
    }
    return NULL;
}

gboolean
bus_read(Bus *bus, BusSpace space, guint vcpu, guint64 address, guint size, guint64 *value)
{
    const BusRange *range = find_range(bus, space, address, size);

    *value = G_MAXUINT64;
    if (!range)
        return FALSE;
    if (range->handler.read)
        *value = range->handler.read(range->user, vcpu, address - range->start, size);
    return TRUE;
}

gboolean
bus_write(Bus *bus, BusSpace space, guint vcpu, guint64 address, guint size, guint64 value)
{
    const BusRange *range = find_range(bus, space, address, size);

    if (!range)
        return FALSE;
    if (range->handler.write)
        range->handler.write(range->user, vcpu, address - range->start, size, value);
    return TRUE;
}
