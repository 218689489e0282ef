/* SPDX-License-Identifier: MIT */
/*
 * A connected byte stream to the other side of a migration, with bounded time: every call ends, whatever the peer does.
 *
 *   URI              connecting                               listening
 *   unix:PATH        to the socket there                      makes it (mode 0600, a dead one is replaced), removes it when freed
 *   tcp:HOST:PORT    HOST as in getaddrinfo(3), [::1] for     HOST is the address to bind to; port 0 picks one
 *                    an IPv6 address
 *   fd:N             a connected stream socket that this      the same, or a listening socket
 *                    process was given; it is taken over
 *
 * With credentials the stream is TLS 1.3, over any of them (channel_tls.h).
 *
 * Time: a peer is dropped when CHANNEL_STRETCH bytes, or what is left of a call, do not pass within the stall limit: a peer that
 * trickles falls under it too. On top of it each call has a deadline if it wants one.
 *
 * Threads: one may read while another writes. A GCancellable may be cancelled from anywhere, and ends every call of the channels
 * that were made with it, for good.
 */
#pragma once

#include <gio/gio.h>
#include <sys/uio.h>

#define CHANNEL_ERROR (channel_error_quark())

/**
 * ChannelError:
 * @CHANNEL_ERROR_FAILED: a system call failed; errno's text is in the message
 * @CHANNEL_ERROR_CLOSED: the peer closed the stream or died
 * @CHANNEL_ERROR_STALLED: the peer did not move in time, or the deadline passed
 * @CHANNEL_ERROR_CANCELLED: the cancellable was cancelled
 * @CHANNEL_ERROR_INVALID: not a URI, a file descriptor that is no stream socket
 * @CHANNEL_ERROR_REFUSED: TLS: the peer has no such key or name, speaks no TLS, or refuses ours; credentials that cannot be read;
 *   bytes that were changed on the way
 */
typedef enum {
    CHANNEL_ERROR_FAILED,
    CHANNEL_ERROR_CLOSED,
    CHANNEL_ERROR_STALLED,
    CHANNEL_ERROR_CANCELLED,
    CHANNEL_ERROR_INVALID,
    CHANNEL_ERROR_REFUSED,
} ChannelError;

GQuark channel_error_quark(void);

#define CHANNEL_STRETCH 65536
#define CHANNEL_STALL_LIMIT_MS 10000
/** Who connects where others may come too, and says nothing, is in their way for so long. */
#define CHANNEL_SILENCE_LIMIT_MS 2000
/** And who begins a TLS handshake there has so long for all of it: the next one, who waits for his, waits for the default stall limit. */
#define CHANNEL_HANDSHAKE_LIMIT_MS 5000

/** No deadline: the stall limit alone. Deadlines are times of g_get_monotonic_time(). */
#define CHANNEL_NO_DEADLINE G_MAXINT64

/**
 * ChannelOptions: zeroed is plain, with the default limit.
 * @tls_creds: folder with the credentials; NULL: no TLS
 * @tls_hostname: who connects wants this name in the other's certificate; NULL: the URI's host
 * @stall_limit_ms: 0: CHANNEL_STALL_LIMIT_MS
 * @cancel: borrowed until the call returns, and then owned by the channel too; may be NULL
 */
typedef struct {
    const char *tls_creds;
    const char *tls_hostname;
    guint stall_limit_ms;
    GCancellable *cancel;
} ChannelOptions;

typedef struct MigrationChannel MigrationChannel;
typedef struct ChannelListener ChannelListener;

/** channel_check_uri: whether it can be used at all; opens nothing. Errors: INVALID */
gboolean channel_check_uri(const char *uri, GError **error);

/**
 * channel_connect: within the stall limit, TLS handshake included (which has the limit to itself). Warns on standard error about
 * a plain stream to an address that is not loopback. Errors: any of CHANNEL_ERROR.
 */
