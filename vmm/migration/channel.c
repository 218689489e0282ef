/* SPDX-License-Identifier: MIT */
/*
 * The bytes of a channel: non-blocking calls, and a poll that the cancellable ends. What bounds a call is a Pace: its deadline,
 * and a clock that starts again with every stretch of bytes that has passed.
 *
 * System calls: recvmsg, sendmsg, ppoll, getsockopt, setsockopt, close.
 */
#include <errno.h>
#include <limits.h>
#include <migration/channel_private.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BULK_BUFFER_BYTES (1 << 20)

G_DEFINE_QUARK(channel-error, channel_error);

void
channel_set_errno_error(GError **error, const char *what, int number)
{
    if (number == EPIPE || number == ECONNRESET)
        g_set_error_literal(error, CHANNEL_ERROR, CHANNEL_ERROR_CLOSED, "the other side has closed the connection, or has died");
    else
        g_set_error(error, CHANNEL_ERROR, CHANNEL_ERROR_FAILED, "%s: %s", what, g_strerror(number));
}

/* --- time --- */

void
pace_begin(Pace *pace, const MigrationChannel *channel, gint64 deadline)
{
    *pace = (Pace){deadline, g_get_monotonic_time() + channel->stall_limit_us, CHANNEL_STRETCH};
}

void
pace_moved(Pace *pace, const MigrationChannel *channel, gsize bytes)
{
    if (bytes < pace->stretch_left)
        pace->stretch_left -= bytes;
    else
        pace_begin(pace, channel, pace->deadline);
}

gboolean
channel_wait(const MigrationChannel *channel, int fd, short events, gint64 until, GError **error)
{
    for (;;) {
        struct pollfd polled[2] = {{.fd = fd, .events = events}, {.fd = channel->cancel_fd, .events = POLLIN}};
        gint64 left = MAX(until - g_get_monotonic_time(), 0);
        struct timespec timeout = {left / G_USEC_PER_SEC, left % G_USEC_PER_SEC * 1000};

        int ready = ppoll(polled, 2, until == CHANNEL_NO_DEADLINE ? NULL : &timeout, NULL);
        if (ready < 0 && errno != EINTR) {
            channel_set_errno_error(error, "poll", errno);
            return FALSE;
        }
        if (g_cancellable_is_cancelled(channel->cancel)) {
            g_set_error_literal(error, CHANNEL_ERROR, CHANNEL_ERROR_CANCELLED, "cancelled");
            return FALSE;
        }
        if (ready > 0)
            return TRUE;
        if (ready == 0) {
            g_set_error_literal(error, CHANNEL_ERROR, CHANNEL_ERROR_STALLED, "the time limit has passed");
            return FALSE;
        }
    }
}

gboolean
channel_pace_wait(const MigrationChannel *channel, const Pace *pace, short events, GError **error)
{
    g_autoptr(GError) local = NULL;

    if (channel_wait(channel, channel->fd, events, MIN(pace->deadline, pace->stretch_end), &local))
        return TRUE;
    if (g_error_matches(local, CHANNEL_ERROR, CHANNEL_ERROR_STALLED) && pace->stretch_end <= pace->deadline)
        g_set_error(error, CHANNEL_ERROR, CHANNEL_ERROR_STALLED,
                    "the other side is too slow: it %s less than %d KiB in %" G_GINT64_FORMAT " ms",
                    events & POLLIN ? "sent" : "took", CHANNEL_STRETCH / 1024, channel->stall_limit_us / 1000);
    else if (g_error_matches(local, CHANNEL_ERROR, CHANNEL_ERROR_STALLED))
        g_set_error(error, CHANNEL_ERROR, CHANNEL_ERROR_STALLED, "the other side %s in time",
                    events & POLLIN ? "has not answered" : "has not taken all");
    else
        g_propagate_error(error, g_steal_pointer(&local));
    return FALSE;
}

