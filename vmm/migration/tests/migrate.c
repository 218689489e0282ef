/* SPDX-License-Identifier: MIT */
/* Migrations that go well: every tracker, every kind of RAM, moves in the middle; and all of RAM compared. */
#include "rig.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <linux/falloc.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define WAIT_MS 120000

typedef struct {
    const char *tracker;
    DlRamKind ram;
    guint vcpus;
} Combination;

static void
tell(Rig *rig, const char *what)
{
    g_auto(MigrationInfo) info = {0};

    migration_source_query(rig->source, &info);
    g_test_message("%s: %" G_GINT64_FORMAT
                   " ms, down %.2f ms (harvest %.2f send %.2f save %.2f wire %.2f load %.2f resume %.2f), %u passes, "
                   "%" G_GUINT64_FORMAT " pages, %" G_GUINT64_FORMAT " zero",
                   what, info.total_ns / 1000000, (double)info.downtime_ns / 1e6, (double)info.downtime.final_harvest / 1e6,
                   (double)info.downtime.final_send / 1e6, (double)info.downtime.state_save / 1e6,
                   (double)info.downtime.state_send / 1e6, (double)info.downtime.state_load / 1e6,
                   (double)info.downtime.resume / 1e6, info.passes->len, info.normal_pages, info.duplicate_pages);
}

static void
test_combination(gconstpointer data)
{
    const Combination *combination = data;
    const RigConfig config = {.ram = combination->ram,
                              .to_ram = combination->ram,
                              .vcpus = combination->vcpus,
                              .tracker = combination->tracker,
                              .ring = g_str_equal(combination->tracker, "kvm-ring")};

    if (!rig_ram_here(config.ram, 128 * MIB) || !rig_tracker_here(config.tracker, config.ram))
        return;
    g_autoptr(Rig) rig = rig_new(&config);
    rig_migrate(rig);
    rig_expect(rig, MIGRATION_COMPLETED, MIGRATION_COMPLETED);
    g_assert_cmpuint(rig_compare(rig), ==, 0);
    g_assert_false(rig_runs(rig->from));
    tell(rig, config.tracker);
}

static void
add_combinations(void)
{
    static const DlRamKind kinds[] = {DL_RAM_SHMEM, DL_RAM_SHMEM_THP, DL_RAM_HUGETLB_2M};

    for (guint i = 1; i < dl_n_trackers(); i++) {
        for (guint kind = 0; kind < G_N_ELEMENTS(kinds); kind++) {
            for (guint vcpus = 1; vcpus <= 2; vcpus++) {
                Combination *combination = g_new(Combination, 1);
                *combination = (Combination){dl_tracker_facts(i)->name, kinds[kind], vcpus};
                g_autofree char *path = g_strdup_printf("/migrate/%s/%s/%u-vcpus/all-ram-arrives", combination->tracker,
                                                        dl_ram_kind_name(kinds[kind]), vcpus);
                g_test_add_data_func_full(path, combination, test_combination, g_free);
            }
        }
    }
}

/* --- other kinds of RAM --- */

typedef struct {
    DlRamKind from, to;
} Kinds;

static void
test_kinds(gconstpointer data)
{
    const Kinds *kinds = data;
    const RigConfig config = {.ram = kinds->from, .to_ram = kinds->to};

    if (!rig_ram_here(kinds->from, 64 * MIB) || !rig_ram_here(kinds->to, 64 * MIB))
        return;
    g_autoptr(Rig) rig = rig_new(&config);
    rig_migrate(rig);
    rig_expect(rig, MIGRATION_COMPLETED, MIGRATION_COMPLETED);
    g_assert_cmpuint(rig_compare(rig), ==, 0);
}

