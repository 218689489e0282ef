/* SPDX-License-Identifier: MIT */
/* Pause, resume, kick and the end of boards, under a guest that writes and prints all the while. */
#include "guest_run.h"

#include <string.h>

#define MIB (UINT64_C(1) << 20)
#define PAUSES 1000
#define PASSES 400
#define PAGES 300

/* Write number position - 1 is stored, and nothing moves while the machine is paused. */
static void
check_pause(GuestRun *run, const struct abi_mailbox *mailbox)
{
    for (guint vcpu = 0; vcpu < 2; vcpu++) {
        guint64 writes = abi_vcpu_writes(&mailbox->workload, vcpu), value;
        struct abi_vcpu before = guest_run_progress(run, vcpu);
        if (!before.position || !writes)
            continue;
        guint64 last = before.position - 1;
        struct abi_write write = abi_write_at(&mailbox->workload, vcpu, last / writes, last % writes);
        g_assert_true(
            guest_ram_load(board_ram(run->board), abi_arena_gpa(&mailbox->arena, write.page) + write.offset, &value, 8));
        /* the other vCPU may be a pass ahead, the next write may be in flight: newer values are no loss */
        g_assert_cmpuint(value >> 32, >=, last / writes + 1);
        g_usleep(50);
        g_assert_cmpuint(guest_run_progress(run, vcpu).position, ==, before.position);
    }
}

/* Each byte was one exit: one lost or made twice shows. Lines of two vCPUs interleave, but whole. */
static void
check_serial(GuestRun *run)
{
    g_auto(GStrv) lines = g_strsplit(run->serial->str, "\r\n", -1);
    guint next[2] = {1, 1}, n = 0;

    g_assert_cmpstr(lines[0], ==, "dirtylab-guest: ready");
    for (n = 1; lines[n] && g_str_has_prefix(lines[n], "dirtylab-guest: vcpu "); n++) {
        guint vcpu = (guint)(lines[n][strlen("dirtylab-guest: vcpu ")] - '0');
        g_assert_cmpuint(vcpu, <, 2);
        g_autofree char *expected =
            g_strdup_printf("dirtylab-guest: vcpu %u pass %u writes %u cycles ", vcpu, next[vcpu]++, PAGES / 2);
        g_assert_true(g_str_has_prefix(lines[n], expected));
    }
    g_assert_cmpuint(n, ==, 1 + 2 * PASSES);
    g_autofree char *last = g_strdup_printf("dirtylab-guest: done, writes %u", PASSES * PAGES);
    g_assert_cmpstr(lines[n], ==, last);
}

static void
test_pause_loses_nothing(void)
{
    g_autofree char *line = g_strdup_printf("pattern=random pages=%u passes=%u vcpus=2 serial=1", PAGES, PASSES);
    g_autoptr(GuestRun) run = guest_run_new((BoardConfig){.memory_bytes = 32 * MIB, .vcpus = 2}, line);
    Machine *machine = board_machine(run->board);
    g_autoptr(GError) error = NULL;
    guint under_load = 0;

    guest_run_start(run);
    while (!g_atomic_int_get(&run->ready))
        g_usleep(1000);
    struct abi_mailbox mailbox = guest_run_mailbox(run);
    for (guint i = 0; i < PAUSES; i++) {
        g_assert_true(machine_pause(machine, &error));
        check_pause(run, &mailbox);
        under_load += run->done < 2;
        machine_resume(machine);
        g_usleep((gulong)g_test_rand_int_range(0, 2000));
    }
    g_test_message("%u of %u pauses under load", under_load, PAUSES);
    guest_run_wait(run, 2);
    for (guint vcpu = 0; vcpu < 2; vcpu++)
        g_assert_cmpuint(guest_run_progress(run, vcpu).position, ==, PASSES * PAGES / 2);
    g_assert_cmpuint(guest_run_check_pass(run, PASSES - 1), ==, PAGES);
    check_serial(run);
    g_assert_cmpuint(under_load, >, PAUSES / 20);
}

typedef struct {
    Machine *machine;
    guint rounds;
} Kicker;

static gpointer
kick_and_pause(gpointer user)
{
    Kicker *kicker = user;
    g_autoptr(GError) error = NULL;

    for (guint i = 0; i < kicker->rounds; i++) {
        machine_kick(kicker->machine);
        if (i % 3 == 0) {
            g_assert_true(machine_pause(kicker->machine, &error));
            machine_kick(kicker->machine);
            machine_resume(kicker->machine);
        }
    }
    return NULL;
}

static void
test_kick_from_many_threads(void)
{
    g_autoptr(GuestRun) run =
        guest_run_new((BoardConfig){.memory_bytes = 32 * MIB, .vcpus = 2}, "pattern=random pages=4000 passes=0 vcpus=2");
    Kicker kicker = {board_machine(run->board), 300};
    GThread *threads[4];

    guest_run_start(run);
    for (guint i = 0; i < G_N_ELEMENTS(threads); i++)
        threads[i] = g_thread_new("kicker", kick_and_pause, &kicker);
    for (guint i = 0; i < G_N_ELEMENTS(threads); i++)
        g_thread_join(threads[i]);
    guest_run_wait_for_writes(run, guest_run_total(run) + 1);
    g_assert_cmpstr(machine_crash_reason(kicker.machine), ==, NULL);
}

