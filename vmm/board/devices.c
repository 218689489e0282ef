/* SPDX-License-Identifier: MIT */
/* Disks sit in the first virtio-mmio slots, in their order, console and rng in the last ones. System calls: write. */
#include "devices.h"

#include <devices/serial.h>
#include <devices/virtio_blk.h>
#include <devices/virtio_console.h>
#include <devices/virtio_rng.h>
#include <devices/virtio_worker.h>
#include <errno.h>
#include <machine/error.h>
#include <machine/platform.h>
#include <unistd.h>

#define SLOT_CONSOLE BOARD_MAX_DISKS
#define SLOT_RNG (BOARD_MAX_DISKS + 1)
G_STATIC_ASSERT(BOARD_MAX_DISKS + 2 <= PLATFORM_VIRTIO_SLOTS);

struct BoardDevices {
    Machine *machine;
    Serial *serial;
    VirtioMmio *mmio;
    VirtioWorker *workers[PLATFORM_VIRTIO_SLOTS];
    BoardConsole console;
    gpointer console_user;
    int console_fd;
};

/* Output that cannot be written is gone, as on a line with nobody at its end. */
static void
write_all(int fd, const char *bytes, gsize n_bytes)
{
    while (n_bytes) {
        gssize written = write(fd, bytes, n_bytes);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return;
        bytes += written;
        n_bytes -= (gsize)written;
    }
}

static gsize
console_output(gpointer user, const char *bytes, gsize n_bytes)
{
    const BoardDevices *devices = user;

    if (devices->console)
        devices->console(devices->console_user, bytes, n_bytes);
    else if (devices->console_fd > 0)
        write_all(devices->console_fd, bytes, n_bytes);
    return n_bytes;
}

static void
serial_console(gpointer user, const char *bytes, gsize n_bytes)
{
    console_output(user, bytes, n_bytes);
}

/* @device may be NULL: it could not be made. */
static gboolean
plug(BoardDevices *devices, guint slot, VirtioDevice *device, GError **error)
{
    if (!device)
        return FALSE;
    virtio_mmio_plug(devices->mmio, slot, device);
    devices->workers[slot] = virtio_worker_new(devices->machine, devices->mmio, slot, error);
    return devices->workers[slot] != NULL;
}

static gboolean
add_disks(BoardDevices *devices, const BoardConfig *config, GError **error)
{
    if (config->n_disks > BOARD_MAX_DISKS) {
        g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_INVALID, "%u disks: at most %u", config->n_disks, BOARD_MAX_DISKS);
        return FALSE;
    }
    for (guint i = 0; i < config->n_disks; i++) {
        const BoardDisk *disk = &config->disks[i];
        g_autofree char *serial = g_strdup_printf("dirtylab-%u", i);
        VirtioBlkConfig blk = {.path = disk->path,
                               .read_only = disk->read_only,
                               .direct = disk->direct,
                               .serial = disk->serial ? disk->serial : serial};
        if (!plug(devices, i, virtio_blk_new(machine_ram(devices->machine), &blk, error), error))
            return FALSE;
    }
    return TRUE;
}

static gboolean
build(BoardDevices *devices, const BoardConfig *config, GError **error)
{
    Bus *bus = machine_bus(devices->machine);
    GuestRam *ram = machine_ram(devices->machine);

    devices->serial = serial_new(bus, PLATFORM_COM1_PORT, serial_console, devices, error);
    devices->mmio = devices->serial ? virtio_mmio_new(bus, error) : NULL;
    return devices->mmio && add_disks(devices, config, error) &&
           (!config->virtio_console || plug(devices, SLOT_CONSOLE, virtio_console_new(ram, console_output, devices), error)) &&
           (!config->rng || plug(devices, SLOT_RNG, virtio_rng_new(ram), error));
}

BoardDevices *
board_devices_new(Machine *machine, const BoardConfig *config, GError **error)
{
    BoardDevices *devices = g_new0(BoardDevices, 1);

    devices->machine = machine;
    devices->console = config->console;
    devices->console_user = config->console_user;
    devices->console_fd = config->console_fd;
    if (!build(devices, config, error)) {
        machine_stop(machine); /* the workers that are there already hear of it */
        g_clear_pointer(&devices, board_devices_free);
    }
    return devices;
}

void
board_devices_free(BoardDevices *devices)
{
    if (!devices)
        return;
    for (guint i = 0; i < PLATFORM_VIRTIO_SLOTS; i++)
        virtio_worker_free(devices->workers[i]);
    virtio_mmio_free(devices->mmio);
    serial_free(devices->serial);
    g_free(devices);
}
