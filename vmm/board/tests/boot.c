/* SPDX-License-Identifier: MIT */
/* The embedded guest on /dev/kvm: it does what the host computes that it does. */
#include "guest_run.h"

#include <machine/error.h>
#include <string.h>

#define MIB (UINT64_C(1) << 20)
#define WAIT_MS 60000
#define SERIAL_READY "dirtylab-guest: ready\r\n"

static const char *const patterns[] = {"sequential", "random", "hotspot", "stride", "silent", "read"};

static void
check_histogram(GuestRun *run, guint vcpu, guint64 writes)
{
    struct abi_histogram histogram;
    guint64 counted = 0;

    g_assert_true(guest_ram_load(board_ram(run->board), ABI_HISTOGRAM_GPA(vcpu), &histogram, sizeof histogram));
    for (guint i = 0; i < ABI_HISTOGRAM_BUCKETS; i++)
        counted += histogram.count[i];
    g_assert_cmpuint(counted, ==, writes);
    g_assert_true(!writes || histogram.total_cycles >= histogram.max_cycles);
}

static void
run_workload(const char *pattern, guint vcpus, guint ring, guint64 memory, guint64 pages, guint passes)
{
    g_autofree char *line = g_strdup_printf("pattern=%s pages=%" G_GUINT64_FORMAT " passes=%u seed=%u vcpus=%u ring=%u", pattern,
                                            pages, passes, g_test_rand_int() & 0xffff, vcpus, ring);
    g_autoptr(GuestRun) run = guest_run_new((BoardConfig){.memory_bytes = memory, .vcpus = vcpus}, line);
    gboolean stores = strcmp(pattern, "read") != 0 && strcmp(pattern, "silent") != 0;

    g_test_message("%s", line);
    guest_run_start(run);
    guest_run_wait(run, vcpus);
    g_assert_cmpstr(machine_crash_reason(board_machine(run->board)), ==, NULL);
    struct abi_mailbox mailbox = guest_run_mailbox(run);
    g_assert_cmphex(mailbox.magic, ==, ABI_MAILBOX_MAGIC);
    g_assert_cmpuint(mailbox.error, ==, ABI_OK);
    g_assert_cmpuint(mailbox.workload.arena_pages, ==, memory / ABI_PAGE_SIZE - ABI_ARENA_GPA / ABI_PAGE_SIZE);
    g_assert_cmpuint(mailbox.workload.arena_pages, ==, abi_arena_pages(&mailbox.arena));
    g_assert_cmpuint(mailbox.workload.vcpus, ==, vcpus);
    g_assert_cmpuint(mailbox.workload.pages, ==, abi_clamp_pages(mailbox.workload.pattern, pages, mailbox.workload.arena_pages));
    g_assert_cmpuint(run->ready, ==, (guint64)passes * vcpus);
    for (guint vcpu = 0; vcpu < vcpus; vcpu++) {
        struct abi_vcpu progress = guest_run_progress(run, vcpu);
        g_assert_cmpuint(progress.passes, ==, passes);
        g_assert_cmpuint(progress.position, ==, (guint64)passes * abi_vcpu_writes(&mailbox.workload, vcpu));
        g_assert_cmpuint(progress.busy_cycles, >, 0);
        check_histogram(run, vcpu, progress.position);
    }
    if (stores)
        g_assert_cmpuint(guest_run_check_pass(run, passes - 1), ==, abi_pass_writes(&mailbox.workload));
    g_assert_true(g_str_has_prefix(run->serial->str, SERIAL_READY));
}

static void
test_every_pattern(gconstpointer data)
{
    guint vcpus = GPOINTER_TO_UINT(data);

    for (guint i = 0; i < G_N_ELEMENTS(patterns); i++)
        run_workload(patterns[i], vcpus, 3, 64 * MIB, 600, 3);
}

static void
test_ring0(gconstpointer data)
{
    guint vcpus = GPOINTER_TO_UINT(data);

    for (guint i = 0; i < G_N_ELEMENTS(patterns); i++)
        run_workload(patterns[i], vcpus, 0, 64 * MIB, 600, 2);
    run_workload("random", vcpus, 0, 64 * MIB, 1500, 2); /* several lists a pass */
}

