/* SPDX-License-Identifier: MIT */
/* Migrations that go well: every tracker, every kind of RAM, moves in the middle; and all of RAM compared. */
#include "rig.h"

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

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add_combinations();
    return g_test_run();
}
