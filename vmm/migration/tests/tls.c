/* SPDX-License-Identifier: MIT */
/* TLS: who has the key or the name talks, and nobody else gets as far as the first byte of state. */
#include "credentials.h"

#include <gio/gio.h>
#include <glib/gstdio.h>
#include <gnutls/gnutls.h>
#include <migration/channel.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define KIB ((gsize)1024)
#define PATIENCE_US (90 * G_TIME_SPAN_SECOND)
#define STALL_MS 500
#define LONGER_THAN_THE_TEST_MS 600000
#define KEY_A "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define KEY_B "ff112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static gint64
soon(void)
{
    return g_get_monotonic_time() + PATIENCE_US;
}

/* --- two sides, each with a folder of credentials --- */

/**
 * Sides:
 * @folder: [0] of who connects, [1] of who listens
 * @hostname: what who connects wants
 * @channel, @error: what came of it
 */
typedef struct {
    char *folder[2];
    const char *hostname;
    guint stall_limit_ms;
    char *uri;
    MigrationChannel *channel[2];
    GError *error[2];
} Sides;

static void
set_up(Sides *sides, gconstpointer data G_GNUC_UNUSED)
{
    for (guint i = 0; i < 2; i++)
        sides->folder[i] = g_dir_make_tmp("dirtylab-tls-XXXXXX", NULL);
    sides->hostname = "destination.example";
    sides->stall_limit_ms = (guint)(PATIENCE_US / 1000);
}

static void
remove_folder(const char *path)
{
    g_autoptr(GDir) folder = g_dir_open(path, 0, NULL);
    const char *name;

    while ((name = g_dir_read_name(folder))) {
        g_autofree char *file = g_build_filename(path, name, NULL);
        g_unlink(file);
    }
    g_rmdir(path);
}

static void
tear_down(Sides *sides, gconstpointer data G_GNUC_UNUSED)
{
    for (guint i = 0; i < 2; i++) {
        remove_folder(sides->folder[i]);
        g_free(sides->folder[i]);
        channel_free(sides->channel[i]);
        g_clear_error(&sides->error[i]);
    }
    g_free(sides->uri);
}

static gpointer
connect_side(gpointer user)
{
    Sides *sides = user;
    const ChannelOptions options = {
        .tls_creds = sides->folder[0], .tls_hostname = sides->hostname, .stall_limit_ms = sides->stall_limit_ms};

    sides->channel[0] = channel_connect(sides->uri, &options, &sides->error[0]);
    return NULL;
}

static ChannelListener *
listen_side(Sides *sides)
{
    const ChannelOptions options = {.tls_creds = sides->folder[1], .stall_limit_ms = sides->stall_limit_ms};
    g_autoptr(GError) error = NULL;
    ChannelListener *listener = channel_listen("tcp:127.0.0.1:0", &options, &error);

    g_assert_no_error(error);
    sides->uri = g_strdup(channel_listener_uri(listener));
    return listener;
}

static void
meet(Sides *sides)
{
    g_autoptr(ChannelListener) listener = listen_side(sides);
    g_autoptr(GThread) thread = g_thread_new("connect", connect_side, sides);

    sides->channel[1] = channel_accept(listener, soon(), &sides->error[1]);
    g_thread_join(g_steal_pointer(&thread));
}

static void
give_certificates(const Authority *authority, const char *client_folder, const char *server_folder)
{
    authority_write(authority, client_folder);
    authority_issue(authority, client_folder, "client", "source.example", 10);
    authority_write(authority, server_folder);
    authority_issue(authority, server_folder, "server", "destination.example", 10);
}

/* --- what passes --- */

static void
check_met(Sides *sides)
{
    g_assert_no_error(sides->error[0]);
    g_assert_no_error(sides->error[1]);
    g_assert_nonnull(sides->channel[0]);
    g_assert_nonnull(sides->channel[1]);
}

#define LOAD_BYTES (3000 * KIB + 17)

