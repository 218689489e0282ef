/* SPDX-License-Identifier: MIT */
#include "control/wire.h"

#include <string.h>

static void
begin(Wire *wire)
{
    if (!wire->text)
        wire->text = g_string_new(NULL);
    g_string_truncate(wire->text, 0);
    wire->depth = 0;
    wire->in_string = wire->escaped = wire->complete = FALSE;
}

static WireResult
refuse(Wire *wire, const char *why, const char **reason)
{
    begin(wire);
    wire->skipping = TRUE;
    *reason = why;
    return WIRE_BAD;
}

/* One byte of a message that has begun. */
static void
look(Wire *wire, char byte)
{
    if (wire->in_string) {
        if (wire->escaped)
            wire->escaped = FALSE;
        else if (byte == '\\')
            wire->escaped = TRUE;
        else
            wire->in_string = byte != '"';
        return;
    }
    if (byte == '"')
        wire->in_string = TRUE;
    else if (byte == '{' || byte == '[')
        wire->depth++;
    else if (byte == '}' || byte == ']')
        wire->complete = --wire->depth == 0;
}

static WireResult
take(Wire *wire, char byte, const char **reason)
{
    if (wire->skipping) {
        wire->skipping = byte != '\n';
        return WIRE_MORE;
    }
    if (!wire->depth) {
        if (strchr(" \t\r\n", byte) && byte)
            return WIRE_MORE;
        if (byte != '{')
            return refuse(wire, "a command is a JSON object, and this is none", reason);
    }
    if (wire->text->len == WIRE_MESSAGE_MAX)
        return refuse(wire, "a command of more than 64 KiB", reason);
    g_string_append_c(wire->text, byte);
    look(wire, byte);
    return wire->complete ? WIRE_MESSAGE : WIRE_MORE;
}

WireResult
wire_feed(Wire *wire, const char *bytes, gsize size, gsize *used, const char **reason)
{
    WireResult result = WIRE_MORE;

    if (!wire->text || wire->complete)
        begin(wire);
    *used = 0;
    while (result == WIRE_MORE && *used < size) {
        char byte = bytes[(*used)++];
        result = take(wire, byte, reason);
        /* the byte that shows that all before it was no message may be the newline that ends the skipping */
        if (result == WIRE_BAD && byte == '\n')
            wire->skipping = FALSE;
    }
    return result;
}

void
wire_clear(Wire *wire)
{
    if (wire->text)
        g_string_free(wire->text, TRUE);
    *wire = (Wire){0};
}
