/* SPDX-License-Identifier: MIT */
/* `dirtylab migrate`: tells a guest's control socket to migrate it, and shows how it goes. By QEMU's commands: it drives QEMU too. */
#include <stdio.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/qmp_client.h"
#include "results/units.h"

#define LOOK_US 100000
#define PAGE_BYTES 4096
#define NO_LIMIT "0"
#define LONG_MS 10000 /* after this long somebody who waits wants to know why */
#define LONG_PASSES 4

/** What the user typed. */
typedef struct {
    char *control, *tracker, *bandwidth, *downtime_limit;
    gboolean auto_converge;
    char **uris;
} Typed;

static void
typed_clear(Typed *typed)
{
    g_free(typed->control);
    g_free(typed->tracker);
    g_free(typed->bandwidth);
    g_free(typed->downtime_limit);
    g_strfreev(typed->uris);
}

static gboolean
check(const Typed *typed, guint64 *bandwidth, guint64 *downtime_limit, GError **error)
{
    guint tracker;

    if (!typed->control || !g_str_has_prefix(typed->control, "unix:") || !typed->control[strlen("unix:")]) {
        g_set_error_literal(error, CMD_ERROR, CMD_ERROR_USAGE,
                            "--control: give the guest's control socket, as in --control unix:/tmp/guest.sock");
        return FALSE;
    }
    if (!typed->uris || g_strv_length(typed->uris) != 1) {
        g_set_error_literal(error, CMD_ERROR, CMD_ERROR_USAGE,
                            "give one address to migrate to: unix:PATH, tcp:HOST:PORT or fd:N");
        return FALSE;
    }
    if (typed->tracker && !cmd_lookup_tracker(typed->tracker, &tracker)) {
        g_autofree char *known = cmd_known_trackers();
        g_set_error(error, CMD_ERROR, CMD_ERROR_USAGE, "--tracker: \"%s\" is none of %s", typed->tracker, known);
        return FALSE;
    }
    return (!typed->bandwidth || g_str_equal(typed->bandwidth, NO_LIMIT) ||
            cmd_parse_size("--bandwidth", typed->bandwidth, bandwidth, error)) &&
           (!typed->downtime_limit ||
            cmd_parse_count("--downtime-limit", typed->downtime_limit, 1, 2000000, downtime_limit, error));
}

/* --- commands --- */

/* For commands whose answer says nothing. @arguments is consumed. */
static gboolean
tell(QmpClient *client, const char *command, JsonObject *arguments, GError **error)
{
    g_autoptr(JsonObject) answer = qmp_client_execute(client, command, arguments, error);

    return answer != NULL;
}

static gboolean
tell_string(QmpClient *client, const char *command, const char *name, const char *value, GError **error)
{
    JsonObject *arguments = json_object_new();

    json_object_set_string_member(arguments, name, value);
    return tell(client, command, arguments, error);
}

static gboolean
enable(QmpClient *client, const char *capability, GError **error)
{
    JsonObject *wanted = json_object_new(), *arguments = json_object_new();
    JsonArray *capabilities = json_array_new();

    json_object_set_string_member(wanted, "capability", capability);
    json_object_set_boolean_member(wanted, "state", TRUE);
    json_array_add_object_element(capabilities, wanted);
    json_object_set_array_member(arguments, "capabilities", capabilities);
    return tell(client, "migrate-set-capabilities", arguments, error);
}

static gboolean
start(QmpClient *client, const Typed *typed, guint64 bandwidth, guint64 downtime_limit, GError **error)
{
    JsonObject *parameters = json_object_new();

    if (typed->bandwidth)
        json_object_set_int_member(parameters, "max-bandwidth", (gint64)bandwidth);
    if (downtime_limit)
        json_object_set_int_member(parameters, "downtime-limit", (gint64)downtime_limit);
    return tell(client, "migrate-set-parameters", parameters, error) &&
           (!typed->auto_converge || enable(client, "auto-converge", error)) &&
           (!typed->tracker || tell_string(client, "x-dirtylab-set-tracker", "tracker", typed->tracker, error)) &&
           tell_string(client, "migrate", "uri", typed->uris[0], error);
}

/* --- how it goes --- */

