/* SPDX-License-Identifier: MIT */
/*
 * TLS 1.3 over a channel, by GnuTLS, with both sides known to each other: by a key that they share, or each by a certificate.
 *
 * The folder of credentials has QEMU's file names (docs/system/tls.rst there):
 *
 *   keys.psk                            lines NAME:HEX-KEY; who connects uses the first line, who listens takes any
 *   ca-cert.pem                         who signed the certificates
 *   server-cert.pem, server-key.pem     for who listens
 *   client-cert.pem, client-key.pem     for who connects
 *   dh-params.pem                       not read: TLS 1.3 has named groups
 *
 * Who connects cannot know from a TLS 1.3 handshake whether its certificate was taken: the server looks at it after the client has
 * finished. So the server sends one byte when it is content, and the client waits for it: then both sides fail where they connect,
 * before any state is read or sent.
 *
 * GnuTLS is loaded when the first credentials are read, by dlopen(): with its libraries it would cost every start of dirtylab
 * several ms. All that is needed of it stands in one table, with the types of its own header; it is never unloaded.
 *
 * GnuTLS takes no two calls for a session at once; a lock per session sees to that, and since the socket never blocks nobody holds
 * it for long.
 */
#include <dlfcn.h>
#include <errno.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <migration/channel_private.h>
#include <string.h>

#define GNUTLS_LIBRARY "libgnutls.so.30"
#define RECORD_BYTES 16384
#define PRIORITY_X509 "NORMAL:-VERS-ALL:+VERS-TLS1.3"
#define PRIORITY_PSK \
    "NORMAL:-VERS-ALL:+VERS-TLS1.3:-KX-ALL:+ECDHE-PSK:+DHE-PSK" /* with (EC)DHE: a key that leaks opens no old stream */
#define CONTENT_BYTE 0x54

#define GNUTLS_FUNCTIONS(F)             \
    F(alert_get)                        \
    F(alert_get_name)                   \
    F(alert_send_appropriate)           \
    F(bye)                              \
    F(certificate_allocate_credentials) \
    F(certificate_free_credentials)     \
    F(certificate_server_set_request)   \
    F(certificate_set_x509_key_file)    \
    F(certificate_set_x509_trust_file)  \
    F(credentials_set)                  \
    F(deinit)                           \
    F(error_is_fatal)                   \
    F(handshake)                        \
    F(init)                             \
    F(priority_set_direct)              \
    F(psk_allocate_client_credentials)  \
    F(psk_allocate_server_credentials)  \
    F(psk_free_client_credentials)      \
    F(psk_free_server_credentials)      \
    F(psk_set_client_credentials)       \
    F(psk_set_server_credentials_file)  \
    F(record_check_pending)             \
    F(record_get_direction)             \
    F(record_recv)                      \
    F(record_send)                      \
    F(server_name_set)                  \
    F(session_get_verify_cert_status)   \
    F(session_set_verify_cert2)         \
    F(strerror)                         \
    F(transport_set_int2)

#define MEMBER(name) __typeof__(gnutls_##name) *name;
typedef struct {
    GNUTLS_FUNCTIONS(MEMBER)
} GnutlsTable;

static GnutlsTable gnutls;

