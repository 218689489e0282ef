/* SPDX-License-Identifier: MIT */
/* The server from the inside. */
#pragma once

#include <gio/gio.h>

#include "control/client.h"
#include "control/commands.h"
#include "control/control.h"
#include "control/dirty_rate.h"
#include "control/listener.h"
#include "control/migrate.h"
#include "control/qmp.h"
#include "control/run_state.h"
#include "control/tracking.h"

struct ControlServer {
    /* set once by control_server_new() */
    Board *board;
    Machine *machine;
    RunState *run_state;
    Tracking *tracking;
    DirtyRate *dirty_rate;
    Migrate *migrate;
    Listener listener;
    GMainContext *context;
    GMainLoop *loop;
    GThread *thread;
    GThreadPool *workers;
    GSource *acceptable;

    /* the server's thread's */
    GPtrArray *clients;
    gboolean finishing; /* no more commands */
    GThread *stopper;   /* of the first `quit` */

    gint quit;   /* atomic */
    gint ending; /* atomic: control_server_free() was called */
};

/** server_post: @call runs on the server's thread, in the order of the calls; from any thread. @free may be NULL. */
void server_post(ControlServer *server, GSourceFunc call, gpointer user, GDestroyNotify free);

/** server_emit: an event to every client that has negotiated; from any thread. @data is consumed and may be NULL. */
void server_emit(ControlServer *server, const char *name, JsonObject *data);

/** server_run_slow: carries out @command on a worker's thread; the answer goes to @client. What @request holds is taken. */
void server_run_slow(ControlServer *server, Client *client, const Command *command, QmpRequest *request);

/** server_client_gone: on the server's thread. */
void server_client_gone(ControlServer *server, Client *client);

/** server_request_quit: what `quit` does beside answering; on the server's thread. Errors: no thread is to be had. */
gboolean server_request_quit(ControlServer *server, GError **error);

/** client_start: on the server's thread, once. */
void client_start(Client *client);
