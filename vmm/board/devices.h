/* SPDX-License-Identifier: MIT */
/* The board's devices, made as the description says, and where their consoles go. Private to board/. */
#pragma once

#include <board/board.h>
#include <devices/virtio.h>

typedef struct BoardDevices BoardDevices;

/** board_devices_new: before machine_start(). Errors: those of each device, in words that name it. */
BoardDevices *board_devices_new(Machine *machine, const BoardConfig *config, GError **error);
/** board_devices_free: after machine_stop(), before the log goes and before machine_free(). */
void board_devices_free(BoardDevices *devices);
/** board_devices_balloon: NULL: there is none. */
VirtioDevice *board_devices_balloon(BoardDevices *devices);
