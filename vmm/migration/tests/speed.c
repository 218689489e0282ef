/* SPDX-License-Identifier: MIT */
/*
 * No test: how fast migrations are here. Each run is a migration over a socket pair within this process, and with --bare also a loop of
 * writev and readv of the same RAM into other RAM of the same kind and state, which is what any migration is measured by.
 *
 *     build/vmm/migration/tests/migration-speed --memory 1024 --workload "pattern=hotspot pages=24576" --settle 250000 --tracker pagemap-scan --runs 5
 *     build/vmm/migration/tests/migration-speed --memory 4096 --random --workload pattern=idle --bare --runs 5
 */
#include "rig.h"

#include <migration/statistics.h>

#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define PIECE (UINT64_C(256) << 10)

static int memory_mib = 1024, n_runs = 5, n_vcpus = 1, settle;
static gboolean with_bare, with_random, populated;
static char *ram_name, *tracker, *workload;
static DlRamKind kind;

static const GOptionEntry options[] = {
    {"memory", 0, 0, G_OPTION_ARG_INT, &memory_mib, "guest RAM", "MIB"},
    {"runs", 0, 0, G_OPTION_ARG_INT, &n_runs, "migrations", "N"},
    {"vcpus", 0, 0, G_OPTION_ARG_INT, &n_vcpus, "vCPUs", "N"},
    {"ram", 0, 0, G_OPTION_ARG_STRING, &ram_name, "kind of RAM", "KIND"},
    {"tracker", 0, 0, G_OPTION_ARG_STRING, &tracker, "tracker; none: the migration's choice", "NAME"},
    {"workload", 0, 0, G_OPTION_ARG_STRING, &workload, "the embedded guest's command line", "TEXT"},
    {"settle", 0, 0, G_OPTION_ARG_INT, &settle, "writes before the migration", "N"},
    {"random", 0, 0, G_OPTION_ARG_NONE, &with_random, "fill RAM with random content", NULL},
    {"populated", 0, 0, G_OPTION_ARG_NONE, &populated, "the destination's RAM has its pages already", NULL},
    {"bare", 0, 0, G_OPTION_ARG_NONE, &with_bare, "the bare loop too", NULL},
    {NULL, 0, 0, 0, NULL, NULL, NULL},
};

static void
populate_if_wanted(GuestRam *ram)
{
    for (guint i = 0; populated && i < dl_layout_n_regions(guest_ram_layout(ram)); i++) {
        const DlMemory *memory = guest_ram_memory(ram, i);
        g_assert_true(dl_memory_populate((DlMemory *)memory, 0, memory->size, NULL));
    }
}

static void
fill(GuestRam *ram)
{
    guint64 state = 1;

    for (guint i = 0; i < dl_layout_n_regions(guest_ram_layout(ram)); i++) {
        const DlRegion *region = dl_layout_region(guest_ram_layout(ram), i);
        for (guint64 at = i ? 0 : 8 * MIB; at < region->size; at += sizeof state) {
            state = state * G_GUINT64_CONSTANT(6364136223846793005) + 1442695040888963407;
            *(guint64 *)(gpointer)(region->hva + at) = state;
        }
    }
}

/* --- the bare loop --- */

typedef struct {
    int fd;
    GuestRam *ram;
} End;

static gpointer
read_all(gpointer user)
{
    const End *end = user;

    for (guint i = 0; i < dl_layout_n_regions(guest_ram_layout(end->ram)); i++) {
        const DlRegion *region = dl_layout_region(guest_ram_layout(end->ram), i);
        for (guint64 at = 0; at < region->size;) {
            struct iovec piece = {region->hva + at, MIN(PIECE, region->size - at)};
            gssize got = readv(end->fd, &piece, 1);
            g_assert_cmpint(got, >, 0);
            at += (guint64)got;
        }
    }
    return NULL;
}

static double
bare_seconds(GuestRam *from)
{
    g_autoptr(GuestRam) to = guest_ram_new(kind, guest_ram_size(from), FALSE, NULL);
    int fds[2];

    populate_if_wanted(to);
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
    End end = {fds[1], to};
    gint64 start = g_get_monotonic_time(), cpu = clock_host_cpu_ns();
    GThread *reader = g_thread_new("reader", read_all, &end);
    for (guint i = 0; i < dl_layout_n_regions(guest_ram_layout(from)); i++) {
        const DlRegion *region = dl_layout_region(guest_ram_layout(from), i);
        for (guint64 at = 0; at < region->size;) {
            struct iovec piece = {region->hva + at, MIN(PIECE, region->size - at)};
            gssize put = writev(fds[0], &piece, 1);
            g_assert_cmpint(put, >, 0);
            at += (guint64)put;
        }
    }
    g_thread_join(reader);
    close(fds[0]);
    close(fds[1]);
    double seconds = (double)(g_get_monotonic_time() - start) / 1e6;
    g_print("    bare %.1f ms, CPU %.0f ms\n", seconds * 1e3, (double)(clock_host_cpu_ns() - cpu) / 1e6);
    return seconds;
}