/* A stream that never makes us wait is not to go on for ever either. */
static gboolean
in_time(const MigrationChannel *channel, const Pace *pace, GError **error)
{
    if (g_cancellable_is_cancelled(channel->cancel))
        g_set_error_literal(error, CHANNEL_ERROR, CHANNEL_ERROR_CANCELLED, "cancelled");
    else if (g_get_monotonic_time() > pace->deadline)
        g_set_error_literal(error, CHANNEL_ERROR, CHANNEL_ERROR_STALLED, "the time limit has passed");
    else
        return TRUE;
    return FALSE;
}

/* --- bytes --- */

/* What passed; 0: wait for @events; -1: @error. The same of write_some(). */
static gssize
read_some(MigrationChannel *channel, struct iovec *pieces, guint n_pieces, short *events, GError **error)
{
    if (channel->tls)
        return tls_read(channel->tls, pieces->iov_base, pieces->iov_len, events, error);
    *events = POLLIN;
    struct msghdr message = {.msg_iov = pieces, .msg_iovlen = MIN(n_pieces, IOV_MAX)};
    gssize got = recvmsg(channel->fd, &message, MSG_DONTWAIT);
    if (got > 0)
        return got;
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    channel_set_errno_error(error, "reading", got == 0 ? ECONNRESET : errno);
    return -1;
}

