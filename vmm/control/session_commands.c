/* SPDX-License-Identifier: MIT */
/* The commands about the session and whether the guest runs. */
#include "control/private.h"

static JsonNode *
qmp_capabilities(ControlServer *server, JsonObject *arguments, GError **error)
{
    JsonArray *enable =
        arguments && json_object_has_member(arguments, "enable") ? json_object_get_array_member(arguments, "enable") : NULL;

    (void)server;
    if (!enable || !json_array_get_length(enable))
        return command_nothing();
    g_set_error(error, QMP_ERROR, QMP_ERROR_GENERIC, "there is no capability to enable: the greeting offers none");
    return NULL;
}

static JsonNode *
query_version(ControlServer *server, JsonObject *arguments, GError **error)
{
    (void)server;
    (void)arguments;
    (void)error;
    return qmp_version();
}

static JsonNode *
query_commands(ControlServer *server, JsonObject *arguments, GError **error)
{
    (void)server;
    (void)arguments;
    (void)error;
    return command_list();
}

static JsonNode *
query_status(ControlServer *server, JsonObject *arguments, GError **error)
{
    RunStatus status = run_state_get(server->run_state);
    JsonObject *result = json_object_new();

    (void)arguments;
    (void)error;
    json_object_set_string_member(result, "status", run_status_name(status));
    json_object_set_boolean_member(result, "running", status == RUN_RUNNING);
    return qmp_take_object(result);
}

static JsonNode *
stop(ControlServer *server, JsonObject *arguments, GError **error)
{
    (void)arguments;
    return migrate_run_when_here(server->migrate, FALSE) || run_state_stop(server->run_state, error) ? command_nothing() : NULL;
}

static JsonNode *
cont(ControlServer *server, JsonObject *arguments, GError **error)
{
    (void)arguments;
    return migrate_run_when_here(server->migrate, TRUE) || run_state_cont(server->run_state, error) ? command_nothing() : NULL;
}

static JsonNode *
quit(ControlServer *server, JsonObject *arguments, GError **error)
{
    (void)arguments;
    return server_request_quit(server, error) ? command_nothing() : NULL;
}

static const Argument capabilities_arguments[] = {{"enable", ARGUMENT_ARRAY, TRUE}, {0}};

const Command session_commands[] = {
    {COMMAND_NEGOTIATE, qmp_capabilities, FALSE, capabilities_arguments},
    {"query-version", query_version, FALSE, NULL},
    {"query-commands", query_commands, FALSE, NULL},
    {"query-status", query_status, FALSE, NULL},
    {"stop", stop, TRUE, NULL},
    {"cont", cont, TRUE, NULL},
    {"quit", quit, FALSE, NULL},
    {0},
};