/* --- the migration --- */

static double
migrate(Rig *rig)
{
    g_auto(MigrationInfo) info = {0};

    rig_new_destination(rig, -1);
    populate_if_wanted(board_ram(rig->to->board));
    gint64 cpu = clock_host_cpu_ns();
    rig_new_source(rig, -1);
    g_assert_true(migration_source_wait(rig->source, -1));
    g_assert_true(migration_destination_wait(rig->destination, -1));
    rig_expect(rig, MIGRATION_COMPLETED, MIGRATION_COMPLETED);
    migration_source_query(rig->source, &info);
    g_print(
        "%s: total %.1f ms, setup %.1f, down %.2f (harvest %.2f send %.2f save %.2f wire %.2f load %.2f resume %.2f), %" G_GUINT64_FORMAT
        " MiB in",
        g_array_index(info.passes, MigrationPass, 0).tracker, (double)info.total_ns / 1e6, (double)info.setup_ns / 1e6,
        (double)info.downtime_ns / 1e6, (double)info.downtime.final_harvest / 1e6, (double)info.downtime.final_send / 1e6,
        (double)info.downtime.state_save / 1e6, (double)info.downtime.state_send / 1e6, (double)info.downtime.state_load / 1e6,
        (double)info.downtime.resume / 1e6, info.ram_transferred >> 20);
    for (guint i = 0; i < info.passes->len; i++) {
        const MigrationPass *pass = &g_array_index(info.passes, MigrationPass, i);
        g_print(" [%" G_GUINT64_FORMAT ": %.1f+%.1f]", pass->normal_pages, (double)pass->harvest_ns / 1e6,
                (double)pass->send_ns / 1e6);
    }
    g_print(", CPU %.0f ms\n", (double)(clock_host_cpu_ns() - cpu) / 1e6);
    return (double)(info.total_ns - info.setup_ns) / 1e9;
}

/*
 * Memory that this machine has not used for a while costs it more than what was freed just now, several times as much on a machine that is
 * a guest: so nothing is measured before as much has been had and freed, and the two are first in turns. The guest, idle or not, runs
 * beside both: after the migration it does so at the destination, and that is where the bare loop reads then.
 */
static void
run_once(const RigConfig *config, gboolean bare_first)
{
    g_autoptr(Rig) rig = rig_new(config);
    double bytes = (double)config->memory_bytes, seconds, bare = 0;

    if (with_random)
        fill(board_ram(rig->from->board));
    if (with_bare)
        bare_seconds(board_ram(rig->from->board));
    if (with_bare && bare_first)
        bare = bare_seconds(board_ram(rig->from->board));
    seconds = migrate(rig);
    if (!with_bare)
        return;
    if (!bare_first) {
        rig_turn_round(rig);
        bare = bare_seconds(board_ram(rig->from->board));
    }
    g_print("    %.2f GiB/s; bare loop %.2f GiB/s; %.0f %% of it\n", bytes / seconds / (1 << 30), bytes / bare / (1 << 30),
            100 * bare / seconds);
}

int
main(int argc, char **argv)
{
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);
    g_autoptr(GError) error = NULL;

    g_option_context_add_main_entries(context, options, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error) || (ram_name && !dl_ram_kind_from_name(ram_name, &kind, &error))) {
        g_printerr("%s\n", error->message);
        return EXIT_FAILURE;
    }
    const RigConfig config = {.ram = kind,
                              .to_ram = kind,
                              .memory_bytes = (guint64)memory_mib * MIB,
                              .vcpus = (guint)n_vcpus,
                              .tracker = tracker,
                              .ring = g_strcmp0(tracker, "kvm-ring") == 0,
                              .workload = workload,
                              .settle = (guint64)settle,
                              .let_go = TRUE};
    for (int i = 0; i < n_runs; i++)
        run_once(&config, i % 2);
    return EXIT_SUCCESS;
}
