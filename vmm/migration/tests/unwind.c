/* SPDX-License-Identifier: MIT */
/* Migrations that end otherwise than in an arrival, without a fault of the connection: and the guest goes on, with nothing lost. */
#include "rig.h"

#include <machine/section.h>
#include <machine/wire.h>
#include <migration/hello.h>
#include <migration/pages.h>
#include <migration/statistics.h>
#include <migration/stream.h>
#include <string.h>
#include <unistd.h>

#define WAIT_MS 120000

static void
check_arrives(Rig *rig)
{
    rig->config.parameters.max_bandwidth = 0;
    rig->config.parameters.pause_before_switchover = FALSE;
    rig_migrate(rig);
    rig_expect(rig, MIGRATION_COMPLETED, MIGRATION_COMPLETED);
    g_assert_cmpuint(rig_compare(rig), ==, 0);
}

static void
wait_for_status(Rig *rig, MigrationStatus status)
{
    for (guint i = 0; i < WAIT_MS; i++) {
        g_auto(MigrationInfo) info = {0};
        migration_source_query(rig->source, &info);
        if (info.status == status)
            return;
        g_assert_false(migration_status_is_final(info.status));
        g_usleep(1000);
    }
    g_assert_not_reached();
}

static void
begin(Rig *rig)
{
    rig_new_destination(rig, -1);
    rig_new_source(rig, -1);
}

static char *
source_error(Rig *rig)
{
    g_auto(MigrationInfo) info = {0};

    migration_source_query(rig->source, &info);
    return g_steal_pointer(&info.error);
}

static char *
destination_error(Rig *rig)
{
    g_auto(MigrationInfo) info = {0};

    migration_destination_query(rig->destination, &info);
    return g_steal_pointer(&info.error);
}

static void
wait_for_both(Rig *rig)
{
    g_assert_true(migration_source_wait(rig->source, WAIT_MS));
    g_assert_true(migration_destination_wait(rig->destination, WAIT_MS));
}

/* --- cancelling --- */

static void
cancel(Rig *rig)
{
    g_assert_true(migration_source_cancel(rig->source));
    wait_for_both(rig);
    rig_expect(rig, MIGRATION_CANCELLED, MIGRATION_FAILED);
    g_assert_false(migration_source_cancel(rig->source));
    g_assert_true(rig_runs(rig->from));
    g_assert_cmpint(machine_state(board_machine(rig->to->board)), ==, MACHINE_STOPPED);
    g_autofree char *error = destination_error(rig);
    g_test_message("the destination says: %s", error);
    g_assert_nonnull(error);
}

static void
test_cancel_active(void)
{
    const RigConfig config = {.parameters = {.max_bandwidth = MIB}};
    g_autoptr(Rig) rig = rig_new(&config);

    begin(rig);
    wait_for_status(rig, MIGRATION_ACTIVE);
    g_usleep(100000);
    cancel(rig);
    check_arrives(rig);
}

static void
test_cancel_before_switchover(void)
{
    const RigConfig config = {.parameters = {.pause_before_switchover = TRUE}};
    g_autoptr(Rig) rig = rig_new(&config);

    begin(rig);
    wait_for_status(rig, MIGRATION_PRE_SWITCHOVER);
    g_assert_false(rig_runs(rig->from));
    cancel(rig);
    check_arrives(rig);
}

enum {
    WORKS,
    HANGS,
    GIVEN_UP_EARLY,
    GIVEN_UP_LATE
};

static gboolean
never_quiet(gpointer user, const Patience *patience, GError **error)
{
    g_atomic_int_set((gint *)user, HANGS);
    while (!patience_is_over(patience))
        g_usleep(1000);
    g_atomic_int_set((gint *)user, patience->is_over && patience->is_over(patience->user) ? GIVEN_UP_EARLY : GIVEN_UP_LATE);
    g_set_error_literal(error, MIGRATION_ERROR, MIGRATION_ERROR_FAILED, "it hangs");
    return FALSE;
}

