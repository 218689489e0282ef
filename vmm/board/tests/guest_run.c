/* SPDX-License-Identifier: MIT */
#include "guest_run.h"

#include <machine/registers.h>

#define WAIT_SECONDS 120

static void
ring(gpointer user, guint vcpu, guint64 offset, guint size, guint64 value)
{
    GuestRun *run = user;

    g_assert_cmpuint(offset, ==, 0);
    g_assert_cmpuint(size, ==, 4);
    vcpu_park(board_machine(run->board), vcpu);
    g_mutex_lock(&run->lock);
    guint round = run->ready / run->n_vcpus + 1;
    if (value == ABI_DOORBELL_READY) {
        run->ready++;
    } else if (!run->is_done[vcpu]) {
        run->is_done[vcpu] = TRUE;
        run->done++;
    }
    run->panicked = run->panicked || value == ABI_DOORBELL_PANIC;
    g_cond_broadcast(&run->changed);
    while (!run->stopping && (value != ABI_DOORBELL_READY || (!run->free_running && run->ready < round * run->n_vcpus)))
        g_cond_wait(&run->changed, &run->lock);
    g_mutex_unlock(&run->lock);
    vcpu_unpark(board_machine(run->board), vcpu);
}

static void
stop(gpointer user)
{
    GuestRun *run = user;

    g_mutex_lock(&run->lock);
    run->stopping = TRUE;
    g_cond_broadcast(&run->changed);
    g_mutex_unlock(&run->lock);
}

static void
console(gpointer user, const char *bytes, gsize n_bytes)
{
    g_string_append_len(((GuestRun *)user)->serial, bytes, (gssize)n_bytes);
}

GuestRun *
guest_run_new(BoardConfig config, const char *command_line)
{
    static const BusHandler handler = {.write = ring};
    GuestRun *run = g_new0(GuestRun, 1);
    g_autoptr(GError) error = NULL;

    run->serial = g_string_new(NULL);
    run->n_vcpus = config.vcpus;
    config.command_line = command_line;
    config.console = console;
    config.console_user = run;
    run->board = board_new(&config, &error);
    g_assert_no_error(error);
    g_assert_true(
        bus_register(machine_bus(board_machine(run->board)), BUS_PIO, ABI_DOORBELL_PORT, 4, "doorbell", &handler, run, &error));
    machine_add_stop_hook(board_machine(run->board), stop, run);
    return run;
}

void
guest_run_free(GuestRun *run)
{
    board_free(run->board);
    g_string_free(run->serial, TRUE);
    g_free(run);
}

void
guest_run_inherit(GuestRun *run, const GuestRun *from)
{
    memcpy(run->is_done, from->is_done, sizeof run->is_done);
    run->done = from->done;
    g_string_append_len(run->serial, from->serial->str, (gssize)from->serial->len);
}

void
guest_run_start(GuestRun *run)
{
    g_autoptr(GError) error = NULL;

    g_assert_true(board_start(run->board, &error));
    g_assert_no_error(error);
}

/* Where each vCPU stands, for whoever reads the log of a guest that did not come to its end. */
static void
report_hang(GuestRun *run)
{
    Machine *machine = board_machine(run->board);
    g_autoptr(GString) text = g_string_new(NULL);

    g_string_append_printf(text, "the guest hangs: ready %u, done %u\n%s\n", run->ready, run->done, run->serial->str);
    if (machine_pause(machine, NULL)) {
        for (guint vcpu = 0; vcpu < run->n_vcpus; vcpu++) {
            struct abi_vcpu progress = guest_run_progress(run, vcpu);
            g_string_append_printf(
                text, "vCPU %u: %" G_GUINT64_FORMAT " passes, position %" G_GUINT64_FORMAT ", %" G_GUINT64_FORMAT " exits\n",
                vcpu, progress.passes, progress.position, vcpu_exits(machine, vcpu));
            registers_print(machine, vcpu, text);
        }
    }
    g_printerr("%s", text->str);
}

void
guest_run_wait(GuestRun *run, guint n)
{
    gint64 deadline = g_get_monotonic_time() + (gint64)WAIT_SECONDS * G_USEC_PER_SEC;
    gboolean in_time = TRUE;

    g_mutex_lock(&run->lock);
    while (run->done < n && !run->panicked && !run->stopping && in_time)
        in_time = g_cond_wait_until(&run->changed, &run->lock, deadline);
    g_mutex_unlock(&run->lock);
    if (!in_time)
        report_hang(run);
    g_assert_true(in_time);
}

struct abi_mailbox
guest_run_mailbox(GuestRun *run)
{
    struct abi_mailbox mailbox;

    g_assert_true(guest_ram_load(board_ram(run->board), ABI_MAILBOX_GPA, &mailbox, sizeof mailbox));
    return mailbox;
}

struct abi_vcpu
guest_run_progress(GuestRun *run, guint vcpu)
{
    struct abi_vcpu progress;

    g_assert_true(guest_ram_load(board_ram(run->board), ABI_VCPU_GPA(vcpu), &progress, sizeof progress));
    return progress;
}

guint64
guest_run_total(GuestRun *run)
{
    guint64 total = 0;

    for (guint vcpu = 0; vcpu < run->n_vcpus; vcpu++)
        total += guest_run_progress(run, vcpu).position;
    return total;
}

void
guest_run_wait_for_writes(GuestRun *run, guint64 target)
{
    gint64 deadline = g_get_monotonic_time() + (gint64)WAIT_SECONDS * G_USEC_PER_SEC;

    while (guest_run_total(run) < target) {
        g_assert_cmpint(machine_state(board_machine(run->board)), ==, MACHINE_STARTED);
        g_assert_cmpint(g_get_monotonic_time(), <, deadline);
        g_usleep(1000);
    }
}

guint
guest_run_entries_settle(const char *path, guint most)
{
    guint n = G_MAXUINT;

    for (guint i = 0; i < WAIT_SECONDS * 1000 && n > most; i++) {
        g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
        if (i)
            g_usleep(1000);
        for (n = 0; g_dir_read_name(dir);)
            n++;
    }
    return n;
}

/* A hot page is written several times a pass, so its offsets may repeat: the last write to an address wins. */
guint64
guest_run_check_pass(GuestRun *run, guint64 pass)
{
    struct abi_mailbox mailbox = guest_run_mailbox(run);
    g_autoptr(GHashTable) later = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
    guint64 checked = 0;

    for (guint vcpu = 0; vcpu < mailbox.workload.vcpus; vcpu++) {
        for (guint64 i = abi_vcpu_writes(&mailbox.workload, vcpu); i-- > 0; checked++) {
            struct abi_write write = abi_write_at(&mailbox.workload, vcpu, pass, i);
            guint64 gpa = abi_arena_gpa(&mailbox.arena, write.page) + write.offset, value;
            if (mailbox.workload.pattern == ABI_HOTSPOT && !g_hash_table_add(later, g_memdup2(&gpa, sizeof gpa)))
                continue;
            g_assert_true(guest_ram_load(board_ram(run->board), gpa, &value, sizeof value));
            /* of a hot address that two vCPUs store to, either may have been last */
            if (mailbox.workload.pattern == ABI_HOTSPOT && mailbox.workload.vcpus > 1)
                g_assert_cmpuint(value >> 32, ==, pass + 1);
            else
                g_assert_cmphex(value, ==, write.value);
        }
    }
    return checked;
}
