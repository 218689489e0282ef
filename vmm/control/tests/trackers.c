/* SPDX-License-Identifier: MIT */
/* Moving trackers, and measuring the dirty rate, on a guest that writes all the time: nothing is lost. */
#include <string.h>

#include "control/tracking.h"
#include "moves.h"
#include "stage.h"

#define MIB (UINT64_C(1) << 20)
#define MEMORY (32 * MIB)
#define LOAD "pattern=random pages=1500 passes=0 vcpus=2 quiet"
#define RING_ENTRIES 4096

static Stage *
loaded_stage(guint ring_entries)
{
    return stage_new((BoardConfig){.memory_bytes = MEMORY, .vcpus = 2, .dirty_ring_entries = ring_entries}, LOAD, NULL);
}

static void
test_every_pair(gconstpointer data)
{
    g_autoptr(Stage) stage = loaded_stage(GPOINTER_TO_UINT(data));
    g_autoptr(QmpClient) client = qmp_client_new(stage->path);

    move_through_every_pair(stage->run->board, client, 60);
}

static void
test_twin_notices(void)
{
    g_autoptr(Stage) stage = loaded_stage(0);
    g_autoptr(QmpClient) client = qmp_client_new(stage->path);
    g_autoptr(JsonNode) armed = set_tracker(client, "kvm-bitmap");
    g_autoptr(Twin) twin = twin_new(board_log(stage->run->board));
    g_autoptr(GError) error = NULL;

    expect_equal(stage->run->board, twin);
    guest_run_wait_for_writes(stage->run, guest_run_total(stage->run) + 100);
    g_assert_true(machine_pause(board_machine(stage->run->board), &error)); /* first: what is written again is reported again */
    twin_forget(twin);
    twin_follow(twin);
    g_assert_cmpuint(twin_differences(twin), >, 0);
    machine_resume(board_machine(stage->run->board));
}

/* --- everything at once --- */

typedef struct {
    Stage *stage;
    GPtrArray *names;
    GRand *random;
    gint *end;
    guint calls;
    guint refused;
} Stormer;

static gpointer
storm_moves(gpointer user)
{
    Stormer *stormer = user;
    g_autoptr(QmpClient) client = qmp_client_new(stormer->stage->path);

    do {
        const char *name = g_ptr_array_index(stormer->names, g_rand_int_range(stormer->random, 0, (gint)stormer->names->len));
        g_autoptr(JsonNode) moved = set_tracker(client, name);
        g_usleep((gulong)g_rand_int_range(stormer->random, 0, 10000));
        stormer->calls++;
    } while (!g_atomic_int_get(stormer->end));
    return NULL;
}

static gpointer
storm_measurements(gpointer user)
{
    Stormer *stormer = user;
    g_autoptr(QmpClient) client = qmp_client_new(stormer->stage->path);

    do {
        gint which = g_rand_int_range(stormer->random, -1, (gint)stormer->names->len);
        start_measuring(client, which < 0 ? "page-sampling" : g_ptr_array_index(stormer->names, which), 50);
        g_autoptr(JsonNode) report = wait_measured(client);
        g_assert_cmpstr(qmp_string(report, "status"), ==, "measured");
        g_assert_cmpint(qmp_int(report, "x-dirtylab-pages"), <=, MEMORY / DL_PAGE_SIZE);
        stormer->calls++;
    } while (!g_atomic_int_get(stormer->end));
    return NULL;
}

static gpointer
storm_pauses(gpointer user)
{
    Stormer *stormer = user;
    g_autoptr(QmpClient) client = qmp_client_new(stormer->stage->path);

    do {
        g_autoptr(JsonNode) stopped = qmp_client_must(client, "stop", NULL);
        g_autoptr(JsonNode) went_on = qmp_client_must(client, "cont", NULL);
        g_usleep((gulong)g_rand_int_range(stormer->random, 0, 20000));
        stormer->calls++;
    } while (!g_atomic_int_get(stormer->end));
    return NULL;
}