static void
test_odd_sizes(void)
{
    run_workload("random", 1, 3, 5 * MIB, 256, 2);                        /* the whole arena */
    run_workload("random", 1, 3, 33 * MIB + UINT64_C(3) * 4096, 1000, 2); /* no multiple of 2 MiB, nor of 64 pages */
    run_workload("sequential", 2, 3, 8 * MIB, 1000, 7);                   /* around the arena's end */
    run_workload("random", 5, 3, 16 * MIB, 3, 2);                         /* fewer pages than vCPUs */
}

static void
test_silent_changes_nothing(void)
{
    g_autoptr(GuestRun) run =
        guest_run_new((BoardConfig){.memory_bytes = 8 * MIB, .vcpus = 1}, "pattern=silent pages=1024 passes=2 seed=3");

    for (guint64 gpa = ABI_ARENA_GPA; gpa < 8 * MIB; gpa += 8)
        g_assert_true(guest_ram_store(board_ram(run->board), gpa, &gpa, 8));
    guest_run_start(run);
    guest_run_wait(run, 1);
    for (guint64 gpa = ABI_ARENA_GPA, value; gpa < 8 * MIB; gpa += 8) {
        g_assert_true(guest_ram_load(board_ram(run->board), gpa, &value, 8));
        g_assert_cmphex(value, ==, gpa);
    }
}

static void
test_idle_until_told(void)
{
    g_autoptr(GuestRun) run = guest_run_new((BoardConfig){.memory_bytes = 8 * MIB, .vcpus = 2}, "pattern=idle passes=3 vcpus=2");
    guint64 stop = 1;

    guest_run_start(run);
    while (g_atomic_int_get(&run->ready) < 2)
        g_usleep(1000);
    g_usleep(100000); /* it waits */
    g_assert_cmpuint(g_atomic_int_get(&run->ready), ==, 2);
    g_assert_true(
        guest_ram_store(board_ram(run->board), ABI_MAILBOX_GPA + offsetof(struct abi_mailbox, stop), &stop, sizeof stop));
    guest_run_wait(run, 2);
    g_assert_cmpuint(guest_run_progress(run, 0).passes, ==, 3);
    g_assert_cmpuint(guest_run_progress(run, 1).position, ==, 0);
}

static void
test_above_4_gib(void)
{
    const BoardConfig config = {.memory_bytes = 5 * (UINT64_C(1) << 30), .vcpus = 2};
    g_autoptr(GError) error = NULL;
    guint64 high = 0;

    if (!guest_ram_check_host(config.ram, config.memory_bytes, FALSE, 0, &error)) {
        g_assert_error(error, MACHINE_ERROR, MACHINE_ERROR_RESOURCE);
        g_test_skip(error->message);
        return;
    }
    g_autoptr(GuestRun) run = guest_run_new(config, "pattern=random pages=3000 passes=1 vcpus=2");
    guest_run_start(run);
    guest_run_wait(run, 2);
    struct abi_mailbox mailbox = guest_run_mailbox(run);
    g_assert_cmpuint(mailbox.arena.n_ranges, ==, 2);
    g_assert_cmphex(mailbox.arena.range[0].gpa + mailbox.arena.range[0].pages * ABI_PAGE_SIZE, ==, GUEST_RAM_HOLE_START);
    g_assert_cmphex(mailbox.arena.range[1].gpa, ==, GUEST_RAM_HOLE_END);
    g_assert_cmpuint(mailbox.arena.range[1].pages, ==, 2 * (UINT64_C(1) << 30) / ABI_PAGE_SIZE);
    g_assert_cmpuint(guest_run_check_pass(run, 0), ==, 3000);
    for (guint64 i = 0; i < 1500; i++)
        high += abi_arena_gpa(&mailbox.arena, abi_write_at(&mailbox.workload, 0, 0, i).page) >= GUEST_RAM_HOLE_END;
    g_assert_cmpuint(high, >, 300);
}

static void
test_errors_ring_panic(void)
{
    static const struct {
        const char *line;
        guint64 memory;
        guint64 error;
    } cases[] = {{"pages=10 nonsense=1", 8 * MIB, ABI_ERROR_COMMAND_LINE}, {"pages=10", 4 * MIB, ABI_ERROR_MEMORY}};

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GuestRun) run = guest_run_new((BoardConfig){.memory_bytes = cases[i].memory, .vcpus = 1}, cases[i].line);
        guest_run_start(run);
        guest_run_wait(run, 1);
        g_assert_true(run->panicked);
        g_assert_cmpuint(guest_run_mailbox(run).error, ==, cases[i].error);
    }
}