/** What query-migrate says; -1 and NaN: not known. */
typedef struct {
    char *status, *reason;
    gboolean unresolved;
    double total_ms, downtime_ns, expected_downtime_ms, transferred, remaining, dirty_pages_rate, mbps, pass;
} Progress;

static void
progress_clear(Progress *progress)
{
    g_free(progress->status);
    g_free(progress->reason);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Progress, progress_clear)

static double
number_of(JsonObject *object, const char *name)
{
    JsonNode *node = object ? json_object_get_member(object, name) : NULL;
    gboolean number = node && (json_node_get_value_type(node) == G_TYPE_INT64 || json_node_get_value_type(node) == G_TYPE_DOUBLE);

    return number ? json_node_get_double(node) : -1;
}

static char *
text_of(JsonObject *object, const char *name)
{
    JsonNode *node = json_object_get_member(object, name);

    return node && json_node_get_value_type(node) == G_TYPE_STRING ? json_node_dup_string(node) : NULL;
}

static gboolean
ask(QmpClient *client, Progress *progress, GError **error)
{
    g_autoptr(JsonObject) answer = qmp_client_execute(client, "query-migrate", NULL, error);
    JsonNode *node = answer ? json_object_get_member(answer, "ram") : NULL;
    JsonObject *ram = node && JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;

    if (!answer)
        return FALSE;
    g_autofree char *handover = text_of(answer, "x-dirtylab-handover");
    *progress = (Progress){.status = text_of(answer, "status"),
                           .reason = text_of(answer, "error-desc"),
                           .unresolved = g_strcmp0(handover, "unresolved") == 0,
                           .total_ms = number_of(answer, "total-time"),
                           .downtime_ns = number_of(answer, "x-dirtylab-downtime-ns"),
                           .expected_downtime_ms = number_of(answer, "expected-downtime"),
                           .transferred = number_of(ram, "transferred"),
                           .remaining = number_of(ram, "remaining"),
                           .dirty_pages_rate = number_of(ram, "dirty-pages-rate"),
                           .mbps = number_of(ram, "mbps"),
                           .pass = number_of(ram, "dirty-sync-count")};
    return TRUE;
}

static char *
bytes_text(double bytes)
{
    return bytes < 0 ? g_strdup(UNIT_NOTHING) : unit_bytes((guint64)bytes);
}

/* One line that is written over, cut so that it never wraps. */
static void
show(const Progress *progress)
{
    g_autofree char *remaining = bytes_text(progress->remaining), *rate = bytes_text(progress->dirty_pages_rate * PAGE_BYTES),
                    *bandwidth = bytes_text(progress->mbps < 0 ? -1 : progress->mbps * 1e6 / 8),
                    *downtime = unit_time(progress->expected_downtime_ms * 1e6);
    g_autofree char *line =
        g_strdup_printf("%s, pass %.0f, %s left, dirtied %s/s, sent %s/s, downtime %s", progress->status ? progress->status : "?",
                        MAX(progress->pass, 0), remaining, rate, bandwidth, downtime);

    fprintf(stderr, "\r%-78.78s", line);
    fflush(stderr);
}

/* Whether it looks as if it went on for ever: the guest writes about as fast as it is sent. */
static gboolean
goes_nowhere(const Progress *progress)
{
    return progress->total_ms > LONG_MS && progress->pass > LONG_PASSES && progress->mbps > 0 &&
           progress->dirty_pages_rate * PAGE_BYTES > progress->mbps * 1e6 / 8 / 2;
}

static void
advise(const Progress *progress, gboolean terminal)
{
    g_autofree char *rate = bytes_text(progress->dirty_pages_rate * PAGE_BYTES),
                    *bandwidth = bytes_text(progress->mbps * 1e6 / 8);

    fprintf(stderr,
            "%sdirtylab: the guest writes %s/s and %s/s is sent: this may never end; interrupt it, then try a larger --bandwidth "
            "(0: no limit), a longer --downtime-limit, or --auto-converge, which slows the guest down\n",
            terminal ? "\r" : "", rate, bandwidth);
}

/* `none` is what it may say before it has begun. */
static gboolean
is_over(const Progress *progress)
{
    static const char *const over[] = {"completed", "failed", "cancelled", NULL};

    return !progress->status || g_strv_contains(over, progress->status);
}