static void
test_storm(gconstpointer data)
{
    static const struct {
        const char *name;
        GThreadFunc run;
    } kinds[] = {
        {"moves", storm_moves}, {"more moves", storm_moves}, {"measurements", storm_measurements}, {"pauses", storm_pauses}};
    g_autoptr(Stage) stage = loaded_stage(GPOINTER_TO_UINT(data));
    g_autoptr(QmpClient) client = qmp_client_new(stage->path);
    g_autoptr(GPtrArray) names = usable_trackers(client);
    g_autoptr(JsonNode) armed = set_tracker(client, g_ptr_array_index(names, 0));
    g_autoptr(Twin) twin = twin_new(board_log(stage->run->board));
    Stormer stormers[G_N_ELEMENTS(kinds)];
    GThread *threads[G_N_ELEMENTS(kinds)];
    gint end = FALSE;

    for (guint i = 0; i < G_N_ELEMENTS(kinds); i++) {
        stormers[i] = (Stormer){stage, names, g_rand_new_with_seed(g_test_rand_int()), &end, 0, 0};
        threads[i] = g_thread_new(kinds[i].name, kinds[i].run, &stormers[i]);
    }
    for (guint i = 0; i < 40; i++) {
        g_usleep((gulong)g_test_rand_int_range(0, 30000));
        twin_follow(twin);
        if (i % 2)
            expect_equal(stage->run->board, twin);
    }
    g_atomic_int_set(&end, TRUE);
    for (guint i = 0; i < G_N_ELEMENTS(kinds); i++) {
        g_thread_join(threads[i]);
        g_test_message("%u %s", stormers[i].calls, kinds[i].name);
        g_assert_cmpuint(stormers[i].calls, >, 0);
        g_rand_free(stormers[i].random);
    }
    expect_equal(stage->run->board, twin);
}

/* --- the rate --- */

#define WRITTEN 300
#define PAGE_TABLES 8 /* on nested paging the walks of the guest's page tables write to them */

/* The guest is idle; this thread is the only writer, and notes what it writes. */
static void
write_known(Board *board)
{
    for (guint round = 1; round <= 3; round++) {
        for (guint64 i = 0; i < WRITTEN; i++) {
            guint64 value = i + round;
            g_assert_true(guest_ram_store(board_ram(board), ABI_ARENA_GPA + i * 3 * DL_PAGE_SIZE, &value, sizeof value));
        }
        if (round == 2) /* another consumer's harvest takes nothing away */
            g_assert_true(dl_log_harvest(board_log(board), NULL));
    }
}

static void
fill_ram(Board *board)
{
    static guint8 page[DL_PAGE_SIZE];

    page[0]++;
    for (guint64 gpa = 0; gpa < MEMORY; gpa += DL_PAGE_SIZE)
        g_assert_true(guest_ram_store(board_ram(board), gpa, page, sizeof page));
}

/* What @write writes, all of it in one measurement: on a host that is too busy for that, in a longer one. Returns the report. */
static JsonNode *
measure_writes(Stage *stage, QmpClient *client, const char *mode, void (*write)(Board *board), gint64 *calc_ms)
{
    for (*calc_ms = 400;; *calc_ms *= 2) {
        gint64 begin = g_get_monotonic_time();
        g_assert_cmpint(*calc_ms, <=, 60000);
        start_measuring(client, mode, *calc_ms);
        write(stage->run->board);
        gboolean in_time = g_get_monotonic_time() - begin < *calc_ms * 1000;
        JsonNode *report = wait_measured(client);
        if (in_time)
            return report;
        json_node_unref(report);
    }
}