/* Without a doorbell the guest runs through, and resets. */
static void
test_end_is_told(void)
{
    BoardConfig config = {.memory_bytes = 8 * MIB, .vcpus = 2, .command_line = "pages=10 passes=2 vcpus=2 quiet"};
    g_autoptr(GError) error = NULL;
    g_autoptr(Board) board = board_new(&config, &error);

    g_assert_no_error(error);
    g_assert_true(board_start(board, &error));
    g_assert_true(machine_wait(board_machine(board), WAIT_MS));
    g_assert_cmpint(machine_state(board_machine(board)), ==, MACHINE_SHUT_DOWN);
    g_assert_cmpint(machine_end(board_machine(board)), ==, MACHINE_RESET);
}

/* The clock's version, once it is another than @before: KVM writes it when the vCPU next goes into the guest. */
static guint32
wait_for_kvmclock(GuestRun *run, guint32 before)
{
    guint32 version = before;

    for (guint i = 0; i < WAIT_MS && version == before; i++) {
        g_usleep(1000);
        g_assert_true(guest_ram_load(board_ram(run->board), ABI_KVMCLOCK_GPA(0), &version, sizeof version));
    }
    return version;
}

static void
test_kvmclock_is_written(void)
{
    g_autoptr(GuestRun) run = guest_run_new((BoardConfig){.memory_bytes = 8 * MIB, .vcpus = 1}, "pattern=idle passes=0");
    Machine *machine = board_machine(run->board);
    g_autoptr(GError) error = NULL;

    g_assert_true(vcpu_enable_kvmclock(machine, 0, ABI_KVMCLOCK_GPA(0), &error));
    guest_run_start(run);
    g_assert_cmpuint(wait_for_kvmclock(run, 0), >, 0);
    g_assert_true(machine_pause(machine, &error));
    guint32 first;
    g_assert_true(guest_ram_load(board_ram(run->board), ABI_KVMCLOCK_GPA(0), &first, sizeof first));
    g_assert_true(vcpu_touch_kvmclock(machine, 0, &error));
    machine_resume(machine);
    g_assert_cmpuint(wait_for_kvmclock(run, first), !=, first);
}

static void
test_ring_full_goes_on(void)
{
    g_autoptr(GuestRun) run = guest_run_new((BoardConfig){.memory_bytes = 64 * MIB, .vcpus = 2, .dirty_ring_entries = 1024},
                                            "pattern=random pages=8000 passes=3 vcpus=2");
    g_autoptr(GError) error = NULL;
    DlLogStats stats;

    dl_log_move(board_log(run->board), "kvm-ring", NULL, NULL, &error);
    g_assert_no_error(error);
    guest_run_start(run);
    guest_run_wait(run, 2);
    g_assert_cmpuint(guest_run_check_pass(run, 2), ==, 8000);
    dl_log_stats(board_log(run->board), &stats);
    g_assert_cmpuint(stats.ring_full_exits, >, 4);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/board/1-vcpu-writes-what-the-host-computes", GUINT_TO_POINTER(1), test_every_pattern);
    g_test_add_data_func("/board/2-vcpus-write-what-the-host-computes", GUINT_TO_POINTER(2), test_every_pattern);
    g_test_add_data_func("/board/1-vcpu-writes-from-ring-0", GUINT_TO_POINTER(1), test_ring0);
    g_test_add_data_func("/board/2-vcpus-write-from-ring-0", GUINT_TO_POINTER(2), test_ring0);
    g_test_add_func("/board/odd-sizes-and-many-vcpus", test_odd_sizes);
    g_test_add_func("/board/silent-changes-nothing", test_silent_changes_nothing);
    g_test_add_func("/board/idle-until-told", test_idle_until_told);
    g_test_add_func("/board/writes-above-4-gib", test_above_4_gib);
    g_test_add_func("/board/errors-ring-panic", test_errors_ring_panic);
    g_test_add_func("/board/the-guests-end-is-told-in-words", test_end_is_told);
    g_test_add_func("/board/kvmclock-is-written-when-touched", test_kvmclock_is_written);
    g_test_add_func("/board/a-full-ring-is-harvested-and-the-guest-goes-on", test_ring_full_goes_on);
    return g_test_run();
}