static gpointer
load_gnutls(gpointer unused)
{
    void *library = dlopen(GNUTLS_LIBRARY, RTLD_NOW | RTLD_LOCAL);

    (void)unused;
    if (!library)
        return NULL;
#define LOAD(name)                                                              \
    gnutls.name = (__typeof__(gnutls_##name) *)dlsym(library, "gnutls_" #name); \
    if (!gnutls.name)                                                           \
        return NULL;
    GNUTLS_FUNCTIONS(LOAD)
    return library;
}

static gboolean
need_gnutls(GError **error)
{
    static GOnce once = G_ONCE_INIT;

    if (g_once(&once, load_gnutls, NULL))
        return TRUE;
    g_set_error_literal(error, CHANNEL_ERROR, CHANNEL_ERROR_REFUSED,
                        GNUTLS_LIBRARY " 3.7 cannot be loaded: install GnuTLS (libgnutls30)");
    return FALSE;
}

/* --- credentials --- */

/** TlsCredentials: exactly one of the three is there. */
struct TlsCredentials {
    gboolean listening;
    gnutls_certificate_credentials_t x509;
    gnutls_psk_client_credentials_t psk_client;
    gnutls_psk_server_credentials_t psk_server;
};

static void
clear_credentials(gpointer data)
{
    TlsCredentials *credentials = data;

    if (credentials->x509)
        gnutls.certificate_free_credentials(credentials->x509);
    if (credentials->psk_client)
        gnutls.psk_free_client_credentials(credentials->psk_client);
    if (credentials->psk_server)
        gnutls.psk_free_server_credentials(credentials->psk_server);
}

TlsCredentials *
tls_credentials_ref(TlsCredentials *credentials)
{
    return g_atomic_rc_box_acquire(credentials);
}

void
tls_credentials_unref(TlsCredentials *credentials)
{
    if (credentials)
        g_atomic_rc_box_release_full(credentials, clear_credentials);
}

/* TRUE when GnuTLS's @result is none of its errors, which are negative. */
static gboolean
file_is_good(int result, const char *path, GError **error)
{
    if (result >= 0)
        return TRUE;
    if (g_file_test(path, G_FILE_TEST_EXISTS))
        g_set_error(error, CHANNEL_ERROR, CHANNEL_ERROR_REFUSED, "cannot use %s: %s", path, gnutls.strerror(result));
    else
        g_set_error(error, CHANNEL_ERROR, CHANNEL_ERROR_REFUSED, "%s is missing", path);
    return FALSE;
}

/* The first line of @text that holds a key; it is cut up. */
static int
use_first_key(gnutls_psk_client_credentials_t psk, char *text)
{
    char *rest = text, *line;

    while ((line = strsep(&rest, "\r\n"))) {
        char *colon = strchr(line, ':');
        if (*line == '#' || !colon)
            continue;
        *colon = '\0';
        gnutls_datum_t key = {(guint8 *)colon + 1, (guint)strlen(colon + 1)};
        return gnutls.psk_set_client_credentials(psk, line, &key, GNUTLS_PSK_KEY_HEX);
    }
    return GNUTLS_E_INSUFFICIENT_CREDENTIALS;
}

static gboolean
load_psk(TlsCredentials *credentials, const char *path, GError **error)
{
    g_autoptr(GError) local = NULL;
    g_autofree char *text = NULL;
    gsize size;

    if (credentials->listening) {
        int result = gnutls.psk_allocate_server_credentials(&credentials->psk_server);
        return file_is_good(result < 0 ? result : gnutls.psk_set_server_credentials_file(credentials->psk_server, path), path,
                            error);
    }
    if (!g_file_get_contents(path, &text, &size, &local)) {
        g_set_error_literal(error, CHANNEL_ERROR, CHANNEL_ERROR_REFUSED, local->message);
        return FALSE;
    }
    int result = gnutls.psk_allocate_client_credentials(&credentials->psk_client);
    if (result >= 0)
        result = use_first_key(credentials->psk_client, text);
    explicit_bzero(text, size);
    return file_is_good(result, path, error);
}

static gboolean
load_x509(TlsCredentials *credentials, const char *folder, GError **error)
{
    const char *side = credentials->listening ? "server" : "client";
    g_autofree char *authority = g_build_filename(folder, "ca-cert.pem", NULL);
    g_autofree char *certificate = g_strdup_printf("%s/%s-cert.pem", folder, side);
    g_autofree char *key = g_strdup_printf("%s/%s-key.pem", folder, side);

    if (!file_is_good(gnutls.certificate_allocate_credentials(&credentials->x509), folder, error))
        return FALSE;
    int n_trusted = gnutls.certificate_set_x509_trust_file(credentials->x509, authority, GNUTLS_X509_FMT_PEM);
    if (!file_is_good(n_trusted > 0 ? 0 : MIN(n_trusted, -1), authority, error))
        return FALSE;
    int result = gnutls.certificate_set_x509_key_file(credentials->x509, certificate, key, GNUTLS_X509_FMT_PEM);
    return file_is_good(result, g_file_test(certificate, G_FILE_TEST_EXISTS) ? key : certificate, error);
}

TlsCredentials *
tls_credentials_new(const char *folder, gboolean listening, GError **error)
{
    g_autofree char *keys = g_build_filename(folder, "keys.psk", NULL);
    g_autofree char *authority = g_build_filename(folder, "ca-cert.pem", NULL);
    gboolean has_keys = g_file_test(keys, G_FILE_TEST_EXISTS);

    if (!need_gnutls(error))
        return NULL;
    if (has_keys && g_file_test(authority, G_FILE_TEST_EXISTS)) {
        g_set_error(error, CHANNEL_ERROR, CHANNEL_ERROR_REFUSED,
                    "%s holds both keys.psk and ca-cert.pem: keep the one that is meant to be used", folder);
        return NULL;
    }
    g_autoptr(TlsCredentials) credentials = g_atomic_rc_box_new0(TlsCredentials);
    credentials->listening = listening;
    if (!(has_keys ? load_psk(credentials, keys, error) : load_x509(credentials, folder, error)))
        return NULL;
    return g_steal_pointer(&credentials);
}

/* --- sessions --- */

/**
 * TlsSession:
 * @peer: what the peer's certificate must say; borrowed by GnuTLS for the handshake
 * @half_sent: GnuTLS holds a record that the socket did not take as a whole
 * @packed: small pieces side by side: a record each would cost more than the copy
 */
struct TlsSession {
    GMutex lock;
    gnutls_session_t session;
    TlsCredentials *credentials;
    char *hostname;
    gnutls_typed_vdata_st peer[2];
    gboolean half_sent;
    guint8 packed[RECORD_BYTES];
};

void
tls_session_free(TlsSession *tls)
{
    if (!tls)
        return;
    if (tls->session) {
        gnutls.bye(tls->session, GNUTLS_SHUT_WR); /* for the peer to tell an end from a cut; the socket does not block */
        gnutls.deinit(tls->session);
    }
    tls_credentials_unref(tls->credentials);
    g_free(tls->hostname);
    g_mutex_clear(&tls->lock);
    g_free(tls);
}

static void
set_certificate_error(TlsSession *tls, GError **error)
{
    guint status = gnutls.session_get_verify_cert_status(tls->session);

    if (status & GNUTLS_CERT_UNEXPECTED_OWNER)
        g_set_error(error, CHANNEL_ERROR, CHANNEL_ERROR_REFUSED,
                    "the other side's certificate is not for '%s': set tls-hostname if that is right", tls->hostname);
    else
        g_set_error(error, CHANNEL_ERROR, CHANNEL_ERROR_REFUSED,
                    "the other side's certificate is not one to trust%s (GnuTLS status 0x%x): compare both sides' ca-cert.pem",
                    status & (GNUTLS_CERT_EXPIRED | GNUTLS_CERT_NOT_ACTIVATED) ? ", or not at this time"
                    : status & GNUTLS_CERT_SIGNER_NOT_FOUND                    ? ": somebody else signed it"
                                                                               : "",
                    status);
}

static void
set_tls_error(TlsSession *tls, int result, GError **error)
{
    switch (result) {
    case GNUTLS_E_PREMATURE_TERMINATION:
    case GNUTLS_E_PULL_ERROR:
    case GNUTLS_E_PUSH_ERROR:
        channel_set_errno_error(error, "TLS", ECONNRESET);
        break;
    case GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR:
        set_certificate_error(tls, error);
        break;
    case GNUTLS_E_FATAL_ALERT_RECEIVED:
        g_set_error(error, CHANNEL_ERROR, CHANNEL_ERROR_REFUSED, "the other side refuses: %s; its own message says more",
                    gnutls.alert_get_name(gnutls.alert_get(tls->session)));
        break;
    case GNUTLS_E_CERTIFICATE_REQUIRED:
    case GNUTLS_E_NO_CERTIFICATE_FOUND:
        g_set_error_literal(error, CHANNEL_ERROR, CHANNEL_ERROR_REFUSED,
                            "the other side has no certificate from the authority in ca-cert.pem");
        break;
    case GNUTLS_E_RECEIVED_ILLEGAL_PARAMETER:
        if (tls->credentials->psk_server) {
            g_set_error_literal(error, CHANNEL_ERROR, CHANNEL_ERROR_REFUSED,
                                "the other side has another key: compare both keys.psk");
            break;
        }
        /* fall through */
    default:
        g_set_error(error, CHANNEL_ERROR, CHANNEL_ERROR_REFUSED, "%s", gnutls.strerror(result));
    }
}

/* Of a result that GnuTLS gave: TRUE: wait for @events and call again. */
static gboolean
is_to_wait(TlsSession *tls, gssize result, short *events)
{
    *events = gnutls.record_get_direction(tls->session) ? POLLOUT : POLLIN;
    return result == GNUTLS_E_AGAIN || result == GNUTLS_E_INTERRUPTED;
}

gssize
tls_read(TlsSession *tls, gpointer buffer, gsize size, short *events, GError **error)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&tls->lock);
    gssize got = gnutls.record_recv(tls->session, buffer, size);

    if (got > 0)
        return got;
    if (is_to_wait(tls, got, events) || (got < 0 && !gnutls.error_is_fatal((int)got)))
        return 0;
    set_tls_error(tls, got == 0 ? GNUTLS_E_PREMATURE_TERMINATION : (int)got, error);
    return -1;
}