static void
measure_known_writes(Stage *stage, QmpClient *client, const char *mode)
{
    gint64 calc_ms;
    g_autoptr(JsonNode) report = measure_writes(stage, client, mode, write_known, &calc_ms);

    g_assert_cmpstr(qmp_string(report, "status"), ==, "measured");
    gint64 pages = qmp_int(report, "x-dirtylab-pages");
    g_assert_cmpint(pages, >=, WRITTEN);
    g_assert_cmpint(pages, <=, WRITTEN + PAGE_TABLES);
    double seconds = (double)qmp_int(report, "x-dirtylab-interval-ns") / 1e9;
    g_assert_cmpint(qmp_int(report, "dirty-rate"), ==, (gint64)((double)pages * 4096.0 / (double)MIB / seconds));
    g_assert_cmpint(qmp_int(report, "calc-time"), ==, calc_ms);
    g_assert_cmpint(qmp_int(report, "start-time"), <=, g_get_monotonic_time() / G_USEC_PER_SEC);
    g_assert_cmpstr(qmp_string(report, "mode"), ==, mode);
}

static void
test_known_rate(gconstpointer data)
{
    guint ring = GPOINTER_TO_UINT(data);
    g_autoptr(Stage) stage = stage_new((BoardConfig){.memory_bytes = MEMORY, .vcpus = 1, .dirty_ring_entries = ring},
                                       "pattern=idle passes=0 quiet", NULL);
    g_autoptr(QmpClient) client = qmp_client_new(stage->path);
    g_autoptr(GPtrArray) names = usable_trackers(client);

    while (!g_atomic_int_get(&stage->run->ready))
        g_usleep(1000);
    for (guint i = 0; i < names->len; i++) {
        measure_known_writes(stage, client, g_ptr_array_index(names, i));
        g_assert_cmpstr(dl_log_tracker(board_log(stage->run->board))->name, ==, "none");
    }
    measure_known_writes(stage, client, ring ? "dirty-ring" : "dirty-bitmap");
}

static void
test_qemu_modes(void)
{
    g_autoptr(Stage) stage = loaded_stage(RING_ENTRIES);
    g_autoptr(QmpClient) client = qmp_client_new(stage->path);
    g_autoptr(JsonNode) before = qmp_client_must(client, "query-dirty-rate", NULL);

    g_assert_cmpstr(qmp_string(before, "status"), ==, "unstarted");
    g_assert_null(qmp_member(before, "dirty-rate"));
    start_measuring(client, "dirty-ring", 1000); /* so long that a busy host lets each vCPU write a MiB */
    g_autoptr(JsonNode) report = wait_measured(client);
    JsonArray *rates = json_node_get_array(qmp_member(report, "vcpu-dirty-rate"));
    g_assert_cmpuint(json_array_get_length(rates), ==, 2);
    gint64 sum = 0;
    for (guint i = 0; i < 2; i++) {
        g_assert_cmpint(qmp_int(json_array_get_element(rates, i), "id"), ==, i);
        sum += qmp_int(json_array_get_element(rates, i), "dirty-rate");
    }
    g_assert_cmpint(sum, >, 0);
    g_assert_cmpint(sum + 2, >=,
                    qmp_int(report, "dirty-rate")); /* a page that both wrote counts twice, and each is rounded down */

    start_measuring(client, "page-sampling", 200);
    g_autoptr(JsonNode) sampled = wait_measured(client);
    g_assert_cmpstr(qmp_string(sampled, "mode"), ==, "page-sampling");
    g_assert_cmpint(qmp_int(sampled, "sample-pages"), ==, 512);
    g_assert_null(qmp_member(sampled, "vcpu-dirty-rate"));
    qmp_client_must_fail(client, "calc-dirty-rate", "{\"calc-time\": 1, \"mode\": \"dirty-bitmap\"}", "GenericError", "ring");
}

