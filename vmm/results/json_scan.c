/* SPDX-License-Identifier: MIT */
/*
 * Walks the text's tokens once, without recursion. Outside strings only JSON's own characters pass, so what this scan takes for a
 * string is one for the parser too, and no bracket can hide from the count of levels. Grammar is left to the parser.
 */
#include <math.h>
#include <string.h>

#include "results/bounds.h"
#include "results/document.h"
#include "results/json_scan.h"

#define LONGEST_NUMBER 40

typedef struct {
    const char *at;
    const char *end;
    guint line;
    guint depth;
    gboolean ended; /* the outermost value */
} Scan;

static gboolean
refuse(const Scan *scan, const char *what, GError **error)
{
    g_set_error(error, RESULTS_ERROR, RESULTS_ERROR_FORMAT, "line %u: %s", scan->line, what);
    return FALSE;
}

/* @at stands on the opening quote, and afterwards behind the closing one. */
static gboolean
scan_string(Scan *scan, GError **error)
{
    for (scan->at++; scan->at < scan->end && *scan->at != '"'; scan->at++) {
        if ((guchar)*scan->at < 0x20)
            return refuse(scan, "a control character in a string", error);
        if (*scan->at == '\\' && ++scan->at == scan->end)
            break;
    }
    if (scan->at == scan->end)
        return refuse(scan, "a string without end", error);
    scan->at++;
    return TRUE;
}

static gboolean
is_number(const char *word)
{
    static const char allowed[] = "0123456789+-.eE";
    char *rest;

    if ((*word != '-' && !g_ascii_isdigit(*word)) || word[strspn(word, allowed)] != '\0')
        return FALSE;
    if (word[strspn(word, "-0123456789")] == '\0')
        return g_ascii_string_to_signed(word, 10, G_MININT64, G_MAXINT64, NULL, NULL);
    double value = g_ascii_strtod(word, &rest);
    return *rest == '\0' && isfinite(value);
}

static gboolean
scan_word(Scan *scan, GError **error)
{
    char word[LONGEST_NUMBER + 1];
    gsize length = 0;

    while (scan->at < scan->end && (g_ascii_isalnum(*scan->at) || strchr("+-.", *scan->at))) {
        if (length == LONGEST_NUMBER)
            return refuse(scan, "a number that is too long", error);
        word[length++] = *scan->at++;
    }
    word[length] = '\0';
    if (g_str_equal(word, "true") || g_str_equal(word, "false") || g_str_equal(word, "null") || is_number(word))
        return TRUE;
    return refuse(scan, "a word that is neither a number in range nor true, false or null", error);
}

static gboolean
scan_token(Scan *scan, GError **error)
{
    switch (*scan->at) {
    case '"':
        return scan_string(scan, error);
    case '[':
    case '{':
        if (++scan->depth > LIMIT_DEPTH)
            return refuse(scan, "nested too deeply", error);
        break;
    case ']':
    case '}':
        if (scan->depth-- == 0)
            return refuse(scan, "a bracket that closes nothing", error);
        break;
    case '\n':
        scan->line++;
        break;
    case ' ':
    case '\t':
    case '\r':
    case ',':
    case ':':
        break;
    default:
        if (g_ascii_isalnum(*scan->at) || *scan->at == '-')
            return scan_word(scan, error);
        return refuse(scan, "a character that JSON does not have", error);
    }
    scan->at++;
    return TRUE;
}

/* json-glib takes the last of several, and loses the memory of the others. */
static gboolean
scan_only_value(Scan *scan, GError **error)
{
    gboolean space = strchr(" \t\r\n", *scan->at) && *scan->at;

    if (scan->ended && !space)
        return refuse(scan, "something behind the value's end", error);
    if (!scan_token(scan, error))
        return FALSE;
    scan->ended = scan->ended || (!space && !scan->depth);
    return TRUE;
}

gboolean
json_scan_check(const char *text, gsize length, GError **error)
{
    Scan scan = {.at = text, .end = text + length, .line = 1};

    if (length > LIMIT_DOCUMENT)
        return refuse(&scan, "larger than any result document", error);
    if (!g_utf8_validate_len(text, length, NULL))
        return refuse(&scan, "not UTF-8", error);
    while (scan.at < scan.end) {
        if (!scan_only_value(&scan, error))
            return FALSE;
    }
    return scan.depth == 0 || refuse(&scan, "the text ends within an object or an array", error);
}
