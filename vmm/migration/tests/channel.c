/* SPDX-License-Identifier: MIT */
/* Plain channels: what goes in comes out, whatever the address, and every call ends: cut, stalled, trickling, cancelled. */
#include <errno.h>
#include <fcntl.h>
#include <gio/gunixsocketaddress.h>
#include <glib/gstdio.h>
#include <migration/channel.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define MIB ((gsize)1024 * 1024)
#define MS G_TIME_SPAN_MILLISECOND
#define SHORT_MS 200
#define PATIENCE_US (90 * G_TIME_SPAN_SECOND)

static gint64
soon(void)
{
    return g_get_monotonic_time() + PATIENCE_US;
}

/* --- a peer in a thread of its own --- */

typedef struct {
    MigrationChannel *channel;
    gsize size;
    GError *error;
} Peer;

static guint8
pattern_at(gsize offset)
{
    return (guint8)(offset * 7 + offset / 251);
}

static gpointer
read_pattern(gpointer user)
{
    Peer *peer = user;
    g_autofree guint8 *buffer = g_malloc(peer->size);

    if (channel_read_all(peer->channel, buffer, peer->size, soon(), &peer->error)) {
        for (gsize i = 0; i < peer->size; i++)
            g_assert_cmpuint(buffer[i], ==, pattern_at(i));
    }
    return NULL;
}

/* @size bytes of the pattern through @writer in pieces of many sizes, none included; the reader checks each. */
static void
check_passage(MigrationChannel *writer, MigrationChannel *reader, gsize size)
{
    g_autofree guint8 *bytes = g_malloc(size);
    g_autoptr(GArray) pieces = g_array_new(FALSE, FALSE, sizeof(struct iovec));
    g_autoptr(GError) error = NULL;
    Peer peer = {reader, size, NULL};

    for (gsize i = 0; i < size; i++)
        bytes[i] = pattern_at(i);
    for (gsize at = 0, n = 0; at < size; n++) {
        struct iovec piece = {bytes + at, MIN(n * 611 % 9973, size - at)};
        g_array_append_val(pieces, piece);
        at += piece.iov_len;
    }
    guint64 read_before = channel_bytes_read(reader), written_before = channel_bytes_written(writer);
    g_autoptr(GThread) thread = g_thread_new("reader", read_pattern, &peer);
    gboolean written = channel_writev_all(writer, (struct iovec *)pieces->data, pieces->len, soon(), &error);
    g_assert_no_error(error);
    g_assert_true(written);
    g_thread_join(g_steal_pointer(&thread));
    g_assert_no_error(peer.error);
    g_assert_cmpuint(channel_bytes_read(reader) - read_before, ==, size);
    g_assert_cmpuint(channel_bytes_written(writer) - written_before, ==, size);
}

static void
check_both_ways(MigrationChannel *a, MigrationChannel *b)
{
    check_passage(a, b, 9 * MIB + 5); /* some 1900 pieces: more than one call takes */
    check_passage(b, a, 3);
}

static void
test_pair(void)
{
    const ChannelOptions options = {0};
    MigrationChannel *pair[2];
    g_autoptr(GError) error = NULL;

    g_assert_true(channel_new_pair(&options, pair, &error));
    check_both_ways(pair[0], pair[1]);
    channel_free(pair[0]);
    channel_free(pair[1]);
}

/* --- addresses --- */

static void
check_address(const char *uri)
{
    const ChannelOptions options = {0};
    g_autoptr(GError) error = NULL;
    g_autoptr(ChannelListener) listener = channel_listen(uri, &options, &error);

    g_assert_no_error(error);
    g_autoptr(MigrationChannel) client = channel_connect(channel_listener_uri(listener), &options, &error);
    g_assert_no_error(error);
    g_autoptr(MigrationChannel) server = channel_accept(listener, soon(), &error);
    g_assert_no_error(error);
    check_both_ways(client, server);
}

static void
test_tcp(void)
{
    check_address("tcp:127.0.0.1:0");
    check_address("tcp:localhost:0");
}