/* All of RAM changes, or nothing: whatever pages are drawn. */
static void
test_sampling(void)
{
    g_autoptr(Stage) stage = stage_new((BoardConfig){.memory_bytes = MEMORY, .vcpus = 1}, "pattern=idle passes=0 quiet",
                                       &(ControlConfig){.paused = TRUE});
    g_autoptr(QmpClient) client = qmp_client_new(stage->path);
    gint64 calc_ms;

    start_measuring(client, "page-sampling", 50);
    g_autoptr(JsonNode) nothing = wait_measured(client);
    g_assert_cmpint(qmp_int(nothing, "x-dirtylab-pages"), ==, 0);
    g_autoptr(JsonNode) all = measure_writes(stage, client, "page-sampling", fill_ram, &calc_ms);
    g_assert_cmpint(qmp_int(all, "x-dirtylab-pages"), ==, MEMORY / DL_PAGE_SIZE);
}

static void
test_bad_arguments(void)
{
    static const struct {
        const char *arguments;
        const char *error;
    } cases[] = {
        {"{}", "needs its argument \"calc-time\""},
        {"{\"calc-time\": 0}", "calc-time is"},
        {"{\"calc-time\": -1}", "calc-time is"},
        {"{\"calc-time\": 61}", "calc-time is"},
        {"{\"calc-time\": 9223372036854775807}", "calc-time is"},
        {"{\"calc-time\": 49, \"calc-time-unit\": \"millisecond\"}", "calc-time is"},
        {"{\"calc-time\": 1, \"calc-time-unit\": \"hour\"}", "second or millisecond"},
        {"{\"calc-time\": \"1\"}", "takes a whole number"},
        {"{\"calc-time\": 1.0}", "takes a whole number"},
        {"{\"calc-time\": 1, \"mode\": \"none\"}", "no mode"},
        {"{\"calc-time\": 1, \"mode\": \"guesswork\"}", "no mode"},
        {"{\"calc-time\": 1, \"mode\": \"kvm-bitmap\", \"sample-pages\": 512}", "page-sampling only"},
        {"{\"calc-time\": 1, \"sample-pages\": 1}", "sample-pages is"},
        {"{\"calc-time\": 1, \"sample-pages\": 99999999999}", "sample-pages is"},
        {"{\"calc-time\": 1, \"mode\": \"dirty-ring\"}", "dirty ring"},
    };
    g_autoptr(Stage) stage = loaded_stage(0);
    g_autoptr(QmpClient) client = qmp_client_new(stage->path);

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++)
        qmp_client_must_fail(client, "calc-dirty-rate", cases[i].arguments, "GenericError", cases[i].error);
    qmp_client_must_fail(client, "x-dirtylab-set-tracker", "{\"tracker\": \"guesswork\"}", "GenericError", "unknown tracker");
    qmp_client_must_fail(client, "x-dirtylab-set-tracker", "{\"tracker\": \"kvm-ring\"}", "GenericError", "ring");
    qmp_client_must_fail(client, "x-dirtylab-set-tracker", NULL, "GenericError", "needs its argument");
    g_autoptr(JsonNode) report = qmp_client_must(client, "query-dirty-rate", NULL);
    g_assert_cmpstr(qmp_string(report, "status"), ==, "unstarted");
}

/* One at a time, never without a tracker, and a server that ends does not wait for its minute. */
static void
test_end_while_measuring(void)
{
    Stage *stage = loaded_stage(0);
    gint64 start = g_get_monotonic_time();

    {
        g_autoptr(QmpClient) client = qmp_client_new(stage->path);
        g_autoptr(JsonNode) chosen = set_tracker(client, "kvm-bitmap-clear");
        start_measuring(client, "kvm-bitmap", 60000);
        g_autoptr(JsonNode) during = qmp_client_must(client, "query-dirty-rate", NULL);
        g_assert_cmpstr(qmp_string(during, "status"), ==, "measuring");
        qmp_client_must_fail(client, "calc-dirty-rate", "{\"calc-time\": 1}", "GenericError", "under way");
        qmp_client_must_fail(client, "x-dirtylab-set-tracker", "{\"tracker\": \"none\"}", "GenericError", "needs a tracker");
        g_assert_cmpstr(dl_log_tracker(board_log(stage->run->board))->name, ==, "kvm-bitmap");
    }
    stage_free(stage);
    g_assert_cmpint(g_get_monotonic_time() - start, <, (gint64)30 * G_USEC_PER_SEC);
}

