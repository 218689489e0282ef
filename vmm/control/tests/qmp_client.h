/* SPDX-License-Identifier: MIT */
/* For the tests: a client as anybody could write it, of sockets and json-glib alone, that waits and aborts the test when nothing comes. */
#pragma once

#include <json-glib/json-glib.h>

typedef struct {
    int fd;
    GString *received;
    GPtrArray *events; /* JsonNode: what came while an answer was waited for */
} QmpClient;

/** qmp_client_connect: without reading the greeting. */
QmpClient *qmp_client_connect(const char *path);
/** qmp_client_new: connected, greeted and negotiated. */
QmpClient *qmp_client_new(const char *path);
void qmp_client_free(QmpClient *client);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(QmpClient, qmp_client_free)

void qmp_client_send(QmpClient *client, const char *text);
/** qmp_client_read: the next object of any kind; NULL: the connection has ended. */
JsonNode *qmp_client_read(QmpClient *client);
/** qmp_client_ended: nothing but the connection's end comes. */
void qmp_client_ended(QmpClient *client);

/** qmp_client_answer: the next answer; events are put aside. */
JsonNode *qmp_client_answer(QmpClient *client);
/** qmp_client_call: @arguments is JSON or NULL. The whole answer. */
JsonNode *qmp_client_call(QmpClient *client, const char *command, const char *arguments);
/** qmp_client_must: the command succeeds; its `return`. */
JsonNode *qmp_client_must(QmpClient *client, const char *command, const char *arguments);
/** qmp_client_must_fail: it does not; the error's class and a piece of its text. */
void qmp_client_must_fail(QmpClient *client, const char *command, const char *arguments, const char *class, const char *text);
/** qmp_client_wait_event: among those put aside, or to come; it is taken out. */
JsonNode *qmp_client_wait_event(QmpClient *client, const char *name);

/** A member of an object, for assertions; @path is `return/status`. */
const char *qmp_string(JsonNode *node, const char *path);
gint64 qmp_int(JsonNode *node, const char *path);
gboolean qmp_bool(JsonNode *node, const char *path);
JsonNode *qmp_member(JsonNode *node, const char *path);