/* What the next record is made of: a big piece where it lies, or small ones packed. */
static gconstpointer
next_record(TlsSession *tls, const struct iovec *pieces, guint n_pieces, gsize *size)
{
    *size = MIN(pieces->iov_len, RECORD_BYTES);
    if (*size == RECORD_BYTES || n_pieces == 1)
        return pieces->iov_base;
    *size = 0;
    for (guint i = 0; i < n_pieces && *size < RECORD_BYTES; i++) {
        gsize part = MIN(pieces[i].iov_len, RECORD_BYTES - *size);
        memcpy(tls->packed + *size, pieces[i].iov_base, part);
        *size += part;
    }
    return tls->packed;
}

gssize
tls_write(TlsSession *tls, const struct iovec *pieces, guint n_pieces, short *events, GError **error)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&tls->lock);
    gsize size;
    gconstpointer record = next_record(tls, pieces, n_pieces, &size);

    /* A record that was half sent is encrypted and in GnuTLS's hands: it wants no data the second time. */
    gssize put = tls->half_sent ? gnutls.record_send(tls->session, NULL, 0) : gnutls.record_send(tls->session, record, size);
    tls->half_sent = is_to_wait(tls, put, events);
    if (put > 0 || tls->half_sent)
        return MAX(put, 0);
    set_tls_error(tls, (int)put, error);
    return -1;
}