static void
add_kinds(void)
{
    static const Kinds pairs[] = {{DL_RAM_SHMEM, DL_RAM_HUGETLB_2M},
                                  {DL_RAM_HUGETLB_2M, DL_RAM_SHMEM},
                                  {DL_RAM_SHMEM_THP, DL_RAM_SHMEM},
                                  {DL_RAM_SHMEM, DL_RAM_SHMEM_THP}};

    for (guint i = 0; i < G_N_ELEMENTS(pairs); i++) {
        g_autofree char *path = g_strdup_printf("/migrate/from-%s-to-%s/all-ram-arrives", dl_ram_kind_name(pairs[i].from),
                                                dl_ram_kind_name(pairs[i].to));
        g_test_add_data_func(path, &pairs[i], test_kinds);
    }
}

/* --- moves from tracker to tracker --- */

static void
test_move(gconstpointer data)
{
    const MigrationMove *move = data;
    gboolean ring = g_str_equal(move->from, "kvm-ring") || g_str_equal(move->to, "kvm-ring");
    const RigConfig config = {.tracker = move->from, .ring = ring, .moves = move, .n_moves = 1};
    g_auto(MigrationInfo) info = {0};

    if (!rig_tracker_here(move->from, DL_RAM_SHMEM) || !rig_tracker_here(move->to, DL_RAM_SHMEM))
        return;
    g_autoptr(Rig) rig = rig_new(&config);
    rig_migrate(rig);
    rig_expect(rig, MIGRATION_COMPLETED, MIGRATION_COMPLETED);
    g_assert_cmpuint(rig_compare(rig), ==, 0);
    migration_source_query(rig->source, &info);
    g_assert_cmpstr(g_array_index(info.passes, MigrationPass, 0).tracker, ==, move->from);
    g_assert_cmpstr(g_array_index(info.passes, MigrationPass, info.passes->len - 1).tracker, ==, move->to);
}

static void
free_move(gpointer move)
{
    g_free(move);
}

static void
add_moves(void)
{
    for (guint from = 1; from < dl_n_trackers(); from++) {
        for (guint to = 1; to < dl_n_trackers(); to++) {
            const DlTrackerFacts *a = dl_tracker_facts(from), *b = dl_tracker_facts(to);
            gboolean slots_and_ring = (a->holds == DL_HOLDS_RING && b->holds == DL_HOLDS_MEMSLOT_LOG) ||
                                      (b->holds == DL_HOLDS_RING && a->holds == DL_HOLDS_MEMSLOT_LOG);
            if (from == to || slots_and_ring) /* KVM gives a VM one or the other */
                continue;
            MigrationMove *move = g_new(MigrationMove, 1);
            *move = (MigrationMove){a->name, b->name, 2};
            g_autofree char *path = g_strdup_printf("/migrate/move-%s-to-%s/all-ram-arrives", a->name, b->name);
            g_test_add_data_func_full(path, move, test_move, free_move);
        }
    }
}

/* From tracker to tracker all the while, by somebody else than the migration, which crawls until that is done. */
static void
test_moves_at_any_time(void)
{
    static const char *const names[] = {"kvm-bitmap", "pagemap-scan", "kvm-bitmap-clear", "uffd-wp"};
    const RigConfig config = {
        .vcpus = 2, .parameters = {.max_bandwidth = MIB / 4}, .workload = "pattern=random pages=1000 pace=2000000"};
    g_autoptr(Rig) rig = rig_new(&config);
    guint moves = 0;

    rig_new_destination(rig, -1);
    rig_new_source(rig, -1);
    while (!migration_source_wait(rig->source, 5)) {
        moves += migration_source_move_tracker(rig->source, names[moves % G_N_ELEMENTS(names)], NULL);
        if (moves == 20)
            rig->config.parameters.max_bandwidth = 0;
        g_assert_true(migration_source_set_parameters(rig->source, &rig->config.parameters, NULL));
    }
    g_assert_true(migration_destination_wait(rig->destination, WAIT_MS));
    rig_expect(rig, MIGRATION_COMPLETED, MIGRATION_COMPLETED);
    g_assert_cmpuint(rig_compare(rig), ==, 0);
    g_assert_cmpuint(moves, >=, 20);
}

typedef struct {
    DlLog *log;
    gboolean ending; /* atomic */
    guint collects;
} Collector;