/* Who cancels does not wait for as long as a disk may take. */
static void
test_cancel_while_a_disk_hangs(void)
{
    static const SectionClass disk = {.name = "disk", .version = 1, .quiesce = never_quiet};
    const RigConfig config = {0};
    g_autoptr(Rig) rig = rig_new(&config);
    gint disk_state = WORKS;

    rig_new_destination(rig, -1);
    machine_add_section(board_machine(rig->to->board), &disk, &disk_state); /* both have the same, or the hello says so */
    machine_add_section(board_machine(rig->from->board), &disk, &disk_state);
    rig_new_source(rig, -1);
    for (guint i = 0; i < WAIT_MS && g_atomic_int_get(&disk_state) == WORKS; i++)
        g_usleep(1000);
    g_assert_cmpint(g_atomic_int_get(&disk_state), ==, HANGS);
    g_assert_true(migration_source_cancel(rig->source));
    g_assert_true(migration_source_wait(rig->source, WAIT_MS));
    g_assert_cmpint(g_atomic_int_get(&disk_state), ==, GIVEN_UP_EARLY);
    wait_for_both(rig);
    rig_expect(rig, MIGRATION_CANCELLED, MIGRATION_FAILED);
    g_assert_true(rig_runs(rig->from));
}

/* Nobody answers the hello. */
static void
test_cancel_setup(void)
{
    const RigConfig config = {0};
    g_autoptr(Rig) rig = rig_new(&config);
    g_autoptr(GCancellable) cancellable = g_cancellable_new();
    g_autoptr(GError) error = NULL;
    MigrationChannel *ends[2];
    const ChannelOptions options = {.cancel = cancellable};

    g_assert_true(channel_new_pair(&options, ends, &error));
    const MigrationSourceConfig source = {.channel = ends[0], .cancel = cancellable, .parameters = rig->config.parameters};
    rig->source = migration_source_new(rig->from->board, &source, &error);
    g_assert_no_error(error);
    wait_for_status(rig, MIGRATION_SETUP);
    g_usleep(20000);
    g_assert_true(migration_source_cancel(rig->source));
    g_assert_true(migration_source_wait(rig->source, WAIT_MS));
    channel_free(ends[1]);
    g_assert_true(rig_runs(rig->from));
    g_assert_cmpstr(dl_log_tracker(board_log(rig->from->board))->name, ==, "none");
    check_arrives(rig);
}

/* At whatever moment: cancelled with the guest here, or too late with the guest there, never in between. */
static void
test_cancel_anywhere(void)
{
    const RigConfig config = {.memory_bytes = 32 * MIB};
    g_autoptr(Rig) rig = NULL;
    guint cancelled = 0;

    for (guint i = 0; i < 24; i++) {
        if (!rig)
            rig = rig_new(&config);
        begin(rig);
        g_usleep((gulong)g_test_rand_int_range(0, i % 2 ? 600000 : 50000));
        gboolean in_time = migration_source_cancel(rig->source);
        wait_for_both(rig);
        rig_expect(rig, in_time ? MIGRATION_CANCELLED : MIGRATION_COMPLETED, in_time ? MIGRATION_FAILED : MIGRATION_COMPLETED);
        g_assert_cmpint(rig_runs(rig->from), ==, in_time);
        cancelled += in_time;
        if (!in_time)
            g_clear_pointer(&rig, rig_free);
    }
    g_test_message("%u of 24 were cancelled", cancelled);
}

static void
end_at_once(gpointer user, MigrationStatus status)
{
    if (status == MIGRATION_CANCELLING)
        statistics_end(user, MIGRATION_CANCELLED, NULL);
}

/* The migration's thread is through before who cancelled it has told of the cancel. */
static void
test_overtaken_cancel(void)
{
    Statistics statistics;
    const MigrationEvents events = {.status = end_at_once, .user = &statistics};

    statistics_init(&statistics, &events);
    statistics_set_status(&statistics, MIGRATION_ACTIVE);
    statistics_set_status(&statistics, MIGRATION_CANCELLING);
    g_assert_true(statistics_wait(&statistics, 0));
    g_assert_cmpint(statistics_status(&statistics), ==, MIGRATION_CANCELLED);
    statistics_clear(&statistics);
}

