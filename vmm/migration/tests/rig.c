/* SPDX-License-Identifier: MIT */
#include "rig.h"

#include <machine/error.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define WAIT_MS 120000
#define STEP_NS 2000000
#define STANDS_AFTER 100 /* steps without a write */

static GuestRun *
new_guest(const RigConfig *config, DlRamKind kind)
{
    g_autofree char *line = g_strdup_printf("passes=0 vcpus=%u %s", config->vcpus, config->workload);
    const BoardConfig board = {.ram = kind,
                               .memory_bytes = config->memory_bytes,
                               .vcpus = config->vcpus,
                               .dirty_ring_entries = config->ring ? RIG_RING_ENTRIES : 0};

    return guest_run_new(board, line);
}

/* Until this thread has had so much of a processor: on a busy host a guest that may run has had its share meanwhile, too. */
static void
spend(gint64 ns)
{
    struct timespec start, now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &start);
    do
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    while ((now.tv_sec - start.tv_sec) * 1000000000 + now.tv_nsec - start.tv_nsec < ns);
}

gboolean
rig_runs(GuestRun *run)
{
    guint64 before = guest_run_total(run), now = before;

    for (guint i = 0; i < 500 && now <= before + 1; i++) {
        if (machine_state(board_machine(run->board)) != MACHINE_STARTED || (i >= STANDS_AFTER && now == before))
            return FALSE;
        spend(STEP_NS);
        now = guest_run_total(run);
    }
    return now > before + 1;
}

Rig *
rig_new(const RigConfig *config)
{
    Rig *rig = g_new0(Rig, 1);

    rig->config = *config;
    if (!rig->config.memory_bytes)
        rig->config.memory_bytes = 64 * MIB;
    if (!rig->config.vcpus)
        rig->config.vcpus = 1;
    if (!rig->config.workload)
        rig->config.workload = "pattern=random pages=500";
    if (!rig->config.parameters.max_cpu_throttle) {
        guint64 bandwidth = rig->config.parameters.max_bandwidth;
        gboolean stop = rig->config.parameters.pause_before_switchover;
        migration_parameters_init(&rig->config.parameters);
        rig->config.parameters.max_bandwidth = bandwidth;
        rig->config.parameters.pause_before_switchover = stop;
    }
    rig->from = new_guest(&rig->config, rig->config.ram);
    guest_run_start(rig->from);
    while (guest_run_mailbox(rig->from).magic != ABI_MAILBOX_MAGIC)
        g_usleep(1000);
    if (!strstr(rig->config.workload, "idle"))
        guest_run_wait_for_writes(rig->from, rig->config.settle ? rig->config.settle : 600);
    return rig;
}

static void
end_migration(Rig *rig)
{
    g_clear_pointer(&rig->source, migration_source_free);
    for (guint i = 0; i < 2; i++) /* a destination that nobody has called hears of it by this */
        g_clear_pointer(&rig->ends[i], channel_free);
    g_clear_pointer(&rig->destination, migration_destination_free);
    for (guint i = 0; i < 2; i++)
        g_clear_object(&rig->cancel[i]);
}

void
rig_free(Rig *rig)
{
    end_migration(rig);
    g_clear_pointer(&rig->to, guest_run_free);
    g_clear_pointer(&rig->from, guest_run_free);
    g_free(rig);
}

static MigrationChannel *
open_end(Rig *rig, guint end, int fd)
{
    g_autofree char *uri = g_strdup_printf("fd:%d", fd);
    const ChannelOptions options = {.cancel = rig->cancel[end], .stall_limit_ms = rig->config.stall_limit_ms};
    g_autoptr(GError) error = NULL;

    MigrationChannel *channel = channel_connect(uri, &options, &error);
    g_assert_no_error(error);
    return channel;
}

void
rig_new_destination(Rig *rig, int fd)
{
    g_autoptr(GError) error = NULL;

    end_migration(rig);
    g_clear_pointer(&rig->to, guest_run_free);
    rig->to = new_guest(&rig->config, rig->config.to_ram);
    for (guint i = 0; i < 2; i++)
        rig->cancel[i] = g_cancellable_new();
    if (fd >= 0) {
        rig->ends[1] = open_end(rig, 1, fd);
    } else if (!rig->config.uri) {
        const ChannelOptions options = {.stall_limit_ms = rig->config.stall_limit_ms};
        g_assert_true(channel_new_pair(&options, rig->ends, &error));
    }
    const MigrationDestinationConfig config = {.uri = rig->ends[1] ? NULL : rig->config.uri,
                                               .channel = g_steal_pointer(&rig->ends[1]),
                                               .cancel = rig->cancel[1],
                                               .stall_limit_ms = rig->config.stall_limit_ms,
                                               .idle_limit_ms = rig->config.stall_limit_ms * 2,
                                               .hold = !rig->config.let_go};
    rig->destination = migration_destination_new(rig->to->board, &config, &error);
    g_assert_no_error(error);
}

