/* SPDX-License-Identifier: MIT */
/* What `dirtylab boot` takes from the program it is in. */
#pragma once

#include <board/board.h>

/** BootControlOptions: the options of the same names; NULL where they were not given. */
typedef struct {
    const char *uri;
    gboolean paused;
    const char *incoming;
    const char *tls_creds;
} BootControlOptions;

/**
 * BootControl: the control socket, and guests that come from elsewhere.
 * @start: before board_start(), or instead of it where the guest comes from elsewhere. Errors: CMD_ERROR_USAGE for an address that cannot be used, and others
 * @failure: when the machine has ended: why the guest never came; NULL: it did, or was not to come
 * @stop: may be given NULL
 */
typedef struct {
    gpointer (*start)(Board *board, const BootControlOptions *options, GError **error);
    GError *(*failure)(gpointer control);
    void (*stop)(gpointer control);
} BootControl;

/** boot_control: where it is not linked in, its address is NULL, and who wants it takes tools_exec(). */
extern const BootControl boot_control __attribute__((weak));
