/* SPDX-License-Identifier: MIT */
/* Consumers, notes, errors and locks of DlLog, with a tracker that reports what the test tells it to. */
#include <string.h>

#include "common.h"

#define SIZE (UINT64_C(4) << 20)

/* What the puppet reports next, and whether it then fails. */
static struct {
    DlBitmap *collected;
    DlBitmap *rearmed;
    gboolean fail;
    guint fulls;
} strings;

static guint64
puppet_unit(DlRamKind kind)
{
    return dl_ram_kind_page_size(kind);
}

static DlTracker *
puppet_new(const DlTrackerContext *context, GError **error)
{
    (void)context;
    (void)error;
    return g_new0(DlTracker, 1);
}

static gboolean
puppet_arm(DlTracker *tracker, GError **error)
{
    (void)tracker;
    (void)error;
    return TRUE;
}

static gboolean
say(DlBitmap *from, DlBitmap *out, GError **error)
{
    if (from) {
        dl_bitmap_or(out, from);
        dl_bitmap_clear_all(from);
    }
    if (strings.fail)
        g_set_error_literal(error, DL_ERROR, DL_ERROR_FAILED, "as told");
    return !strings.fail;
}

static gboolean
puppet_collect(DlTracker *tracker, DlBitmap *out, GError **error)
{
    (void)tracker;
    return say(strings.collected, out, error);
}

static gboolean
puppet_rearm(DlTracker *tracker, DlPageRange range, DlBitmap *out, GError **error)
{
    (void)tracker;
    (void)range;
    return say(strings.rearmed, out, error);
}

static gboolean
puppet_ring_full(DlTracker *tracker, guint vcpu, DlBitmap *out, GError **error)
{
    (void)tracker;
    strings.fulls += vcpu;
    return say(strings.collected, out, error);
}

static void
puppet_release(DlTracker *tracker)
{
    (void)tracker;
}

static void
puppet_free(DlTracker *tracker)
{
    g_free(tracker);
}

static const DlTrackerClass puppet_class = {
    .facts = {.name = "puppet", .holds = DL_HOLDS_PROCESS, .rearm = DL_REARM_BY_RANGE},
    .unit = puppet_unit,
    .new = puppet_new,
    .arm = puppet_arm,
    .collect = puppet_collect,
    .rearm = puppet_rearm,
    .ring_full = puppet_ring_full,
    .release = puppet_release,
    .free = puppet_free,
};

static void
puppet_open(Tracked *tracked)
{
    g_autoptr(GError) error = NULL;

    tracked->host = host_alone();
    g_assert_true(tracked_open(tracked, DL_RAM_SHMEM, SIZE));
    strings.collected = dl_bitmap_new(dl_layout_n_bits(tracked->layout));
    strings.rearmed = dl_bitmap_new(dl_layout_n_bits(tracked->layout));
    dl_log_move_to_class(tracked->log, &puppet_class, NULL, NULL, &error);
    g_assert_no_error(error);
}

static void
puppet_close(Tracked *tracked)
{
    dl_bitmap_free(strings.collected);
    dl_bitmap_free(strings.rearmed);
    memset(&strings, 0, sizeof(strings));
    tracked_close(tracked);
}

static guint64
take_all(Tracked *tracked, DlConsumer *consumer, DlBitmap *out)
{
    return dl_consumer_take(consumer, (DlPageRange){0, dl_layout_n_bits(tracked->layout)}, out);
}

static void
test_consumers(void)
{
    g_auto(Tracked) tracked = {0};
    puppet_open(&tracked);
    DlConsumer *second = dl_log_subscribe(tracked.log);
    g_autoptr(DlBitmap) found = dl_bitmap_new(dl_layout_n_bits(tracked.layout));

    dl_bitmap_set_range(strings.collected, (DlPageRange){60, 10});
    g_assert_true(dl_log_collect(tracked.log, NULL));
    DlConsumer *late = dl_log_subscribe(tracked.log);
    g_assert_cmpuint(dl_consumer_pending(late), ==, 0);
    g_assert_cmpuint(dl_consumer_take(tracked.consumer, (DlPageRange){62, 3}, found), ==, 3);
    g_assert_cmpuint(dl_bitmap_count_range(found, (DlPageRange){62, 3}), ==, 3);
    g_assert_cmpuint(dl_bitmap_count(found), ==, 3);
    g_assert_cmpuint(dl_consumer_pending(tracked.consumer), ==, 7);
    g_assert_cmpuint(dl_consumer_pending(second), ==, 10);
    dl_consumer_give_back(tracked.consumer, found);
    g_assert_cmpuint(dl_consumer_pending(tracked.consumer), ==, 10);
    g_assert_cmpuint(dl_consumer_pending(second), ==, 10);
    dl_log_unsubscribe(tracked.log, second);
    dl_bitmap_clear_all(found);
    g_assert_cmpuint(take_all(&tracked, tracked.consumer, found), ==, 10);
    g_assert_cmpuint(take_all(&tracked, tracked.consumer, found), ==, 0);
    puppet_close(&tracked);
}

