/* SPDX-License-Identifier: MIT */
/* The probe says what is so, gives reasons in words, and comes back whatever the trial does. */
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common.h"
#include "dirtylog/child.h"
#include "dirtylog/private.h"

static gboolean
trial_works(gpointer user, GError **error)
{
    (void)user;
    (void)error;
    return TRUE;
}

static gboolean
trial_refuses(gpointer user, GError **error)
{
    (void)user;
    dl_set_error(error, DL_ERROR_UNSUPPORTED, 0, "this and that", "for this reason");
    return FALSE;
}

static gboolean
trial_hangs(gpointer user, GError **error)
{
    (void)user;
    (void)error;
    pause();
    return TRUE;
}

static gboolean
trial_crashes(gpointer user, GError **error)
{
    (void)user;
    (void)error;
    signal(SIGBUS, SIG_DFL);
    raise(SIGBUS);
    return TRUE;
}

static gboolean
trial_vanishes(gpointer user, GError **error)
{
    (void)user;
    (void)error;
    _exit(0);
}

/* Or a child that hangs for good would hold up whoever reads our output. */
G_GNUC_UNUSED static gboolean /* ASan keeps a stream of its own open */
trial_has_no_stream_of_ours(gpointer user, GError **error)
{
    struct stat null, stream;

    (void)user;
    for (int fd = 0; fd < 3; fd++) {
        if (stat("/dev/null", &null) || fstat(fd, &stream) || stream.st_rdev != null.st_rdev) {
            dl_set_error(error, DL_ERROR_FAILED, 0, NULL, "descriptor %d is its parent's", fd);
            return FALSE;
        }
    }
    return TRUE;
}

static gboolean
trial_talks(gpointer user, GError **error)
{
    g_autofree char *much = g_strnfill(100000, 'x');

    (void)user;
    dl_set_error(error, DL_ERROR_FAILED, 0, NULL, "%s", much);
    return FALSE;
}

static void
test_outcomes(void)
{
    static const struct {
        DlTrial trial;
        gboolean supported;
        const char *reason, *remedy;
    } cases[] = {
        {trial_works, TRUE, NULL, NULL},
        {trial_refuses, FALSE, "for this reason", "this and that"},
        {trial_hangs, FALSE, "the trial did not end within 200 ms", NULL},
        {trial_crashes, FALSE, "the trial was ended by signal 7 (Bus error)", NULL},
        {trial_vanishes, FALSE, "the trial ended without a word", NULL},
#ifndef __SANITIZE_ADDRESS__
        {trial_has_no_stream_of_ours, TRUE, NULL, NULL},
#endif
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_auto(DlProbe) probe = {0};
        gint64 start = g_get_monotonic_time();
        dl_child_try(cases[i].trial, NULL, cases[i].trial == trial_hangs ? 200 : 60000, &probe);
        g_assert_cmpint(probe.supported, ==, cases[i].supported);
        g_assert_cmpstr(probe.reason, ==, cases[i].reason);
        g_assert_cmpstr(probe.remedy, ==, cases[i].remedy);
        g_assert_cmpint(g_get_monotonic_time() - start, <, 50000000); /* the hanging one is not waited for */
    }
    g_auto(DlProbe) probe = {0};
    dl_child_try(trial_talks, NULL, 60000, &probe);
    g_assert_false(probe.supported);
    g_assert_cmpuint(strlen(probe.reason), >, 1000);
}

/* What the probe promises, a log must be able to do, and the other way round. */
static void
test_agrees_with_reality(gconstpointer data)
{
    DlRamKind kind = (DlRamKind)GPOINTER_TO_UINT(data);
    g_auto(DlProbe) ram = {0};

    dl_probe_ram(kind, &ram);
    if (!ram.supported) {
        g_assert_nonnull(ram.reason);
        g_test_skip(ram.reason);
        return;
    }
    for (guint i = 0; i < dl_n_trackers(); i++) {
        const DlTrackerFacts *facts = dl_tracker_facts(i);
        g_auto(DlProbe) probe = {0};
        g_autoptr(GError) error = NULL;

        dl_probe(facts, kind, &probe);
        g_test_message("%s on %s: %s", facts->name, dl_ram_kind_name(kind), probe.supported ? "works" : probe.reason);
        g_assert_cmpint(probe.supported, ==, probe.reason == NULL);
        if (g_str_has_prefix(facts->name, "kvm")) {
            g_assert_cmpint(probe.supported, ==, access("/dev/kvm", R_OK | W_OK) == 0);
            continue;
        }
        g_auto(Tracked) tracked = {.host = host_alone()};
        if (!tracked_open(&tracked, kind, 1 << 20))
            return;
        g_assert_cmpint(dl_log_move(tracked.log, facts->name, NULL, NULL, &error), ==, probe.supported);
    }
}

static void
test_host_facts(void)
{
    g_auto(DlHostFacts) facts = {0};

    dl_host_facts(&facts);
    g_assert_cmpuint(strlen(facts.kernel), >, 0);
    g_assert_cmpuint(facts.cores, >, 0);
    g_assert_cmpuint(facts.memory_bytes, >, 1 << 20);
    g_assert_true(facts.kvm && facts.mmu && facts.cpu && facts.privileges);
    if (g_file_test("/sys/module/kvm_pvm", G_FILE_TEST_IS_DIR) && access("/dev/kvm", R_OK | W_OK) == 0) {
        g_assert_cmpstr(facts.kvm, ==, "PVM");
        g_assert_cmpstr(facts.mmu, ==, "shadow");
    }
}

static void
test_leaves_no_child(void)
{
    g_auto(DlProbe) probe = {0};

    dl_probe(dl_tracker_facts_by_name("pagemap-scan"), DL_RAM_SHMEM, &probe);
    g_autofree char *children = dl_read_field("/proc/thread-self/children", "");
    g_assert_cmpstr(children ? children : "", ==, "");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/probe/comes-back-whatever-the-trial-does", test_outcomes);
    g_test_add_func("/probe/leaves-no-child-behind", test_leaves_no_child);
    g_test_add_func("/probe/host-facts-are-there", test_host_facts);
    add_for_kinds("/probe/agrees-with-what-a-log-can-do", test_agrees_with_reality);
    return g_test_run();
}
