/* SPDX-License-Identifier: MIT */
/* The table of commands: what each is called, what it takes, and what carries it out. */
#pragma once

#include <control/control.h>
#include <json-glib/json-glib.h>

#define COMMAND_NEGOTIATE "qmp_capabilities"

typedef enum {
    ARGUMENT_STRING,
    ARGUMENT_INT,
    ARGUMENT_BOOL,
    ARGUMENT_ARRAY,
} ArgumentType;

typedef struct {
    const char *name;
    ArgumentType type;
    gboolean optional;
} Argument;

/**
 * CommandRun: @arguments have been checked against the command's table; NULL is as good as none. Returns the answer's value, or
 * NULL and an error.
 */
typedef JsonNode *(*CommandRun)(ControlServer *server, JsonObject *arguments, GError **error);

/**
 * Command:
 * @slow: may wait for vCPUs or walk guest RAM: it runs on a worker's thread, and only its client waits. The others run on the
 * server's thread
 * @arguments: ends with one without a name; NULL: takes none
 */
typedef struct {
    const char *name;
    CommandRun run;
    gboolean slow;
    const Argument *arguments;
} Command;

/** Each file's commands; the last one has no name. */
extern const Command session_commands[];
extern const Command tracker_commands[];
extern const Command migrate_commands[];
extern const Command balloon_commands[];

/** command_find: the command, when it may be called so. Errors: QMP_ERROR. */
const Command *command_find(const char *name, JsonObject *arguments, GError **error);

/** command_list: the value of query-commands. */
JsonNode *command_list(void);

/** command_nothing: the empty object, for commands that answer with success alone. */
JsonNode *command_nothing(void);
