/* SPDX-License-Identifier: MIT */
/*
 * One connection. All of it belongs to the server's thread, but for the references. What a client may cost is bounded: one read's
 * worth of input beside the message that is being put together (wire.h), one command at a time, and no more commands while it
 * does not read its answers; whoever does not read events either is dropped.
 */
#pragma once

#include <control/control.h>
#include <gio/gio.h>

typedef struct Client Client;

/** client_new: owns @socket, and sends the greeting. */
Client *client_new(ControlServer *server, GSocket *socket);
Client *client_ref(Client *client);
void client_unref(Client *client);

/** client_send_event: @line, to a client that has negotiated. */
void client_send_event(Client *client, const char *line);
/** client_answer: @line answers the slow command that was under way; the client goes on with its next. */
void client_answer(Client *client, const char *line);
/** client_finish: takes no more commands; the connection ends when what is still to be sent has been. */
void client_finish(Client *client);
/** client_drop: ends the connection at once. */
void client_drop(Client *client);
