/* SPDX-License-Identifier: MIT */
/* A small QMP client: one command at a time, over a unix socket. It talks to QEMU as it does to dirtylab. */
#pragma once

#include <gio/gio.h>
#include <json-glib/json-glib.h>

#define QMP_CLIENT_ERROR (qmp_client_error_quark())
/**
 * QmpClientError:
 * @QMP_CLIENT_ERROR_CONNECTION: no socket there, or it broke, or no answer came in time
 * @QMP_CLIENT_ERROR_PROTOCOL: what came is no QMP
 * @QMP_CLIENT_ERROR_COMMAND: the other side refused a command; the message is its own
 */
typedef enum {
    QMP_CLIENT_ERROR_CONNECTION,
    QMP_CLIENT_ERROR_PROTOCOL,
    QMP_CLIENT_ERROR_COMMAND,
} QmpClientError;
GQuark qmp_client_error_quark(void);

typedef struct QmpClient QmpClient;

/** qmp_client_new: connects to `unix:PATH`, and is through with the greeting. Errors: QMP_CLIENT_ERROR. */
QmpClient *qmp_client_new(const char *address, GError **error);
void qmp_client_free(QmpClient *client);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(QmpClient, qmp_client_free)

/**
 * qmp_client_execute: @arguments (consumed; NULL: none) to @command. Events that come meanwhile are passed over. Returns what the other
 * side returned, an object; other values become an empty one. Errors: QMP_CLIENT_ERROR.
 */
JsonObject *qmp_client_execute(QmpClient *client, const char *command, JsonObject *arguments, GError **error);
