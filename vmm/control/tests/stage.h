/* SPDX-License-Identifier: MIT */
/* For the tests: a board with the embedded guest and a control server on a socket in a folder of its own. */
#pragma once

#include <board/tests/guest_run.h>
#include <control/control.h>

#include "qmp_client.h"

typedef struct {
    GuestRun *run;
    ControlServer *server;
    char *folder;
    char *path;
    char *uri;
} Stage;

/** stage_new: started, unless it comes from elsewhere; @config may be NULL (its uri is replaced). */
Stage *stage_new(BoardConfig board, const char *command_line, const ControlConfig *config);
void stage_free(Stage *stage);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Stage, stage_free)
