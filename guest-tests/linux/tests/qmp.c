/* SPDX-License-Identifier: MIT */
/*
 * The least QMP client, for the tests in the testbed, where only busybox is: `qmp SOCKET COMMAND...`. Each COMMAND is one in JSON, or
 * the bare name of one. Prints an answer a line; events are left out. Status 1: one of them was an error; 2: no server, or no answer
 * within a minute.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

static FILE *
connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const struct timeval limit = {60, 0};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || strlen(path) >= sizeof address.sun_path)
        return NULL;
    memcpy(address.sun_path, path, strlen(path) + 1);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    return connect(fd, (struct sockaddr *)&address, sizeof address) ? NULL : fdopen(fd, "r+");
}

/* The next line that holds @key; NULL: none came in time. Every message is an object on a line of its own. */
static char *
await(FILE *server, const char *key, const char *other_key)
{
    static char *line;
    static size_t size;

    while (getline(&line, &size, server) > 0) {
        if (strncmp(line, "{\"event\"", 8) != 0 && strncmp(line, "{ \"event\"", 9) != 0 &&
            (strstr(line, key) || strstr(line, other_key)))
            return line;
    }
    return NULL;
}

/* Sends one command; prints its answer unless @quiet. The answer's status. */
static int
ask(FILE *server, const char *command, bool quiet)
{
    if (*command == '{')
        fprintf(server, "%s\n", command);
    else
        fprintf(server, "{\"execute\": \"%s\"}\n", command);
    fflush(server);
    const char *answer = await(server, "\"return\"", "\"error\"");
    if (!answer) {
        fprintf(stderr, "qmp: no answer to %s\n", command);
        exit(2);
    }
    if (!quiet)
        fputs(answer, stdout);
    return strstr(answer, "\"error\"") && !strstr(answer, "\"return\"");
}

int
main(int argc, char **argv)
{
    int failed = 0;
    FILE *server = argc > 2 ? connect_to(argv[1]) : NULL;

    if (!server || !await(server, "\"QMP\"", "\"QMP\"") || ask(server, "qmp_capabilities", true)) {
        fprintf(stderr, "qmp: no server at %s\n", argc > 1 ? argv[1] : "SOCKET");
        return 2;
    }
    for (int i = 2; i < argc; i++)
        failed |= ask(server, argv[i], false);
    fclose(server);
    return failed;
}
