/* SPDX-License-Identifier: MIT */
/*
 * How channels come to be: URIs, connecting, listening. Names are looked up by getaddrinfo(), which nobody can cancel: its time is
 * bounded by the resolver's own limits. All else ends in the stall limit.
 *
 * System calls: socket, connect, bind, listen, accept4, getsockopt, setsockopt, getpeername, getsockname, fcntl, fchmod, lstat,
 * unlink, close, and the resolver's.
 */
#include <errno.h>
#include <fcntl.h>
#include <migration/channel_private.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define RETRY_US (gint64)10000
#define ACCEPT_REST_US (gint64)100000

/* --- addresses --- */

typedef enum {
    URI_UNIX,
    URI_TCP,
    URI_FD
} UriKind;

/**
 * Uri:
 * @host: or the path; NULL for fd
 */
typedef struct {
    UriKind kind;
    char *host;
    char *port;
    int fd;
} Uri;

static void
uri_clear(Uri *uri)
{
    g_clear_pointer(&uri->host, g_free);
    g_clear_pointer(&uri->port, g_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Uri, uri_clear)

static gboolean
parse_tcp(const char *rest, Uri *uri, GError **error)
{
    const char *colon = strrchr(rest, ':');
    guint64 port;

    if (!colon || !g_ascii_string_to_unsigned(colon + 1, 10, 0, G_MAXUINT16, &port, NULL)) {
        g_set_error(error, CHANNEL_ERROR, CHANNEL_ERROR_INVALID, "tcp:%s names no port: write tcp:HOST:PORT", rest);
        return FALSE;
    }
    gsize length = (gsize)(colon - rest);
    gboolean bracketed = length >= 2 && rest[0] == '[' && rest[length - 1] == ']';
    uri->kind = URI_TCP;
    uri->host = bracketed ? g_strndup(rest + 1, length - 2) : g_strndup(rest, length);
    uri->port = g_strdup_printf("%u", (guint)port);
    if (bracketed || !strchr(uri->host, ':'))
        return TRUE;
    g_set_error(error, CHANNEL_ERROR, CHANNEL_ERROR_INVALID, "tcp:%s: write an IPv6 address in brackets", rest);
    return FALSE;
}

static gboolean
uri_parse(const char *text, Uri *uri, GError **error)
{
    guint64 number;

    if (g_str_has_prefix(text, "tcp:"))
        return parse_tcp(text + 4, uri, error);
    if (g_str_has_prefix(text, "unix:")) {
        uri->kind = URI_UNIX;
        uri->host = g_strdup(text + 5);
        if (*uri->host && strlen(uri->host) < sizeof(((struct sockaddr_un *)0)->sun_path))
            return TRUE;
        g_set_error(error, CHANNEL_ERROR, CHANNEL_ERROR_INVALID, "%s: a socket's path has 1 to %zu bytes", text,
                    sizeof(((struct sockaddr_un *)0)->sun_path) - 1);
        return FALSE;
    }
    if (g_str_has_prefix(text, "fd:") && g_ascii_string_to_unsigned(text + 3, 10, 0, G_MAXINT, &number, NULL)) {
        uri->kind = URI_FD;
        uri->fd = (int)number;
        return TRUE;
    }
    g_set_error(error, CHANNEL_ERROR, CHANNEL_ERROR_INVALID, "'%s' is none of unix:PATH, tcp:HOST:PORT and fd:N", text);
    return FALSE;
}

gboolean
channel_check_uri(const char *uri, GError **error)
{
    g_auto(Uri) parsed = {0};

    return uri_parse(uri, &parsed, error);
}

static struct sockaddr_un
unix_address(const Uri *uri)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    g_strlcpy(address.sun_path, uri->host, sizeof address.sun_path);
    return address;
}

typedef struct addrinfo AddressList;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AddressList, freeaddrinfo)