/* By which it is known to be in the guest, however long the host took to let it back in. */
static void
wait_for_a_write(GuestRun *run, guint vcpu)
{
    guint64 before = guest_run_progress(run, vcpu).position;

    while (guest_run_progress(run, vcpu).position == before)
        g_usleep(100);
}

/* After a kick each vCPU has been outside, if it was inside before: its exits went up. */
static void
test_kick_reaches_every_vcpu(void)
{
    g_autoptr(GuestRun) run =
        guest_run_new((BoardConfig){.memory_bytes = 8 * MIB, .vcpus = 2}, "pattern=random pages=100 passes=0 vcpus=2 quiet");
    Machine *machine = board_machine(run->board);
    guint left = 0;

    run->free_running = TRUE; /* neither vCPU waits for the other at a pass's end */

    guest_run_start(run);
    for (guint i = 0; i < 300; i++) {
        for (guint vcpu = 0; vcpu < 2; vcpu++)
            wait_for_a_write(run, vcpu);
        guint64 before[2] = {vcpu_exits(machine, 0), vcpu_exits(machine, 1)};
        machine_kick(machine);
        left += (vcpu_exits(machine, 0) > before[0]) + (vcpu_exits(machine, 1) > before[1]);
    }
    g_test_message("%u of 600 kicks found the vCPU inside", left);
    g_assert_cmpuint(left, >=, 480);
}

static void
test_boards_leave_nothing(void)
{
    guint fds = guest_run_entries_settle("/proc/self/fd", G_MAXUINT),
          threads = guest_run_entries_settle("/proc/self/task", G_MAXUINT);

    for (guint i = 0; i < 50; i++) {
        g_autoptr(GuestRun) run =
            guest_run_new((BoardConfig){.memory_bytes = 8 * MIB, .vcpus = 1 + i % 3, .dirty_ring_entries = i % 4 ? 0 : 1024},
                          i % 2 ? "pattern=random pages=100 passes=0 quiet" : "pattern=random pages=10 passes=1");
        if (i % 5)
            guest_run_start(run);
        if (i % 7 == 0)
            g_assert_true(machine_pause(board_machine(run->board), NULL));
        g_usleep((gulong)g_test_rand_int_range(0, 5000));
    }
    g_assert_cmpuint(guest_run_entries_settle("/proc/self/fd", fds), <=, fds);
    g_assert_cmpuint(guest_run_entries_settle("/proc/self/task", threads), <=, threads);
}

/* What board_new() had built when it failed is given back. */
static void
test_failed_boards_leave_nothing(void)
{
    static const guint8 no_kernel[64];
    guint fds = guest_run_entries_settle("/proc/self/fd", G_MAXUINT),
          threads = guest_run_entries_settle("/proc/self/task", G_MAXUINT);
    const BoardConfig bad[] = {{.memory_bytes = 8 * MIB, .vcpus = 1, .kernel = no_kernel, .kernel_size = sizeof no_kernel},
                               {.memory_bytes = 2 * MIB, .vcpus = 1},
                               {.memory_bytes = 8 * MIB, .vcpus = 100000},
                               {.memory_bytes = 0, .vcpus = 1}};

    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(board_new(&bad[i], &error));
        g_assert_nonnull(error);
        g_test_message("%s", error->message);
    }
    g_assert_cmpuint(guest_run_entries_settle("/proc/self/fd", fds), <=, fds);
    g_assert_cmpuint(guest_run_entries_settle("/proc/self/task", threads), <=, threads);
}

static void
test_pins_threads(void)
{
    g_autoptr(GuestRun) run =
        guest_run_new((BoardConfig){.memory_bytes = 8 * MIB, .vcpus = 1}, "pattern=random pages=10 passes=1 quiet");
    Machine *machine = board_machine(run->board);
    g_autoptr(GError) error = NULL;

    g_assert_cmpint(vcpu_tid(machine, 0), >, 0);
    g_assert_true(vcpu_pin(machine, 0, 0, &error));
    g_assert_true(vcpu_pin(machine, 0, -1, &error));
    g_assert_false(vcpu_pin(machine, 0, 8000, &error));
    g_assert_nonnull(strstr(error->message, "8000"));
    g_clear_error(&error);
    g_assert_false(vcpu_pin(machine, 0, 1 << 20, &error));
    guest_run_start(run);
    guest_run_wait(run, 1);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/board/1000-pauses-under-load-lose-no-exit-and-no-write", test_pause_loses_nothing);
    g_test_add_func("/board/kicks-and-pauses-from-many-threads-end", test_kick_from_many_threads);
    g_test_add_func("/board/a-kick-reaches-every-vcpu", test_kick_reaches_every_vcpu);
    g_test_add_func("/board/50-boards-leave-no-fd-and-no-thread", test_boards_leave_nothing);
    g_test_add_func("/board/boards-that-fail-leave-nothing", test_failed_boards_leave_nothing);
    g_test_add_func("/board/vcpu-threads-can-be-pinned", test_pins_threads);
    return g_test_run();
}