static void
test_tcp_v6(void)
{
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    gboolean there = g_file_test("/proc/net/if_inet6", G_FILE_TEST_EXISTS) && fd >= 0;
    g_autofree char *addresses = NULL;

    if (fd >= 0)
        close(fd);
    if (!there || !g_file_get_contents("/proc/net/if_inet6", &addresses, NULL, NULL) || !strstr(addresses, " lo"))
        g_test_skip("this host has no ::1");
    else
        check_address("tcp:[::1]:0");
}

static void
test_unix(void)
{
    g_autofree char *folder = g_dir_make_tmp("dirtylab-XXXXXX", NULL), *path = g_build_filename(folder, "s", NULL);
    g_autofree char *uri = g_strconcat("unix:", path, NULL);
    const ChannelOptions options = {0};
    g_autoptr(GError) error = NULL;
    struct stat status;

    check_address(uri);
    g_assert_cmpint(lstat(path, &status), ==, -1); /* gone with the listener */

    g_autoptr(ChannelListener) listener = channel_listen(uri, &options, &error);
    g_assert_no_error(error);
    g_assert_cmpint(lstat(path, &status), ==, 0);
    g_assert_cmpuint(status.st_mode & 0777, ==, 0600 & status.st_mode); /* nobody else, whatever the umask */
    g_assert_null(channel_listen(uri, &options, &error));
    g_assert_error(error, CHANNEL_ERROR, CHANNEL_ERROR_FAILED); /* somebody listens there */
    g_clear_error(&error);

    /* what a process that was killed left behind is replaced; a file that is no socket is not */
    g_autofree char *moved = g_strconcat(path, ".moved", NULL);
    g_assert_cmpint(rename(path, moved), ==, 0);
    g_clear_pointer(&listener, channel_listener_free);
    g_assert_cmpint(rename(moved, path), ==, 0);
    check_address(uri);
    g_assert_true(g_file_set_contents(path, "mine", -1, NULL));
    g_assert_null(channel_listen(uri, &options, &error));
    g_assert_error(error, CHANNEL_ERROR, CHANNEL_ERROR_FAILED);
    g_assert_true(g_file_test(path, G_FILE_TEST_EXISTS));
    g_unlink(path);
    g_rmdir(folder);
}

static void
test_fd(void)
{
    const ChannelOptions options = {0};
    g_autoptr(GError) error = NULL;
    int fds[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), ==, 0);
    g_autofree char *a = g_strdup_printf("fd:%d", fds[0]), *b = g_strdup_printf("fd:%d", fds[1]);
    g_autoptr(MigrationChannel) client = channel_connect(a, &options, &error);
    g_assert_no_error(error);
    g_autoptr(ChannelListener) listener = channel_listen(b, &options, &error);
    g_assert_no_error(error);
    g_autoptr(MigrationChannel) server = channel_accept(listener, soon(), &error);
    g_assert_no_error(error);
    check_both_ways(client, server);
    g_assert_false(channel_listener_has_more(listener));
    g_assert_null(channel_accept(listener, soon(), &error));
    g_assert_error(error, CHANNEL_ERROR, CHANNEL_ERROR_CLOSED);
    g_clear_error(&error);

    int file = open("/dev/null", O_RDWR | O_CLOEXEC);
    g_autofree char *no_socket = g_strdup_printf("fd:%d", file);
    g_assert_null(channel_connect(no_socket, &options, &error));
    g_assert_error(error, CHANNEL_ERROR, CHANNEL_ERROR_INVALID);
    g_clear_error(&error);
    close(file);
    g_assert_null(channel_connect(no_socket, &options, &error)); /* closed by now */
    g_assert_error(error, CHANNEL_ERROR, CHANNEL_ERROR_INVALID);
}

