/* SPDX-License-Identifier: MIT */
/*
 * From a stream of bytes to JSON texts. QMP needs no newline between two objects, so where one ends is found by counting
 * brackets outside of strings; whether it is JSON is for the parser to say. Memory is bounded by WIRE_MESSAGE_MAX, whatever comes.
 */
#pragma once

#include <glib.h>

/** Bytes in the longest message that is taken. */
#define WIRE_MESSAGE_MAX (64U << 10)

typedef enum {
    WIRE_MORE,    /* all bytes are used, no message is complete */
    WIRE_MESSAGE, /* wire->text is an object's text, until the next call */
    WIRE_BAD,     /* no message can come of this; what follows is skipped up to the next newline */
} WireResult;

/** Wire: zeroed is a new one. @text: the message so far. */
typedef struct {
    GString *text;
    guint depth;
    gboolean in_string;
    gboolean escaped;
    gboolean complete;
    gboolean skipping;
} Wire;

/**
 * wire_feed: looks at bytes until something is to be said; @used tells how many were taken, and the rest is for the next call.
 * @reason: why it is WIRE_BAD.
 */
WireResult wire_feed(Wire *wire, const char *bytes, gsize size, gsize *used, const char **reason);
void wire_clear(Wire *wire);