static gpointer
collect_all_the_time(gpointer user)
{
    Collector *collector = user;
    DlConsumer *consumer = dl_log_subscribe(collector->log);

    while (!g_atomic_int_get(&collector->ending)) {
        g_assert_true(dl_log_collect(collector->log, NULL));
        collector->collects++;
        g_usleep(200);
    }
    dl_log_unsubscribe(collector->log, consumer);
    return NULL;
}

/* Somebody else collects all the while, as a dirty rate does: what he collects is not protected until the migration does that. */
static void
test_another_collector(gconstpointer data)
{
    const RigConfig config = {.tracker = data, .ring = g_str_equal(data, "kvm-ring"), .workload = "pattern=hotspot pages=2000"};

    if (!rig_tracker_here(config.tracker, DL_RAM_SHMEM))
        return;
    g_autoptr(Rig) rig = rig_new(&config);
    Collector collector = {.log = board_log(rig->from->board)};
    GThread *thread = g_thread_new("collector", collect_all_the_time, &collector);

    rig_migrate(rig);
    g_atomic_int_set(&collector.ending, TRUE);
    g_thread_join(thread);
    rig_expect(rig, MIGRATION_COMPLETED, MIGRATION_COMPLETED);
    g_assert_cmpuint(rig_compare(rig), ==, 0);
    g_assert_cmpuint(collector.collects, >, 0);
}

static void
add_another_collector(void)
{
    for (guint i = 1; i < dl_n_trackers(); i++) {
        g_autofree char *path = g_strdup_printf("/migrate/another-collector-under-%s/all-ram-arrives", dl_tracker_facts(i)->name);
        g_test_add_data_func(path, dl_tracker_facts(i)->name, test_another_collector);
    }
}

/* --- what is not there --- */

static guint64
allocated(GuestRun *run)
{
    struct stat status;

    g_assert_cmpint(fstat(guest_ram_memory(board_ram(run->board), 0)->fd, &status), ==, 0);
    return (guint64)status.st_blocks * 512;
}

static void
test_holes(gconstpointer data)
{
    DlRamKind kind = GPOINTER_TO_UINT(data);
    const RigConfig config = {
        .ram = kind, .to_ram = kind, .memory_bytes = 128 * MIB, .workload = "pattern=sequential pages=64 pace=1000000"};

    if (!rig_ram_here(kind, 256 * MIB))
        return;
    g_autoptr(Rig) rig = rig_new(&config);
    guint64 before = allocated(rig->from), writes = guest_run_total(rig->from);
    rig_migrate(rig);
    rig_expect(rig, MIGRATION_COMPLETED, MIGRATION_COMPLETED);
    guint64 after = allocated(rig->from), there = allocated(rig->to);
    guint64 made = (guest_run_total(rig->from) - writes) * DL_PAGE_SIZE; /* by the guest, page after page: much on a slow host */
    g_test_message("of 128 MiB the source had %" G_GUINT64_FORMAT " KiB, has %" G_GUINT64_FORMAT
                   ", the destination %" G_GUINT64_FORMAT "; the guest wrote to %" G_GUINT64_FORMAT,
                   before >> 10, after >> 10, there >> 10, made >> 10);
    g_assert_cmpuint(after, <, before + made + 8 * MIB);
    g_assert_cmpuint(there, <=, after + 4 * MIB); /* and the kernel that the board had loaded */
    g_assert_cmpuint(rig_compare(rig), ==, 0);
}

/* RAM below and above the hole at 3 GiB: two memslots, two files. */
static void
test_two_regions(void)
{
    const RigConfig config = {.memory_bytes = 4096 * MIB, .vcpus = 2, .workload = "pattern=random pages=2000"};

    if (!rig_ram_here(DL_RAM_SHMEM, 4096 * MIB))
        return;
    g_autoptr(Rig) rig = rig_new(&config);
    rig_migrate(rig);
    rig_expect(rig, MIGRATION_COMPLETED, MIGRATION_COMPLETED);
    g_assert_cmpuint(rig_compare(rig), ==, 0);
    machine_resume(board_machine(rig->to->board));
    g_assert_true(rig_runs(rig->to));
    tell(rig, "4 GiB");
}