static AddressList *
look_up(const Uri *uri, gboolean listening, GError **error)
{
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | (listening ? AI_PASSIVE : 0)};
    AddressList *list = NULL;

    int result = getaddrinfo(*uri->host ? uri->host : NULL, uri->port, &hints, &list);
    if (result == 0)
        return list;
    g_set_error(error, CHANNEL_ERROR, CHANNEL_ERROR_FAILED, "cannot find the host '%s': %s", uri->host,
                result == EAI_SYSTEM ? g_strerror(errno) : gai_strerror(result));
    return NULL;
}

static gboolean
is_loopback(const struct sockaddr_storage *address)
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;

    if (address->ss_family == AF_INET)
        return ntohl(v4->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
    if (address->ss_family == AF_INET6)
        return IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr) || (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr) && v6->sin6_addr.s6_addr[12] == 127);
    return TRUE; /* a unix socket leads nowhere else */
}

/* @get: getpeername or getsockname. */
static void
warn_if_open(int fd, int (*get)(int fd, struct sockaddr *address, socklen_t *size))
{
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof address;

    if (get(fd, (struct sockaddr *)&address, &size) == 0 && !is_loopback(&address))
        g_printerr("dirtylab: warning: the guest's memory crosses the network in the clear: use --tls-creds\n");
}

static void
set_no_delay(int fd)
{
    int on = 1;

    /* Not to be had on a unix socket, and not needed there. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

/* --- fd:N --- */

static gboolean
take_fd(int fd, gboolean *is_listening, GError **error)
{
    int type = 0, accepting = 0;
    socklen_t size = sizeof type;

    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0 || type != SOCK_STREAM) {
        g_set_error(error, CHANNEL_ERROR, CHANNEL_ERROR_INVALID, "fd:%d is no stream socket of this process", fd);
        return FALSE;
    }
    size = sizeof accepting;
    (void)getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &accepting, &size);
    *is_listening = accepting;
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 && fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) == 0)
        return TRUE;
    channel_set_errno_error(error, "fcntl", errno);
    return FALSE;
}

/* --- connecting --- */

static gboolean
finish_connect(MigrationChannel *channel, const struct sockaddr *address, socklen_t size, GError **error)
{
    gint64 until = g_get_monotonic_time() + channel->stall_limit_us;
    int result;

    /* A unix socket whose queue is full answers EAGAIN, and no poll says when to come again. */
    while ((result = connect(channel->fd, address, size)) < 0 && errno == EAGAIN && g_get_monotonic_time() < until) {
        g_autoptr(GError) local = NULL;
        if (!channel_wait(channel, -1, 0, g_get_monotonic_time() + RETRY_US, &local) &&
            !g_error_matches(local, CHANNEL_ERROR, CHANNEL_ERROR_STALLED)) {
            g_propagate_error(error, g_steal_pointer(&local));
            return FALSE;
        }
    }
    if (result == 0)
        return TRUE;
    if (errno == EINPROGRESS) {
        int number = 0;
        socklen_t number_size = sizeof number;
        if (!channel_wait(channel, channel->fd, POLLOUT, until, error))
            return FALSE;
        if (getsockopt(channel->fd, SOL_SOCKET, SO_ERROR, &number, &number_size) == 0 && number == 0)
            return TRUE;
        errno = number;
    }
    g_set_error_literal(error, CHANNEL_ERROR, CHANNEL_ERROR_FAILED, g_strerror(errno));
    return FALSE;
}

static MigrationChannel *
connect_to(int family, const struct sockaddr *address, socklen_t size, const ChannelOptions *options, GError **error)
{
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0) {
        channel_set_errno_error(error, "socket", errno);
        return NULL;
    }
    g_autoptr(MigrationChannel) channel = channel_wrap(fd, options, error);
    if (!channel || !finish_connect(channel, address, size, error))
        return NULL;
    set_no_delay(fd);
    return g_steal_pointer(&channel);
}

