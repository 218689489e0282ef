/* SPDX-License-Identifier: MIT */
/* A client that behaves: greeting, negotiation, ids, errors, stop and cont, events, the end. */
#include <glib/gstdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "stage.h"

#define MIB (UINT64_C(1) << 20)
#define ENDLESS "pattern=random pages=500 passes=0 quiet"

static Stage *
small_stage(const char *command_line)
{
    return stage_new((BoardConfig){.memory_bytes = 8 * MIB, .vcpus = 1}, command_line, NULL);
}

static void
test_negotiation(void)
{
    g_autoptr(Stage) stage = small_stage(ENDLESS);
    g_autoptr(QmpClient) client = qmp_client_connect(stage->path);
    g_autoptr(JsonNode) greeting = qmp_client_read(client);

    g_assert_cmpint(qmp_int(greeting, "QMP/version/qemu/major"), >=, 0);
    g_assert_true(JSON_NODE_HOLDS_ARRAY(qmp_member(greeting, "QMP/capabilities")));
    qmp_client_must_fail(client, "query-status", NULL, "CommandNotFound", "qmp_capabilities");
    qmp_client_must_fail(client, "qmp_capabilities", "{\"enable\": [\"oob\"]}", "GenericError", "no capability");
    qmp_client_must_fail(client, "stop", NULL, "CommandNotFound", "qmp_capabilities");
    g_autoptr(JsonNode) done = qmp_client_must(client, "qmp_capabilities", "{\"enable\": []}");
    qmp_client_must_fail(client, "qmp_capabilities", NULL, "CommandNotFound", "already");
    g_autoptr(JsonNode) version = qmp_client_must(client, "query-version", NULL);
    g_assert_true(g_str_has_prefix(qmp_string(version, "package"), "dirtylab "));
}

static void
test_ids_and_errors(void)
{
    static const char *const ids[] = {"1", "\"text\"", "null", "{\"a\":[1,{\"b\":true}]}", "-1.5", "[]", "false", "\"é\""};
    g_autoptr(Stage) stage = small_stage(ENDLESS);
    g_autoptr(QmpClient) client = qmp_client_new(stage->path);

    for (guint i = 0; i < G_N_ELEMENTS(ids); i++) {
        for (guint good = 0; good < 2; good++) {
            g_autofree char *text = g_strdup_printf("{\"id\": %s, \"execute\": \"%s\"}", ids[i], good ? "stop" : "start");
            qmp_client_send(client, text);
            g_autoptr(JsonNode) answer = qmp_client_answer(client);
            g_autofree char *id = json_to_string(qmp_member(answer, "id"), FALSE);
            g_assert_cmpstr(id, ==, ids[i]);
            g_assert_nonnull(qmp_member(answer, good ? "return" : "error"));
        }
    }
    qmp_client_must_fail(client, "nonsense", NULL, "CommandNotFound", "nonsense");
    qmp_client_must_fail(client, "stop", "{\"now\": true}", "GenericError", "takes no argument \"now\"");
    /* the error of a request that cannot be carried out bears its id too */
    qmp_client_send(client, "{\"id\": 77, \"execute\": 3}");
    g_autoptr(JsonNode) answer = qmp_client_answer(client);
    g_assert_cmpint(qmp_int(answer, "id"), ==, 77);
    g_assert_nonnull(qmp_member(answer, "error"));
}

/* Several commands in one write, without a newline between them, are answered in their order. */
static void
test_pipelining(void)
{
    g_autoptr(Stage) stage = small_stage(ENDLESS);
    g_autoptr(QmpClient) client = qmp_client_new(stage->path);
    g_autoptr(GString) text = g_string_new(NULL);

    for (guint i = 0; i < 200; i++)
        g_string_append_printf(text, "{\"execute\": \"%s\", \"id\": %u}",
                               i % 3 == 0   ? "stop"
                               : i % 3 == 1 ? "query-commands"
                                            : "cont",
                               i);
    qmp_client_send(client, text->str);
    for (guint i = 0; i < 200; i++) {
        g_autoptr(JsonNode) answer = qmp_client_answer(client);
        g_assert_cmpint(qmp_int(answer, "id"), ==, i);
        g_assert_nonnull(qmp_member(answer, "return"));
    }
}