typedef struct {
    int fd;
    off_t offset;
} Hole;

static gboolean
punch(gpointer user, GError **error)
{
    const Hole *hole = user;

    (void)error;
    return fallocate(hole->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, hole->offset, DL_PAGE_SIZE * 16) == 0;
}

typedef struct {
    GuestRun *run;
    guint8 *alias;
    guint discards;
} Discarder;

/* When a pass begins: what follows in it has been reported already, what went before has been sent. */
static void
discard_some(gpointer user, guint64 pass)
{
    Discarder *discarder = user;
    DlLog *log = board_log(discarder->run->board);
    g_autoptr(GError) error = NULL;

    for (guint i = 0; i < 20; i++) {
        guint64 gpa = 8 * MIB + (pass * 20 + i) % 900 * 16 * DL_PAGE_SIZE;
        Hole hole = {guest_ram_memory(board_ram(discarder->run->board), 0)->fd, (off_t)gpa};
        g_assert_true(dl_log_discard(log, gpa, DL_PAGE_SIZE * 16, punch, &hole, &error));
        discarder->discards++;
    }
}

/* What is discarded after it was sent arrives as zeroes. */
static void
test_discards(gconstpointer data)
{
    Discarder discarder = {0};
    const RigConfig config = {.tracker = data,
                              .ring = g_str_equal(data, "kvm-ring"),
                              .events = {.pass = discard_some, .user = &discarder},
                              .workload = "pattern=random pages=3000"};

    if (!rig_tracker_here(config.tracker, DL_RAM_SHMEM))
        return;
    g_autoptr(Rig) rig = rig_new(&config);
    discarder.run = rig->from;
    rig_migrate(rig);
    rig_expect(rig, MIGRATION_COMPLETED, MIGRATION_COMPLETED);
    g_assert_cmpuint(rig_compare(rig), ==, 0);
    g_assert_cmpuint(discarder.discards, >, 0);
}

/* Huge pages that an idle guest never touches: one with a page of content, and its neighbour; later ones come during the migration. */
#define BEHIND (100 * MIB)
#define LATER (110 * MIB) /* so much that counting_is_worth_it() */
#define LATER_BYTES (6 * MIB)
#define LAST (120 * MIB)

static gboolean
punch_huge(gpointer user, GError **error G_GNUC_UNUSED)
{
    const Hole *hole = user;

    return fallocate(hole->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, hole->offset, 2 * MIB) == 0;
}

/* Through another mapping, by who says so: no tracker sees it. */
static void
write_behind(const Discarder *discarder, guint64 gpa, guint64 bytes)
{
    memset(discarder->alias + gpa, (int)(gpa / MIB), bytes);
    g_assert_true(dl_log_note_written(board_log(discarder->run->board), gpa, bytes));
}

/* The passes that send what was discarded ask about it, and their answers say nothing of what is written later. */
static void
discard_and_write(gpointer user, guint64 pass)
{
    Discarder *discarder = user;
    Hole hole = {guest_ram_memory(board_ram(discarder->run->board), 0)->fd, BEHIND + 2 * MIB};

    if (pass == 1)
        g_assert_true(dl_log_discard(board_log(discarder->run->board), BEHIND + 2 * MIB, 2 * MIB, punch_huge, &hole, NULL));
    if (pass == 2)
        g_assert_true(dl_log_note_written(board_log(discarder->run->board), BEHIND + 2 * MIB, 2 * MIB));
    if (pass == 3)
        write_behind(discarder, LATER, LATER_BYTES);
    if (pass == 4)
        write_behind(discarder, LAST, DL_PAGE_SIZE);
    discarder->discards++;
}

