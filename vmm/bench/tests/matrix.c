/* SPDX-License-Identifier: MIT */
/*
 * Accuracy, over everything that a guest's writes depend on: trackers × RAM kinds × vCPUs × patterns. By default ten seeds, each
 * with a pairwise subset of its own: every pair of values of any two factors occurs in it; where DIRTYLAB_TEST_SHORT is set, one
 * seed. With --full every combination, once, and guests of 4 GiB. Either way each run must have no undeclared miss and no
 * unexplained extra page, and the sum of what the oracles judged is said.
 */
#include <string.h>

#include "bench/lab.h"

#define MIB (UINT64_C(1) << 20)

enum {
    TRACKER,
    RAM,
    VCPUS,
    PATTERN,
    N_FACTORS
};

typedef struct {
    guint value[N_FACTORS];
} Combination;

typedef struct {
    guint n_values[N_FACTORS];
    GArray *supported; /* gboolean, [tracker × DL_N_RAM_KINDS + ram] */
    guint64 observations, written, runs;
} Matrix;

static Matrix matrix; /* the tests of one process share what the host supports, and the sum */

static gboolean
is_supported(const Combination *combination)
{
    return g_array_index(matrix.supported, gboolean, combination->value[TRACKER] * DL_N_RAM_KINDS + combination->value[RAM]);
}

/* --- one run --- */

static void
judge(const LabConfig *config, const LabFigures *figures)
{
    const AccuracyResult *oracles[] = {&figures->write_list, &figures->replica};
    g_autofree char *what = g_strdup_printf("%s on %s, %u vCPUs, %s, %" G_GUINT64_FORMAT " MiB, seed %" G_GUINT64_FORMAT,
                                            config->facts->name, dl_ram_kind_name(config->ram), config->vcpus,
                                            pattern_name(config->pattern), config->memory_bytes / MIB, config->seed);

    for (guint i = 0; i < G_N_ELEMENTS(oracles); i++) {
        if (oracles[i]->missed_pages != oracles[i]->expected_missed_pages || oracles[i]->extra[EXTRA_UNEXPLAINED]) {
            g_test_message("%s: %s: %" G_GUINT64_FORMAT " missed, %" G_GUINT64_FORMAT " of them expected, %" G_GUINT64_FORMAT
                           " unexplained",
                           what, i ? "replica" : "write list", oracles[i]->missed_pages, oracles[i]->expected_missed_pages,
                           oracles[i]->extra[EXTRA_UNEXPLAINED]);
            g_test_fail();
        }
        matrix.observations += oracles[i]->judged_pages;
    }
    matrix.written += figures->write_list.written_pages;
    matrix.runs++;
}

static void
run_sized(const Combination *combination, guint64 memory_bytes, guint64 seed)
{
    g_autoptr(LabFigures) figures = lab_figures_new();
    g_autoptr(GError) error = NULL;
    struct abi_arena arena;
    LabConfig config = {
        .facts = dl_tracker_facts(combination->value[TRACKER]),
        .ram = (DlRamKind)combination->value[RAM],
        .memory_bytes = memory_bytes,
        .vcpus = combination->value[VCPUS] + 1,
        .pattern = combination->value[PATTERN],
        .passes = 3,
        .seed = seed,
        .handler = seed % 2 ? HANDLER_SAME : HANDLER_OTHER,
        .with_write_list = TRUE,
        .with_replica = TRUE,
    };

    stage_arena(memory_bytes, &arena);
    config.pages =
        stage_clamp_pages(config.writer, config.pattern, MIN(abi_arena_pages(&arena) / 10, 3000), memory_bytes, config.vcpus);
    if (!lab_run(&config, 0.5, figures, &error)) {
        g_test_message("%s on %s: %s", config.facts->name, dl_ram_kind_name(config.ram), error->message);
        g_test_fail();
        return;
    }
    judge(&config, figures);
}

static void
run(const Combination *combination, guint64 seed)
{
    /* a size that is no multiple of 64 pages where the backing allows it */
    static const guint64 sizes[DL_N_RAM_KINDS] = {[DL_RAM_SHMEM] = 64 * MIB + UINT64_C(5) * 4096,
                                                  [DL_RAM_SHMEM_THP] = 64 * MIB,
                                                  [DL_RAM_HUGETLB_2M] = 64 * MIB,
                                                  [DL_RAM_HUGETLB_1G] = 1024 * MIB};

    run_sized(combination, sizes[combination->value[RAM]], seed);
}

/* --- pairwise --- */

#define MAX_VALUES 16

typedef gboolean Pairs[N_FACTORS][MAX_VALUES][N_FACTORS][MAX_VALUES];

static guint
count_new_pairs(const Combination *combination, Pairs seen, gboolean mark)
{
    guint n = 0;

    for (guint a = 0; a < N_FACTORS; a++) {
        for (guint b = a + 1; b < N_FACTORS; b++) {
            gboolean *pair = &seen[a][combination->value[a]][b][combination->value[b]];
            n += !*pair;
            *pair = *pair || mark;
        }
    }
    return n;
}

static void
randomise(Combination *combination, GRand *rand)
{
    do {
        for (guint i = 0; i < N_FACTORS; i++)
            combination->value[i] = (guint)g_rand_int_range(rand, 0, (gint32)matrix.n_values[i]);
    } while (!is_supported(combination));
}