gboolean
tls_pending(TlsSession *tls)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&tls->lock);

    return gnutls.record_check_pending(tls->session) > 0;
}

/* --- the handshake --- */

static int
prepare(TlsSession *tls, int fd)
{
    const TlsCredentials *credentials = tls->credentials;
    guint n_demands = credentials->listening ? 1 : 2;
    const char *purpose = credentials->listening ? GNUTLS_KP_TLS_WWW_CLIENT : GNUTLS_KP_TLS_WWW_SERVER;

    int result = gnutls.init(&tls->session, (credentials->listening ? GNUTLS_SERVER : GNUTLS_CLIENT) | GNUTLS_NONBLOCK |
                                                GNUTLS_NO_SIGNAL | GNUTLS_NO_TICKETS);
    if (result < 0)
        return result;
    gnutls.transport_set_int2(tls->session, fd, fd);
    result = gnutls.priority_set_direct(tls->session, credentials->x509 ? PRIORITY_X509 : PRIORITY_PSK, NULL);
    if (result < 0)
        return result;
    if (!credentials->x509)
        return gnutls.credentials_set(tls->session, GNUTLS_CRD_PSK,
                                      credentials->listening ? (void *)credentials->psk_server : credentials->psk_client);
    tls->peer[0] = (gnutls_typed_vdata_st){GNUTLS_DT_KEY_PURPOSE_OID, (guint8 *)purpose, 0};
    tls->peer[1] = (gnutls_typed_vdata_st){GNUTLS_DT_DNS_HOSTNAME, (guint8 *)tls->hostname, 0};
    gnutls.session_set_verify_cert2(tls->session, tls->peer, n_demands, 0);
    if (credentials->listening)
        gnutls.certificate_server_set_request(tls->session, GNUTLS_CERT_REQUIRE);
    else if (!g_hostname_is_ip_address(tls->hostname))
        gnutls.server_name_set(tls->session, GNUTLS_NAME_DNS, tls->hostname, strlen(tls->hostname));
    return gnutls.credentials_set(tls->session, GNUTLS_CRD_CERTIFICATE, credentials->x509);
}

