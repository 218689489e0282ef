/* SPDX-License-Identifier: MIT */
/* A look over a text from anybody before json-glib's parser gets it. */
#pragma once

#include <glib.h>

/**
 * json_scan_check: whether the text holds nothing that the parser would stumble over: it recurses with each level of nesting without
 * end, wraps integers around that are too large, takes comments, hexadecimal and NUL bytes, and of several values the last. Errors: FORMAT, naming the line.
 */
gboolean json_scan_check(const char *text, gsize length, GError **error);
