/* SPDX-License-Identifier: MIT */
/*
 * A VM from a description: RAM, machine, serial port, kernel and DlLog, wired together. Whoever needs a VM asks here.
 *
 *   board = board_new(&config, &error);
 *   bus_register(machine_bus(board_machine(board)), BUS_PIO, ABI_DOORBELL_PORT, 4, "doorbell", …);    what the owner adds
 *   dl_log_move(board_log(board), "kvm-bitmap", …);                                                   now or at any time later
 *   board_start(board, &error);
 *   …
 *   board_free(board);
 */
#pragma once

#include <machine/machine.h>

/** What the guest sends to its first serial port, on the vCPU's thread, or by virtio-console, on its worker. */
typedef void (*BoardConsole)(gpointer user, const char *bytes, gsize n_bytes);

#define BOARD_MAX_DISKS 5u

/**
 * BoardDisk: a virtio-blk device; the first is the guest's vda.
 * @path: a raw image or a block device
 * @read_only: opened for reading only; the guest is told
 * @direct: O_DIRECT
 * @serial: at most 20 bytes count; NULL: dirtylab-N
 */
typedef struct {
    const char *path;
    gboolean read_only;
    gboolean direct;
    const char *serial;
} BoardDisk;

/**
 * BoardConfig: zeroed, with memory_bytes and vcpus set, is a usable one.
 * @memory_bytes: as in guest_ram_new()
 * @stock: what a stock operating system's kernel needs and the embedded guest does not: ACPI tables, a PIT, MSRs as firmware leaves
 * them
 * @populate: back all RAM at once
 * @dirty_ring_entries: 0: bitmaps
 * @kernel, @kernel_size: the contents of a kernel's file (machine/boot.h), read during board_new() only; NULL: the embedded guest
 * @initrd, @initrd_size: the contents of an initrd, likewise; NULL: none
 * @command_line: NULL is the empty one. The embedded guest's keys stand in guest-tests/abi.h; give it vcpus= when there are
 * several
 * @disks, @n_disks: read during board_new() only
 * @rng: a virtio-rng device
 * @balloon: a virtio-balloon device
 * @virtio_console: a virtio-console device, whose output goes where the serial port's goes
 * @virtio_console_input: what is typed goes to it, and not to the serial port
 * @terminal: consoles are on standard input and output (devices/terminal.h); what both send is shown. Ctrl-A x powers off.
 * @console and @console_fd are not used then
 * @console, @console_user: serial output; NULL: it goes to @console_fd
 * @console_fd: file descriptor for serial output, borrowed; used only when @console is NULL; 0 or negative: none
 */
typedef struct {
    DlRamKind ram;
    guint vcpus;
    guint64 memory_bytes;
    gboolean stock;
    gboolean populate;
    guint32 dirty_ring_entries;
    int console_fd;
    const guint8 *kernel;
    gsize kernel_size;
    const guint8 *initrd;
    gsize initrd_size;
    const char *command_line;
    const BoardDisk *disks;
    guint n_disks;
    gboolean rng;
    gboolean balloon;
    gboolean virtio_console;
    gboolean virtio_console_input;
    gboolean terminal;
    BoardConsole console;
    gpointer console_user;
} BoardConfig;

typedef struct Board Board;

/** board_new: everything is there, nothing runs. Errors: those of guest_ram_new(), machine_new(), boot_load(), acpi_store(), dl_log_new(). */
Board *board_new(const BoardConfig *config, GError **error);
/** board_free: stops the machine, releases the tracker, frees all. Order: vCPUs end first, so a uffd-wp handler outlives them. */
void board_free(Board *board);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Board, board_free)

Machine *board_machine(Board *board);
GuestRam *board_ram(Board *board);
DlLog *board_log(Board *board);

/** board_start: lets the vCPUs go; machine_pause() and the rest are the machine's. */
gboolean board_start(Board *board, GError **error);

/**
 * board_set_balloon: asks the guest to keep @bytes and to give up the rest; it does so by and by. board_get_balloon: how many it says that
 * it has. From any thread. Errors: UNSUPPORTED (no balloon device).
 */
gboolean board_set_balloon(Board *board, guint64 bytes, GError **error);
gboolean board_get_balloon(Board *board, guint64 *bytes, GError **error);