/* Until it is over; an interruption cancels it. */
static gboolean
follow(QmpClient *client, const volatile gint *interrupted, Progress *progress, GError **error)
{
    gboolean terminal = isatty(STDERR_FILENO), cancelled = FALSE, advised = FALSE;

    for (;;) {
        if (!ask(client, progress, error))
            return FALSE;
        if (is_over(progress))
            break;
        if (!advised && goes_nowhere(progress)) {
            advised = TRUE;
            advise(progress, terminal);
        }
        if (terminal)
            show(progress);
        if (*interrupted && !cancelled) {
            cancelled = TRUE;
            tell(client, "migrate_cancel", NULL, NULL); /* too late, perhaps: then it ends otherwise */
        }
        progress_clear(progress);
        g_usleep(LOOK_US);
    }
    if (terminal)
        fprintf(stderr, "\r%78s\r", "");
    return TRUE;
}

static int
conclude(const Progress *progress, GError **error)
{
    g_autofree char *total = unit_time(progress->total_ms * 1e6), *downtime = unit_time(progress->downtime_ns),
                    *sent = bytes_text(progress->transferred);

    if (g_strcmp0(progress->status, "completed") == 0) {
        g_print("completed: total %s, downtime %s, sent %s\n", total, downtime, sent);
        return EXIT_DONE;
    }
    if (progress->unresolved)
        g_set_error(error, QMP_CLIENT_ERROR, QMP_CLIENT_ERROR_COMMAND,
                    "it is not known whether the guest runs on the other side; it is paused here: look there, then use "
                    "x-dirtylab-resolve-handover");
    else
        g_set_error(error, QMP_CLIENT_ERROR, QMP_CLIENT_ERROR_COMMAND, "the migration %s%s%s",
                    g_strcmp0(progress->status, "cancelled") == 0 ? "was cancelled" : "failed", progress->reason ? ": " : "",
                    progress->reason ? progress->reason : "");
    return EXIT_FAILED;
}

static int
migrate(const Typed *typed, guint64 bandwidth, guint64 downtime_limit)
{
    const volatile gint *interrupted = cmd_catch_signals();
    g_autoptr(GError) error = NULL;
    g_autoptr(QmpClient) client = qmp_client_new(typed->control, &error);
    g_auto(Progress) progress = {0};

    if (!client || !start(client, typed, bandwidth, downtime_limit, &error) || !follow(client, interrupted, &progress, &error))
        return cmd_fail(error);
    int status = conclude(&progress, &error);
    if (error)
        cmd_fail(error);
    return status != EXIT_DONE && *interrupted ? cmd_signal_status() : status;
}

static int
run(int argc, char **argv)
{
    Typed typed = {0};
    const GOptionEntry entries[] = {
        {"control", 0, 0, G_OPTION_ARG_STRING, &typed.control, "The guest's control socket", "unix:PATH"},
        {"tracker", 0, 0, G_OPTION_ARG_STRING, &typed.tracker, "Track what it writes by this (the active one)", "NAME"},
        {"bandwidth", 0, 0, G_OPTION_ARG_STRING, &typed.bandwidth,
         "At most so much a second while it runs, 0: no limit (as it is set there)", "SIZE or 0"},
        {"auto-converge", 0, 0, G_OPTION_ARG_NONE, &typed.auto_converge, "Slow the guest down if it outruns the channel", NULL},
        {"downtime-limit", 0, 0, G_OPTION_ARG_STRING, &typed.downtime_limit,
         "Stop it when the rest takes no longer (as it is set there)", "MS"},
        {G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_STRING_ARRAY, &typed.uris, "Where to: unix:PATH, tcp:HOST:PORT, fd:N", "URI"},
        {0}};
    guint64 bandwidth = 0, downtime_limit = 0;
    g_autoptr(GError) error = NULL;
    int status;

    if (cmd_parse(&cmd_migrate, entries, argc, argv, &error) && check(&typed, &bandwidth, &downtime_limit, &error))
        status = migrate(&typed, bandwidth, downtime_limit);
    else
        status = error ? cmd_fail(error) : EXIT_DONE;
    typed_clear(&typed);
    return status;
}

const Subcommand cmd_migrate = {
    .name = "migrate",
    .summary = "Migrate a running guest to another process, with live progress.",
    .example = "dirtylab migrate --control unix:/tmp/guest.sock tcp:192.0.2.7:4444 --bandwidth 1G",
    .run = run,
};
