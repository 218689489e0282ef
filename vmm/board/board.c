/* SPDX-License-Identifier: MIT */
#include "devices.h"

#include <board/acpi.h>
#include <devices/power.h>
#include <devices/virtio_balloon.h>
#include <guest-tests/embedded.h>
#include <machine/boot.h>
#include <machine/error.h>
#include <machine/platform.h>
#include <machine/vcpu.h>

#define RESET_VECTOR_GPA UINT64_C(0xffff0) /* f000:fff0 */

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

/*
 * A PC's reset vector, in real mode. Where ACPI is hardware-reduced, Linux takes it that EFI is there to reboot with; if it is not, it
 * goes on to the BIOS, without a look at ACPI's reset register.
 */
static gboolean
store_reset_vector(GuestRam *ram, GError **error)
{
    static const guint8 code[] = {
        0xba,
        PLATFORM_RESET_PORT & 0xff,
        PLATFORM_RESET_PORT >> 8, /* mov dx, port */
        0xb0,
        PLATFORM_RESET_VALUE, /* mov al, value */
        0xee,                 /* out dx, al */
        0xf4,
        0xeb,
        0xfd /* hlt, for ever */
    };

    if (guest_ram_store(ram, RESET_VECTOR_GPA, code, sizeof code))
        return TRUE;
    g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_RESOURCE, "the guest has less than 1 MiB of RAM: give it more memory");
    return FALSE;
}

static gboolean
add_platform(Board *board, GError **error)
{
    for (guint i = 0; i < machine_n_vcpus(board->machine); i++) {
        if (!vcpu_set_firmware_msrs(board->machine, i, error))
            return FALSE;
    }
    return store_reset_vector(board->ram, error) && acpi_store(board->ram, machine_n_vcpus(board->machine), error);
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

static VirtioDevice *
find_balloon(Board *board, GError **error)
{
    VirtioDevice *balloon = board_devices_balloon(board->devices);

    if (!balloon)
        g_set_error_literal(error, MACHINE_ERROR, MACHINE_ERROR_UNSUPPORTED,
                            "this guest has no balloon: dirtylab boot --kernel gives it one");
    return balloon;
}

gboolean
board_set_balloon(Board *board, guint64 bytes, GError **error)
{
    VirtioDevice *balloon = find_balloon(board, error);

    if (balloon)
        virtio_balloon_set_target(balloon, bytes);
    return balloon != NULL;
}

gboolean
board_get_balloon(Board *board, guint64 *bytes, GError **error)
{
    VirtioDevice *balloon = find_balloon(board, error);

    if (balloon)
        *bytes = virtio_balloon_actual(balloon);
    return balloon != NULL;
}
