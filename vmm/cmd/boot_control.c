/* SPDX-License-Identifier: MIT */
/* The control socket of `dirtylab boot`, in the program that can have one. */
#include <control/control.h>
#include <migration/channel.h>

#include "cmd/boot.h"
#include "cmd/cmd.h"

static gpointer
start(Board *board, const BootControlOptions *options, GError **error)
{
    const ControlConfig config = {
        .uri = options->uri, .paused = options->paused, .incoming = options->incoming, .tls_creds = options->tls_creds};
    g_autoptr(GError) cause = NULL;
    ControlServer *server = control_server_new(board, &config, &cause);

    if (g_error_matches(cause, CONTROL_ERROR, CONTROL_ERROR_USAGE) ||
        g_error_matches(cause, CHANNEL_ERROR, CHANNEL_ERROR_INVALID))
        g_set_error_literal(error, CMD_ERROR, CMD_ERROR_USAGE, cause->message);
    else if (!server)
        g_propagate_error(error, g_steal_pointer(&cause));
    return server;
}

static GError *
failure(gpointer server)
{
    return control_server_failure(server);
}

static void
stop(gpointer server)
{
    control_server_free(server);
}

const BootControl boot_control = {.start = start, .failure = failure, .stop = stop};