static guint64
position(const Stage *stage)
{
    return guest_run_progress(stage->run, 0).position;
}

static void
test_stop_and_cont(void)
{
    g_autoptr(Stage) stage = small_stage(ENDLESS);
    g_autoptr(QmpClient) client = qmp_client_new(stage->path);
    g_autoptr(QmpClient) other = qmp_client_new(stage->path);

    while (!position(stage))
        g_usleep(1000);
    for (guint i = 0; i < 5; i++) {
        g_autoptr(JsonNode) stopped = qmp_client_must(client, "stop", NULL);
        g_autoptr(JsonNode) again = qmp_client_must(client, "stop", NULL);
        g_autoptr(JsonNode) event = qmp_client_wait_event(other, "STOP");
        g_assert_cmpint(qmp_int(event, "timestamp/seconds"), >, 1600000000);
        g_assert_cmpint(qmp_int(event, "timestamp/microseconds"), <, 1000000);
        g_autoptr(JsonNode) status = qmp_client_must(other, "query-status", NULL);
        g_assert_cmpstr(qmp_string(status, "status"), ==, "paused");
        g_assert_false(qmp_bool(status, "running"));
        guint64 before = position(stage);
        g_usleep(20000);
        g_assert_cmpuint(position(stage), ==, before);
        g_autoptr(JsonNode) went_on = qmp_client_must(other, "cont", NULL);
        g_autoptr(JsonNode) resume = qmp_client_wait_event(client, "RESUME");
        while (position(stage) == before)
            g_usleep(1000);
    }
    g_autoptr(JsonNode) status = qmp_client_must(client, "query-status", NULL);
    g_assert_cmpstr(qmp_string(status, "status"), ==, "running");
    g_autoptr(JsonNode) no_op = qmp_client_must(client, "cont", NULL);
}

static void
test_starts_paused(void)
{
    const ControlConfig config = {.paused = TRUE};
    g_autoptr(Stage) stage = stage_new((BoardConfig){.memory_bytes = 8 * MIB, .vcpus = 2}, ENDLESS " vcpus=2", &config);
    g_autoptr(QmpClient) client = qmp_client_new(stage->path);

    g_usleep(50000);
    g_assert_cmpuint(position(stage), ==, 0);
    g_autoptr(JsonNode) status = qmp_client_must(client, "query-status", NULL);
    g_assert_cmpstr(qmp_string(status, "status"), ==, "paused");
    g_autoptr(JsonNode) went_on = qmp_client_must(client, "cont", NULL);
    while (!position(stage))
        g_usleep(1000);
}

static void
expect_shutdown(QmpClient *client, gboolean guest, const char *reason)
{
    g_autoptr(JsonNode) event = qmp_client_wait_event(client, "SHUTDOWN");

    g_assert_cmpstr(qmp_string(event, "data/reason"), ==, reason);
    g_assert_cmpint(qmp_bool(event, "data/guest"), ==, guest);
}

static void
test_quit(void)
{
    g_autoptr(Stage) stage = small_stage(ENDLESS);
    g_autoptr(QmpClient) client = qmp_client_new(stage->path);
    g_autoptr(QmpClient) other = qmp_client_new(stage->path);

    g_assert_false(control_server_quit_requested(stage->server));
    g_autoptr(JsonNode) done = qmp_client_must(client, "quit", NULL);
    g_assert_true(machine_wait(board_machine(stage->run->board), 30000));
    g_assert_true(control_server_quit_requested(stage->server));
    expect_shutdown(client, FALSE, "host-qmp-quit");
    expect_shutdown(other, FALSE, "host-qmp-quit");
    qmp_client_must_fail(other, "cont", NULL, "GenericError", "shutdown");
}

