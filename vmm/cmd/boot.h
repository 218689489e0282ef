/* SPDX-License-Identifier: MIT */
/* What `dirtylab boot` takes from the program it is in. */
#pragma once

#include <board/board.h>

/**
 * BootControl: the control socket.
 * @start: before board_start(). Errors: CMD_ERROR_USAGE for an address that cannot be used, and others
 * @stop: may be given NULL
 */
typedef struct {
    gpointer (*start)(Board *board, const char *uri, gboolean paused, GError **error);
    void (*stop)(gpointer control);
} BootControl;

/** boot_control: where it is not linked in, its address is NULL, and who wants it takes tools_exec(). */
extern const BootControl boot_control __attribute__((weak));
