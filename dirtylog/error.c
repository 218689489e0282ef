/* SPDX-License-Identifier: MIT */
/* The error domain, and the few helpers that have no better home. */
#include "dirtylog/private.h"

#include <string.h>
#include <time.h>

G_DEFINE_QUARK(dl-error, dl_error);

void
dl_set_error(GError **error, DlError code, int saved_errno, const char *remedy, const char *format, ...)
{
    if (!error)
        return;

    va_list args;
    va_start(args, format);
    g_autofree char *what = g_strdup_vprintf(format, args);
    va_end(args);

    g_set_error(error, DL_ERROR, code, "%s%s%s%s%s", what, saved_errno ? ": " : "", saved_errno ? g_strerror(saved_errno) : "",
                remedy ? DL_REMEDY_MARK : "", remedy ? remedy : "");
}

DlError
dl_error_from_errno(int saved_errno)
{
    switch (saved_errno) {
    case EPERM:
    case EACCES:
        return DL_ERROR_PERMISSION;
    case ENOMEM:
    case ENOSPC:
    case EMFILE:
    case ENFILE:
        return DL_ERROR_RESOURCE;
    case ENOSYS:
    case ENOTTY:
    case EOPNOTSUPP:
        return DL_ERROR_UNSUPPORTED;
    default:
        return DL_ERROR_FAILED;
    }
}

gint64
dl_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (gint64)now.tv_sec * 1000000000 + now.tv_nsec;
}

char *
dl_read_field(const char *path, const char *key)
{
    g_autofree char *text = NULL;

    if (!g_file_get_contents(path, &text, NULL, NULL))
        return NULL;

    for (char *line = text; line && *line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (g_str_has_prefix(line, key))
            return g_strstrip(g_strndup(line + strlen(key), strcspn(line + strlen(key), "\n")));
    }
    return NULL;
}

gboolean
dl_read_number(const char *path, guint64 *value)
{
    g_autofree char *text = dl_read_field(path, "");

    return text && g_ascii_string_to_unsigned(text, 10, 0, G_MAXUINT64, value, NULL);
}
