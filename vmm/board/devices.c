/* SPDX-License-Identifier: MIT */
/* Disks sit in the first virtio-mmio slots, in their order, console, rng and balloon in the last ones. System calls: write. */
#include "devices.h"

#include <devices/serial.h>
#include <devices/terminal.h>
#include <devices/virtio_balloon.h>
#include <devices/virtio_blk.h>
#include <devices/virtio_console.h>
#include <devices/virtio_rng.h>
#include <devices/virtio_worker.h>
#include <errno.h>
#include <machine/error.h>
#include <machine/interrupts.h>
#include <machine/platform.h>
#include <unistd.h>

#define SLOT_CONSOLE BOARD_MAX_DISKS
#define SLOT_RNG (BOARD_MAX_DISKS + 1)
#define SLOT_BALLOON (BOARD_MAX_DISKS + 2)
G_STATIC_ASSERT(BOARD_MAX_DISKS + 3 <= PLATFORM_VIRTIO_SLOTS);

struct BoardDevices {
    Machine *machine;
    Serial *serial;
    Terminal *terminal;
    VirtioDevice *input; /* the virtio-console, if that gets what is typed; NULL: the serial port does */
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

    if (devices->terminal)
        return terminal_output(devices->terminal, bytes, n_bytes);
    if (devices->console)
        devices->console(devices->console_user, bytes, n_bytes);
    else if (devices->console_fd > 0)
        write_all(devices->console_fd, bytes, n_bytes);
    return n_bytes;
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

static void
serial_interrupt(gpointer user, gboolean level)
{
    machine_set_interrupt(((BoardDevices *)user)->machine, PLATFORM_COM1_GSI, level);
}

static gboolean
add_serial(BoardDevices *devices, GError **error)
{
    devices->serial = serial_new(machine_bus(devices->machine), PLATFORM_COM1_PORT, console_output, devices, error);
    if (!devices->serial)
        return FALSE;
    serial_set_interrupt(devices->serial, serial_interrupt, devices);
    machine_add_section(devices->machine, &serial_section, devices->serial);
    return TRUE;
}

/* --- the terminal's side --- */

static gsize
terminal_input(gpointer user, const guint8 *bytes, gsize n_bytes)
{
    BoardDevices *devices = user;
    return devices->input ? virtio_console_receive(devices->input, bytes, n_bytes)
                          : serial_receive(devices->serial, bytes, n_bytes);
}

static void
terminal_output_ready(gpointer user)
{
    BoardDevices *devices = user;
    VirtioDevice *console = virtio_mmio_device(devices->mmio, SLOT_CONSOLE);

    serial_output_ready(devices->serial);
    if (console)
        virtio_console_output_ready(console);
}

static void
terminal_quit(gpointer user)
{
    machine_shut_down(((BoardDevices *)user)->machine, MACHINE_QUIT);
}

/* Last of all: its thread knows the devices. */
static gboolean
add_terminal(BoardDevices *devices, const BoardConfig *config, GError **error)
{
    static const TerminalClient client = {.input = terminal_input, .output_ready = terminal_output_ready, .quit = terminal_quit};
    VirtioDevice *console = virtio_mmio_device(devices->mmio, SLOT_CONSOLE);

    devices->input = config->virtio_console_input ? console : NULL;
    devices->terminal = terminal_new(STDIN_FILENO, STDOUT_FILENO, &client, devices, error);
    if (!devices->terminal)
        return FALSE;
    serial_set_room(devices->serial, terminal_wake, devices->terminal);
    if (console)
        virtio_console_set_room(console, terminal_wake, devices->terminal);
    return TRUE;
}

static gboolean
build(BoardDevices *devices, const BoardConfig *config, GError **error)
{
    GuestRam *ram = machine_ram(devices->machine);

    if (!add_serial(devices, error))
        return FALSE;
    devices->mmio = virtio_mmio_new(machine_bus(devices->machine), error);
    return devices->mmio && add_disks(devices, config, error) &&
           (!config->virtio_console || plug(devices, SLOT_CONSOLE, virtio_console_new(ram, console_output, devices), error)) &&
           (!config->rng || plug(devices, SLOT_RNG, virtio_rng_new(ram), error)) &&
           (!config->balloon || plug(devices, SLOT_BALLOON, virtio_balloon_new(ram), error)) &&
           (!config->terminal || add_terminal(devices, config, error));
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
    if (devices->terminal)
        terminal_stop(devices->terminal);
    for (guint i = 0; i < PLATFORM_VIRTIO_SLOTS; i++)
        virtio_worker_free(devices->workers[i]);
    terminal_free(devices->terminal);
    virtio_mmio_free(devices->mmio);
    serial_free(devices->serial);
    g_free(devices);
}

VirtioDevice *
board_devices_balloon(BoardDevices *devices)
{
    return virtio_mmio_device(devices->mmio, SLOT_BALLOON);
}