/* A measurement that began before a migration and ended within it. */
static void
test_none_comes_back_last(void)
{
    g_autoptr(GuestRun) run = guest_run_new((BoardConfig){.memory_bytes = 8 << 20, .vcpus = 1}, "pages=1 passes=1");
    g_autoptr(Tracking) tracking = tracking_new(run->board);
    DlLog *log = board_log(run->board);
    g_autoptr(GError) error = NULL;

    g_assert_true(tracking_borrow(tracking, dl_tracker_facts_by_name("kvm-bitmap"), &error));
    tracking_hold(tracking, "a test");
    tracking_give_back(tracking);
    g_assert_cmpstr(dl_log_tracker(log)->name, ==, "kvm-bitmap");
    tracking_release(tracking, "a test");
    g_assert_cmpstr(dl_log_tracker(log)->name, ==, "none");
}

/* What a migration finds and takes: @choice is made by the user while it lasts, a measurement goes on beyond it. */
static void
test_after_a_holder(gconstpointer choice)
{
    g_autoptr(GuestRun) run = guest_run_new((BoardConfig){.memory_bytes = 8 << 20, .vcpus = 1}, "pages=1 passes=1");
    g_autoptr(Tracking) tracking = tracking_new(run->board);
    DlLog *log = board_log(run->board);
    g_autoptr(GError) error = NULL;

    tracking_hold(tracking, "a test");
    g_assert_true(dl_log_move(log, "kvm-bitmap-clear", NULL, NULL, &error));
    if (choice)
        g_assert_true(tracking_set(tracking, choice, NULL, NULL, &error));
    g_assert_true(tracking_borrow(tracking, dl_tracker_facts_by_name("uffd-wp"), &error));
    tracking_release(tracking, "a test");
    g_assert_cmpstr(dl_log_tracker(log)->name, ==, "uffd-wp");
    tracking_give_back(tracking);
    g_assert_cmpstr(dl_log_tracker(log)->name, ==, choice ? choice : "none");
}

int
main(int argc, char **argv)
{
    gpointer ring = GUINT_TO_POINTER(RING_ENTRIES);

    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/trackers/every-pair-under-load-loses-nothing/bitmaps", NULL, test_every_pair);
    g_test_add_data_func("/trackers/every-pair-under-load-loses-nothing/ring", ring, test_every_pair);
    g_test_add_func("/trackers/a-twin-that-skips-a-harvest-differs", test_twin_notices);
    g_test_add_data_func("/trackers/moves-measurements-and-pauses-at-once/bitmaps", NULL, test_storm);
    g_test_add_data_func("/trackers/moves-measurements-and-pauses-at-once/ring", ring, test_storm);
    g_test_add_data_func("/trackers/the-rate-is-of-the-pages-written/bitmaps", NULL, test_known_rate);
    g_test_add_data_func("/trackers/the-rate-is-of-the-pages-written/ring", ring, test_known_rate);
    g_test_add_func("/trackers/the-modes-of-qemu", test_qemu_modes);
    g_test_add_func("/trackers/sampling-finds-all-or-nothing", test_sampling);
    g_test_add_func("/trackers/arguments-that-cannot-be-are-refused", test_bad_arguments);
    g_test_add_func("/trackers/the-server-ends-during-a-measurement", test_end_while_measuring);
    g_test_add_func("/trackers/none-comes-back-when-nobody-needs-a-tracker", test_none_comes_back_last);
    g_test_add_data_func("/trackers/none-comes-back-after-who-took-one", NULL, test_after_a_holder);
    g_test_add_data_func("/trackers/what-was-chosen-meanwhile-stays", "kvm-bitmap", test_after_a_holder);
    return g_test_run();
}
