/* SPDX-License-Identifier: MIT */
/*
 * The control socket: a QMP server for one board, with a thread of its own. docs/control.md and the table in commands.c say what
 * it understands.
 *
 *   server = control_server_new(board, &config, &error);      before board_start(): it watches the machine's end
 *   board_start(board, &error);
 *   machine_wait(board_machine(board), -1);                   a client's `quit` stops the machine too
 *   quit = control_server_quit_requested(server);
 *   control_server_free(server);
 *   board_free(board);
 */
#pragma once

#include <board/board.h>

#define CONTROL_ERROR (control_error_quark())
/**
 * ControlError:
 * @CONTROL_ERROR_USAGE: an address that cannot be used, whatever the host: no unix:PATH, a path that is too long (exit status 2)
 * @CONTROL_ERROR_FAILED: the socket cannot be had now: another process listens there, or a file that is no socket lies there
 */
typedef enum {
    CONTROL_ERROR_USAGE,
    CONTROL_ERROR_FAILED,
} ControlError;
GQuark control_error_quark(void);

/**
 * ControlConfig:
 * @uri: `unix:PATH`; NULL: no socket, for a guest that comes from elsewhere and has nobody to talk to
 * @paused: the guest stands until a client says `cont`
 * @incoming: the guest comes from elsewhere: the address to listen on (migration/channel.h), or `defer`: a client will say. The board is not to be
 * started by its owner then. NULL: it does not
 * @tls_creds: the folder with the credentials of migrations, in and out; NULL: none
 */
typedef struct {
    const char *uri;
    gboolean paused;
    const char *incoming;
    const char *tls_creds;
} ControlConfig;

typedef struct ControlServer ControlServer;

/**
 * control_server_new: listens from now on, on a socket with mode 0600. A socket that nobody listens on any more is replaced, a
 * live one never. @board outlives the server and has not been started. Errors: CONTROL_ERROR, MACHINE_ERROR, CHANNEL_ERROR, MIGRATION_ERROR.
 */
ControlServer *control_server_new(Board *board, const ControlConfig *config, GError **error);

/**
 * control_server_free: stops the machine, sends what is still to be sent to clients that read, unlinks the socket. Takes half a
 * second at most for clients that do not read, and as long as machine_pause() may take where a command is just pausing.
 */
void control_server_free(ControlServer *server);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ControlServer, control_server_free)

/** control_server_failure: once the machine has ended: why the guest never came (@incoming); NULL: it did, or a client said `quit`. Free it. */
GError *control_server_failure(ControlServer *server);

/** control_server_quit_requested: a client said `quit`; the machine has been stopped, or is about to be. */
gboolean control_server_quit_requested(ControlServer *server);
