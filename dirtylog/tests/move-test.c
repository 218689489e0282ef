/* SPDX-License-Identifier: MIT */
/* Moves between the trackers that need no VM, under a writer that never stops; and moves that fail half way. */
#include <string.h>

#include "common.h"
#include "dirtylog/trackers.h"

#define SIZE (UINT64_C(8) << 20)

/* One that can be told to fail, and says what was called. */
typedef struct {
    gboolean fail_new, fail_arm, fail_collect;
    guint armed;
    guint64 finds; /* a page that each collect reports, also when it fails */
} Orders;

static Orders orders;

static guint64
fake_unit(DlRamKind kind)
{
    (void)kind;
    return DL_PAGE_SIZE;
}

static gboolean
refuse(gboolean refusing, GError **error)
{
    if (refusing)
        g_set_error_literal(error, DL_ERROR, DL_ERROR_UNSUPPORTED, "as told");
    return !refusing;
}

static DlTracker *
fake_new(const DlTrackerContext *context, GError **error)
{
    (void)context;
    return refuse(orders.fail_new, error) ? g_new0(DlTracker, 1) : NULL;
}

static gboolean
fake_arm(DlTracker *tracker, GError **error)
{
    (void)tracker;
    if (!refuse(orders.fail_arm, error))
        return FALSE;
    orders.armed++;
    return TRUE;
}

static gboolean
fake_collect(DlTracker *tracker, DlBitmap *out, GError **error)
{
    (void)tracker;
    dl_bitmap_set(out, orders.finds);
    return refuse(orders.fail_collect, error);
}

static void
fake_release(DlTracker *tracker)
{
    (void)tracker;
    g_assert_cmpuint(orders.armed, >, 0);
    orders.armed--;
}

static void
fake_free(DlTracker *tracker)
{
    g_free(tracker);
}

#define FAKE(held)                                                                                                    \
    {                                                                                                                 \
        .facts = {.name = "fake", .holds = held, .rearm = DL_REARM_WITH_COLLECT}, .unit = fake_unit, .new = fake_new, \
        .arm = fake_arm, .collect = fake_collect, .release = fake_release, .free = fake_free                          \
    }
static const DlTrackerClass fake_process = FAKE(DL_HOLDS_PROCESS);
static const DlTrackerClass fake_uffd = FAKE(DL_HOLDS_UFFD);

/* One of userfaultfd's trackers: which one is all the same to most tests, and older kernels have only the second. */
static const char *
any_uffd(void)
{
    return is_supported("pagemap-scan", DL_RAM_SHMEM) ? "pagemap-scan" : "uffd-wp";
}

static gboolean
open_at(Tracked *tracked, const char *tracker)
{
    g_autoptr(GError) error = NULL;

    memset(&orders, 0, sizeof(orders));
    tracked->host = host_alone();
    g_assert_true(tracked_open(tracked, DL_RAM_SHMEM, SIZE));
    if (dl_log_move(tracked->log, tracker, NULL, NULL, &error))
        return TRUE;
    skip_refused(tracker, DL_RAM_SHMEM, error);
    return FALSE;
}

static void
test_names(void)
{
    g_auto(Tracked) tracked = {.host = host_alone()};
    g_autoptr(GError) error = NULL;

    g_assert_true(tracked_open(&tracked, DL_RAM_SHMEM, SIZE));
    g_assert_cmpstr(dl_log_tracker(tracked.log)->name, ==, "none");
    g_assert_false(dl_log_move(tracked.log, "pagemap", NULL, NULL, &error));
    g_assert_error(error, DL_ERROR, DL_ERROR_INVALID);
    g_clear_error(&error);
    for (guint i = 0; i < dl_n_trackers(); i++) {
        const DlTrackerFacts *facts = dl_tracker_facts(i);
        g_assert_true(dl_tracker_facts_by_name(facts->name) == facts);
        if (!g_str_has_prefix(facts->name, "kvm"))
            continue;
        g_assert_false(dl_log_move(tracked.log, facts->name, NULL, NULL, &error));
        g_assert_error(error, DL_ERROR, DL_ERROR_UNSUPPORTED);
        g_clear_error(&error);
    }
    g_assert_cmpstr(dl_log_tracker(tracked.log)->name, ==, "none");
}

static void
test_to_none_reports_what_was_left(void)
{
    g_auto(Tracked) tracked = {0};
    DlMoveResult result;

    if (!open_at(&tracked, any_uffd()))
        return;
    store(&tracked, 11);
    g_assert_true(dl_log_move(tracked.log, "none", NULL, &result, NULL));
    g_assert_cmpint(result.kind, ==, DL_MOVE_OVERLAP);
    g_assert_cmpuint(dl_consumer_pending(tracked.consumer), ==, 1);
    store(&tracked, 12);
    g_autoptr(DlBitmap) found = harvest(&tracked);
    g_assert_cmpuint(dl_bitmap_count(found), ==, 1);
    g_assert_true(dl_bitmap_test(found, 11));
}