static gboolean
stand_when_released(gpointer released, GError **error)
{
    (void)error;
    while (!g_atomic_int_get((gint *)released))
        g_usleep(1000);
    return TRUE;
}

static void
go_on(gpointer released)
{
    (void)released;
}

/* As many clients as there are workers, each in a pause that does not come about. */
static void
test_quit_waits_for_nobody(void)
{
    g_autoptr(Stage) stage = small_stage(ENDLESS);
    g_autoptr(QmpClient) quitter = qmp_client_new(stage->path);
    QmpClient *clients[8];
    gint released = FALSE;

    machine_add_pausable(board_machine(stage->run->board), stand_when_released, go_on, &released);
    for (guint i = 0; i < G_N_ELEMENTS(clients); i++) {
        clients[i] = qmp_client_new(stage->path);
        qmp_client_send(clients[i], "{\"execute\": \"stop\"}");
    }
    g_usleep(200000);
    g_autoptr(JsonNode) done = qmp_client_must(quitter, "quit", NULL);
    g_assert_true(machine_wait(board_machine(stage->run->board), 20000));
    g_atomic_int_set(&released, TRUE);
    expect_shutdown(quitter, FALSE, "host-qmp-quit");
    for (guint i = 0; i < G_N_ELEMENTS(clients); i++)
        qmp_client_free(clients[i]);
}

static void
test_guest_ends(void)
{
    static const struct {
        MachineEnd end;
        gboolean guest;
        const char *reason;
    } cases[] = {
        {MACHINE_POWERED_OFF, TRUE, "guest-shutdown"}, {MACHINE_RESET, TRUE, "guest-reset"}, {MACHINE_QUIT, FALSE, "host-ui"}};

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(Stage) stage = small_stage(ENDLESS);
        g_autoptr(QmpClient) client = qmp_client_new(stage->path);
        machine_shut_down(board_machine(stage->run->board), cases[i].end);
        expect_shutdown(client, cases[i].guest, cases[i].reason);
        g_autoptr(JsonNode) stopped = qmp_client_wait_event(client, "STOP");
        g_autoptr(JsonNode) status = qmp_client_must(client, "query-status", NULL);
        g_assert_cmpstr(qmp_string(status, "status"), ==, "shutdown");
    }
}

static void
test_guest_crashes(void)
{
    g_autoptr(Stage) stage = small_stage(ENDLESS);
    g_autoptr(QmpClient) client = qmp_client_new(stage->path);

    machine_crash(board_machine(stage->run->board), "a test");
    expect_shutdown(client, TRUE, "guest-panic");
    g_autoptr(JsonNode) stopped = qmp_client_wait_event(client, "STOP");
    g_autoptr(JsonNode) status = qmp_client_must(client, "query-status", NULL);
    g_assert_cmpstr(qmp_string(status, "status"), ==, "internal-error");
    g_assert_false(qmp_bool(status, "running"));
}

/* What was queued when the server ends still arrives, and then the connection's end. */
static void
test_end_is_told(void)
{
    Stage *stage = small_stage(ENDLESS);
    g_autoptr(QmpClient) client = qmp_client_new(stage->path);

    stage_free(stage);
    expect_shutdown(client, FALSE, "host-signal");
    qmp_client_ended(client);
}

/* --- the socket's file --- */

static void
expect_refused(Stage *stage, const char *uri, gint code, const char *text)
{
    const ControlConfig config = {.uri = uri};
    g_autoptr(GError) error = NULL;

    g_assert_null(control_server_new(stage->run->board, &config, &error));
    g_assert_error(error, CONTROL_ERROR, code);
    g_test_message("%s", error->message);
    g_assert_nonnull(strstr(error->message, text));
}