/* What only another mapping has made on hugetlbfs, and no look at the pages since a discard could know of. */
static void
test_behind_the_mapping(gconstpointer before)
{
    Discarder discarder = {0};
    const RigConfig config = {.ram = DL_RAM_HUGETLB_2M,
                              .memory_bytes = 160 * MIB,
                              .events = {.pass = discard_and_write, .user = &discarder},
                              .workload = "pattern=idle"};

    if (!rig_ram_here(config.ram, config.memory_bytes))
        return;
    g_autoptr(Rig) rig = rig_new(&config);
    discarder.run = rig->from;
    const DlMemory *memory = guest_ram_memory(board_ram(rig->from->board), 0);
    guint8 *alias = mmap(NULL, memory->size, PROT_READ | PROT_WRITE, MAP_SHARED, memory->fd, 0);
    g_assert_true(alias != MAP_FAILED);
    discarder.alias = alias;
    if (before) {
        memset(alias + BEHIND + 5 * DL_PAGE_SIZE, 0x5a, DL_PAGE_SIZE);
        memset(alias + BEHIND + 2 * MIB, 0xa5, 2 * MIB);
    }
    rig_migrate(rig);
    rig_expect(rig, MIGRATION_COMPLETED, MIGRATION_COMPLETED);
    g_assert_cmpuint(rig_compare(rig), ==, 0);
    g_assert_cmpuint(alias[BEHIND + 5 * DL_PAGE_SIZE], ==, before ? 0x5a : 0);
    g_assert_cmpuint(alias[LATER], !=, 0);
    g_assert_cmpuint(alias[LAST], !=, 0);
    g_assert_cmpuint(discarder.discards, >=, 4);
    munmap(alias, memory->size);
}

static void
add_discards(void)
{
    for (guint i = 1; i < dl_n_trackers(); i++) {
        g_autofree char *path = g_strdup_printf("/migrate/discards-under-%s/arrive-as-zeroes", dl_tracker_facts(i)->name);
        g_test_add_data_func(path, dl_tracker_facts(i)->name, test_discards);
    }
}

/* --- over which stream --- */

/* Somebody who has lost his way connects first. */
static void
knock(const char *uri, gboolean say_something)
{
    static const char words[] = "GET / HTTP/1.0\r\nHost: localhost\r\n\r\n";
    const ChannelOptions none = {0};
    g_autoptr(GError) error = NULL;
    g_autoptr(MigrationChannel) channel = channel_connect(uri, &none, &error);

    g_assert_no_error(error);
    if (say_something)
        channel_write_all(channel, words, sizeof words - 1, CHANNEL_NO_DEADLINE, NULL);
}