static gboolean
shake_hands(MigrationChannel *channel, const Pace *pace, GError **error)
{
    TlsSession *tls = channel->tls;

    for (;;) {
        short events;
        int result = gnutls.handshake(tls->session);
        if (result == GNUTLS_E_SUCCESS)
            return TRUE;
        if (is_to_wait(tls, result, &events)) {
            if (!channel_pace_wait(channel, pace, events, error))
                return FALSE;
        } else if (gnutls.error_is_fatal(result)) {
            gnutls.alert_send_appropriate(tls->session, result);
            set_tls_error(tls, result, error);
            return FALSE;
        }
    }
}

/* Not by channel_read_all(), channel_write_all(): the byte is not the caller's, and not to be counted. */
static gboolean
pass_content(MigrationChannel *channel, const Pace *pace, GError **error)
{
    guint8 byte = CONTENT_BYTE;
    const struct iovec piece = {&byte, 1};
    gssize passed;
    short events;

    do {
        passed = channel->tls->credentials->listening ? tls_write(channel->tls, &piece, 1, &events, error)
                                                      : tls_read(channel->tls, &byte, 1, &events, error);
        if (passed < 0 || (passed == 0 && !channel_pace_wait(channel, pace, events, error)))
            return FALSE;
    } while (passed == 0);
    if (byte == CONTENT_BYTE)
        return TRUE;
    g_set_error_literal(error, CHANNEL_ERROR, CHANNEL_ERROR_REFUSED, "the other side is no dirtylab");
    return FALSE;
}

gboolean
tls_handshake(MigrationChannel *channel, TlsCredentials *credentials, const char *hostname, gint64 deadline, GError **error)
{
    TlsSession *tls = g_new0(TlsSession, 1);
    Pace pace;

    g_mutex_init(&tls->lock);
    tls->credentials = tls_credentials_ref(credentials);
    tls->hostname = g_strdup(hostname);
    channel->tls = tls;
    int result = prepare(tls, channel->fd);
    if (result < 0) {
        set_tls_error(tls, result, error);
        return FALSE;
    }
    pace_begin(&pace, channel, deadline);
    return shake_hands(channel, &pace, error) && pass_content(channel, &pace, error);
}