static void
test_addresses(void)
{
    g_autoptr(Stage) stage = small_stage(ENDLESS);
    g_autofree char *file = g_build_filename(stage->folder, "file", NULL);
    g_autofree char *file_uri = g_strconcat("unix:", file, NULL);
    g_autofree char *nowhere = g_strconcat("unix:", stage->folder, "/no/such", NULL);
    g_autofree char *too_long = g_strdup_printf("unix:%s/%0200d", stage->folder, 0);
    struct stat there;

    g_assert_no_errno(stat(stage->path, &there));
    g_assert_cmpint(there.st_mode & 07777, ==, 0600);
    expect_refused(stage, stage->uri, CONTROL_ERROR_FAILED, "another process listens there");
    g_assert_true(g_file_set_contents(file, "precious", -1, NULL));
    expect_refused(stage, file_uri, CONTROL_ERROR_FAILED, "no socket lies there");
    expect_refused(stage, nowhere, CONTROL_ERROR_FAILED, "No such file");
    expect_refused(stage, "tcp:localhost:1", CONTROL_ERROR_USAGE, "unix:PATH");
    expect_refused(stage, "unix:", CONTROL_ERROR_USAGE, "unix:PATH");
    expect_refused(stage, "", CONTROL_ERROR_USAGE, "unix:PATH");
    expect_refused(stage, too_long, CONTROL_ERROR_USAGE, "107 at most");
    g_autoptr(QmpClient) client = qmp_client_new(stage->path); /* the live one was left alone */
    g_assert_no_errno(g_unlink(file));
}

/* The socket of a process that was killed. */
static void
test_stale_socket(void)
{
    g_autoptr(Stage) stage = small_stage(ENDLESS);
    g_autoptr(GuestRun) run = guest_run_new((BoardConfig){.memory_bytes = 8 * MIB, .vcpus = 1}, ENDLESS);
    g_autofree char *stale = g_build_filename(stage->folder, "stale", NULL);
    g_autofree char *uri = g_strconcat("unix:", stale, NULL);
    const ControlConfig config = {.uri = uri};
    g_autoptr(GError) error = NULL;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_strlcpy(address.sun_path, stale, sizeof address.sun_path);
    g_assert_no_errno(bind(fd, (struct sockaddr *)&address, sizeof address));
    g_assert_no_errno(listen(fd, 1));
    close(fd);
    g_autoptr(ControlServer) server = control_server_new(run->board, &config, &error);
    g_assert_no_error(error);
    guest_run_start(run);
    g_autoptr(QmpClient) client = qmp_client_new(stale);
    /* somebody else's socket at our path is not ours to remove */
    g_assert_no_errno(g_unlink(stale));
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_no_errno(bind(fd, (struct sockaddr *)&address, sizeof address));
    control_server_free(g_steal_pointer(&server));
    g_assert_no_errno(g_unlink(stale));
    close(fd);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/control/nothing-works-before-the-negotiation", test_negotiation);
    g_test_add_func("/control/ids-come-back-with-answers-and-errors", test_ids_and_errors);
    g_test_add_func("/control/commands-in-one-write-are-answered-in-order", test_pipelining);
    g_test_add_func("/control/stop-and-cont-stop-the-guest-and-tell-everybody", test_stop_and_cont);
    g_test_add_func("/control/a-guest-can-start-paused", test_starts_paused);
    g_test_add_func("/control/quit-ends-the-machine", test_quit);
    g_test_add_func("/control/quit-waits-for-nobody", test_quit_waits_for_nobody);
    g_test_add_func("/control/a-guest-that-shuts-down-is-announced", test_guest_ends);
    g_test_add_func("/control/a-guest-that-crashes-is-announced", test_guest_crashes);
    g_test_add_func("/control/clients-learn-of-the-end", test_end_is_told);
    g_test_add_func("/control/addresses-that-cannot-be-had-are-refused", test_addresses);
    g_test_add_func("/control/a-stale-socket-is-replaced-and-only-our-own-removed", test_stale_socket);
    return g_test_run();
}