/* --- a peer that is none of ours --- */

static void
append_zero_run(GByteArray *payload, guint64 gpa, guint32 pages)
{
    wire_put_u64(payload, gpa);
    wire_put_u32(payload, pages);
    wire_put_u32(payload, PAGES_RUN_ZERO);
}

/* A frame whose runs name the same RAM again and again would be work for minutes, which nothing ends. */
static void
test_hostile_runs(gconstpointer data)
{
    const RigConfig config = {.workload = "pattern=idle"};
    guint64 second = GPOINTER_TO_UINT(data) * DL_PAGE_SIZE;
    g_autoptr(Rig) rig = rig_new(&config);
    g_autoptr(GByteArray) hello = hello_encode(rig->from->board, 0), pages = g_byte_array_new();
    Stream stream;
    Frame frame;

    rig_new_destination(rig, -1);
    stream_init(&stream, rig->ends[0]);
    g_assert_true(stream_send(&stream, FRAME_HELLO, hello->data, hello->len, NULL));
    g_assert_true(stream_receive(&stream, FRAME_BIT(FRAME_WELCOME), CHANNEL_NO_DEADLINE, &frame, NULL));
    wire_put_u32(pages, 2);
    wire_put_u32(pages, 0);
    append_zero_run(pages, 8 * DL_PAGE_SIZE, 8);
    append_zero_run(pages, second, 8);
    g_assert_true(stream_send(&stream, FRAME_PAGES, pages->data, pages->len, NULL));
    g_assert_true(migration_destination_wait(rig->destination, WAIT_MS));
    g_autofree char *error = destination_error(rig);
    g_assert_nonnull(strstr(error, "some twice"));
    stream_clear(&stream);
}

/* --- pause-before-switchover --- */

static void
test_continue(void)
{
    const RigConfig config = {.parameters = {.pause_before_switchover = TRUE}, .stall_limit_ms = 2500};
    g_autoptr(Rig) rig = rig_new(&config);
    g_autoptr(GError) error = NULL;

    begin(rig);
    wait_for_status(rig, MIGRATION_PRE_SWITCHOVER);
    g_usleep(5500000); /* longer than the destination would wait for a source that says nothing */
    g_assert_true(migration_source_continue(rig->source, &error));
    wait_for_both(rig);
    rig_expect(rig, MIGRATION_COMPLETED, MIGRATION_COMPLETED);
    g_assert_cmpuint(rig_compare(rig), ==, 0);
    g_assert_false(migration_source_continue(rig->source, &error));
    g_assert_error(error, MIGRATION_ERROR, MIGRATION_ERROR_INVALID);
}

/* --- the guest ends meanwhile --- */

static void
test_guest_ends(gconstpointer data)
{
    gboolean crash = GPOINTER_TO_INT(data);
    const RigConfig config = {.parameters = {.max_bandwidth = MIB}};
    g_autoptr(Rig) rig = rig_new(&config);

    begin(rig);
    wait_for_status(rig, MIGRATION_ACTIVE);
    if (crash)
        machine_crash(board_machine(rig->from->board), "the test's doing");
    else
        machine_shut_down(board_machine(rig->from->board), MACHINE_POWERED_OFF);
    wait_for_both(rig);
    rig_expect(rig, MIGRATION_FAILED, MIGRATION_FAILED);
    g_autofree char *here = source_error(rig), *there = destination_error(rig);
    g_assert_nonnull(strstr(here, crash ? "the test's doing" : "powered off"));
    g_assert_nonnull(strstr(there, crash ? "the test's doing" : "powered off"));
}

/* --- who does not fit --- */