/* The first of the host's addresses that answers; when none does, the last one's error. */
static MigrationChannel *
connect_tcp(const Uri *uri, const ChannelOptions *options, GError **error)
{
    g_autoptr(AddressList) list = look_up(uri, FALSE, error);

    for (AddressList *entry = list; entry; entry = entry->ai_next) {
        g_autoptr(GError) local = NULL;
        MigrationChannel *channel = connect_to(entry->ai_family, entry->ai_addr, entry->ai_addrlen, options, &local);
        if (channel)
            return channel;
        if (!entry->ai_next || g_error_matches(local, CHANNEL_ERROR, CHANNEL_ERROR_CANCELLED)) {
            g_propagate_error(error, g_steal_pointer(&local));
            return NULL;
        }
    }
    return NULL;
}

static MigrationChannel *
connect_plain(const Uri *uri, const ChannelOptions *options, GError **error)
{
    if (uri->kind == URI_TCP)
        return connect_tcp(uri, options, error);
    if (uri->kind == URI_UNIX) {
        struct sockaddr_un address = unix_address(uri);
        return connect_to(AF_UNIX, (struct sockaddr *)&address, sizeof address, options, error);
    }
    gboolean is_listening;
    if (!take_fd(uri->fd, &is_listening, error))
        return NULL;
    if (!is_listening)
        return channel_wrap(uri->fd, options, error);
    g_set_error(error, CHANNEL_ERROR, CHANNEL_ERROR_INVALID, "fd:%d listens: a connected socket is needed here", uri->fd);
    return NULL;
}

MigrationChannel *
channel_connect(const char *uri, const ChannelOptions *options, GError **error)
{
    g_autoptr(TlsCredentials) credentials = NULL;
    g_auto(Uri) parsed = {0};

    if (!uri_parse(uri, &parsed, error))
        return NULL;
    if (options->tls_creds && !(credentials = tls_credentials_new(options->tls_creds, FALSE, error)))
        return NULL;
    g_autoptr(MigrationChannel) channel = connect_plain(&parsed, options, error);
    if (!channel) {
        g_prefix_error(error, "cannot connect to %s: ", uri);
        return NULL;
    }
    if (!credentials) {
        warn_if_open(channel->fd, getpeername);
        return g_steal_pointer(&channel);
    }
    const char *hostname = options->tls_hostname ? options->tls_hostname : parsed.kind == URI_TCP ? parsed.host : "localhost";
    if (!tls_handshake(channel, credentials, hostname, CHANNEL_NO_DEADLINE, error)) {
        g_prefix_error(error, "no TLS with %s: ", uri);
        return NULL;
    }
    return g_steal_pointer(&channel);
}

/* --- listening --- */

/**
 * ChannelListener:
 * @socket: what is waited on; for fd:N of a connected socket it is handed out, once, and NULL afterwards
 * @path, @device, @inode: of a unix socket that is to go with the listener, provided that it still is the one
 */
struct ChannelListener {
    MigrationChannel *socket;
    gboolean connected;
    TlsCredentials *credentials;
    guint stall_limit_ms;
    GCancellable *cancel;
    char *uri;
    char *path;
    dev_t device;
    ino_t inode;
};

void
channel_listener_free(ChannelListener *listener)
{
    struct stat now;

    if (!listener)
        return;
    if (listener->path && lstat(listener->path, &now) == 0 && now.st_dev == listener->device && now.st_ino == listener->inode)
        unlink(listener->path);
    channel_free(listener->socket);
    tls_credentials_unref(listener->credentials);
    g_clear_object(&listener->cancel);
    g_free(listener->uri);
    g_free(listener->path);
    g_free(listener);
}

const char *
channel_listener_uri(const ChannelListener *listener)
{
    return listener->uri;
}

gboolean
channel_listener_has_more(const ChannelListener *listener)
{
    return !listener->connected;
}

