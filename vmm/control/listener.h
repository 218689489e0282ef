/* SPDX-License-Identifier: MIT */
/* The listening socket's life in the file system. */
#pragma once

#include <gio/gio.h>
#include <sys/stat.h>

/** @made: what lies at @path because of us; only that is unlinked at the end. */
typedef struct {
    GSocket *socket;
    char *path;
    struct stat made;
} Listener;

/** listener_open: @uri is `unix:PATH`. Errors: CONTROL_ERROR. */
gboolean listener_open(Listener *listener, const char *uri, GError **error);
void listener_close(Listener *listener);