static void
test_uri(gconstpointer data)
{
    g_autofree char *folder = g_dir_make_tmp("dirtylab-migrate-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(folder, "socket", NULL);
    g_autofree char *uri = g_str_equal(data, "unix") ? g_strconcat("unix:", path, NULL) : g_strdup("tcp:127.0.0.1:0");
    const RigConfig config = {.uri = uri, .let_go = TRUE};
    const ChannelOptions plain = {0};
    g_autoptr(Rig) rig = rig_new(&config);

    rig_new_destination(rig, -1);
    g_autoptr(MigrationChannel) silent = channel_connect(migration_destination_uri(rig->destination), &plain, NULL);
    knock(migration_destination_uri(rig->destination), FALSE);
    knock(migration_destination_uri(rig->destination), TRUE);
    rig_new_source(rig, -1);
    g_assert_true(migration_source_wait(rig->source, WAIT_MS));
    g_assert_true(migration_destination_wait(rig->destination, WAIT_MS));
    rig_expect(rig, MIGRATION_COMPLETED, MIGRATION_COMPLETED);
    g_assert_true(rig_runs(rig->to));
    g_assert_nonnull(silent); /* all the while */
    g_clear_pointer(&rig, rig_free);
    g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
    g_assert_cmpint(g_rmdir(folder), ==, 0);
}

/* --- and the guest goes on --- */

static void
test_goes_on(gconstpointer data)
{
    const Combination *combination = data;
    const RigConfig config = {.ram = combination->ram,
                              .to_ram = combination->ram,
                              .vcpus = combination->vcpus,
                              .tracker = combination->tracker,
                              .let_go = TRUE};

    g_autoptr(Rig) rig = rig_new(&config);
    guint64 before = guest_run_total(rig->from);
    rig_migrate(rig);
    rig_expect(rig, MIGRATION_COMPLETED, MIGRATION_COMPLETED);
    g_assert_false(migration_destination_is_paused(rig->destination));
    g_assert_cmpuint(guest_run_total(rig->to), >=, before);
    g_assert_true(rig_runs(rig->to));
    g_assert_false(rig_runs(rig->from));
    g_assert_cmpuint(guest_run_total(rig->to), >, guest_run_total(rig->from));
    tell(rig, "goes on");
}

/* Held after its arrival, compared, and then let go. */
static void
test_held(void)
{
    const RigConfig config = {.vcpus = 2};
    g_autoptr(Rig) rig = rig_new(&config);

    rig_migrate(rig);
    rig_expect(rig, MIGRATION_COMPLETED, MIGRATION_COMPLETED);
    g_assert_cmpuint(rig_compare(rig), ==, 0);
    g_assert_true(migration_destination_is_paused(rig->destination));
    g_assert_false(rig_runs(rig->to));
    machine_resume(board_machine(rig->to->board));
    g_assert_true(rig_runs(rig->to));
}

/* Each board is the next one's source; the guest's counters only ever grow. */
static void
test_there_and_back(void)
{
    static const char *const trackers[] = {"pagemap-scan", "kvm-bitmap", "uffd-wp", "kvm-bitmap-clear"};
    const RigConfig config = {.vcpus = 2, .let_go = TRUE};
    g_autoptr(Rig) rig = rig_new(&config);
    guint64 total = guest_run_total(rig->from);

    for (guint i = 0; i < 12; i++) {
        rig->config.tracker = trackers[i % G_N_ELEMENTS(trackers)];
        rig_migrate(rig);
        rig_expect(rig, MIGRATION_COMPLETED, MIGRATION_COMPLETED);
        g_assert_true(rig_runs(rig->to));
        rig_turn_round(rig);
        g_assert_cmpuint(guest_run_total(rig->from), >, total);
        total = guest_run_total(rig->from);
    }
    /* what the guest wrote on its way is what it should have written */
    g_assert_true(machine_pause(board_machine(rig->from->board), NULL));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add_combinations();
    add_kinds();
    g_test_add_data_func("/migrate/over-unix/after-three-who-lost-their-way", "unix", test_uri);
    g_test_add_data_func("/migrate/over-tcp/after-three-who-lost-their-way", "tcp", test_uri);
    add_moves();
    add_discards();
    g_test_add_data_func("/migrate/discards/hugetlb-2M/behind-the-mapping", "before", test_behind_the_mapping);
    g_test_add_data_func("/migrate/discards/hugetlb-2M/behind-the-mapping-later", NULL, test_behind_the_mapping);
    add_another_collector();
    static const Combination one = {"pagemap-scan", DL_RAM_SHMEM, 1}, two = {"kvm-bitmap", DL_RAM_SHMEM, 2};
    g_test_add_data_func("/migrate/1-vcpu/goes-on-there", &one, test_goes_on);
    g_test_add_data_func("/migrate/2-vcpus/goes-on-there", &two, test_goes_on);
    g_test_add_func("/migrate/held/goes-on-when-let-go", test_held);
    g_test_add_func("/migrate/12-times/there-and-back", test_there_and_back);
    g_test_add_func("/migrate/moves-at-any-time/all-ram-arrives", test_moves_at_any_time);
    g_test_add_func("/migrate/4-GiB-in-two-regions/all-ram-arrives", test_two_regions);
    g_test_add_data_func("/migrate/holes/shmem/stay-holes", GUINT_TO_POINTER(DL_RAM_SHMEM), test_holes);
    g_test_add_data_func("/migrate/holes/hugetlb-2M/stay-holes", GUINT_TO_POINTER(DL_RAM_HUGETLB_2M), test_holes);
    return g_test_run();
}