static gpointer
write_load(gpointer user)
{
    Sides *sides = user;
    g_autofree guint8 *bytes = g_malloc(LOAD_BYTES);
    g_autoptr(GArray) pieces = g_array_new(FALSE, FALSE, sizeof(struct iovec));

    for (gsize i = 0; i < LOAD_BYTES; i++)
        bytes[i] = (guint8)(i * 13 + i / 253);
    for (gsize at = 0, n = 0; at < LOAD_BYTES; n++) {
        struct iovec piece = {bytes + at, MIN(n * 1021 % 40000, LOAD_BYTES - at)};
        g_array_append_val(pieces, piece);
        at += piece.iov_len;
    }
    g_assert_true(channel_writev_all(sides->channel[0], (struct iovec *)pieces->data, pieces->len, soon(), &sides->error[0]));
    return NULL;
}

/* Both directions at once: one thread a direction and side. */
static void
check_passage(Sides *sides)
{
    g_autofree guint8 *bytes = g_malloc(LOAD_BYTES);
    guint8 answer[5];

    check_met(sides);
    g_autoptr(GThread) thread = g_thread_new("write", write_load, sides);
    g_assert_true(channel_write_all(sides->channel[1], "hello", 5, soon(), &sides->error[1]));
    g_assert_true(channel_read_all(sides->channel[0], answer, 5, soon(), NULL));
    g_assert_cmpmem(answer, 5, "hello", 5);
    /* in pieces that end within records: what is left of one is found without the socket */
    for (gsize at = 0; at < LOAD_BYTES;) {
        gsize part = MIN(5000, LOAD_BYTES - at);
        g_assert_true(channel_wait_readable(sides->channel[1], soon(), &sides->error[1]));
        g_assert_true(channel_read_all(sides->channel[1], bytes + at, part, soon(), &sides->error[1]));
        at += part;
    }
    g_thread_join(g_steal_pointer(&thread));
    for (gsize i = 0; i < LOAD_BYTES; i++)
        g_assert_cmpuint(bytes[i], ==, (guint8)(i * 13 + i / 253));
    g_assert_cmpuint(channel_bytes_written(sides->channel[0]), ==, LOAD_BYTES);
    g_assert_cmpuint(channel_bytes_read(sides->channel[1]), ==, LOAD_BYTES);
}

static void
test_certificates(Sides *sides, gconstpointer data G_GNUC_UNUSED)
{
    g_autoptr(Authority) authority = authority_new("we");

    give_certificates(authority, sides->folder[0], sides->folder[1]);
    meet(sides);
    check_passage(sides);
}

static void
test_key(Sides *sides, gconstpointer data G_GNUC_UNUSED)
{
    psk_write(sides->folder[0], "qemu", KEY_A);
    psk_write(sides->folder[1], "qemu", KEY_A);
    meet(sides);
    check_passage(sides);
}

static void
test_end(Sides *sides, gconstpointer data G_GNUC_UNUSED)
{
    guint8 byte;

    psk_write(sides->folder[0], "qemu", KEY_A);
    psk_write(sides->folder[1], "qemu", KEY_A);
    meet(sides);
    check_met(sides);
    g_clear_pointer(&sides->channel[0], channel_free);
    g_assert_false(channel_read_all(sides->channel[1], &byte, 1, soon(), &sides->error[1]));
    g_assert_error(sides->error[1], CHANNEL_ERROR, CHANNEL_ERROR_CLOSED);
}

static void
test_stall(Sides *sides, gconstpointer data G_GNUC_UNUSED)
{
    g_autofree guint8 *bytes = g_malloc0(16 * KIB * KIB);

    psk_write(sides->folder[0], "qemu", KEY_A);
    psk_write(sides->folder[1], "qemu", KEY_A);
    sides->stall_limit_ms = STALL_MS * 4; /* the handshake has to fit */
    meet(sides);
    check_met(sides);
    g_assert_false(channel_write_all(sides->channel[0], bytes, 16 * KIB * KIB, CHANNEL_NO_DEADLINE, &sides->error[0]));
    g_assert_error(sides->error[0], CHANNEL_ERROR, CHANNEL_ERROR_STALLED);
    g_assert_false(channel_read_all(sides->channel[0], bytes, 1, CHANNEL_NO_DEADLINE, &sides->error[1]));
    g_assert_error(sides->error[1], CHANNEL_ERROR, CHANNEL_ERROR_STALLED);
}