static gssize
write_some(MigrationChannel *channel, struct iovec *pieces, guint n_pieces, short *events, GError **error)
{
    if (channel->tls) {
        __atomic_fetch_add(&channel->writes_entered, 1, __ATOMIC_SEQ_CST);
        return tls_write(channel->tls, pieces, n_pieces, events, error);
    }
    *events = POLLOUT;
    struct msghdr message = {.msg_iov = pieces, .msg_iovlen = MIN(n_pieces, IOV_MAX)};
    __atomic_fetch_add(&channel->writes_entered, 1, __ATOMIC_SEQ_CST);
    gssize put = sendmsg(channel->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (put >= 0)
        return put;
    if (errno == EAGAIN || errno == EINTR) {
        __atomic_fetch_sub(&channel->writes_entered, 1, __ATOMIC_SEQ_CST); /* it took nothing */
        return 0;
    }
    channel_set_errno_error(error, "writing", errno);
    return -1;
}

/* Takes @done bytes off the front; returns the pieces left. Empty pieces go too. */
static guint
advance(struct iovec **pieces, guint n_pieces, gsize done)
{
    while (n_pieces && done >= (*pieces)->iov_len) {
        done -= (*pieces)->iov_len;
        (*pieces)++;
        n_pieces--;
    }
    if (n_pieces) {
        (*pieces)->iov_base = (guint8 *)(*pieces)->iov_base + done;
        (*pieces)->iov_len -= done;
    }
    return n_pieces;
}

gboolean
channel_readv_all(MigrationChannel *channel, struct iovec *pieces, guint n_pieces, gint64 deadline, GError **error)
{
    Pace pace;

    pace_begin(&pace, channel, deadline);
    n_pieces = advance(&pieces, n_pieces, 0);
    while (n_pieces) {
        short events;
        if (!in_time(channel, &pace, error))
            return FALSE;
        gssize got = read_some(channel, pieces, n_pieces, &events, error);
        if (got < 0 || (got == 0 && !channel_pace_wait(channel, &pace, events, error)))
            return FALSE;
        n_pieces = advance(&pieces, n_pieces, (gsize)got);
        pace_moved(&pace, channel, (gsize)got);
        __atomic_fetch_add(&channel->bytes_read, (guint64)got, __ATOMIC_RELAXED);
    }
    return TRUE;
}

gboolean
channel_read_all(MigrationChannel *channel, gpointer buffer, gsize size, gint64 deadline, GError **error)
{
    struct iovec piece = {buffer, size};

    return channel_readv_all(channel, &piece, 1, deadline, error);
}

gboolean
channel_writev_all(MigrationChannel *channel, struct iovec *pieces, guint n_pieces, gint64 deadline, GError **error)
{
    Pace pace;

    pace_begin(&pace, channel, deadline);
    n_pieces = advance(&pieces, n_pieces, 0);
    while (n_pieces) {
        short events;
        if (!in_time(channel, &pace, error))
            return FALSE;
        gssize put = write_some(channel, pieces, n_pieces, &events, error);
        if (put < 0 || (put == 0 && !channel_pace_wait(channel, &pace, events, error)))
            return FALSE;
        n_pieces = advance(&pieces, n_pieces, (gsize)put);
        pace_moved(&pace, channel, (gsize)put);
        __atomic_fetch_add(&channel->bytes_written, (guint64)put, __ATOMIC_RELAXED);
    }
    return TRUE;
}

gboolean
channel_write_all(MigrationChannel *channel, gconstpointer data, gsize size, gint64 deadline, GError **error)
{
    struct iovec piece = {(gpointer)data, size};

    return channel_writev_all(channel, &piece, 1, deadline, error);
}

gboolean
channel_wait_readable(MigrationChannel *channel, gint64 deadline, GError **error)
{
    if (channel->tls && tls_pending(channel->tls))
        return TRUE;
    return channel_wait(channel, channel->fd, POLLIN, deadline, error);
}

guint64
channel_bytes_read(const MigrationChannel *channel)
{
    return __atomic_load_n(&channel->bytes_read, __ATOMIC_RELAXED);
}

guint64
channel_bytes_written(const MigrationChannel *channel)
{
    return __atomic_load_n(&channel->bytes_written, __ATOMIC_RELAXED);
}

guint64
channel_writes_entered(const MigrationChannel *channel)
{
    return __atomic_load_n(&channel->writes_entered, __ATOMIC_SEQ_CST);
}

void
channel_set_bulk(MigrationChannel *channel, gboolean bulk)
{
    int domain = 0, before = 0, bytes = BULK_BUFFER_BYTES;
    socklen_t size = sizeof domain;

    if (bulk == (channel->buffer_before > 0) || getsockopt(channel->fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) < 0 ||
        domain != AF_UNIX || getsockopt(channel->fd, SOL_SOCKET, SO_SNDBUF, &before, &size) < 0)
        return;
    if (!bulk)
        bytes = channel->buffer_before / 2; /* the kernel doubles what it is told, and tells the double */
    (void)setsockopt(channel->fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    channel->buffer_before = bulk ? before : 0;
}

/* --- making and freeing --- */

MigrationChannel *
channel_wrap(int fd, const ChannelOptions *options, GError **error)
{
    g_autoptr(MigrationChannel) channel = g_new0(MigrationChannel, 1);

    channel->fd = fd;
    channel->cancel_fd = -1;
    channel->stall_limit_us = (gint64)(options->stall_limit_ms ? options->stall_limit_ms : CHANNEL_STALL_LIMIT_MS) * 1000;
    if (options->cancel) {
        channel->cancel = g_object_ref(options->cancel);
        channel->cancel_fd = g_cancellable_get_fd(channel->cancel);
        if (channel->cancel_fd < 0) {
            g_set_error_literal(error, CHANNEL_ERROR, CHANNEL_ERROR_FAILED, "no file descriptor is left");
            return NULL;
        }
    }
    return g_steal_pointer(&channel);
}

void
channel_free(MigrationChannel *channel)
{
    if (!channel)
        return;
    tls_session_free(channel->tls);
    if (channel->fd >= 0)
        close(channel->fd);
    if (channel->cancel_fd >= 0)
        g_cancellable_release_fd(channel->cancel);
    g_clear_object(&channel->cancel);
    g_free(channel);
}

gboolean
channel_new_pair(const ChannelOptions *options, MigrationChannel *pair[2], GError **error)
{
    int fds[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0) {
        channel_set_errno_error(error, "socketpair", errno);
        return FALSE;
    }
    pair[0] = channel_wrap(fds[0], options, error);
    pair[1] = pair[0] ? channel_wrap(fds[1], options, error) : NULL;
    if (pair[1])
        return TRUE;
    if (!pair[0])
        close(fds[1]);
    g_clear_pointer(&pair[0], channel_free);
    return FALSE;
}