/* Removes a socket that nobody listens on any more; anything else that lies there stays, and bind() says so. */
static void
remove_dead_socket(const struct sockaddr_un *address)
{
    struct stat status;
    int probe;

    if (lstat(address->sun_path, &status) < 0 || !S_ISSOCK(status.st_mode))
        return;
    probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (probe < 0)
        return;
    if (connect(probe, (const struct sockaddr *)address, sizeof *address) < 0 && errno == ECONNREFUSED)
        unlink(address->sun_path);
    close(probe);
}

static int
listen_at(int family, const struct sockaddr *address, socklen_t size, GError **error)
{
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int on = 1;

    if (fd >= 0 && family == AF_UNIX)
        (void)fchmod(fd, 0600); /* what bind() gives the file */
    if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 && bind(fd, address, size) == 0 &&
        listen(fd, 1) == 0)
        return fd;
    channel_set_errno_error(error, "cannot listen", errno);
    if (fd >= 0)
        close(fd);
    return -1;
}

static int
listen_unix(ChannelListener *listener, const Uri *uri, GError **error)
{
    struct sockaddr_un address = unix_address(uri);
    struct stat status;

    remove_dead_socket(&address);
    int fd = listen_at(AF_UNIX, (struct sockaddr *)&address, sizeof address, error);
    if (fd >= 0 && lstat(uri->host, &status) == 0) {
        listener->path = g_strdup(uri->host);
        listener->device = status.st_dev;
        listener->inode = status.st_ino;
    }
    return fd;
}

static int
listen_tcp(ChannelListener *listener, const Uri *uri, GError **error)
{
    g_autoptr(AddressList) list = look_up(uri, TRUE, error);
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof address;
    char port[NI_MAXSERV];

    if (!list)
        return -1;
    int fd = listen_at(list->ai_family, list->ai_addr, list->ai_addrlen, error);
    if (fd < 0)
        return -1;
    if (!listener->credentials)
        warn_if_open(fd, getsockname);
    if (getsockname(fd, (struct sockaddr *)&address, &size) == 0 &&
        getnameinfo((struct sockaddr *)&address, size, NULL, 0, port, sizeof port, NI_NUMERICSERV) == 0) {
        g_free(listener->uri);
        listener->uri = g_strdup_printf(strchr(uri->host, ':') ? "tcp:[%s]:%s" : "tcp:%s:%s", uri->host, port);
    }
    return fd;
}

static int
listen_fd(ChannelListener *listener, const Uri *uri, GError **error)
{
    gboolean is_listening;

    if (!take_fd(uri->fd, &is_listening, error))
        return -1;
    listener->connected = !is_listening;
    return uri->fd;
}

ChannelListener *
channel_listen(const char *uri, const ChannelOptions *options, GError **error)
{
    g_autoptr(ChannelListener) listener = g_new0(ChannelListener, 1);
    g_auto(Uri) parsed = {0};
    int fd;

    listener->uri = g_strdup(uri);
    listener->stall_limit_ms = options->stall_limit_ms;
    listener->cancel = options->cancel ? g_object_ref(options->cancel) : NULL;
    if (!uri_parse(uri, &parsed, error))
        return NULL;
    if (options->tls_creds && !(listener->credentials = tls_credentials_new(options->tls_creds, TRUE, error)))
        return NULL;
    if (parsed.kind == URI_UNIX)
        fd = listen_unix(listener, &parsed, error);
    else
        fd = parsed.kind == URI_TCP ? listen_tcp(listener, &parsed, error) : listen_fd(listener, &parsed, error);
    if (fd < 0) {
        g_prefix_error(error, "%s: ", uri);
        return NULL;
    }
    listener->socket = channel_wrap(fd, options, error);
    return listener->socket ? g_steal_pointer(&listener) : NULL;
}