/* A socket that listens and was passed on, as service managers do. */
static void
test_listening_fd(void)
{
    const ChannelOptions options = {0};
    g_autofree char *folder = g_dir_make_tmp("dirtylab-XXXXXX", NULL), *path = g_build_filename(folder, "s", NULL);
    g_autoptr(GSocketAddress) address = g_unix_socket_address_new(path);
    g_autoptr(GSocket) socket = g_socket_new(G_SOCKET_FAMILY_UNIX, G_SOCKET_TYPE_STREAM, 0, NULL);
    g_autoptr(GError) error = NULL;

    g_assert_true(g_socket_bind(socket, address, FALSE, &error) && g_socket_listen(socket, &error));
    g_autofree char *fd_uri = g_strdup_printf("fd:%d", dup(g_socket_get_fd(socket))), *uri = g_strconcat("unix:", path, NULL);
    g_autoptr(ChannelListener) listener = channel_listen(fd_uri, &options, &error);
    g_assert_no_error(error);
    g_autoptr(MigrationChannel) client = channel_connect(uri, &options, &error);
    g_autoptr(MigrationChannel) server = channel_accept(listener, soon(), &error);
    g_assert_no_error(error);
    check_passage(client, server, 1000);
    g_unlink(path);
    g_rmdir(folder);
}

/* A process without a free file descriptor listens on. */
static void
test_no_descriptor(void)
{
    const ChannelOptions options = {0};
    g_autoptr(GError) error = NULL;
    g_autoptr(ChannelListener) listener = channel_listen("tcp:127.0.0.1:0", &options, &error);
    g_assert_no_error(error);
    g_autoptr(MigrationChannel) client = channel_connect(channel_listener_uri(listener), &options, &error);
    struct rlimit before, none;

    g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &before), ==, 0);
    none = (struct rlimit){2, before.rlim_max}; /* poll(2) takes no more entries than that */
    g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &none), ==, 0);
    g_autoptr(MigrationChannel) server = channel_accept(listener, g_get_monotonic_time() + 250 * MS, &error);
    g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &before), ==, 0);
    g_assert_null(server);
    g_assert_error(error, CHANNEL_ERROR, CHANNEL_ERROR_STALLED);
    g_clear_error(&error);
    server = channel_accept(listener, soon(), &error);
    g_assert_no_error(error);
    check_passage(client, server, 1000);
}

static void
test_bad_uris(void)
{
    static const char *const bad[] = {"",        "unix:",      "tcp:",          "tcp:host",  "tcp:host:", "tcp:host:65536",
                                      "tcp:::1", "tcp:host:x", "tcp:host:-1",   "fd:",       "fd:-1",     "fd:1x",
                                      "exec:sh", "/path",      "fd:4294967296", "unixx:path"};
    static const char *const good[] = {"unix:x", "tcp:host:1", "tcp:[::1]:65535", "tcp::1", "fd:0"};
    g_autofree char *long_path = g_strnfill(108, 'x'), *too_long = g_strconcat("unix:", long_path, NULL);
    const ChannelOptions options = {0};

    for (gsize i = 0; i <= G_N_ELEMENTS(bad); i++) {
        const char *uri = i < G_N_ELEMENTS(bad) ? bad[i] : too_long;
        g_autoptr(GError) a = NULL, b = NULL, c = NULL;
        g_assert_false(channel_check_uri(uri, &a));
        g_assert_error(a, CHANNEL_ERROR, CHANNEL_ERROR_INVALID);
        g_assert_null(channel_connect(uri, &options, &b));
        g_assert_error(b, CHANNEL_ERROR, CHANNEL_ERROR_INVALID);
        g_assert_null(channel_listen(uri, &options, &c));
        g_assert_error(c, CHANNEL_ERROR, CHANNEL_ERROR_INVALID);
        g_assert_null(strchr(a->message, '\n'));
    }
    for (gsize i = 0; i < G_N_ELEMENTS(good); i++)
        g_assert_true(channel_check_uri(good[i], NULL));
}

static void
test_nobody_there(void)
{
    const ChannelOptions options = {0};
    g_autoptr(GError) error = NULL;

    g_assert_null(channel_connect("unix:/nowhere/at/all", &options, &error));
    g_assert_error(error, CHANNEL_ERROR, CHANNEL_ERROR_FAILED);
    g_assert_nonnull(strstr(error->message, "unix:/nowhere/at/all"));
    g_clear_error(&error);
    g_assert_null(channel_connect("tcp:127.0.0.1:1", &options, &error));
    g_assert_error(error, CHANNEL_ERROR, CHANNEL_ERROR_FAILED);
}

