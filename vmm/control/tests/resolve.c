/* SPDX-License-Identifier: MIT */
/* Who looks on while a hand-over is resolved never sees it resolved and the guest neither here nor gone. */
#include <migration/tests/proxy.h>
#include <migration/tests/rig.h>

#include "control/migrate.h"

#define WAIT_MS 60000

typedef struct {
    Migrate *migrate;
    guint changes; /* to what a resolved guest is */
} Onlooker;

static void
ignore_event(gpointer user, const char *name, JsonObject *data)
{
    (void)user;
    (void)name;
    json_object_unref(data);
}

/* At the very moment of the change. */
static void
look(gpointer user, RunStatus from, RunStatus to)
{
    Onlooker *onlooker = user;
    g_auto(MigrationInfo) info = {0};

    if (from != RUN_FINISH_MIGRATE)
        return;
    g_assert_true(to == RUN_RUNNING || to == RUN_POSTMIGRATE);
    g_assert_true(migrate_query(onlooker->migrate, &info, NULL));
    g_assert_true(info.handover_unresolved);
    onlooker->changes++;
}

static void
wait_until_failed(Migrate *migrate)
{
    for (guint i = 0; i < WAIT_MS; i++) {
        g_auto(MigrationInfo) info = {0};
        g_assert_true(migrate_query(migrate, &info, NULL));
        if (info.status == MIGRATION_FAILED)
            return;
        g_assert_false(migration_status_is_final(info.status));
        g_usleep(1000);
    }
    g_assert_not_reached();
}

static void
test_onlooker(gconstpointer data)
{
    const gboolean run = GPOINTER_TO_INT(data);
    const Fault lost = {.kind = FAULT_CUT, .type = FRAME_GO, .nth = 1};
    const RigConfig config = {.memory_bytes = 32 * MIB};
    g_autoptr(Rig) rig = rig_new(&config);
    Board *board = rig->from->board;
    Onlooker onlooker = {0};
    int fds[2];
    g_autoptr(Proxy) proxy = proxy_new(&lost, fds);
    g_autofree char *uri = g_strdup_printf("fd:%d", fds[0]);
    g_autoptr(RunState) state = run_state_new(board_machine(board), look, &onlooker);
    g_autoptr(Tracking) tracking = tracking_new(board);
    g_autoptr(GError) error = NULL;
    g_auto(MigrationInfo) info = {0};

    Migrate *migrate = onlooker.migrate = migrate_new(board, state, tracking, ignore_event, NULL);
    rig_new_destination(rig, fds[1]);
    g_assert_true(migrate_start(migrate, uri, NULL, 0, &error));
    wait_until_failed(migrate);
    g_assert_cmpint(run_state_get(state), ==, RUN_FINISH_MIGRATE);
    g_assert_true(migrate_resolve(migrate, run, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(onlooker.changes, ==, 1);
    g_assert_cmpint(run_state_get(state), ==, run ? RUN_RUNNING : RUN_POSTMIGRATE);
    migrate_query(migrate, &info, NULL);
    g_assert_false(info.handover_unresolved);
    g_assert_false(migrate_resolve(migrate, run, NULL));
    migrate_free(migrate);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/resolve/the-guest-goes-on/only-then-resolved", GINT_TO_POINTER(TRUE), test_onlooker);
    g_test_add_data_func("/resolve/the-guest-is-gone/only-then-resolved", GINT_TO_POINTER(FALSE), test_onlooker);
    return g_test_run();
}