MigrationChannel *channel_connect(const char *uri, const ChannelOptions *options, GError **error);
/** channel_free: closes, without waiting. */
void channel_free(MigrationChannel *channel);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MigrationChannel, channel_free)

/** channel_listen: @options hold for each channel that is accepted. Errors: FAILED, INVALID, REFUSED (credentials) */
ChannelListener *channel_listen(const char *uri, const ChannelOptions *options, GError **error);
void channel_listener_free(ChannelListener *listener);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ChannelListener, channel_listener_free)
/** channel_listener_uri: where others connect to, with the port that was picked. */
const char *channel_listener_uri(const ChannelListener *listener);
/** channel_listener_has_more: whether more than one peer may come; FALSE for fd:N of a connected socket. */
gboolean channel_listener_has_more(const ChannelListener *listener);
/**
 * channel_accept: waits for a peer until @deadline, then has its TLS handshake, which has to begin within CHANNEL_SILENCE_LIMIT_MS and end
 * within CHANNEL_HANDSHAKE_LIMIT_MS of that if another may come. A peer whose handshake came to nothing, whatever the reason, is REFUSED, and another one may be accepted if channel_listener_has_more(). A process that has no file descriptor or
 * memory left for a peer tries again until @deadline. Errors: REFUSED; STALLED: nobody came; CANCELLED; FAILED: the listener is of
 * no use any more; CLOSED: fd:N was used up.
 */
MigrationChannel *channel_accept(ChannelListener *listener, gint64 deadline, GError **error);

/** channel_new_pair: two plain channels that are connected to each other (a socket pair). @options hold for both. */
gboolean channel_new_pair(const ChannelOptions *options, MigrationChannel *pair[2], GError **error);

/**
 * channel_wait_readable: until a read would find a byte or the stream's end. The stall limit does not hold here: a peer may have
 * nothing to say. Errors: STALLED (@deadline passed), CANCELLED, FAILED.
 */
gboolean channel_wait_readable(MigrationChannel *channel, gint64 deadline, GError **error);
/** channel_read_all: exactly @size bytes. After an error the stream is of no use any more. */
gboolean channel_read_all(MigrationChannel *channel, gpointer buffer, gsize size, gint64 deadline, GError **error);
/** channel_readv_all: the same into all the pieces, which are used up. */
gboolean channel_readv_all(MigrationChannel *channel, struct iovec *pieces, guint n_pieces, gint64 deadline, GError **error);

/**
 * channel_writev_all: all the pieces, straight from where they lie; they may change meanwhile (guest RAM), then either content
 * may go out. @pieces is used up. After an error nobody knows how much the peer has.
 */
gboolean channel_writev_all(MigrationChannel *channel, struct iovec *pieces, guint n_pieces, gint64 deadline, GError **error);
gboolean channel_write_all(MigrationChannel *channel, gconstpointer data, gsize size, gint64 deadline, GError **error);

/**
 * channel_set_bulk: much is to be written, and nobody waits for the end of it. A unix socket takes less than one frame of pages unasked, and
 * each time it is full both sides change threads: with a larger buffer a migration takes a tenth less time. But what the buffer holds goes
 * before whatever is written next, over a slow relay for long: so with @bulk FALSE it is as large as it was, and the next write
 * waits until no more than that is left in it. TCP finds its own size, as long as nobody sets one. Changes nothing where it
 * cannot. socket(7), unix(7).
 */
void channel_set_bulk(MigrationChannel *channel, gboolean bulk);

/** Bytes read and written so far, as the callers count them: without TLS's own. Any thread. */
guint64 channel_bytes_read(const MigrationChannel *channel);
guint64 channel_bytes_written(const MigrationChannel *channel);
/**
 * channel_writes_entered: how many times a write was handed to the kernel or to TLS that may have taken bytes. When it is the same
 * after a failed write as before, the peer has certainly got none of it.
 */
guint64 channel_writes_entered(const MigrationChannel *channel);