/* --- who is refused --- */

static void
check_refused(Sides *sides)
{
    for (guint i = 0; i < 2; i++) {
        g_assert_null(sides->channel[i]);
        g_assert_nonnull(sides->error[i]);
        g_test_message("%s", sides->error[i]->message);
        g_assert_null(strchr(sides->error[i]->message, '\n'));
        /* one side refuses; the other is told, or finds the connection closed */
        if (sides->error[i]->code != CHANNEL_ERROR_CLOSED)
            g_assert_error(sides->error[i], CHANNEL_ERROR, CHANNEL_ERROR_REFUSED);
    }
    g_assert_true(sides->error[0]->code == CHANNEL_ERROR_REFUSED || sides->error[1]->code == CHANNEL_ERROR_REFUSED);
}

static void
test_wrong_key(Sides *sides, gconstpointer data G_GNUC_UNUSED)
{
    psk_write(sides->folder[0], "qemu", KEY_A);
    psk_write(sides->folder[1], "qemu", KEY_B);
    meet(sides);
    check_refused(sides);
    g_assert_nonnull(strstr(sides->error[1]->message, "another key"));
}

static void
test_unknown_name_of_key(Sides *sides, gconstpointer data G_GNUC_UNUSED)
{
    psk_write(sides->folder[0], "somebody", KEY_A);
    psk_write(sides->folder[1], "qemu", KEY_A);
    meet(sides);
    check_refused(sides);
}

static void
test_wrong_hostname(Sides *sides, gconstpointer data G_GNUC_UNUSED)
{
    g_autoptr(Authority) authority = authority_new("we");

    give_certificates(authority, sides->folder[0], sides->folder[1]);
    sides->hostname = "elsewhere.example";
    meet(sides);
    check_refused(sides);
    g_assert_nonnull(strstr(sides->error[0]->message, "is not for 'elsewhere.example'"));
}

/* The URI's host is what is asked for when nobody says otherwise. */
static void
test_default_hostname(Sides *sides, gconstpointer data G_GNUC_UNUSED)
{
    g_autoptr(Authority) authority = authority_new("we");

    give_certificates(authority, sides->folder[0], sides->folder[1]);
    sides->hostname = NULL;
    meet(sides);
    check_refused(sides);
    g_assert_nonnull(strstr(sides->error[0]->message, "is not for '127.0.0.1'"));
}

static void
test_stranger_connects(Sides *sides, gconstpointer data G_GNUC_UNUSED)
{
    g_autoptr(Authority) authority = authority_new("we"), stranger = authority_new("they");

    give_certificates(authority, sides->folder[0], sides->folder[1]);
    authority_issue(stranger, sides->folder[0], "client", "source.example", 10);
    meet(sides);
    check_refused(sides);
}

static void
test_stranger_listens(Sides *sides, gconstpointer data G_GNUC_UNUSED)
{
    g_autoptr(Authority) authority = authority_new("we"), stranger = authority_new("they");

    give_certificates(authority, sides->folder[0], sides->folder[1]);
    authority_issue(stranger, sides->folder[1], "server", "destination.example", 10);
    meet(sides);
    check_refused(sides);
    g_assert_error(sides->error[0], CHANNEL_ERROR, CHANNEL_ERROR_REFUSED); /* who connects is the one who must see it */
}

static void
test_expired(Sides *sides, gconstpointer data G_GNUC_UNUSED)
{
    g_autoptr(Authority) authority = authority_new("we");

    give_certificates(authority, sides->folder[0], sides->folder[1]);
    authority_issue(authority, sides->folder[1], "server", "destination.example", -10);
    meet(sides);
    check_refused(sides);
    g_assert_nonnull(strstr(sides->error[0]->message, "not at this time"));
}

