/* SPDX-License-Identifier: MIT */
/* The lab on a real guest: trackers that lie are caught and named, what a tracker cannot see is missed, a ring overflow loses nothing. */
#include "bench/lab.h"

#include "bench/stall.h"
#include "bench/tests/liars.h"

#define MIB (UINT64_C(1) << 20)

static LabConfig
small_case(const char *tracker, Writer writer, guint pattern)
{
    LabConfig config = {
        .facts = dl_tracker_facts_by_name(tracker),
        .ram = DL_RAM_SHMEM,
        .memory_bytes = 32 * MIB,
        .vcpus = 1,
        .writer = writer,
        .pattern = pattern,
        .passes = 4,
        .seed = 11,
        .with_write_list = TRUE,
        .with_replica = TRUE,
    };
    config.pages = stage_clamp_pages(writer, pattern, 700, config.memory_bytes, config.vcpus);
    return config;
}

static gboolean
is_supported(const LabConfig *config)
{
    g_auto(DlProbe) probe = {0};

    dl_probe(config->facts, config->ram, &probe);
    return probe.supported;
}

static gboolean
skip_unless_supported(const LabConfig *config)
{
    g_auto(DlProbe) probe = {0};

    dl_probe(config->facts, config->ram, &probe);
    if (!probe.supported)
        g_test_skip(probe.reason);
    return !probe.supported;
}

static void
run_lab(const LabConfig *config, LabFigures *figures)
{
    g_autoptr(GError) error = NULL;
    gboolean done = lab_run(config, 0.5, figures, &error);

    g_assert_no_error(error);
    g_assert_true(done);
}

/* Misses are those that are declared, to the page, and every extra page has its cause. */
static void
assert_sound(const LabFigures *figures)
{
    const AccuracyResult *oracles[] = {&figures->write_list, &figures->replica};

    for (guint i = 0; i < G_N_ELEMENTS(oracles); i++) {
        g_assert_cmpuint(oracles[i]->missed_pages, ==, oracles[i]->expected_missed_pages);
        g_assert_cmpuint(oracles[i]->extra[EXTRA_UNEXPLAINED], ==, 0);
        g_assert_cmpuint(oracles[i]->judged_pages, >, 0);
    }
}

/* --- liars --- */

typedef struct {
    Lie lie;
    Evidence *evidence;
} Interrogation;

static gboolean
arm_liar(DlLog *log, const DlTrackerOptions *options, DlMoveResult *result, gpointer user, GError **error)
{
    Interrogation *interrogation = user;

    interrogation->evidence = evidence_new(dl_log_layout(log));
    return dl_log_move_to_class(log, liar_class(interrogation->lie), options, result, error);
}

static void
interrogate(const LabWindow *window, gpointer user)
{
    evidence_add(((Interrogation *)user)->evidence, window);
}

/* Lies about re-arming show where pages are written again and again, the others where most pages are not. */
static LabConfig
case_for_lie(Lie lie)
{
    gboolean rewriting = lie == LIE_NO_REARM || lie == LIE_READ_BEFORE_REARM;
    LabConfig config = small_case(LIAR_INNER, WRITER_GUEST,
                                  rewriting             ? ABI_HOTSPOT
                                  : lie == LIE_TRUNCATE ? ABI_SEQUENTIAL
                                                        : ABI_RANDOM);

    config.memory_bytes += 3 * DL_PAGE_SIZE; /* the last bitmap word is no whole one */
    if (config.pattern != ABI_RANDOM)
        config.pages = stage_clamp_pages(config.writer, config.pattern, G_MAXUINT64, config.memory_bytes, config.vcpus);
    return config;
}

