/* SPDX-License-Identifier: MIT */
/*
 * Migrations by every tracker, of a guest that writes: each ends with all of RAM compared, and each pass is judged. By default a short
 * matrix of guests of 256 MiB, and of 32 MiB where DIRTYLAB_TEST_SHORT is set; with --full guests of 1 GiB in every combination, and
 * every ordered pair of trackers.
 */
#include <string.h>

#include "bench/host_check.h"
#include "bench/migration_case.h"
#include "bench/role.h"
#include "bench/stall.h"

#define MIB (UINT64_C(1) << 20)

static gboolean full;
static double ns_per_cycle;
static const DlRamKind kinds[] = {DL_RAM_SHMEM, DL_RAM_HUGETLB_2M};

static guint64
guest_bytes(void)
{
    return (full ? 1024 : g_getenv("DIRTYLAB_TEST_SHORT") ? 32 : 256) * MIB;
}

static char *
describe(const MigrationCase *migration)
{
    return g_strdup_printf("%s on %s, %u vCPUs, %s, over %s", migration->facts->name, dl_ram_kind_name(migration->ram),
                           migration->vcpus, load_name(migration->load), transport_name(migration->transport));
}

static MigrationCase
new_case(const DlTrackerFacts *facts, DlRamKind ram)
{
    guint64 memory = guest_bytes();
    MigrationCase migration = {.facts = facts,
                               .ram = ram,
                               .memory_bytes = memory,
                               .vcpus = 1,
                               .load = LOAD_HEAVY,
                               .pattern = ABI_RANDOM,
                               .seed = 1,
                               .downtime_limit_ms = 300,
                               .limit_ms = 120000,
                               .auto_converge = TRUE, /* on a loaded machine the guest may outrun the channel */
                               .with_write_list = TRUE,
                               .with_replica = !full};

    migration.pages = stage_clamp_pages(WRITER_GUEST, ABI_RANDOM, memory / ABI_PAGE_SIZE / 10, memory, 1);
    return migration;
}

static gboolean
is_supported(const DlTrackerFacts *facts, DlRamKind ram)
{
    g_autoptr(HostCheck) host = host_check_new(2 * guest_bytes(), guest_bytes());

    return host_check_tracker(host, facts, ram)->supported;
}

/* Runs it; what is wrong fails the test, with every figure that tells where. */
static MigrationResult *
run(const MigrationCase *migration)
{
    g_autoptr(MigrationResult) result = migration_result_new();
    g_autoptr(GError) error = NULL;
    g_autofree char *what = describe(migration);
    MigrationAccuracy accuracy = {0};

    result->tracker = g_strdup(migration->facts->name);
    if (!migration_case_run(migration, ns_per_cycle, result, &error)) {
        g_test_message("%s: %s", what, error->message);
        g_test_fail();
        return g_steal_pointer(&result);
    }
    migration_result_add_accuracy(result, &accuracy);
    g_test_message("%s: %s, %u passes, %.0f ms, down %.2f ms, %" G_GUINT64_FORMAT " written, %" G_GUINT64_FORMAT
                   " reported, %" G_GUINT64_FORMAT " missed, %" G_GUINT64_FORMAT " unexplained",
                   what, migration_result_status_name(result->status), result->iterations->len, result->total_time_ms,
                   result->downtime_ms, accuracy.written_pages, accuracy.reported_pages, accuracy.missed_pages,
                   accuracy.extra[EXTRA_UNEXPLAINED]);
    if (!migration_result_is_sound(result) || !accuracy.passes) {
        g_test_message("%s: %s; %" G_GUINT64_FORMAT " pages differ", what, result->reason ? result->reason : "unsound",
                       result->mismatched_pages);
        g_test_fail();
    }
    return g_steal_pointer(&result);
}

/* --- every tracker --- */

static void
test_tracker(gconstpointer user)
{
    const DlTrackerFacts *facts = user;
    guint n_runs = 0;

    for (guint i = 0; i < G_N_ELEMENTS(kinds); i++) {
        if (!is_supported(facts, kinds[i]))
            continue;
        for (guint vcpus = 1; vcpus <= 2; vcpus++) {
            for (Load load = LOAD_IDLE; load < N_LOADS; load++, n_runs++) {
                MigrationCase migration = new_case(facts, kinds[i]);

                /* each tracker meets each pair of values in its short form */
                if (!full && (vcpus + load + i) % 2)
                    continue;
                migration.vcpus = vcpus;
                migration.load = load;
                if (load == LOAD_MODERATE) /* in order, or every 2 MiB page is written a hundred times a second */
                    migration.pattern = ABI_SEQUENTIAL;
                migration_result_free(run(&migration));
            }
        }
    }
    if (!n_runs)
        g_test_skip("this host has no RAM on which the tracker works: see dirtylab probe");
}

/* --- transports --- */

static void
test_transports(void)
{
    for (Transport transport = TRANSPORT_TCP; transport <= TRANSPORT_TLS; transport++) {
        MigrationCase migration = new_case(dl_tracker_facts_by_name("kvm-bitmap"), DL_RAM_SHMEM);

        migration.transport = transport;
        migration.load = LOAD_MODERATE; /* a heavy one may outrun a slow machine's encryption for ever */
        migration_result_free(run(&migration));
    }
}