/* Same registration: with a pause, that; without one, everything. */
static void
test_same_registration(void)
{
    for (guint with_pause = 0; with_pause < 2; with_pause++) {
        g_auto(Tracked) tracked = {0};
        g_autoptr(GError) error = NULL;
        DlMoveResult result;

        if (!supported_or_skip("pagemap-scan", DL_RAM_SHMEM) || !open_at(&tracked, "uffd-wp"))
            return;
        if (!with_pause) {
            tracked_close(&tracked);
            tracked.host = (DlHost){.vm_fd = -1};
            g_assert_true(tracked_open(&tracked, DL_RAM_SHMEM, SIZE));
            move_to(&tracked, "uffd-wp");
        }
        store(&tracked, 5);
        dl_log_move(tracked.log, "pagemap-scan", NULL, &result, &error);
        g_assert_no_error(error);
        store(&tracked, 6);
        g_autoptr(DlBitmap) found = harvest(&tracked);
        g_assert_cmpint(result.kind, ==, with_pause ? DL_MOVE_PAUSED : DL_MOVE_ALL_DIRTY);
        g_assert_cmpuint(dl_bitmap_count(found), ==, with_pause ? 2 : tracked.n_pages);
        g_assert_true(dl_bitmap_test(found, 5) && dl_bitmap_test(found, 6));
    }
}

static void
test_failures(void)
{
    const DlTrackerClass *const classes[] = {&fake_process, &fake_uffd};
    const char *first = any_uffd();

    for (guint i = 0; i < 4; i++) {
        const DlTrackerClass *class = classes[i % 2];
        g_auto(Tracked) tracked = {0};
        g_autoptr(GError) error = NULL;

        if (!open_at(&tracked, first))
            return;
        store(&tracked, 20);
        orders.fail_new = i < 2;
        orders.fail_arm = !orders.fail_new;
        g_assert_false(dl_log_move_to_class(tracked.log, class, NULL, NULL, &error));
        g_assert_error(error, DL_ERROR, DL_ERROR_UNSUPPORTED);
        g_assert_cmpstr(dl_log_tracker(tracked.log)->name, ==, first);
        store(&tracked, 21);
        g_autoptr(DlBitmap) found = harvest(&tracked);
        g_assert_true(dl_bitmap_test(found, 20) && dl_bitmap_test(found, 21));
        g_assert_cmpuint(dl_bitmap_count(found), ==, orders.fail_arm ? tracked.n_pages : 2);
        store(&tracked, 22);
        g_autoptr(DlBitmap) next = harvest(&tracked);
        g_assert_cmpuint(dl_bitmap_count(next), ==, 1);
        g_assert_cmpuint(orders.armed, ==, 0);
    }
}

/* The old one cannot be collected: it stays, the new one goes, what it found stays. */
static void
test_failed_collect(void)
{
    g_auto(Tracked) tracked = {0};
    g_autoptr(GError) error = NULL;

    const char *real = any_uffd();

    if (!open_at(&tracked, "none"))
        return;
    orders.finds = 30;
    g_assert_true(dl_log_move_to_class(tracked.log, &fake_process, NULL, NULL, &error));
    orders.fail_collect = TRUE;
    g_assert_false(dl_log_move(tracked.log, real, NULL, NULL, &error));
    g_assert_error(error, DL_ERROR, DL_ERROR_UNSUPPORTED);
    g_assert_cmpstr(dl_log_tracker(tracked.log)->name, ==, "fake");
    g_assert_cmpuint(orders.armed, ==, 1);
    g_assert_cmpuint(dl_consumer_pending(tracked.consumer), ==, 1);
    orders.fail_collect = FALSE;
    g_clear_error(&error);
    g_assert_true(dl_log_move(tracked.log, real, NULL, NULL, &error));
    g_assert_cmpuint(orders.armed, ==, 0);
}

/* Neither comes: all is reported, nothing is tracked from then on, and the log says that there is a gap. */
static void
test_neither_comes(void)
{
    g_auto(Tracked) tracked = {0};
    g_autoptr(GError) error = NULL;
    DlLogStats before, after;

    if (!open_at(&tracked, "none"))
        return;
    g_assert_true(dl_log_move_to_class(tracked.log, &fake_process, NULL, NULL, &error));
    static const DlTrackerClass other = FAKE(DL_HOLDS_PROCESS);
    orders.fail_arm = TRUE;
    dl_log_stats(tracked.log, &before);
    g_assert_false(dl_log_move_to_class(tracked.log, &other, NULL, NULL, &error));
    dl_log_stats(tracked.log, &after);
    g_assert_cmpstr(dl_log_tracker(tracked.log)->name, ==, "none");
    g_assert_cmpuint(dl_consumer_pending(tracked.consumer), ==, tracked.n_pages);
    g_assert_cmpuint(after.gaps, ==, before.gaps + 1);
    g_assert_cmpuint(orders.armed, ==, 0);
}

