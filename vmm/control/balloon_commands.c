/* SPDX-License-Identifier: MIT */
/* The commands about the balloon: sizes are bytes that the guest has. */
#include <machine/error.h>

#include "control/private.h"

/* A client of QEMU's knows a guest without a balloon by its class. */
static void
set_class(GError **error, GError *cause)
{
    gboolean absent = g_error_matches(cause, MACHINE_ERROR, MACHINE_ERROR_UNSUPPORTED);

    g_set_error_literal(error, QMP_ERROR, absent ? QMP_ERROR_DEVICE_NOT_ACTIVE : QMP_ERROR_GENERIC, cause->message);
}

static JsonNode *
balloon(ControlServer *server, JsonObject *arguments, GError **error)
{
    g_autoptr(GError) cause = NULL;
    gint64 bytes = json_object_get_int_member(arguments, "value");

    if (bytes <= 0) {
        g_set_error_literal(error, QMP_ERROR, QMP_ERROR_GENERIC, "value is how many bytes the guest keeps: more than 0");
        return NULL;
    }
    if (board_set_balloon(server->board, (guint64)bytes, &cause))
        return command_nothing();
    set_class(error, cause);
    return NULL;
}

static JsonNode *
query_balloon(ControlServer *server, JsonObject *arguments, GError **error)
{
    g_autoptr(GError) cause = NULL;
    guint64 bytes;

    (void)arguments;
    if (!board_get_balloon(server->board, &bytes, &cause)) {
        set_class(error, cause);
        return NULL;
    }
    JsonObject *result = json_object_new();
    json_object_set_int_member(result, "actual", (gint64)bytes);
    return qmp_take_object(result);
}

static const Argument balloon_arguments[] = {{"value", ARGUMENT_INT, FALSE}, {0}};

const Command balloon_commands[] = {
    {"balloon", balloon, FALSE, balloon_arguments},
    {"query-balloon", query_balloon, FALSE, NULL},
    {0},
};