/* Greedy: of some random candidates the one with the most pairs not seen yet, until candidates bring nothing new for long. */
static GArray *
pairwise(guint64 seed)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed((guint32)seed);
    GArray *chosen = g_array_new(FALSE, FALSE, sizeof(Combination));
    static Pairs seen;

    memset(seen, 0, sizeof seen);
    for (;;) {
        Combination best, candidate;
        guint best_new = 0;

        for (guint i = 0; i < 5000; i++) {
            randomise(&candidate, rand);
            guint n = count_new_pairs(&candidate, seen, FALSE);
            if (n > best_new) {
                best = candidate;
                best_new = n;
            }
        }
        if (!best_new)
            return chosen;
        count_new_pairs(&best, seen, TRUE);
        g_array_append_val(chosen, best);
    }
}

static void
test_seed(gconstpointer seed)
{
    g_autoptr(GArray) chosen = pairwise(GPOINTER_TO_UINT(seed));

    for (guint i = 0; i < chosen->len; i++)
        run(&g_array_index(chosen, Combination, i), GPOINTER_TO_UINT(seed) * 1000 + i);
    g_test_message("%u combinations hold every pair that this host supports", chosen->len);
}

/* --- in full --- */

static void
test_tracker_in_full(gconstpointer tracker)
{
    Combination combination = {.value = {[TRACKER] = GPOINTER_TO_UINT(tracker)}};
    guint *value = combination.value;
    guint n_runs = 0;

    for (value[RAM] = 0; value[RAM] < DL_N_RAM_KINDS; value[RAM]++) {
        if (!is_supported(&combination))
            continue;
        for (value[VCPUS] = 0; value[VCPUS] < 2; value[VCPUS]++) {
            for (value[PATTERN] = 0; value[PATTERN] < N_BENCH_PATTERNS; value[PATTERN]++, n_runs++)
                run(&combination, 4711 + value[PATTERN]);
        }
    }
    if (!n_runs)
        g_test_skip("this host has no RAM kind on which the tracker works: see dirtylab probe");
}

static void
test_large(gconstpointer ram)
{
    for (guint tracker = 0; tracker < dl_n_trackers(); tracker++) {
        const Combination combination = {.value = {tracker, GPOINTER_TO_UINT(ram), 1, ABI_RANDOM}};

        if (is_supported(&combination))
            run_sized(&combination, 4096 * MIB, 4);
    }
}

/* --- */

static void
test_sum(void)
{
    g_test_message("%" G_GUINT64_FORMAT " runs, %" G_GUINT64_FORMAT " page observations judged, %" G_GUINT64_FORMAT
                   " pages written",
                   matrix.runs, matrix.observations, matrix.written);
    g_assert_cmpuint(matrix.observations, >=, 10000000);
}

static void
probe_host(void)
{
    matrix.supported = g_array_new(FALSE, TRUE, sizeof(gboolean));
    for (guint t = 0; t < dl_n_trackers(); t++) {
        for (guint ram = 0; ram < DL_N_RAM_KINDS; ram++) {
            g_auto(DlProbe) probe = {0};

            dl_probe(dl_tracker_facts(t), (DlRamKind)ram, &probe);
            g_array_append_val(matrix.supported, probe.supported);
            if (!probe.supported)
                g_print("# left out: %s on %s: %s\n", dl_tracker_facts(t)->name, dl_ram_kind_name((DlRamKind)ram), probe.reason);
        }
    }
    matrix.n_values[TRACKER] = dl_n_trackers();
    matrix.n_values[RAM] = DL_N_RAM_KINDS;
    matrix.n_values[VCPUS] = 2;
    matrix.n_values[PATTERN] = N_BENCH_PATTERNS;
}

static void
add_full(void)
{
    for (guint t = 0; t < dl_n_trackers(); t++) {
        g_autofree char *name =
            g_strdup_printf("/matrix/full/%s misses nothing undeclared and explains every page", dl_tracker_facts(t)->name);
        g_test_add_data_func(name, GUINT_TO_POINTER(t), test_tracker_in_full);
    }
    g_test_add_data_func("/matrix/full/guests of 4 GiB on shmem", GUINT_TO_POINTER(DL_RAM_SHMEM), test_large);
    g_test_add_data_func("/matrix/full/guests of 4 GiB on hugetlb-2M", GUINT_TO_POINTER(DL_RAM_HUGETLB_2M), test_large);
}

int
main(int argc, char **argv)
{
    gboolean full = FALSE;

    g_setenv("G_MESSAGES_DEBUG", "all", TRUE); /* a page that is unexplained is named */
    g_test_init(&argc, &argv, NULL);
    for (int i = 1; i < argc; i++)
        full = full || strcmp(argv[i], "--full") == 0;
    probe_host();
    if (full)
        add_full();
    guint n_seeds = g_getenv("DIRTYLAB_TEST_SHORT") ? 1 : 10;
    for (guint seed = 1; !full && seed <= n_seeds; seed++) {
        g_autofree char *name = g_strdup_printf("/matrix/pairwise/seed %02u: no undeclared miss, no unexplained page", seed);
        g_test_add_data_func(name, GUINT_TO_POINTER(seed), test_seed);
    }
    g_test_add_func("/matrix/sum/ten million page observations were judged", test_sum);
    return g_test_run();
}
