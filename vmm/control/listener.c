/* SPDX-License-Identifier: MIT */
/*
 * A path that is taken may be a live server's, a dead one's or no socket at all. A connection tells the first two apart; what
 * answers ECONNREFUSED is replaced. Between bind and listen a live one refuses too, and between the question and unlink another
 * may have taken the place: therefore all of it happens with the folder locked (flock), which every dirtylab does. A lock that
 * somebody keeps for longer than a second is not waited for: then only this protection is gone.
 *
 * The socket gets its mode before anybody can connect: while it is bound and not listening.
 *
 * System calls: flock, lstat, chmod, unlink, and GIO's socket, bind, connect, listen.
 */
#include "control/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gunixsocketaddress.h>
#include <string.h>
#include <sys/file.h>
#include <sys/un.h>
#include <unistd.h>

#include "control/control.h"

#define LOCK_TRIES 100
#define LOCK_PAUSE_US 10000
#define BACKLOG 64

G_DEFINE_QUARK(control-error, control_error);

static gboolean
fail(GError **error, const char *path, const char *format, const char *detail)
{
    g_autofree char *why = g_strdup_printf(format, detail);

    g_set_error(error, CONTROL_ERROR, CONTROL_ERROR_FAILED, "the control socket %s: %s", path, why);
    return FALSE;
}

static int
lock_folder(const char *path)
{
    g_autofree char *folder = g_path_get_dirname(path);
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    for (guint i = 0; fd >= 0 && i < LOCK_TRIES && flock(fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK; i++)
        g_usleep(LOCK_PAUSE_US);
    return fd;
}

static GSocket *
new_socket(GError **error)
{
    GSocket *socket = g_socket_new(G_SOCKET_FAMILY_UNIX, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_DEFAULT, error);

    if (socket)
        g_socket_set_blocking(socket, FALSE);
    return socket;
}

/* Makes room at the path if a dead server's socket lies there. */
static gboolean
remove_stale(const char *path, GSocketAddress *address, GError **error)
{
    g_autoptr(GSocket) probe = new_socket(error);
    g_autoptr(GError) reason = NULL;
    struct stat there;

    if (!probe)
        return FALSE;
    if (lstat(path, &there))
        return errno == ENOENT || fail(error, path, "%s", g_strerror(errno));
    if (!S_ISSOCK(there.st_mode))
        return fail(error, path, "a file that is no socket lies there: %s", "remove it, or choose another path");
    if (g_socket_connect(probe, address, NULL, &reason) || !g_error_matches(reason, G_IO_ERROR, G_IO_ERROR_CONNECTION_REFUSED))
        return fail(error, path, "another process listens there: %s", "end it, or choose another path");
    if (unlink(path))
        return fail(error, path, "the one of a process that has ended cannot be removed: %s", g_strerror(errno));
    return TRUE;
}

static gboolean
bind_and_listen(Listener *listener, GSocketAddress *address, GError **error)
{
    g_autoptr(GError) reason = NULL;

    if (!g_socket_bind(listener->socket, address, FALSE, &reason)) {
        if (!g_error_matches(reason, G_IO_ERROR, G_IO_ERROR_ADDRESS_IN_USE))
            return fail(error, listener->path, "%s", reason->message);
        g_clear_error(&reason);
        if (!remove_stale(listener->path, address, error))
            return FALSE;
        if (!g_socket_bind(listener->socket, address, FALSE, &reason))
            return fail(error, listener->path, "%s", reason->message);
    }
    if (lstat(listener->path, &listener->made))
        return fail(error, listener->path, "it was removed just now: %s", g_strerror(errno));
    g_socket_set_listen_backlog(listener->socket, BACKLOG);
    if (chmod(listener->path, S_IRUSR | S_IWUSR))
        return fail(error, listener->path, "its mode cannot be set: %s", g_strerror(errno));
    return g_socket_listen(listener->socket, &reason) || fail(error, listener->path, "%s", reason->message);
}

static gboolean
open_locked(Listener *listener, GError **error)
{
    g_autoptr(GSocketAddress) address = g_unix_socket_address_new(listener->path);
    g_autoptr(GError) reason = NULL;

    listener->socket = new_socket(&reason);
    if (!listener->socket)
        return fail(error, listener->path, "%s", reason->message);
    int lock = lock_folder(listener->path);
    gboolean ok = bind_and_listen(listener, address, error);
    if (lock >= 0)
        close(lock);
    return ok;
}

gboolean
listener_open(Listener *listener, const char *uri, GError **error)
{
    static const struct sockaddr_un longest;

    *listener = (Listener){0};
    if (!g_str_has_prefix(uri, "unix:") || !uri[strlen("unix:")]) {
        g_set_error(error, CONTROL_ERROR, CONTROL_ERROR_USAGE,
                    "\"%s\" is no address of a control socket: it has the form unix:PATH", uri);
        return FALSE;
    }
    const char *path = uri + strlen("unix:");
    if (strlen(path) >= sizeof longest.sun_path) {
        g_set_error(error, CONTROL_ERROR, CONTROL_ERROR_USAGE,
                    "the control socket's path has %zu bytes, and a socket's has %zu at most: %s", strlen(path),
                    sizeof longest.sun_path - 1, path);
        return FALSE;
    }
    listener->path = g_strdup(path);
    if (open_locked(listener, error))
        return TRUE;
    listener_close(listener);
    return FALSE;
}

void
listener_close(Listener *listener)
{
    struct stat there;

    if (listener->path && listener->made.st_ino && lstat(listener->path, &there) == 0 && there.st_dev == listener->made.st_dev &&
        there.st_ino == listener->made.st_ino)
        unlink(listener->path);
    g_clear_object(&listener->socket);
    g_clear_pointer(&listener->path, g_free);
}