void
rig_new_source(Rig *rig, int fd)
{
    g_autoptr(GError) error = NULL;

    if (fd >= 0)
        rig->ends[0] = open_end(rig, 0, fd);
    const MigrationSourceConfig config = {.uri = rig->ends[0] ? NULL : migration_destination_uri(rig->destination),
                                          .channel = g_steal_pointer(&rig->ends[0]),
                                          .cancel = rig->cancel[0],
                                          .stall_limit_ms = rig->config.stall_limit_ms,
                                          .parameters = rig->config.parameters,
                                          .tracker = rig->config.tracker,
                                          .moves = rig->config.moves,
                                          .n_moves = rig->config.n_moves,
                                          .events = rig->config.events};
    rig->source = migration_source_new(rig->from->board, &config, &error);
    g_assert_no_error(error);
}

void
rig_migrate(Rig *rig)
{
    rig_new_destination(rig, -1);
    rig_new_source(rig, -1);
    g_assert_true(migration_source_wait(rig->source, WAIT_MS));
    g_assert_true(migration_destination_wait(rig->destination, WAIT_MS));
}

void
rig_drop_destination(Rig *rig)
{
    end_migration(rig);
    g_clear_pointer(&rig->to, guest_run_free);
}

void
rig_turn_round(Rig *rig)
{
    end_migration(rig);
    guest_run_free(rig->from);
    rig->from = g_steal_pointer(&rig->to);
}

void
rig_expect(Rig *rig, MigrationStatus source, MigrationStatus destination)
{
    g_auto(MigrationInfo) from = {0}, to = {0};

    migration_source_query(rig->source, &from);
    migration_destination_query(rig->destination, &to);
    if (from.status == source && to.status == destination)
        return;
    g_test_message("source: %s, %s", migration_status_name(from.status), from.error ? from.error : "no error");
    g_test_message("destination: %s, %s", migration_status_name(to.status), to.error ? to.error : "no error");
    g_assert_cmpstr(migration_status_name(from.status), ==, migration_status_name(source));
    g_assert_cmpstr(migration_status_name(to.status), ==, migration_status_name(destination));
}

/* Where the next data is in either file, at or after @at; hugetlbfs has data everywhere. */
static guint64
next_data(int here, int there, guint64 at, guint64 end)
{
    off_t a = lseek(here, (off_t)at, SEEK_DATA), b = lseek(there, (off_t)at, SEEK_DATA);

    return MIN(a < 0 ? end : (guint64)a, b < 0 ? end : (guint64)b);
}

guint64
rig_compare(Rig *rig)
{
    GuestRam *from = board_ram(rig->from->board), *to = board_ram(rig->to->board);
    guint64 differ = 0;

    g_assert_cmpuint(dl_layout_n_regions(guest_ram_layout(from)), ==, dl_layout_n_regions(guest_ram_layout(to)));
    for (guint i = 0; i < dl_layout_n_regions(guest_ram_layout(from)); i++) {
        const DlRegion *here = dl_layout_region(guest_ram_layout(from), i), *there = dl_layout_region(guest_ram_layout(to), i);
        int fds[2] = {guest_ram_memory(from, i)->fd, guest_ram_memory(to, i)->fd};
        for (guint64 at = 0; (at = next_data(fds[0], fds[1], at, here->size)) < here->size; at += DL_PAGE_SIZE) {
            if (memcmp(here->hva + at, there->hva + at, DL_PAGE_SIZE) != 0 && !differ++)
                g_test_message("gpa 0x%" G_GINT64_MODIFIER "x differs", here->gpa + at);
        }
    }
    return differ;
}

gboolean
rig_ram_here(DlRamKind kind, guint64 bytes)
{
    g_autoptr(GError) error = NULL;

    if (guest_ram_check_host(kind, bytes, FALSE, 0, &error))
        return TRUE;
    if (!g_error_matches(error, MACHINE_ERROR, MACHINE_ERROR_RESOURCE)) /* too little RAM; or too small a pool: */
        g_assert_error(error, DL_ERROR, DL_ERROR_RESOURCE);
    g_test_skip(error->message);
    return FALSE;
}

gboolean
rig_tracker_here(const char *tracker, DlRamKind kind)
{
    g_auto(DlProbe) probe = {0};

    dl_probe(dl_tracker_facts_by_name(tracker), kind, &probe);
    if (!probe.supported)
        g_test_message("%s on %s: %s", tracker, dl_ram_kind_name(kind), probe.reason);
    return probe.supported;
}