static void
test_errors(void)
{
    g_auto(Tracked) tracked = {0};
    puppet_open(&tracked);
    g_autoptr(GError) error = NULL;

    strings.fail = TRUE;
    dl_bitmap_set(strings.collected, 1);
    g_assert_false(dl_log_collect(tracked.log, &error));
    g_assert_error(error, DL_ERROR, DL_ERROR_FAILED);
    g_assert_cmpuint(dl_consumer_pending(tracked.consumer), ==, 1);
    dl_bitmap_set(strings.collected, 2);
    g_assert_false(dl_log_harvest(tracked.log, NULL));
    g_assert_cmpuint(dl_consumer_pending(tracked.consumer), ==, 2);
    dl_bitmap_set(strings.rearmed, 3);
    g_assert_false(dl_log_rearm(tracked.log, (DlPageRange){0, 10}, NULL));
    g_assert_cmpuint(dl_consumer_pending(tracked.consumer), ==, 3);
    dl_bitmap_set(strings.collected, 4);
    g_assert_false(dl_log_ring_full(tracked.log, 1, NULL));
    g_assert_cmpuint(dl_consumer_pending(tracked.consumer), ==, 4);
    g_clear_error(&error);
    g_assert_false(dl_log_rearm(tracked.log, (DlPageRange){1, G_MAXUINT64}, &error));
    g_assert_error(error, DL_ERROR, DL_ERROR_INVALID);
    puppet_close(&tracked);
}

static void
test_rearm_reports(void)
{
    g_auto(Tracked) tracked = {0};
    puppet_open(&tracked);

    dl_bitmap_set_range(strings.rearmed, (DlPageRange){100, 28});
    g_assert_true(dl_log_rearm(tracked.log, (DlPageRange){100, 28}, NULL));
    g_assert_cmpuint(dl_consumer_pending(tracked.consumer), ==, 28);
    dl_bitmap_set(strings.collected, 1);
    dl_bitmap_set(strings.rearmed, 2);
    g_assert_true(dl_log_harvest(tracked.log, NULL));
    g_assert_cmpuint(dl_consumer_pending(tracked.consumer), ==, 30);
    puppet_close(&tracked);
}

static void
test_notes(void)
{
    g_auto(Tracked) tracked = {0};
    puppet_open(&tracked);
    guint64 base = dl_layout_region(tracked.layout, 0)->gpa;
    const char *const trackers[] = {NULL, "none", "pagemap-scan"};

    for (guint i = 0; i < G_N_ELEMENTS(trackers); i++) {
        g_autoptr(GError) error = NULL;
        if (trackers[i] && !dl_log_move(tracked.log, trackers[i], NULL, NULL, &error))
            continue;
        g_autoptr(DlBitmap) before = harvest(&tracked);
        g_assert_true(dl_log_note_written(tracked.log, base + 4095, 2));
        g_assert_true(dl_log_note_written(tracked.log, base + SIZE - 1, 1));
        g_assert_true(dl_log_note_written(tracked.log, base, 0));
        g_assert_false(dl_log_note_written(tracked.log, base + SIZE, 1));
        g_assert_false(dl_log_note_written(tracked.log, base + SIZE - 1, 2));
        g_assert_false(dl_log_note_written(tracked.log, base - 1, 2));
        g_assert_false(dl_log_note_written(tracked.log, base, G_MAXUINT64));
        g_autoptr(DlBitmap) found = harvest(&tracked);
        g_assert_cmpuint(dl_bitmap_count(found), ==, 3);
        g_assert_true(dl_bitmap_test(found, 0) && dl_bitmap_test(found, 1) && dl_bitmap_test(found, tracked.n_pages - 1));
        g_autoptr(DlBitmap) again = harvest(&tracked);
        g_assert_true(dl_bitmap_is_empty(again));
    }
    puppet_close(&tracked);
}

/* Notes are ORed in while the tracker fails, too. */
static void
test_notes_survive_errors(void)
{
    g_auto(Tracked) tracked = {0};
    puppet_open(&tracked);

    strings.fail = TRUE;
    g_assert_true(dl_log_note_written(tracked.log, dl_layout_region(tracked.layout, 0)->gpa, 1));
    g_assert_false(dl_log_collect(tracked.log, NULL));
    g_assert_cmpuint(dl_consumer_pending(tracked.consumer), ==, 1);
    puppet_close(&tracked);
}

typedef struct {
    Tracked *tracked;
    guint first;
} Noter;

static gpointer
note_all(gpointer user)
{
    const Noter *noter = user;
    guint64 base = dl_layout_region(noter->tracked->layout, 0)->gpa;

    for (guint64 page = noter->first; page < noter->tracked->n_pages; page += 3)
        g_assert_true(dl_log_note_written(noter->tracked->log, base + page * DL_PAGE_SIZE, 1));
    return NULL;
}

