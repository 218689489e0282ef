/* SPDX-License-Identifier: MIT */
#include "moves.h"

JsonNode *
set_tracker(QmpClient *client, const char *tracker)
{
    g_autofree char *arguments = g_strdup_printf("{\"tracker\": \"%s\"}", tracker);

    return qmp_client_must(client, "x-dirtylab-set-tracker", arguments);
}

GPtrArray *
usable_trackers(QmpClient *client)
{
    g_autoptr(JsonNode) list = qmp_client_must(client, "x-dirtylab-query-trackers", NULL);
    JsonArray *entries = json_node_get_array(list);
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);

    g_assert_cmpuint(json_array_get_length(entries), ==, dl_n_trackers());
    for (guint i = 0; i < dl_n_trackers(); i++) {
        JsonNode *entry = json_array_get_element(entries, i);
        const char *name = qmp_string(entry, "tracker");
        g_assert_cmpstr(name, ==, dl_tracker_facts(i)->name);
        if (!qmp_bool(entry, "supported"))
            g_test_message("without %s: %s", name, qmp_string(entry, "reason"));
        else if (!g_str_equal(name, "none"))
            g_ptr_array_add(names, g_strdup(name));
    }
    return names;
}

void
start_measuring(QmpClient *client, const char *mode, gint64 ms)
{
    g_autofree char *arguments =
        g_strdup_printf("{\"calc-time\": %" G_GINT64_FORMAT ", \"calc-time-unit\": \"millisecond\", \"mode\": \"%s\"}", ms, mode);
    g_autoptr(JsonNode) started = qmp_client_must(client, "calc-dirty-rate", arguments);
}

JsonNode *
wait_measured(QmpClient *client)
{
    for (guint i = 0; i < 12000; i++) { /* a busy host has kept a measurement waiting for half a minute */
        JsonNode *report = qmp_client_must(client, "query-dirty-rate", "{\"calc-time-unit\": \"millisecond\"}");
        if (!g_str_equal(qmp_string(report, "status"), "measuring"))
            return report;
        json_node_unref(report);
        g_usleep(10000);
    }
    g_error("the measurement does not end");
}

void
expect_equal(Board *board, Twin *twin)
{
    Machine *machine = board_machine(board);
    g_autoptr(GError) error = NULL;

    machine_pause(machine, &error);
    g_assert_no_error(error);
    twin_follow(twin);
    g_assert_cmpuint(twin_differences(twin), ==, 0);
    machine_resume(machine);
}

/* One move from @a to @b while a measurement that began under @a goes on. */
static void
move_pair(Board *board, QmpClient *client, Twin *twin, const char *a, const char *b, gint64 ms)
{
    start_measuring(client, a, ms);
    twin_follow(twin);
    g_usleep(10000);
    g_autoptr(JsonNode) moved = set_tracker(client, b);
    g_assert_cmpstr(qmp_string(moved, "from"), ==, a);
    g_test_message("%s to %s: %s", a, b, qmp_string(moved, "kind"));
    g_assert_cmpstr(qmp_string(moved, "kind"), !=, "all-dirty");
    expect_equal(board, twin);
    twin_follow(twin);
    g_autoptr(JsonNode) report = wait_measured(client);
    g_assert_cmpstr(qmp_string(report, "status"), ==, "measured");
    g_assert_cmpstr(qmp_string(report, "mode"), ==, a);
    g_assert_cmpint(qmp_int(report, "x-dirtylab-pages"), >, 0);
    g_assert_cmpint(qmp_int(report, "x-dirtylab-pages"), <=, (gint64)(guest_ram_size(board_ram(board)) / DL_PAGE_SIZE));
    g_assert_cmpint(qmp_int(report, "x-dirtylab-interval-ns"), >=, ms * 1000000);
    g_assert_cmpstr(dl_log_tracker(board_log(board))->name, ==, b);
    expect_equal(board, twin);
}

void
move_through_every_pair(Board *board, QmpClient *client, gint64 ms)
{
    g_autoptr(GPtrArray) names = usable_trackers(client);

    g_assert_cmpuint(names->len, >=, 1);
    g_autoptr(JsonNode) armed = set_tracker(client, g_ptr_array_index(names, 0));
    g_autoptr(Twin) twin = twin_new(board_log(board));
    for (guint i = 0; i < names->len; i++) {
        for (guint k = i + 1; k < names->len; k++) {
            const char *a = g_ptr_array_index(names, i);
            const char *b = g_ptr_array_index(names, k);
            g_autoptr(JsonNode) there = set_tracker(client, a);
            move_pair(board, client, twin, a, b, ms);
            move_pair(board, client, twin, b, a, ms);
        }
    }
    g_assert_cmpstr(machine_crash_reason(board_machine(board)), ==, NULL);
}