static void
test_liar(gconstpointer lie)
{
    Interrogation interrogation = {(Lie)GPOINTER_TO_UINT(lie), NULL};
    LabConfig config = case_for_lie(interrogation.lie);
    g_autoptr(LabFigures) figures = lab_figures_new();

    config.arm = arm_liar;
    config.observe = interrogate;
    config.user = &interrogation;
    run_lab(&config, figures);
    Diagnosis diagnosis = evidence_diagnose(interrogation.evidence);
    g_test_message("found: the tracker %s", diagnosis_name(diagnosis));
    g_assert_cmpstr(diagnosis_name(diagnosis), ==, diagnosis_name(liar_diagnosis(interrogation.lie)));
    evidence_free(interrogation.evidence);
}

static void
watch(const LabWindow *window, gpointer user)
{
    Evidence **evidence = user;

    if (!*evidence)
        *evidence = evidence_new(window->layout);
    evidence_add(*evidence, window);
}

static void
test_honest(void)
{
    LabConfig config = small_case(LIAR_INNER, WRITER_GUEST, ABI_HOTSPOT);
    g_autoptr(LabFigures) figures = lab_figures_new();
    g_autoptr(Evidence) evidence = NULL;

    config.observe = watch;
    config.user = &evidence;
    run_lab(&config, figures);
    assert_sound(figures);
    g_assert_cmpint(evidence_diagnose(evidence), ==, DIAGNOSIS_SOUND);
}

/* --- writers --- */

typedef struct {
    guint tracker;
    Writer writer;
} TrackerAndWriter;

static void
test_writer(gconstpointer user)
{
    const TrackerAndWriter *pair = user;
    LabConfig config = small_case(dl_tracker_facts(pair->tracker)->name, pair->writer, ABI_RANDOM);
    g_autoptr(LabFigures) figures = lab_figures_new();

    if (skip_unless_supported(&config))
        return;
    if (pair->writer == WRITER_GUEST_RING0)
        config.pages = 100;
    run_lab(&config, figures);
    assert_sound(figures);
    g_assert_cmpuint(figures->write_list.written_pages, >, 0);
    if (writer_is_unseen(pair->writer, config.facts))
        g_assert_cmpuint(figures->write_list.missed_pages, ==, figures->write_list.written_pages);
    else
        g_assert_cmpuint(figures->write_list.missed_pages, ==, 0);
}

static void
add_writer_tests(void)
{
    for (guint t = 0; t < dl_n_trackers(); t++) {
        for (guint w = 0; w < N_WRITERS; w++) {
            const DlTrackerFacts *facts = dl_tracker_facts(t);
            TrackerAndWriter *pair = g_new(TrackerAndWriter, 1);
            g_autofree char *name = g_strdup_printf(
                "/lab/writers/%s %s %s", facts->name,
                writer_is_unseen((Writer)w, facts) ? "misses every page of" : "misses nothing of", writer_name((Writer)w));

            *pair = (TrackerAndWriter){t, (Writer)w};
            g_test_add_data_func_full(name, pair, test_writer, g_free);
        }
    }
}

/* --- the ring's overflow --- */

typedef struct {
    guint n_windows, n_overflowed, n_after_overflow;
} OverflowCount;

static void
count_overflows(const LabWindow *window, gpointer user)
{
    OverflowCount *count = user;

    count->n_windows++;
    count->n_overflowed += window->window->overflow;
    count->n_after_overflow += count->n_overflowed && !window->window->overflow;
    g_assert_true(dl_bitmap_is_empty(window->missed));
    g_assert_true(dl_bitmap_is_empty(window->differed));
    if (window->window->overflow) {
        g_autoptr(DlBitmap) all = dl_bitmap_new(dl_layout_n_bits(window->layout));
        dl_layout_fill(window->layout, all);
        g_assert_true(dl_bitmap_equal(all, window->window->reported));
    }
}

/*
 * Emulated stores are logged in batches that do not look at the ring's soft limit: a ring of 1024 entries with 64 in reserve
 * overflows inside the kernel when a batch begins just below the limit. Where ring 0 runs natively there is nothing to see.
 */