/* A certificate for connecting is none for listening, whoever signed it. */
static void
test_wrong_purpose(Sides *sides, gconstpointer data G_GNUC_UNUSED)
{
    g_autoptr(Authority) authority = authority_new("we");

    give_certificates(authority, sides->folder[0], sides->folder[1]);
    authority_issue(authority, sides->folder[1], "client", "destination.example", 10);
    for (guint i = 0; i < 2; i++) {
        g_autofree char *from = g_build_filename(sides->folder[1], i ? "client-key.pem" : "client-cert.pem", NULL);
        g_autofree char *to = g_build_filename(sides->folder[1], i ? "server-key.pem" : "server-cert.pem", NULL);
        g_assert_cmpint(g_rename(from, to), ==, 0);
    }
    meet(sides);
    check_refused(sides);
}

static void
test_key_meets_certificates(Sides *sides, gconstpointer data G_GNUC_UNUSED)
{
    g_autoptr(Authority) authority = authority_new("we");
    g_autoptr(GError) error = NULL;
    g_autofree char *unused = g_dir_make_tmp("dirtylab-tls-XXXXXX", &error);

    give_certificates(authority, unused, sides->folder[1]);
    psk_write(sides->folder[0], "qemu", KEY_A);
    meet(sides);
    check_refused(sides);
    remove_folder(unused);
}

static guint16
port_of(const char *uri)
{
    return (guint16)g_ascii_strtoull(strrchr(uri, ':') + 1, NULL, 10);
}

/* A client of GnuTLS's own that trusts anybody. @priority chooses what it speaks. */
typedef struct {
    guint16 port;
    const char *priority;
    gboolean got_content;
} BareClient;

static gpointer
connect_bare(gpointer user)
{
    BareClient *client = user;
    g_autoptr(GSocketClient) socket_client = g_socket_client_new();
    g_autoptr(GSocketConnection) connection =
        g_socket_client_connect_to_host(socket_client, "127.0.0.1", client->port, NULL, NULL);
    gnutls_certificate_credentials_t credentials;
    gnutls_session_t session;
    guint8 byte;
    int result;

    g_assert_nonnull(connection);
    GSocket *socket = g_socket_connection_get_socket(connection);
    g_socket_set_blocking(socket, TRUE);
    gnutls_certificate_allocate_credentials(&credentials);
    gnutls_init(&session, GNUTLS_CLIENT | GNUTLS_NO_SIGNAL);
    gnutls_priority_set_direct(session, client->priority, NULL);
    gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, credentials);
    gnutls_transport_set_int(session, g_socket_get_fd(socket));
    /* GIO's file descriptors do not block */
    while ((result = gnutls_handshake(session)) == GNUTLS_E_AGAIN)
        g_socket_condition_timed_wait(socket, G_IO_IN, PATIENCE_US, NULL, NULL);
    while (result == 0 && (result = (int)gnutls_record_recv(session, &byte, 1)) == GNUTLS_E_AGAIN)
        result = g_socket_condition_timed_wait(socket, G_IO_IN, PATIENCE_US, NULL, NULL) ? 0 : GNUTLS_E_TIMEDOUT;
    client->got_content = result == 1;
    gnutls_deinit(session);
    gnutls_certificate_free_credentials(credentials);
    return NULL;
}

static void
check_bare_client(Sides *sides, const char *priority)
{
    g_autoptr(Authority) authority = authority_new("we");

    give_certificates(authority, sides->folder[0], sides->folder[1]);
    g_autoptr(ChannelListener) listener = listen_side(sides);
    BareClient client = {port_of(sides->uri), priority, FALSE};
    g_autoptr(GThread) thread = g_thread_new("bare", connect_bare, &client);
    sides->channel[1] = channel_accept(listener, soon(), &sides->error[1]);
    g_assert_null(sides->channel[1]);
    g_assert_error(sides->error[1], CHANNEL_ERROR, CHANNEL_ERROR_REFUSED);
    g_test_message("%s", sides->error[1]->message);
    g_clear_pointer(&listener, channel_listener_free);
    g_thread_join(g_steal_pointer(&thread));
    g_assert_false(client.got_content);
}

