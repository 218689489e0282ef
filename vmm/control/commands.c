/* SPDX-License-Identifier: MIT */
#include "control/commands.h"

#include "control/qmp.h"

static const Command *const tables[] = {
    session_commands,
    tracker_commands,
    migrate_commands,
    balloon_commands,
};

static const Command *
look_up(const char *name)
{
    for (guint i = 0; i < G_N_ELEMENTS(tables); i++) {
        for (const Command *command = tables[i]; command->name; command++) {
            if (g_str_equal(command->name, name))
                return command;
        }
    }
    return NULL;
}

static gboolean
has_type(JsonNode *value, ArgumentType type)
{
    switch (type) {
    case ARGUMENT_STRING:
        return json_node_get_value_type(value) == G_TYPE_STRING;
    case ARGUMENT_INT:
        return json_node_get_value_type(value) == G_TYPE_INT64;
    case ARGUMENT_BOOL:
        return json_node_get_value_type(value) == G_TYPE_BOOLEAN;
    case ARGUMENT_ARRAY:
        return JSON_NODE_HOLDS_ARRAY(value);
    }
    return FALSE;
}

static const char *
type_name(ArgumentType type)
{
    static const char *const names[] = {"a string", "a whole number", "true or false", "an array"};

    return names[type];
}

static gboolean
check_given(const Command *command, JsonObject *arguments, GError **error)
{
    JsonObjectIter iter;
    const char *name;
    JsonNode *value;

    json_object_iter_init(&iter, arguments);
    while (json_object_iter_next(&iter, &name, &value)) {
        const Argument *argument = command->arguments;
        while (argument && argument->name && !g_str_equal(argument->name, name))
            argument++;
        if (!argument || !argument->name) {
            g_set_error(error, QMP_ERROR, QMP_ERROR_GENERIC, "%s takes no argument \"%s\"", command->name, name);
            return FALSE;
        }
        if (!has_type(value, argument->type)) {
            g_set_error(error, QMP_ERROR, QMP_ERROR_GENERIC, "argument \"%s\" of %s takes %s", name, command->name,
                        type_name(argument->type));
            return FALSE;
        }
    }
    return TRUE;
}

static gboolean
check_arguments(const Command *command, JsonObject *arguments, GError **error)
{
    for (const Argument *argument = command->arguments; argument && argument->name; argument++) {
        if (!argument->optional && !(arguments && json_object_has_member(arguments, argument->name))) {
            g_set_error(error, QMP_ERROR, QMP_ERROR_GENERIC, "%s needs its argument \"%s\"", command->name, argument->name);
            return FALSE;
        }
    }
    return !arguments || check_given(command, arguments, error);
}

const Command *
command_find(const char *name, JsonObject *arguments, GError **error)
{
    const Command *command = look_up(name);

    if (!command) {
        g_set_error(error, QMP_ERROR, QMP_ERROR_COMMAND_NOT_FOUND, "there is no command \"%s\": see query-commands", name);
        return NULL;
    }
    return check_arguments(command, arguments, error) ? command : NULL;
}

JsonNode *
command_list(void)
{
    JsonArray *list = json_array_new();
    JsonNode *node = json_node_new(JSON_NODE_ARRAY);

    for (guint i = 0; i < G_N_ELEMENTS(tables); i++) {
        for (const Command *command = tables[i]; command->name; command++) {
            JsonObject *entry = json_object_new();
            json_object_set_string_member(entry, "name", command->name);
            json_array_add_object_element(list, entry);
        }
    }
    json_node_take_array(node, list);
    return node;
}

JsonNode *
command_nothing(void)
{
    return qmp_take_object(json_object_new());
}