static void
test_concurrent_notes(void)
{
    for (guint round = 0; round < 100; round++) {
        g_auto(Tracked) tracked = {0};
        puppet_open(&tracked);
        Noter noters[3];
        GThread *threads[3];
        for (guint i = 0; i < 3; i++) {
            noters[i] = (Noter){&tracked, i};
            threads[i] = g_thread_new("noter", note_all, &noters[i]);
        }
        g_autoptr(DlBitmap) found = dl_bitmap_new(dl_layout_n_bits(tracked.layout));
        for (guint i = 0; i < 20; i++) {
            dl_log_collect(tracked.log, NULL);
            take_all(&tracked, tracked.consumer, found);
        }
        for (guint i = 0; i < 3; i++)
            g_thread_join(threads[i]);
        dl_log_collect(tracked.log, NULL);
        take_all(&tracked, tracked.consumer, found);
        g_assert_cmpuint(dl_bitmap_count(found), ==, tracked.n_pages);
        puppet_close(&tracked);
    }
}

static gboolean
fail_to_punch(gpointer user, GError **error)
{
    (*(guint *)user)++;
    g_set_error_literal(error, DL_ERROR, DL_ERROR_RESOURCE, "no hole");
    return FALSE;
}

static void
test_discard(void)
{
    g_auto(Tracked) tracked = {0};
    puppet_open(&tracked);
    g_autoptr(GError) error = NULL;
    guint64 base = dl_layout_region(tracked.layout, 0)->gpa;
    guint calls = 0;

    g_assert_true(dl_log_discard(tracked.log, base + 8192, 8192, NULL, NULL, &error));
    g_assert_cmpuint(dl_consumer_pending(tracked.consumer), ==, 2);
    g_assert_false(dl_log_discard(tracked.log, base, 4096, fail_to_punch, &calls, &error));
    g_assert_error(error, DL_ERROR, DL_ERROR_RESOURCE);
    g_assert_cmpuint(dl_consumer_pending(tracked.consumer), ==, 3);
    g_clear_error(&error);
    g_assert_false(dl_log_discard(tracked.log, base + SIZE, 4096, fail_to_punch, &calls, &error));
    g_assert_error(error, DL_ERROR, DL_ERROR_INVALID);
    g_assert_cmpuint(calls, ==, 1);
    puppet_close(&tracked);
}

typedef struct {
    DlLog *log;
    guint64 seen;
} Looker;

static gboolean
look_at_discards(gpointer user, GError **error G_GNUC_UNUSED)
{
    Looker *looker = user;
    DlLogStats stats;

    dl_log_stats(looker->log, &stats);
    looker->seen = stats.discards;
    return TRUE;
}

/* Whoever looks what there is, before, while or after something goes, can tell that it has gone since. */
static void
test_discard_counts(void)
{
    g_auto(Tracked) tracked = {0};
    puppet_open(&tracked);
    DlLogStats before, after;
    Looker looker = {.log = tracked.log};

    dl_log_stats(tracked.log, &before);
    g_assert_true(dl_log_discard(tracked.log, dl_layout_region(tracked.layout, 0)->gpa, 4096, look_at_discards, &looker, NULL));
    dl_log_stats(tracked.log, &after);
    g_assert_cmpuint(before.discards, <, looker.seen);
    g_assert_cmpuint(looker.seen, <, after.discards);
    puppet_close(&tracked);
}

static void
test_ring_full_without_ring(void)
{
    g_auto(Tracked) tracked = {0};
    puppet_open(&tracked);
    DlLogStats stats;

    g_assert_true(dl_log_ring_full(tracked.log, 2, NULL));
    g_assert_cmpuint(strings.fulls, ==, 2);
    move_to(&tracked, "none");
    g_assert_true(dl_log_ring_full(tracked.log, 2, NULL));
    dl_log_stats(tracked.log, &stats);
    g_assert_cmpuint(stats.ring_full_exits, ==, 2);
    puppet_close(&tracked);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/log/each-consumer-gets-every-page-once-and-may-give-it-back", test_consumers);
    g_test_add_func("/log/an-error-loses-nothing-that-was-found", test_errors);
    g_test_add_func("/log/what-a-rearm-finds-is-pending", test_rearm_reports);
    g_test_add_func("/log/notes-are-in-every-collect-whatever-the-tracker", test_notes);
    g_test_add_func("/log/notes-survive-a-failing-tracker", test_notes_survive_errors);
    g_test_add_func("/log/notes-of-many-threads-are-all-found", test_concurrent_notes);
    g_test_add_func("/log/a-discard-is-reported-even-if-it-fails", test_discard);
    g_test_add_func("/log/discards/counted-on-both-sides-of-the-punch", test_discard_counts);
    g_test_add_func("/log/ring-full-goes-to-the-ring-or-nowhere", test_ring_full_without_ring);
    return g_test_run();
}