static void
test_no_certificate(Sides *sides, gconstpointer data G_GNUC_UNUSED)
{
    check_bare_client(sides, "NORMAL");
    g_assert_nonnull(strstr(sides->error[1]->message, "no certificate"));
}

static void
test_older_version(Sides *sides, gconstpointer data G_GNUC_UNUSED)
{
    check_bare_client(sides, "NORMAL:-VERS-ALL:+VERS-TLS1.2");
}

static void
test_plain_client(Sides *sides, gconstpointer data G_GNUC_UNUSED)
{
    const ChannelOptions plain = {0};
    const char request[] = "GET / HTTP/1.0\r\n\r\n";

    psk_write(sides->folder[1], "qemu", KEY_A);
    g_autoptr(ChannelListener) listener = listen_side(sides);
    g_autoptr(MigrationChannel) client = channel_connect(sides->uri, &plain, NULL);
    g_assert_true(channel_write_all(client, request, sizeof request, soon(), NULL));
    g_assert_null(channel_accept(listener, soon(), &sides->error[1]));
    g_assert_error(sides->error[1], CHANNEL_ERROR, CHANNEL_ERROR_REFUSED);
    g_test_message("%s", sides->error[1]->message);
}

/* Somebody who connects and says nothing, or hardly anything, does not hold up the others: not even for as long as a peer may take to answer. */
static void
check_silent_client(Sides *sides, gsize said)
{
    const ChannelOptions plain = {0};

    psk_write(sides->folder[0], "qemu", KEY_A);
    psk_write(sides->folder[1], "qemu", KEY_A);
    sides->stall_limit_ms = LONGER_THAN_THE_TEST_MS;
    g_autoptr(ChannelListener) listener = listen_side(sides);
    g_autoptr(MigrationChannel) silent = channel_connect(sides->uri, &plain, NULL);
    g_assert_true(channel_write_all(silent, "\x16", said, soon(), NULL)); /* how a handshake begins */
    g_assert_null(channel_accept(listener, soon(), &sides->error[1]));
    g_assert_error(sides->error[1], CHANNEL_ERROR, CHANNEL_ERROR_REFUSED);
    g_clear_error(&sides->error[1]);
    g_clear_pointer(&silent, channel_free);

    g_autoptr(GThread) thread = g_thread_new("connect", connect_side, sides);
    do {
        g_clear_error(&sides->error[1]);
        sides->channel[1] = channel_accept(listener, soon(), &sides->error[1]);
    } while (g_error_matches(sides->error[1], CHANNEL_ERROR, CHANNEL_ERROR_REFUSED)); /* a loaded host is slow */
    g_thread_join(g_steal_pointer(&thread));
    check_met(sides);
}

static void
test_silent_client(Sides *sides, gconstpointer data G_GNUC_UNUSED)
{
    check_silent_client(sides, 0);
}

static void
test_client_of_one_byte(Sides *sides, gconstpointer data G_GNUC_UNUSED)
{
    check_silent_client(sides, 1);
}

/* Nor does one who hangs up end the listening. */
static void
test_hangs_up(Sides *sides, gconstpointer data G_GNUC_UNUSED)
{
    const ChannelOptions plain = {0};

    psk_write(sides->folder[0], "qemu", KEY_A);
    psk_write(sides->folder[1], "qemu", KEY_A);
    g_autoptr(ChannelListener) listener = listen_side(sides);
    g_assert_true(channel_listener_has_more(listener));
    channel_free(channel_connect(sides->uri, &plain, NULL));
    g_assert_null(channel_accept(listener, soon(), &sides->error[1]));
    g_assert_error(sides->error[1], CHANNEL_ERROR, CHANNEL_ERROR_REFUSED);
    g_clear_error(&sides->error[1]);

    g_autoptr(GThread) thread = g_thread_new("connect", connect_side, sides);
    sides->channel[1] = channel_accept(listener, soon(), &sides->error[1]);
    g_thread_join(g_steal_pointer(&thread));
    check_met(sides);
}

