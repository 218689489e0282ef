/* SPDX-License-Identifier: MIT */
/*
 * What QMP's objects look like: requests in, greeting, answers and events out. The shapes are QEMU's (its docs/interop/qmp-spec), so
 * that a client written for it needs no change.
 */
#pragma once

#include <json-glib/json-glib.h>

#define QMP_ERROR (qmp_error_quark())
/** QmpError: the classes that a client can tell apart; an error of any other domain is GenericError on the wire. */
typedef enum {
    QMP_ERROR_GENERIC,
    QMP_ERROR_COMMAND_NOT_FOUND,
    QMP_ERROR_DEVICE_NOT_ACTIVE,
} QmpError;
GQuark qmp_error_quark(void);

/**
 * QmpRequest:
 * @command: `execute`
 * @arguments: NULL when none were given
 * @id: any JSON value, to be sent back; NULL when none was given
 */
typedef struct {
    char *command;
    JsonObject *arguments;
    JsonNode *id;
} QmpRequest;

/**
 * qmp_request_parse: @text comes from anybody. On an error @request holds the id all the same, if one could be made out; clear it
 * in either case. Errors: QMP_ERROR_GENERIC.
 */
gboolean qmp_request_parse(const char *text, gsize length, QmpRequest *request, GError **error);
void qmp_request_clear(QmpRequest *request);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(QmpRequest, qmp_request_clear)

/** Each of these is a line for the wire, its end included. */
char *qmp_greeting(void);
/** qmp_return: @result may be NULL: the empty object. Borrows both. */
char *qmp_return(JsonNode *id, JsonNode *result);
char *qmp_failure(JsonNode *id, const GError *error);
/** qmp_event: with the time of the call. @data is consumed and may be NULL. */
char *qmp_event(const char *name, JsonObject *data);

/** qmp_version: the value of query-version. */
JsonNode *qmp_version(void);

/** qmp_take_object: a node that owns @object. */
JsonNode *qmp_take_object(JsonObject *object);