/* --- under load --- */

typedef struct {
    Tracked *tracked;
    GRecMutex gate; /* held by whoever paused; pauses nest */
    guint stop;
} Writer;

static gboolean
pause_writer(gpointer user, GError **error)
{
    (void)error;
    g_rec_mutex_lock(&((Writer *)user)->gate);
    return TRUE;
}

static void
resume_writer(gpointer user)
{
    g_rec_mutex_unlock(&((Writer *)user)->gate);
}

static gpointer
write_on(gpointer user)
{
    Writer *writer = user;
    guint64 random = 88172645463325252;

    while (!__atomic_load_n(&writer->stop, __ATOMIC_RELAXED)) {
        g_rec_mutex_lock(&writer->gate);
        for (guint i = 0; i < 20; i++) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            __atomic_store_n((guint64 *)writer->tracked->memory->hva + random % (SIZE / 8), random, __ATOMIC_RELAXED);
        }
        g_rec_mutex_unlock(&writer->gate);
    }
    return NULL;
}

static void
copy_reported(Tracked *tracked, guint8 *replica)
{
    g_autoptr(DlBitmap) pages = harvest(tracked);

    for (DlPageRange run = {.first = 0}; dl_bitmap_next_run(pages, run.first + run.count, tracked->n_pages, &run);)
        memcpy(replica + run.first * DL_PAGE_SIZE, tracked->memory->hva + run.first * DL_PAGE_SIZE, run.count * DL_PAGE_SIZE);
}

static void
test_under_load(gconstpointer data)
{
    DlRamKind kind = (DlRamKind)GPOINTER_TO_UINT(data);
    g_auto(Tracked) tracked = {0};
    Writer writer = {.tracked = &tracked};
    DlHost host = {.vm_fd = -1, .pause = pause_writer, .resume = resume_writer, .user = &writer};
    const char *const all[] = {"pagemap-scan", "uffd-wp", "soft-dirty"};
    const char *names[G_N_ELEMENTS(all)];
    guint n_names = 0, at = 0;
    g_autofree guint8 *replica = g_malloc0(SIZE);

    for (guint i = 0; i < G_N_ELEMENTS(all); i++) {
        if (is_supported(all[i], kind))
            names[n_names++] = all[i];
    }
    if (n_names < 2) {
        g_test_skip("this host has fewer than two trackers to move between without a VM");
        return;
    }
    g_rec_mutex_init(&writer.gate);
    tracked.host = host;
    g_assert_true(tracked_open(&tracked, kind, SIZE));
    g_autoptr(GError) error = NULL;
    dl_log_move(tracked.log, names[at], NULL, NULL, &error);
    g_assert_no_error(error);
    GThread *thread = g_thread_new("writer", write_on, &writer);
    for (guint i = 0; i < 60; i++) {
        at = (at + (guint)g_test_rand_int_range(1, (gint)n_names)) % n_names;
        move_to(&tracked, names[at]);
        if (i % 3)
            copy_reported(&tracked, replica);
    }
    __atomic_store_n(&writer.stop, 1, __ATOMIC_RELAXED);
    g_thread_join(thread);
    copy_reported(&tracked, replica);
    g_assert_cmpint(memcmp(replica, tracked.memory->hva, SIZE), ==, 0);
    g_rec_mutex_clear(&writer.gate);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/move/unknown-and-impossible-trackers-are-refused-with-a-reason", test_names);
    g_test_add_func("/move/to-none-reports-what-was-left", test_to_none_reports_what_was_left);
    g_test_add_func("/move/on-the-same-registration-pauses-or-reports-all", test_same_registration);
    g_test_add_func("/move/a-tracker-that-cannot-be-had-leaves-the-former-active", test_failures);
    g_test_add_func("/move/neither-comes-back/the-log-counts-a-gap", test_neither_comes);
    g_test_add_func("/move/a-failed-last-collect-loses-nothing", test_failed_collect);
    g_test_add_data_func("/move/under-load-loses-nothing/shmem", GUINT_TO_POINTER(DL_RAM_SHMEM), test_under_load);
    g_test_add_data_func("/move/under-load-loses-nothing/shmem-thp", GUINT_TO_POINTER(DL_RAM_SHMEM_THP), test_under_load);
    return g_test_run();
}