/* --- somebody in the middle --- */

/** Relays @from to @to, and flips a bit of byte @flip. */
typedef struct {
    GSocket *from, *to;
    gsize flip;
} Relay;

static gpointer
relay(gpointer user)
{
    Relay *job = user;
    guint8 bytes[4 * KIB];
    gsize at = 0;

    for (;;) {
        gssize got = g_socket_receive(job->from, (char *)bytes, sizeof bytes, NULL, NULL);
        if (got <= 0)
            break;
        if (job->flip >= at && job->flip < at + (gsize)got)
            bytes[job->flip - at] ^= 0x10;
        at += (gsize)got;
        for (gssize put = 0, n; put < got; put += n) {
            n = g_socket_send(job->to, (const char *)bytes + put, (gsize)(got - put), NULL, NULL);
            if (n <= 0)
                return NULL;
        }
    }
    g_socket_shutdown(job->to, FALSE, TRUE, NULL);
    return NULL;
}

static gpointer
meet_through_relay(gpointer user)
{
    connect_side(user);
    return NULL;
}

/* Byte @flip of what who connects sends is changed. Whatever it hits, nothing that was changed is ever read. */
static void
check_flip(Sides *sides, gsize flip)
{
    g_autoptr(ChannelListener) listener = listen_side(sides);
    g_autoptr(GSocketListener) middle = g_socket_listener_new();
    g_autoptr(GSocketClient) socket_client = g_socket_client_new();
    guint16 port = g_socket_listener_add_any_inet_port(middle, NULL, NULL);
    guint16 real_port = port_of(sides->uri);
    guint8 bytes[256], sent[256] = {1, 2, 3};

    g_free(sides->uri);
    sides->uri = g_strdup_printf("tcp:127.0.0.1:%u", port);
    g_autoptr(GThread) connecting = g_thread_new("connect", meet_through_relay, sides);
    g_autoptr(GSocketConnection) near = g_socket_listener_accept(middle, NULL, NULL, NULL);
    g_autoptr(GSocketConnection) far = g_socket_client_connect_to_host(socket_client, "127.0.0.1", real_port, NULL, NULL);
    GSocket *near_socket = g_socket_connection_get_socket(near), *far_socket = g_socket_connection_get_socket(far);
    Relay there = {near_socket, far_socket, flip}, back = {far_socket, near_socket, G_MAXSIZE};
    g_autoptr(GThread) there_thread = g_thread_new("there", relay, &there), back_thread = g_thread_new("back", relay, &back);

    sides->channel[1] = channel_accept(listener, soon(), &sides->error[1]);
    if (!sides->channel[1]) { /* the other side may still wait for an answer */
        g_socket_shutdown(near_socket, TRUE, TRUE, NULL);
        g_socket_shutdown(far_socket, TRUE, TRUE, NULL);
    }
    g_thread_join(g_steal_pointer(&connecting));
    gboolean passed = FALSE;
    if (sides->channel[0] && sides->channel[1]) {
        g_assert_true(channel_write_all(sides->channel[0], sent, sizeof sent, soon(), NULL));
        g_clear_pointer(&sides->channel[0], channel_free);
        passed = channel_read_all(sides->channel[1], bytes, sizeof bytes, soon(), &sides->error[1]);
        if (passed)
            g_assert_cmpmem(bytes, sizeof bytes, sent, sizeof sent);
    }
    if (!passed)
        g_assert_nonnull(sides->error[1]);
    g_clear_pointer(&sides->channel[0], channel_free);
    g_clear_pointer(&sides->channel[1], channel_free);
    g_socket_shutdown(near_socket, TRUE, TRUE, NULL);
    g_socket_shutdown(far_socket, TRUE, TRUE, NULL);
    g_thread_join(g_steal_pointer(&there_thread));
    g_thread_join(g_steal_pointer(&back_thread));
    g_assert_true(passed == (flip == G_MAXSIZE));
    for (guint i = 0; i < 2; i++)
        g_clear_error(&sides->error[i]);
    g_clear_pointer(&sides->uri, g_free);
}