/* The peer stays in the queue, and poll says so: it is tried again a little later. */
static gboolean
out_of_something(int number)
{
    return number == EMFILE || number == ENFILE || number == ENOBUFS || number == ENOMEM;
}

/* The peer that woke us may be gone by now, and accept(2) hands out what its network has to say too. */
static gboolean
accept_may_work_later(int number)
{
    static const int passing[] = {EAGAIN, EINTR,     ECONNABORTED, EPROTO,      EPERM,     ENETDOWN,
                                  ENONET, EHOSTDOWN, EHOSTUNREACH, ENETUNREACH, ETIMEDOUT, ENOPROTOOPT};

    for (guint i = 0; i < G_N_ELEMENTS(passing); i++) {
        if (number == passing[i])
            return TRUE;
    }
    return out_of_something(number);
}

/* Waits for nothing but a cancel. Errors: STALLED (@deadline passed), CANCELLED. */
static gboolean
rest(const MigrationChannel *channel, gint64 deadline, GError **error)
{
    g_autoptr(GError) local = NULL;

    channel_wait(channel, -1, 0, MIN(deadline, g_get_monotonic_time() + ACCEPT_REST_US), &local);
    if (g_error_matches(local, CHANNEL_ERROR, CHANNEL_ERROR_STALLED) && g_get_monotonic_time() < deadline)
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&local));
    return FALSE;
}

static MigrationChannel *
accept_socket(ChannelListener *listener, gint64 deadline, GError **error)
{
    const ChannelOptions options = {.stall_limit_ms = listener->stall_limit_ms, .cancel = listener->cancel};

    if (!listener->socket) {
        g_set_error(error, CHANNEL_ERROR, CHANNEL_ERROR_CLOSED, "%s was used up", listener->uri);
        return NULL;
    }
    if (listener->connected)
        return g_steal_pointer(&listener->socket);
    for (;;) {
        if (!channel_wait(listener->socket, listener->socket->fd, POLLIN, deadline, error))
            return NULL;
        int fd = accept4(listener->socket->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
            set_no_delay(fd);
            return channel_wrap(fd, &options, error);
        }
        if (!accept_may_work_later(errno)) {
            channel_set_errno_error(error, "accept", errno);
            return NULL;
        }
        if (out_of_something(errno) && !rest(listener->socket, deadline, error))
            return NULL;
    }
}

/* A client begins: until it has, there is nothing that a handshake could wait for. */
static gboolean
shake_hands(ChannelListener *listener, MigrationChannel *channel, GError **error)
{
    gint64 silent_until = g_get_monotonic_time() + G_GINT64_CONSTANT(1000) * CHANNEL_SILENCE_LIMIT_MS;

    if (!channel_listener_has_more(listener))
        return tls_handshake(channel, listener->credentials, NULL, CHANNEL_NO_DEADLINE, error);
    if (!channel_wait(channel, channel->fd, POLLIN, silent_until, error))
        return FALSE;
    gint64 deadline = g_get_monotonic_time() + G_GINT64_CONSTANT(1000) * CHANNEL_HANDSHAKE_LIMIT_MS;
    return tls_handshake(channel, listener->credentials, NULL, deadline, error);
}

MigrationChannel *
channel_accept(ChannelListener *listener, gint64 deadline, GError **error)
{
    g_autoptr(MigrationChannel) channel = accept_socket(listener, deadline, error);
    g_autoptr(GError) local = NULL;

    if (!channel)
        return NULL;
    if (!listener->credentials || shake_hands(listener, channel, &local))
        return g_steal_pointer(&channel);
    if (!g_error_matches(local, CHANNEL_ERROR, CHANNEL_ERROR_CANCELLED)) {
        local->code = CHANNEL_ERROR_REFUSED; /* it hung up, it stalled: this peer's fault, not the listener's */
        g_prefix_error(&local, "a peer was refused: ");
    }
    g_propagate_error(error, g_steal_pointer(&local));
    return NULL;
}