static void
check_refused(RigConfig there, const char *words)
{
    const RigConfig config = {0};
    g_autoptr(Rig) rig = rig_new(&config);
    RigConfig here = rig->config;

    there.workload = here.workload;
    rig->config = there;
    rig_new_destination(rig, -1);
    rig->config = here;
    rig_new_source(rig, -1);
    wait_for_both(rig);
    rig_expect(rig, MIGRATION_FAILED, MIGRATION_FAILED);
    g_autofree char *error = source_error(rig);
    g_test_message("%s", error);
    g_assert_nonnull(strstr(error, words));
    g_assert_true(rig_runs(rig->from));
    check_arrives(rig);
}

static void
test_other_vcpus(void)
{
    check_refused((RigConfig){.vcpus = 2, .memory_bytes = 64 * MIB}, "1 vCPUs, this side 2");
}

static void
test_other_memory(void)
{
    check_refused((RigConfig){.vcpus = 1, .memory_bytes = 32 * MIB}, "RAM is 64 MiB at gpa 0x0 there and 32 MiB at gpa 0x0 here");
}

/* Its RAM's file is too short: what a host without memory answers. */
static void
test_no_memory(gconstpointer data)
{
    DlRamKind kind = GPOINTER_TO_UINT(data);
    const RigConfig config = {.ram = kind, .to_ram = kind};

    if (!rig_ram_here(kind, 128 * MIB))
        return;
    g_autoptr(Rig) rig = rig_new(&config);
    rig_new_destination(rig, -1);
    g_assert_cmpint(ftruncate(guest_ram_memory(board_ram(rig->to->board), 0)->fd, 4 * MIB), ==, 0);
    rig_new_source(rig, -1);
    wait_for_both(rig);
    rig_expect(rig, MIGRATION_FAILED, MIGRATION_FAILED);
    g_autofree char *error = source_error(rig);
    g_test_message("%s", error);
    g_assert_nonnull(strstr(error, "no memory for the guest's RAM"));
    g_assert_true(rig_runs(rig->from));
    check_arrives(rig);
}

/* --- a guest that writes too fast --- */

static void
test_throttled(void)
{
    /* Some 100 writes a millisecond: more than the limit lets through at full speed, fewer at a fifth of it, however fast the host is. */
    const RigConfig config = {.workload = "pattern=hotspot pages=1500 pace=20000",
                              .parameters = {.max_bandwidth = 8 * MIB,
                                             .downtime_limit_ms = 200,
                                             .cpu_throttle_initial = 50,
                                             .cpu_throttle_increment = 30,
                                             .max_cpu_throttle = 98,
                                             .auto_converge = TRUE}};
    g_autoptr(Rig) rig = rig_new(&config);
    g_auto(MigrationInfo) info = {0};

    begin(rig);
    g_assert_true(migration_source_wait(rig->source, WAIT_MS));
    wait_for_both(rig);
    rig_expect(rig, MIGRATION_COMPLETED, MIGRATION_COMPLETED);
    g_assert_cmpuint(rig_compare(rig), ==, 0);
    migration_source_query(rig->source, &info);
    g_test_message("%u passes, throttled to %u %%, down %.1f ms", info.passes->len, info.throttle_percent,
                   (double)info.downtime_ns / 1e6);
    guint most = 0;
    for (guint i = 0; i < info.passes->len; i++)
        most = MAX(most, g_array_index(info.passes, MigrationPass, i).throttle_percent);
    g_assert_cmpuint(most, >=, 50);
}

/* Without it the passes go on until somebody changes something. */
static void
test_goes_on_until_told(void)
{
    const RigConfig config = {.parameters = {.max_bandwidth = 4 * MIB}, .workload = "pattern=random pages=4000"};
    g_autoptr(Rig) rig = rig_new(&config);

    begin(rig);
    g_assert_false(migration_source_wait(rig->source, 3000));
    rig->config.parameters.max_bandwidth = 0;
    g_assert_true(migration_source_set_parameters(rig->source, &rig->config.parameters, NULL));
    wait_for_both(rig);
    rig_expect(rig, MIGRATION_COMPLETED, MIGRATION_COMPLETED);
    g_assert_cmpuint(rig_compare(rig), ==, 0);
}

