/* SPDX-License-Identifier: MIT */
/* What channel.c (bytes), channel_open.c (addresses) and channel_tls.c share. */
#pragma once

#include <migration/channel.h>
#include <poll.h>

typedef struct TlsCredentials TlsCredentials;
typedef struct TlsSession TlsSession;

/**
 * MigrationChannel:
 * @fd: non-blocking
 * @cancel_fd: of @cancel, readable once it is cancelled; -1 without one
 * @tls: NULL: plain
 * @buffer_before: a unix socket's send buffer, as the kernel tells it, while it is wider (channel_set_bulk); 0: it is not
 */
struct MigrationChannel {
    int fd;
    gint64 stall_limit_us;
    GCancellable *cancel;
    int cancel_fd;
    TlsSession *tls;
    int buffer_before;
    guint64 bytes_read, bytes_written, writes_entered; /* atomic */
};

/** How long a call may still take: until @deadline, and until @stretch_end unless @stretch_left bytes pass before. */
typedef struct {
    gint64 deadline;
    gint64 stretch_end;
    gsize stretch_left;
} Pace;

/** channel_wrap: takes over @fd, also when it fails. */
MigrationChannel *channel_wrap(int fd, const ChannelOptions *options, GError **error);

void pace_begin(Pace *pace, const MigrationChannel *channel, gint64 deadline);
void pace_moved(Pace *pace, const MigrationChannel *channel, gsize bytes);
/** channel_wait: until @fd has one of @events, or an error to find. Errors: STALLED, CANCELLED, FAILED. */
gboolean channel_wait(const MigrationChannel *channel, int fd, short events, gint64 until, GError **error);
gboolean channel_pace_wait(const MigrationChannel *channel, const Pace *pace, short events, GError **error);

/** channel_set_errno_error: CLOSED when @number says that the peer is gone, else FAILED: "@what: " and its text. */
void channel_set_errno_error(GError **error, const char *what, int number);

/* --- channel_tls.c --- */

/** tls_credentials_new: reads the files of @folder. @listening: the server's side. Errors: REFUSED, with the file's name */
TlsCredentials *tls_credentials_new(const char *folder, gboolean listening, GError **error);
TlsCredentials *tls_credentials_ref(TlsCredentials *credentials);
void tls_credentials_unref(TlsCredentials *credentials); /* may be NULL */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TlsCredentials, tls_credentials_unref)

/**
 * tls_handshake: sets channel->tls. On return the peer is who it says, by a shared key or a certificate, and has said the same of
 * us. Within the stall limit, and by @deadline. @hostname: what the server's certificate must hold; not looked at when listening
 */
gboolean tls_handshake(MigrationChannel *channel, TlsCredentials *credentials, const char *hostname, gint64 deadline,
                       GError **error);
void tls_session_free(TlsSession *tls); /* may be NULL */

/**
 * tls_read, tls_write: what passed, at least a byte; 0: nothing passes until the socket has @events (of poll); -1: @error. After
 * a 0 of tls_write() the same bytes are given again, or more; they are taken as they were the first time.
 */
gssize tls_read(TlsSession *tls, gpointer buffer, gsize size, short *events, GError **error);
gssize tls_write(TlsSession *tls, const struct iovec *pieces, guint n_pieces, short *events, GError **error);
/** tls_pending: whether tls_read() has bytes that no poll of the socket shows. */
gboolean tls_pending(TlsSession *tls);