/* --- moves --- */

/* They cannot be had in one VM: it has rings or bitmaps. */
static gboolean
exclude_each_other(const DlTrackerFacts *a, const DlTrackerFacts *b)
{
    return (a->holds == DL_HOLDS_RING && b->holds == DL_HOLDS_MEMSLOT_LOG) ||
           (a->holds == DL_HOLDS_MEMSLOT_LOG && b->holds == DL_HOLDS_RING);
}

static gboolean
try_move(const DlTrackerFacts *from, const DlTrackerFacts *to)
{
    const MigrationMove move = {from->name, to->name, 2};
    MigrationCase migration = new_case(from, DL_RAM_SHMEM);

    if (from == to || from->holds == DL_HOLDS_NOTHING || to->holds == DL_HOLDS_NOTHING || exclude_each_other(from, to) ||
        !is_supported(from, DL_RAM_SHMEM) || !is_supported(to, DL_RAM_SHMEM))
        return FALSE;
    migration.moves = &move;
    migration.n_moves = 1;
    g_autoptr(MigrationResult) result = run(&migration);
    if (g_strcmp0(result->moved_to, to->name) != 0) {
        g_test_message("%s → %s: ended with %s", from->name, to->name, result->moved_to ? result->moved_to : from->name);
        g_test_fail();
    }
    return TRUE;
}

static void
test_moves(void)
{
    guint n_pairs = 0;

    for (guint from = 0; from < dl_n_trackers(); from++) {
        for (guint to = 0; to < dl_n_trackers(); to++) {
            /* unless in full: each tracker once, to the next */
            if (full || to == from + 1)
                n_pairs += try_move(dl_tracker_facts(from), dl_tracker_facts(to));
        }
    }
    g_test_message("%u ordered pairs", n_pairs);
    g_assert_cmpuint(n_pairs, >=, full ? 6 : 1);
}

/* --- what does not end well --- */

static void
test_time_limit(void)
{
    MigrationCase migration = new_case(dl_tracker_facts_by_name("kvm-bitmap"), DL_RAM_SHMEM);
    g_autoptr(MigrationResult) result = migration_result_new();
    g_autoptr(GError) error = NULL;

    migration.bandwidth = 4 * MIB; /* the guest writes far more */
    migration.limit_ms = 700;
    migration.auto_converge = FALSE;
    g_assert_true(migration_case_run(&migration, ns_per_cycle, result, &error));
    g_assert_no_error(error);
    g_assert_cmpint(result->status, ==, MIGRATION_RESULT_CANCELLED);
    g_assert_nonnull(result->reason);
    g_assert_false(result->ram_compared);
    g_assert_false(migration_result_is_sound(result));
}

static void
test_interruption(void)
{
    const volatile gint cancelled = 1;
    MigrationCase migration = new_case(dl_tracker_facts_by_name("kvm-bitmap"), DL_RAM_SHMEM);
    g_autoptr(MigrationResult) result = migration_result_new();
    g_autoptr(GError) error = NULL;

    migration.cancelled = &cancelled;
    g_assert_false(migration_case_run(&migration, ns_per_cycle, result, &error));
    g_assert_error(error, ROLE_ERROR, ROLE_ERROR_CANCELLED);
}

static void
test_impossible_move(void)
{
    const MigrationMove move = {"kvm-bitmap", "kvm-ring", 2};
    MigrationCase migration = new_case(dl_tracker_facts_by_name("kvm-bitmap"), DL_RAM_SHMEM);
    g_autoptr(MigrationResult) result = migration_result_new();
    g_autoptr(GError) error = NULL;

    migration.moves = &move;
    migration.n_moves = 1;
    gboolean ran = migration_case_run(&migration, ns_per_cycle, result, &error);
    g_assert_true(!ran || result->status == MIGRATION_RESULT_FAILED);
    g_test_message("%s", ran ? result->reason : error->message);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (int i = 1; i < argc; i++)
        full = full || strcmp(argv[i], "--full") == 0;
    ns_per_cycle = tsc_ns_per_cycle();
    for (guint i = 0; i < dl_n_trackers(); i++) {
        const DlTrackerFacts *facts = dl_tracker_facts(i);
        g_autofree char *name = g_strdup_printf("/migrations/%s moves guests whole, and misses nothing in any pass", facts->name);

        if (facts->holds != DL_HOLDS_NOTHING)
            g_test_add_data_func(name, facts, test_tracker);
    }
    g_test_add_func("/migrations/over TCP and TLS as well", test_transports);
    g_test_add_func("/migrations/a move from tracker to tracker misses nothing", test_moves);
    g_test_add_func("/migrations/one that does not end in time is cancelled, and says so", test_time_limit);
    g_test_add_func("/migrations/an interruption ends both processes", test_interruption);
    g_test_add_func("/migrations/a move that the VM cannot have fails with its reason", test_impossible_move);
    return g_test_run();
}