static guint64
transferred(Rig *rig)
{
    g_auto(MigrationInfo) info = {0};

    migration_source_query(rig->source, &info);
    return info.ram_transferred;
}

/* Under the old limit the first frame alone would be waited for longer than anybody waits here. */
static void
test_limit_changed_midway(gconstpointer data)
{
    const guint64 limit = GPOINTER_TO_UINT(data) * MIB;
    const RigConfig config = {
        .parameters = {.max_bandwidth = 100}, .memory_bytes = 16 * MIB, .workload = "pattern=random pages=100"};
    g_autoptr(Rig) rig = rig_new(&config);

    begin(rig);
    for (guint i = 0; i < WAIT_MS && !transferred(rig); i++)
        g_usleep(1000);
    guint64 before = transferred(rig);
    g_assert_cmpuint(before, >, 0);
    g_assert_false(migration_source_wait(rig->source, 300));
    g_assert_cmpuint(transferred(rig), ==, before); /* it waits */
    rig->config.parameters.max_bandwidth = limit;
    g_assert_true(migration_source_set_parameters(rig->source, &rig->config.parameters, NULL));
    wait_for_both(rig);
    rig_expect(rig, MIGRATION_COMPLETED, MIGRATION_COMPLETED);
    g_assert_cmpuint(rig_compare(rig), ==, 0);
}

/* So little is ever sent that no single pass measures a bandwidth: that is no reason to go on and on. */
static void
test_little_to_send(void)
{
    const RigConfig config = {
        .memory_bytes = 32 * MIB, .parameters = {.max_bandwidth = MIB}, .workload = "pattern=hotspot pages=20"};
    g_autoptr(Rig) rig = rig_new(&config);
    g_auto(MigrationInfo) info = {0};

    begin(rig);
    wait_for_both(rig);
    rig_expect(rig, MIGRATION_COMPLETED, MIGRATION_COMPLETED);
    g_assert_cmpuint(rig_compare(rig), ==, 0);
    migration_source_query(rig->source, &info);
    g_test_message("%u passes, the first sent %" G_GUINT64_FORMAT " bytes", info.passes->len,
                   g_array_index(info.passes, MigrationPass, 0).transferred_bytes);
    g_assert_cmpuint(info.passes->len, <, 20);
}

/* A migration may go on for days. */
static void
test_many_passes(void)
{
    const MigrationEvents none = {0};
    const guint64 n = UINT64_C(3) * MIGRATION_PASSES_KEPT;
    g_auto(MigrationInfo) info = {0};
    Statistics statistics;

    statistics_init(&statistics, &none);
    for (guint64 number = 1; number <= n; number++)
        statistics_end_pass(&statistics, &(const MigrationPass){.number = number}, NULL);
    statistics_query(&statistics, &info);
    statistics_clear(&statistics);
    g_assert_cmpuint(info.passes->len, ==, UINT64_C(2) * MIGRATION_PASSES_KEPT);
    for (guint i = 0; i < info.passes->len; i++) {
        guint64 left_out = i < MIGRATION_PASSES_KEPT ? 0 : MIGRATION_PASSES_KEPT;
        g_assert_cmpuint(g_array_index(info.passes, MigrationPass, i).number, ==, i + 1 + left_out);
    }
}

/* Nobody's tracker is active for a while: what the guest wrote then is lost, so the migration is. */
static void
test_gap(gconstpointer data)
{
    const RigConfig config = {.parameters = {.max_bandwidth = MIB}};
    g_autoptr(Rig) rig = rig_new(&config);

    begin(rig);
    wait_for_status(rig, MIGRATION_ACTIVE);
    g_assert_true(dl_log_move(board_log(rig->from->board), "none", NULL, NULL, NULL));
    if (data)
        g_assert_true(dl_log_move(board_log(rig->from->board), data, NULL, NULL, NULL));
    rig->config.parameters.max_bandwidth = 0; /* in the middle of a wait for the old one */
    g_assert_true(migration_source_set_parameters(rig->source, &rig->config.parameters, NULL));
    wait_for_both(rig);
    rig_expect(rig, MIGRATION_FAILED, MIGRATION_FAILED);
    g_autofree char *error = source_error(rig);
    g_assert_nonnull(strstr(error, "no tracker was active"));
    g_assert_true(rig_runs(rig->from));
    check_arrives(rig);
}

