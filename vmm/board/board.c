/* SPDX-License-Identifier: MIT */
#include "devices.h"

#include <board/acpi.h>
#include <devices/power.h>
#include <guest-tests/embedded.h>
#include <machine/boot.h>
#include <machine/vcpu.h>

struct Board {
    GuestRam *ram;
    Machine *machine;
    BoardDevices *devices;
    DlLog *log;
};

static gboolean
ring_full(gpointer user, guint vcpu, GError **error)
{
    return dl_log_ring_full(user, vcpu, error);
}

static gboolean
make_log(Board *board, GError **error)
{
    DlHost host;

    machine_host(board->machine, &host);
    board->log = dl_log_new(guest_ram_layout(board->ram), &host, error);
    if (!board->log)
        return FALSE;
    guest_ram_attach_log(board->ram, board->log);
    machine_set_ring_full(board->machine, ring_full, board->log);
    return TRUE;
}

static gboolean
load_kernel(Board *board, const BoardConfig *config, GError **error)
{
    BootSource source = {.kernel = config->kernel ? config->kernel : embedded_guest_start,
                         .kernel_size = config->kernel ? config->kernel_size : embedded_guest_size(),
                         .initrd = config->initrd,
                         .initrd_size = config->initrd_size,
                         .command_line = config->command_line,
                         .rsdp_gpa = config->stock ? ACPI_GPA : 0};
    BootEntry entry;

    return boot_load(board->ram, &source, &entry, error) && boot_start_vcpu(board->machine, &entry, error);
}

static gboolean
add_platform(Board *board, GError **error)
{
    for (guint i = 0; i < machine_n_vcpus(board->machine); i++) {
        if (!vcpu_set_firmware_msrs(board->machine, i, error))
            return FALSE;
    }
    return acpi_store(board->ram, machine_n_vcpus(board->machine), error);
}

static gboolean
build(Board *board, const BoardConfig *config, GError **error)
{
    MachineConfig machine = {.vcpus = config->vcpus, .dirty_ring_entries = config->dirty_ring_entries, .pit = config->stock};

    board->ram = guest_ram_new(config->ram, config->memory_bytes, config->populate, error);
    if (!board->ram)
        return FALSE;
    board->machine = machine_new(board->ram, &machine, error);
    if (!board->machine)
        return FALSE;
    board->devices = board_devices_new(board->machine, config, error);
    if (!board->devices || (config->stock && !add_platform(board, error)))
        return FALSE;
    return power_add(board->machine, error) && load_kernel(board, config, error) && make_log(board, error);
}

Board *
board_new(const BoardConfig *config, GError **error)
{
    g_autoptr(Board) board = g_new0(Board, 1);

    return build(board, config, error) ? g_steal_pointer(&board) : NULL;
}

void
board_free(Board *board)
{
    if (!board)
        return;
    if (board->machine)
        machine_stop(board->machine);
    board_devices_free(board->devices);
    if (board->ram)
        guest_ram_attach_log(board->ram, NULL);
    g_clear_pointer(&board->log, dl_log_free);
    machine_free(board->machine);
    guest_ram_free(board->ram);
    g_free(board);
}

Machine *
board_machine(Board *board)
{
    return board->machine;
}

GuestRam *
board_ram(Board *board)
{
    return board->ram;
}

DlLog *
board_log(Board *board)
{
    return board->log;
}

gboolean
board_start(Board *board, GError **error)
{
    return machine_start(board->machine, error);
}