static void
test_flipped_bit(Sides *sides, gconstpointer data G_GNUC_UNUSED)
{
    psk_write(sides->folder[0], "qemu", KEY_A);
    psk_write(sides->folder[1], "qemu", KEY_A);
    check_flip(sides, G_MAXSIZE); /* none: passes */
    for (gsize flip = 11; flip < 600; flip += 37)
        check_flip(sides, flip);
}

/* --- folders that cannot be used --- */

static void
test_bad_folders(Sides *sides, gconstpointer data G_GNUC_UNUSED)
{
    g_autoptr(Authority) authority = authority_new("we");
    const ChannelOptions options = {.tls_creds = sides->folder[1]};
    static const char *const names[] = {"ca-cert.pem is missing", "server-cert.pem is missing", "server-key.pem"};
    g_autofree char *key = g_build_filename(sides->folder[1], "server-key.pem", NULL);

    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autoptr(GError) error = NULL;
        if (i == 1)
            authority_write(authority, sides->folder[1]);
        if (i == 2) {
            authority_issue(authority, sides->folder[1], "server", "x", 10);
            g_assert_true(g_file_set_contents(key, "nonsense", -1, NULL));
        }
        g_assert_null(channel_listen("tcp:127.0.0.1:0", &options, &error));
        g_assert_error(error, CHANNEL_ERROR, CHANNEL_ERROR_REFUSED);
        g_assert_nonnull(strstr(error->message, names[i]));
    }
    g_autoptr(GError) both = NULL, empty = NULL;
    psk_write(sides->folder[1], "qemu", KEY_A);
    g_assert_null(channel_listen("tcp:127.0.0.1:0", &options, &both));
    g_assert_nonnull(strstr(both->message, "holds both"));
    const ChannelOptions client = {.tls_creds = sides->folder[0]};
    g_autofree char *client_psk = g_build_filename(sides->folder[0], "keys.psk", NULL);
    g_assert_true(g_file_set_contents(client_psk, "# no key\n\n", -1, NULL));
    g_assert_null(channel_connect("tcp:127.0.0.1:1", &client, &empty));
    g_assert_error(empty, CHANNEL_ERROR, CHANNEL_ERROR_REFUSED);
}

int
main(int argc, char **argv)
{
    static const struct {
        const char *path;
        void (*test)(Sides *sides, gconstpointer data);
    } tests[] = {
        {"/tls/certificates", test_certificates},
        {"/tls/key", test_key},
        {"/tls/end", test_end},
        {"/tls/stall", test_stall},
        {"/tls/refused/key", test_wrong_key},
        {"/tls/refused/name-of-key", test_unknown_name_of_key},
        {"/tls/refused/hostname", test_wrong_hostname},
        {"/tls/refused/default-hostname", test_default_hostname},
        {"/tls/refused/stranger-connects", test_stranger_connects},
        {"/tls/refused/stranger-listens", test_stranger_listens},
        {"/tls/refused/expired", test_expired},
        {"/tls/refused/purpose", test_wrong_purpose},
        {"/tls/refused/key-meets-certificates", test_key_meets_certificates},
        {"/tls/refused/no-certificate", test_no_certificate},
        {"/tls/refused/older-version", test_older_version},
        {"/tls/refused/plain-client", test_plain_client},
        {"/tls/silent-client", test_silent_client},
        {"/tls/client-of-one-byte", test_client_of_one_byte},
        {"/tls/client-hangs-up/another-is-taken", test_hangs_up},
        {"/tls/flipped-bit", test_flipped_bit},
        {"/tls/bad-folders", test_bad_folders},
    };

    g_test_init(&argc, &argv, NULL);
    for (gsize i = 0; i < G_N_ELEMENTS(tests); i++)
        g_test_add(tests[i].path, Sides, NULL, set_up, tests[i].test, tear_down);
    return g_test_run();
}
