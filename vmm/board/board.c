/* SPDX-License-Identifier: MIT */
/* System calls: write. */
#include <board/acpi.h>
#include <board/board.h>
#include <devices/power.h>
#include <devices/serial.h>
#include <errno.h>
#include <guest-tests/embedded.h>
#include <machine/boot.h>
#include <machine/vcpu.h>
#include <unistd.h>

struct Board {
    GuestRam *ram;
    Machine *machine;
    Serial *serial;
    DlLog *log;
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

static void
serial_output(gpointer user, const char *bytes, gsize n_bytes)
{
    Board *board = user;

    if (board->console)
        board->console(board->console_user, bytes, n_bytes);
    else if (board->console_fd > 0)
        write_all(board->console_fd, bytes, n_bytes);
}

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
    board->serial = serial_new(machine_bus(board->machine), SERIAL_COM1_PORT, serial_output, board, error);
    if (config->stock && !add_platform(board, error))
        return FALSE;
    return board->serial && power_add(board->machine, error) && load_kernel(board, config, error) && make_log(board, error);
}

Board *
board_new(const BoardConfig *config, GError **error)
{
    g_autoptr(Board) board = g_new0(Board, 1);

    board->console = config->console;
    board->console_user = config->console_user;
    board->console_fd = config->console_fd;
    return build(board, config, error) ? g_steal_pointer(&board) : NULL;
}

void
board_free(Board *board)
{
    if (!board)
        return;
    if (board->machine)
        machine_stop(board->machine);
    if (board->ram)
        guest_ram_attach_log(board->ram, NULL);
    g_clear_pointer(&board->log, dl_log_free);
    machine_free(board->machine);
    serial_free(board->serial);
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