/* Runs in a process of its own: what it says on standard error is what counts. */
static void
listen_and_leave(const char *uri)
{
    const ChannelOptions options = {0};

    channel_listener_free(channel_listen(uri, &options, NULL));
}

static void
test_warning_open(void)
{
    if (g_test_subprocess()) {
        listen_and_leave("tcp:0.0.0.0:0");
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_passed();
    g_test_trap_assert_stderr("*dirtylab: warning:*--tls-creds*");
}

static void
test_warning_loopback(void)
{
    if (g_test_subprocess()) {
        listen_and_leave("tcp:127.0.0.1:0");
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_passed();
    g_test_trap_assert_stderr_unmatched("*warning*");
}

/* --- bounded time --- */

typedef struct {
    MigrationChannel *pair[2];
    GCancellable *cancel;
} Fixture;

static void
set_up(Fixture *fixture, gconstpointer data)
{
    fixture->cancel = g_cancellable_new();
    const ChannelOptions options = {.stall_limit_ms = GPOINTER_TO_UINT(data), .cancel = fixture->cancel};
    g_assert_true(channel_new_pair(&options, fixture->pair, NULL));
}

static void
tear_down(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    channel_free(fixture->pair[0]);
    channel_free(fixture->pair[1]);
    g_clear_object(&fixture->cancel);
}

static void
test_cut(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    g_autoptr(GError) error = NULL;
    g_autofree guint8 *bytes = g_malloc0(MIB);

    g_assert_true(channel_write_all(fixture->pair[0], "abc", 3, soon(), &error));
    g_clear_pointer(&fixture->pair[0], channel_free);
    g_assert_true(channel_wait_readable(fixture->pair[1], soon(), &error));
    g_assert_false(channel_read_all(fixture->pair[1], bytes, 4, soon(), &error));
    g_assert_error(error, CHANNEL_ERROR, CHANNEL_ERROR_CLOSED);
    g_clear_error(&error);
    g_assert_true(channel_wait_readable(fixture->pair[1], soon(), &error)); /* the end is something to read */
    g_assert_false(channel_write_all(fixture->pair[1], bytes, MIB, soon(), &error));
    g_assert_error(error, CHANNEL_ERROR, CHANNEL_ERROR_CLOSED); /* and no SIGPIPE */
}

static void
test_stalled_reader(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    g_autoptr(GError) error = NULL;
    g_autofree guint8 *bytes = g_malloc0(16 * MIB);

    g_assert_false(channel_write_all(fixture->pair[0], bytes, 16 * MIB, CHANNEL_NO_DEADLINE, &error));
    g_assert_error(error, CHANNEL_ERROR, CHANNEL_ERROR_STALLED);
    guint64 entered = channel_writes_entered(fixture->pair[0]);
    g_clear_error(&error);
    g_assert_false(channel_write_all(fixture->pair[0], "GO", 2, CHANNEL_NO_DEADLINE, &error));
    g_assert_cmpuint(channel_writes_entered(fixture->pair[0]), ==, entered); /* no byte of it has left */
}

static void
test_stalled_writer(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    g_autoptr(GError) error = NULL;
    guint8 bytes[8];

    g_assert_true(channel_write_all(fixture->pair[0], "abc", 3, soon(), NULL));
    g_assert_false(channel_read_all(fixture->pair[1], bytes, sizeof bytes, CHANNEL_NO_DEADLINE, &error));
    g_assert_error(error, CHANNEL_ERROR, CHANNEL_ERROR_STALLED);
    g_assert_nonnull(strstr(error->message, "too slow"));
    g_clear_error(&error);
    g_assert_false(channel_wait_readable(fixture->pair[1], g_get_monotonic_time() + 1000, &error));
    g_assert_error(error, CHANNEL_ERROR, CHANNEL_ERROR_STALLED);
}

static gpointer
trickle(gpointer user)
{
    MigrationChannel *channel = user;

    while (channel_write_all(channel, "x", 1, soon(), NULL)) /* until it is cancelled */
        g_usleep(10 * MS);
    return NULL;
}

/* A byte now and then is progress, and still too slow. */
static void
test_trickle(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    g_autoptr(GThread) thread = g_thread_new("trickle", trickle, fixture->pair[0]);
    g_autofree guint8 *bytes = g_malloc(MIB);
    g_autoptr(GError) error = NULL;

    g_assert_false(channel_read_all(fixture->pair[1], bytes, MIB, CHANNEL_NO_DEADLINE, &error));
    g_assert_error(error, CHANNEL_ERROR, CHANNEL_ERROR_STALLED);
    g_cancellable_cancel(fixture->cancel);
    g_thread_join(g_steal_pointer(&thread));
}

/* How much @writer's socket takes while nobody reads. */
static guint64
fill(MigrationChannel *writer)
{
    guint64 before = channel_bytes_written(writer);
    g_autofree guint8 *bytes = g_malloc0(16 * MIB);
    g_autoptr(GError) error = NULL;

    g_assert_false(channel_write_all(writer, bytes, 16 * MIB, CHANNEL_NO_DEADLINE, &error));
    g_assert_error(error, CHANNEL_ERROR, CHANNEL_ERROR_STALLED);
    return channel_bytes_written(writer) - before;
}

static void
drain(MigrationChannel *reader, guint64 size)
{
    g_autofree guint8 *bytes = g_malloc(size);
    g_autoptr(GError) error = NULL;

    g_assert_true(channel_read_all(reader, bytes, size, soon(), &error));
    g_assert_no_error(error);
}

/* What comes after the bulk waits until the buffer has little left, and finds it as small as before. */
static void
test_bulk(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    guint64 usual = fill(fixture->pair[0]);

    drain(fixture->pair[1], usual);
    channel_set_bulk(fixture->pair[0], TRUE);
    channel_set_bulk(fixture->pair[0], TRUE);
    guint64 wide = fill(fixture->pair[0]);
    g_assert_cmpuint(wide, >, usual);
    channel_set_bulk(fixture->pair[0], FALSE);
    g_assert_cmpuint(fill(fixture->pair[0]), ==, 0);
    drain(fixture->pair[1], wide - usual / 8);
    g_assert_cmpuint(fill(fixture->pair[0]), <=, usual);
}

static void
test_deadline(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    g_autoptr(GError) error = NULL;
    guint8 byte;

    g_assert_false(channel_read_all(fixture->pair[1], &byte, 1, g_get_monotonic_time() + 50 * MS, &error));
    g_assert_error(error, CHANNEL_ERROR, CHANNEL_ERROR_STALLED);
    g_clear_error(&error);
    g_assert_false(channel_write_all(fixture->pair[1], &byte, 1, g_get_monotonic_time() - 1, &error)); /* though it would fit */
    g_assert_error(error, CHANNEL_ERROR, CHANNEL_ERROR_STALLED);
}

static gpointer
cancel_soon(gpointer user)
{
    g_usleep(100 * MS);
    g_cancellable_cancel(user);
    return NULL;
}

static void
test_cancel_read(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    g_autoptr(GThread) thread = g_thread_new("cancel", cancel_soon, fixture->cancel);
    g_autoptr(GError) error = NULL;
    guint8 byte;

    g_assert_false(channel_read_all(fixture->pair[1], &byte, 1, CHANNEL_NO_DEADLINE, &error));
    g_assert_error(error, CHANNEL_ERROR, CHANNEL_ERROR_CANCELLED);
    g_clear_error(&error);
    g_assert_false(channel_write_all(fixture->pair[1], &byte, 1, soon(), &error)); /* for good, though nothing would wait */
    g_assert_error(error, CHANNEL_ERROR, CHANNEL_ERROR_CANCELLED);
    g_thread_join(g_steal_pointer(&thread));
}

static void
test_cancel_write(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    g_autoptr(GThread) thread = g_thread_new("cancel", cancel_soon, fixture->cancel);
    g_autofree guint8 *bytes = g_malloc0(16 * MIB);
    g_autoptr(GError) error = NULL;

    g_assert_false(channel_write_all(fixture->pair[0], bytes, 16 * MIB, CHANNEL_NO_DEADLINE, &error));
    g_assert_error(error, CHANNEL_ERROR, CHANNEL_ERROR_CANCELLED);
    g_thread_join(g_steal_pointer(&thread));
}

static void
test_cancel_accept(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    const ChannelOptions options = {.cancel = fixture->cancel};
    g_autoptr(GError) error = NULL;
    g_autoptr(ChannelListener) listener = channel_listen("tcp:127.0.0.1:0", &options, &error);
    g_autoptr(GThread) thread = g_thread_new("cancel", cancel_soon, fixture->cancel);

    g_assert_null(channel_accept(listener, CHANNEL_NO_DEADLINE, &error));
    g_assert_error(error, CHANNEL_ERROR, CHANNEL_ERROR_CANCELLED);
    g_thread_join(g_steal_pointer(&thread));
}

static void
test_accept_deadline(void)
{
    const ChannelOptions options = {0};
    g_autoptr(GError) error = NULL;
    g_autoptr(ChannelListener) listener = channel_listen("tcp:127.0.0.1:0", &options, &error);

    g_assert_null(channel_accept(listener, g_get_monotonic_time() + 50 * MS, &error));
    g_assert_error(error, CHANNEL_ERROR, CHANNEL_ERROR_STALLED);
}

/* A server that never accepts: its queue is full, and connecting ends all the same. */
static void
test_connect_stalled(void)
{
    g_autofree char *folder = g_dir_make_tmp("dirtylab-XXXXXX", NULL), *uri = g_strdup_printf("unix:%s/s", folder);
    const ChannelOptions options = {.stall_limit_ms = SHORT_MS};
    g_autoptr(GPtrArray) channels = g_ptr_array_new_with_free_func((GDestroyNotify)channel_free);
    g_autoptr(GError) error = NULL;
    g_autoptr(ChannelListener) listener = channel_listen(uri, &options, &error);
    MigrationChannel *channel;

    while (channels->len < 100 && (channel = channel_connect(uri, &options, &error)))
        g_ptr_array_add(channels, channel);
    g_assert_nonnull(error);
    g_clear_pointer(&listener, channel_listener_free);
    g_rmdir(folder);
}

int
main(int argc, char **argv)
{
    gconstpointer quick = GUINT_TO_POINTER(SHORT_MS), patient = GUINT_TO_POINTER(90000);

    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/channel/pair", test_pair);
    g_test_add_func("/channel/unix", test_unix);
    g_test_add_func("/channel/tcp", test_tcp);
    g_test_add_func("/channel/tcp-v6", test_tcp_v6);
    g_test_add_func("/channel/fd", test_fd);
    g_test_add_func("/channel/fd/listening", test_listening_fd);
    g_test_add_func("/channel/no-file-descriptor-left/listens-on", test_no_descriptor);
    g_test_add_func("/channel/uri/bad", test_bad_uris);
    g_test_add_func("/channel/uri/nobody-there", test_nobody_there);
    g_test_add_func("/channel/warning/open", test_warning_open);
    g_test_add_func("/channel/warning/loopback", test_warning_loopback);
    g_test_add("/channel/cut", Fixture, patient, set_up, test_cut, tear_down);
    g_test_add("/channel/stalled/reader", Fixture, quick, set_up, test_stalled_reader, tear_down);
    g_test_add("/channel/stalled/writer", Fixture, quick, set_up, test_stalled_writer, tear_down);
    g_test_add("/channel/stalled/trickle", Fixture, quick, set_up, test_trickle, tear_down);
    g_test_add_func("/channel/stalled/connect", test_connect_stalled);
    g_test_add("/channel/bulk", Fixture, quick, set_up, test_bulk, tear_down);
    g_test_add("/channel/deadline", Fixture, patient, set_up, test_deadline, tear_down);
    g_test_add_func("/channel/deadline/accept", test_accept_deadline);
    g_test_add("/channel/cancel/read", Fixture, patient, set_up, test_cancel_read, tear_down);
    g_test_add("/channel/cancel/write", Fixture, patient, set_up, test_cancel_write, tear_down);
    g_test_add("/channel/cancel/accept", Fixture, patient, set_up, test_cancel_accept, tear_down);
    return g_test_run();
}
