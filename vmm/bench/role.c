/* SPDX-License-Identifier: MIT */
/* Forked processes and the messages between them. Both sides are this very program, on this machine: a header is two native words. */
#include "bench/role.h"

#include <dirtylog/dirtylog.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "machine/error.h"

#define MESSAGE_ERROR G_MAXUINT32 /* a word that says whether it was for lack of something, then text */
#define LOOK_MS 100
#define REAP_US 2000
#define REAP_TRIES 15000 /* 30 s */

G_DEFINE_QUARK(role-error, role_error);

struct Role {
    char *name;
    pid_t child;
    int control;
};

typedef struct {
    guint32 type, size;
} Header;

/* --- messages --- */

static gboolean
write_all(int fd, gconstpointer data, gsize size, GError **error)
{
    const guint8 *bytes = data;

    while (size) {
        gssize sent = send(fd, bytes, size, MSG_NOSIGNAL);

        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0) {
            g_set_error(error, ROLE_ERROR, ROLE_ERROR_FAILED, "the other process cannot be reached: %s", g_strerror(errno));
            return FALSE;
        }
        bytes += sent;
        size -= (gsize)sent;
    }
    return TRUE;
}

/* FALSE without an error: end of file. */
static gboolean
read_all(int fd, gpointer data, gsize size, GError **error)
{
    guint8 *bytes = data;

    while (size) {
        gssize got = recv(fd, bytes, size, 0);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            g_set_error(error, ROLE_ERROR, ROLE_ERROR_FAILED, "the other process cannot be heard: %s", g_strerror(errno));
        if (got <= 0)
            return FALSE;
        bytes += got;
        size -= (gsize)got;
    }
    return TRUE;
}

gboolean
control_send(int control, guint32 type, gconstpointer data, gsize size, GError **error)
{
    const Header header = {type, (guint32)size};

    g_assert(size <= ROLE_MESSAGE_MAX);
    return write_all(control, &header, sizeof header, error) && write_all(control, data, size, error);
}

gboolean
control_poll(int control, gint timeout_ms)
{
    struct pollfd wait = {.fd = control, .events = POLLIN};

    return poll(&wait, 1, timeout_ms) > 0;
}

GByteArray *
control_receive(int control, guint32 *type, GError **error)
{
    g_autoptr(GByteArray) message = g_byte_array_new();
    Header header;

    if (!read_all(control, &header, sizeof header, error))
        return NULL;
    if (header.size > ROLE_MESSAGE_MAX) {
        g_set_error_literal(error, ROLE_ERROR, ROLE_ERROR_FAILED, "a message from the other process is too long");
        return NULL;
    }
    g_byte_array_set_size(message, header.size);
    if (!read_all(control, message->data, header.size, error))
        return NULL;
    *type = header.type;
    return g_steal_pointer(&message);
}

/* --- the role's process --- */

static gboolean
is_lack(const GError *error)
{
    return (error->domain == DL_ERROR || error->domain == MACHINE_ERROR) &&
           (error->code == DL_ERROR_UNSUPPORTED || error->code == DL_ERROR_PERMISSION || error->code == DL_ERROR_RESOURCE);
}

static void
send_error(int control, const GError *error)
{
    g_autoptr(GByteArray) message = g_byte_array_new();
    const guint32 lack = is_lack(error);

    g_byte_array_append(message, (const guint8 *)&lack, sizeof lack);
    g_byte_array_append(message, (const guint8 *)error->message, (guint)strlen(error->message));
    control_send(control, MESSAGE_ERROR, message->data, message->len, NULL);
}

/* A terminal interrupts the whole group: what to do about it is the parent's to say. */
static _Noreturn void
run_child(pid_t parent, int control, RoleBody body, gpointer user)
{
    g_autoptr(GError) error = NULL;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    if (!body(control, user, &error) && error)
        send_error(control, error);
    _exit(error != NULL);
}

/* --- the parent --- */

Role *
role_start(const char *name, RoleBody body, gpointer user, GError **error)
{
    int pair[2];
    pid_t parent = getpid();

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)) {
        g_set_error(error, ROLE_ERROR, ROLE_ERROR_FAILED, "no socket for the %s: %s", name, g_strerror(errno));
        return NULL;
    }
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        close(pair[0]);
        run_child(parent, pair[1], body, user);
    }
    close(pair[1]);
    if (child < 0) {
        g_set_error(error, ROLE_ERROR, ROLE_ERROR_FAILED, "no process for the %s: %s", name, g_strerror(errno));
        close(pair[0]);
        return NULL;
    }
    Role *role = g_new0(Role, 1);
    *role = (Role){g_strdup(name), child, pair[0]};
    return role;
}

void
role_free(Role *role)
{
    close(role->control);
    kill(role->child, SIGKILL);
    while (waitpid(role->child, NULL, 0) < 0 && errno == EINTR) {}
    g_free(role->name);
    g_free(role);
}

gboolean
role_send(Role *role, guint32 type, gconstpointer data, gsize size, GError **error)
{
    if (control_send(role->control, type, data, size, error))
        return TRUE;
    g_prefix_error(error, "%s: ", role->name);
    return FALSE;
}

static gboolean
wait_readable(Role *role, gint64 timeout_ms, const volatile gint *cancelled, GError **error)
{
    gint64 deadline = g_get_monotonic_time() + timeout_ms * 1000;

    while (!control_poll(role->control, LOOK_MS)) {
        if (cancelled && *cancelled) {
            g_set_error_literal(error, ROLE_ERROR, ROLE_ERROR_CANCELLED, "interrupted");
            return FALSE;
        }
        if (g_get_monotonic_time() > deadline) {
            g_set_error(error, ROLE_ERROR, ROLE_ERROR_FAILED, "%s: no answer within %.0f s", role->name,
                        (double)timeout_ms / 1000);
            return FALSE;
        }
    }
    return TRUE;
}

static void
set_error_of(const Role *role, const GByteArray *message, GError **error)
{
    guint32 lack = 0;

    if (message->len < sizeof lack)
        return;
    memcpy(&lack, message->data, sizeof lack);
    g_set_error(error, ROLE_ERROR, lack ? ROLE_ERROR_UNAVAILABLE : ROLE_ERROR_FAILED, "%s: %.*s", role->name,
                (int)(message->len - sizeof lack), (const char *)message->data + sizeof lack);
}

GByteArray *
role_receive(Role *role, guint32 type, gint64 timeout_ms, const volatile gint *cancelled, GError **error)
{
    g_autoptr(GByteArray) message = NULL;
    g_autoptr(GError) broken = NULL;
    guint32 got = 0;

    if (!wait_readable(role, timeout_ms, cancelled, error))
        return NULL;
    message = control_receive(role->control, &got, &broken);
    if (message && got == type)
        return g_steal_pointer(&message);
    if (message && got == MESSAGE_ERROR)
        set_error_of(role, message, error);
    else
        g_set_error(error, ROLE_ERROR, ROLE_ERROR_FAILED, "%s: %s", role->name,
                    broken    ? broken->message
                    : message ? "it answers something else"
                              : "its process died");
    return NULL;
}