/* --- nothing is left behind --- */

static void
test_leaves_nothing(void)
{
    const RigConfig config = {.memory_bytes = 32 * MIB, .let_go = TRUE};
    g_autoptr(Rig) rig = rig_new(&config);
    guint fds = 0, threads = 0;

    for (guint i = 0; i < 12; i++) {
        rig_migrate(rig);
        rig_expect(rig, MIGRATION_COMPLETED, MIGRATION_COMPLETED);
        rig_turn_round(rig);
        if (i == 1) {
            fds = guest_run_entries_settle("/proc/self/fd", G_MAXUINT);
            threads = guest_run_entries_settle("/proc/self/task", G_MAXUINT);
        }
    }
    g_assert_cmpuint(guest_run_entries_settle("/proc/self/fd", fds), <=, fds);
    g_assert_cmpuint(guest_run_entries_settle("/proc/self/task", threads), <=, threads);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/unwind/cancel-in-setup/the-guest-goes-on", test_cancel_setup);
    g_test_add_func("/unwind/cancel-while-active/the-guest-goes-on", test_cancel_active);
    g_test_add_func("/unwind/cancel-before-switchover/the-guest-goes-on", test_cancel_before_switchover);
    g_test_add_func("/unwind/cancel/while-a-disk-hangs", test_cancel_while_a_disk_hangs);
    g_test_add_func("/unwind/cancel-at-any-time/here-or-there", test_cancel_anywhere);
    g_test_add_func("/unwind/cancel-overtaken-by-the-end/is-waited-for", test_overtaken_cancel);
    g_test_add_data_func("/unwind/hostile-runs/overlapping/refused", GUINT_TO_POINTER(15), test_hostile_runs);
    g_test_add_data_func("/unwind/hostile-runs/descending/refused", GUINT_TO_POINTER(0), test_hostile_runs);
    g_test_add_func("/unwind/pause-before-switchover/waits-and-continues", test_continue);
    g_test_add_data_func("/unwind/guest-powers-off/both-sides-say-so", GINT_TO_POINTER(FALSE), test_guest_ends);
    g_test_add_data_func("/unwind/guest-crashes/both-sides-say-so", GINT_TO_POINTER(TRUE), test_guest_ends);
    g_test_add_func("/unwind/other-vcpus/refused", test_other_vcpus);
    g_test_add_func("/unwind/other-memory/refused", test_other_memory);
    g_test_add_data_func("/unwind/no-memory/shmem/an-error-before-go", GUINT_TO_POINTER(DL_RAM_SHMEM), test_no_memory);
    g_test_add_data_func("/unwind/no-memory/hugetlb-2M/an-error-before-go", GUINT_TO_POINTER(DL_RAM_HUGETLB_2M), test_no_memory);
    g_test_add_func("/unwind/auto-converge/slows-down-and-arrives", test_throttled);
    g_test_add_func("/unwind/no-convergence/goes-on-until-told", test_goes_on_until_told);
    g_test_add_data_func("/unwind/no-limit-any-more/holds-at-once", GUINT_TO_POINTER(0), test_limit_changed_midway);
    g_test_add_data_func("/unwind/another-limit/holds-at-once", GUINT_TO_POINTER(64), test_limit_changed_midway);
    g_test_add_func("/unwind/little-to-send/arrives-in-a-few-passes", test_little_to_send);
    g_test_add_func("/unwind/very-many-passes/the-first-and-the-last-are-kept", test_many_passes);
    g_test_add_data_func("/unwind/no-tracker/fails", NULL, test_gap);
    g_test_add_data_func("/unwind/no-tracker-for-a-while/fails", "kvm-bitmap", test_gap);
    g_test_add_func("/unwind/12-migrations/no-fd-and-no-thread-left", test_leaves_nothing);
    return g_test_run();
}