static void
test_ring_overflow(void)
{
    LabConfig config = small_case("kvm-ring", WRITER_GUEST_RING0, ABI_RANDOM);
    g_autoptr(LabFigures) figures = lab_figures_new();
    OverflowCount count = {0};
    g_auto(DlHostFacts) host = {0};

    dl_host_facts(&host);
    if (g_strcmp0(host.kvm, "PVM") != 0) {
        g_test_skip("guest ring 0 is not emulated on this KVM, so the ring cannot be made to overflow inside the kernel");
        return;
    }
    config.ring_entries = 1024;
    config.pages = 4864;
    config.passes = 14;
    config.observe = count_overflows;
    config.user = &count;
    run_lab(&config, figures);
    g_test_message("%u windows, %u with an overflow", count.n_windows, count.n_overflowed);
    assert_sound(figures);
    g_assert_cmpuint(figures->ring_overflows, >, 0);
    g_assert_cmpuint(count.n_overflowed, >, 0);
    g_assert_cmpuint(count.n_windows, >=, 12);
}

/* --- ends --- */

static void
test_cancelled_runs_end_soon(void)
{
    LabConfig config = small_case("none", WRITER_GUEST, ABI_RANDOM);
    g_autoptr(LabFigures) figures = lab_figures_new();
    g_autoptr(GError) error = NULL;
    gint cancelled = 1;

    config.cancelled = &cancelled;
    g_assert_false(lab_run(&config, 0.5, figures, &error));
    g_assert_error(error, STAGE_ERROR, STAGE_ERROR_CANCELLED);
    g_assert_cmpuint(figures->write_list.judged_pages, ==, 0);
}

static guint
count_entries(const char *folder)
{
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    guint n = 0;

    while (g_dir_read_name(dir))
        n++;
    return n;
}

static void
test_nothing_is_left_behind(void)
{
    static const char *const all[] = {"kvm-bitmap", "kvm-ring", "uffd-wp", "pagemap-scan", "soft-dirty"};
    const char *trackers[G_N_ELEMENTS(all)];
    guint n_trackers = 0, fds = 0, threads = 0;

    for (guint i = 0; i < G_N_ELEMENTS(all); i++) {
        LabConfig config = small_case(all[i], WRITER_GUEST, ABI_RANDOM);
        if (is_supported(&config))
            trackers[n_trackers++] = all[i];
    }
    g_assert_cmpuint(n_trackers, >=, 3); /* those that every kernel has */
    for (guint i = 0; i < 3 * n_trackers; i++) {
        LabConfig config = small_case(trackers[i % n_trackers], WRITER_GUEST, ABI_RANDOM);
        g_autoptr(LabFigures) figures = lab_figures_new();

        run_lab(&config, figures);
        if (i + 1 == n_trackers) {
            fds = count_entries("/proc/self/fd");
            threads = count_entries("/proc/self/task");
        }
    }
    g_assert_cmpuint(count_entries("/proc/self/fd"), ==, fds);
    g_assert_cmpuint(count_entries("/proc/self/task"), ==, threads);
}

int
main(int argc, char **argv)
{
    static const char *const lies[N_LIES] = {
        [LIE_DROP] = "drops a page",        [LIE_ADD] = "adds a page",
        [LIE_LATE] = "reports a page late", [LIE_TRUNCATE] = "truncates the last word",
        [LIE_NO_REARM] = "does not re-arm", [LIE_READ_BEFORE_REARM] = "has pages read before it re-arms",
    };

    g_test_init(&argc, &argv, NULL);
    for (guint i = 0; i < N_LIES; i++) {
        g_autofree char *name = g_strdup_printf("/lab/liars/one that %s is caught and named", lies[i]);
        g_test_add_data_func(name, GUINT_TO_POINTER(i), test_liar);
    }
    g_test_add_func("/lab/liars/one that does not lie is found sound", test_honest);
    add_writer_tests();
    g_test_add_func("/lab/ring/an overflow is noticed and loses nothing, then or later", test_ring_overflow);
    g_test_add_func("/lab/a cancelled run ends soon and adds nothing", test_cancelled_runs_end_soon);
    g_test_add_func("/lab/runs leave no file descriptor and no thread behind", test_nothing_is_left_behind);
    return g_test_run();
}
