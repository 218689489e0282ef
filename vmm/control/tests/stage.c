/* SPDX-License-Identifier: MIT */
#include "stage.h"

#include <glib/gstdio.h>

Stage *
stage_new(BoardConfig board, const char *command_line, const ControlConfig *config)
{
    Stage *stage = g_new0(Stage, 1);
    g_autoptr(GError) error = NULL;
    ControlConfig control = config ? *config : (ControlConfig){0};

    stage->folder = g_dir_make_tmp("dirtylab-control-XXXXXX", &error);
    g_assert_no_error(error);
    stage->path = g_build_filename(stage->folder, "control", NULL);
    stage->uri = g_strconcat("unix:", stage->path, NULL);
    stage->run = guest_run_new(board, command_line);
    control.uri = stage->uri;
    stage->server = control_server_new(stage->run->board, &control, &error);
    g_assert_no_error(error);
    if (!control.incoming)
        guest_run_start(stage->run);
    return stage;
}

void
stage_free(Stage *stage)
{
    control_server_free(stage->server);
    guest_run_free(stage->run);
    g_assert_false(g_file_test(stage->path, G_FILE_TEST_EXISTS));
    g_assert_no_errno(g_rmdir(stage->folder));
    g_free(stage->folder);
    g_free(stage->path);
    g_free(stage->uri);
    g_free(stage);
}
