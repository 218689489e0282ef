/* SPDX-License-Identifier: MIT */
/*
 * The trackers that go by the page table, on plain memory of this process: uffd-wp and pagemap-scan on every RAM kind, and
 * soft-dirty where the kernel has it. The writers are this thread and one more that never stops.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/uio.h>

#include "common.h"
#include "dirtylog/private.h"

#define SIZE (UINT64_C(16) << 20)
/* A report that has not come by then does not come. */
#define PATIENCE_US (INT64_C(60) * G_USEC_PER_SEC)

typedef struct {
    const char *tracker;
    DlRamKind kind;
} Case;

static gboolean
is_short(void)
{
    return g_getenv("DIRTYLAB_TEST_SHORT") != NULL;
}

/* Opened and armed; FALSE after a skip. */
static gboolean
open_armed(Tracked *tracked, const Case *test_case, gboolean populate)
{
    g_autoptr(GError) error = NULL;

    if (!tracked->host.user)
        tracked->host = host_alone();
    if (!tracked_open(tracked, test_case->kind, SIZE))
        return FALSE;
    if (populate) {
        dl_memory_populate(tracked->memory, 0, tracked->memory->size, &error);
        g_assert_no_error(error);
    }
    if (!dl_log_move(tracked->log, test_case->tracker, NULL, NULL, &error)) {
        skip_refused(test_case->tracker, test_case->kind, error);
        return FALSE;
    }
    return TRUE;
}

static guint64
random_page(const Tracked *tracked)
{
    return (guint64)(g_test_rand_double() * (double)tracked->n_pages);
}

static void
check_exact(const Case *test_case, gboolean populate)
{
    g_auto(Tracked) tracked = {0};
    guint rounds = test_case->kind == DL_RAM_HUGETLB_1G ? 3 : is_short() ? 9 : 30;

    if (!open_armed(&tracked, test_case, populate))
        return;
    for (guint round = 0; round < rounds; round++) {
        g_autoptr(DlBitmap) expected = dl_bitmap_new(dl_layout_n_bits(tracked.layout));
        guint stores = round % 3 == 0 ? 0 : round % 3 == 1 ? 3 : 2000;
        for (guint i = 0; i < stores; i++) {
            guint64 page = random_page(&tracked);
            store(&tracked, page);
            expect_page(&tracked, expected, page);
        }
        g_autoptr(DlBitmap) found = harvest(&tracked);
        assert_same_pages(found, expected);
    }
}

static void
test_exact_populated(gconstpointer data)
{
    check_exact(data, TRUE);
}

static void
test_exact_unpopulated(gconstpointer data)
{
    check_exact(data, FALSE);
}

/* What was collected and not re-armed is not armed: nothing of it may get lost, whatever the order. */
static void
test_rearm_by_range(gconstpointer data)
{
    const Case *test_case = data;
    g_auto(Tracked) tracked = {0};
    g_autoptr(GError) error = NULL;

    if (!open_armed(&tracked, test_case, TRUE))
        return;
    guint64 half = tracked.n_pages / 2;
    guint64 other = half + unit_pages(&tracked) < tracked.n_pages ? half + unit_pages(&tracked) : half;
    g_autoptr(DlBitmap) found = dl_bitmap_new(dl_layout_n_bits(tracked.layout));
    g_autoptr(DlBitmap) expected = dl_bitmap_new(dl_layout_n_bits(tracked.layout));

    store(&tracked, 7);
    store(&tracked, half + 7);
    dl_log_collect(tracked.log, &error);
    dl_log_rearm(tracked.log, (DlPageRange){0, half}, &error);
    g_assert_no_error(error);
    dl_consumer_take(tracked.consumer, (DlPageRange){0, half}, found);
    g_assert_true(dl_bitmap_test(found, 7));
    store(&tracked, 7);        /* armed again: must be reported again */
    store(&tracked, half + 7); /* still pending */
    store(&tracked, other);    /* new, in the half that is re-armed later */
    expect_page(&tracked, expected, 7);
    expect_page(&tracked, expected, half + 7);
    expect_page(&tracked, expected, other);
    dl_log_rearm(tracked.log, (DlPageRange){half, tracked.n_pages - half}, &error);
    g_assert_no_error(error);
    g_autoptr(DlBitmap) rest = harvest(&tracked);
    if (test_case->kind == DL_RAM_HUGETLB_1G)
        dl_bitmap_or(rest, found);
    assert_same_pages(rest, expected);
}

/* The kernel's own stores on behalf of a system call. */
static void
test_system_call(gconstpointer data)
{
    g_auto(Tracked) tracked = {0};
    g_auto(DlFd) zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);

    if (!open_armed(&tracked, data, FALSE))
        return;
    g_autoptr(DlBitmap) expected = dl_bitmap_new(dl_layout_n_bits(tracked.layout));
    for (guint i = 0; i < 20; i++) {
        guint64 page = random_page(&tracked);
        struct iovec vector = {tracked.memory->hva + page * DL_PAGE_SIZE + 100, 200};
        g_assert_cmpint(readv(zero, &vector, 1), ==, 200);
        expect_page(&tracked, expected, page);
    }
    g_autoptr(DlBitmap) found = harvest(&tracked);
    assert_same_pages(found, expected);
}

/* The declared miss has to happen, and a note makes up for it. */
static void
test_alias(gconstpointer data)
{
    g_auto(Tracked) tracked = {0};
    guint64 one = 1;

    if (!open_armed(&tracked, data, TRUE))
        return;
    g_assert_cmpint(pwrite(tracked.memory->fd, &one, 8, 0) < 0 ? errno : 0, ==,
                    ((const Case *)data)->kind >= DL_RAM_HUGETLB_2M ? EINVAL : 0);
    g_autoptr(DlBitmap) found = harvest(&tracked);
    g_assert_true(dl_bitmap_is_empty(found));
    g_assert_true(dl_log_note_written(tracked.log, dl_layout_region(tracked.layout, 0)->gpa, 8));
    g_autoptr(DlBitmap) noted = harvest(&tracked);
    g_assert_cmpuint(dl_bitmap_count(noted), ==, 1);
}

/* --- a writer that never stops, unless it is paused --- */

static GRecMutex gate; /* of the one writer that a test has */

/*
 * A thread that stores without end. The trackers that need their writers paused pause it: it stores a batch with the gate held, as
 * whoever pauses it does; and it gives way to who waits for the gate.
 */
typedef struct {
    Tracked *tracked;
    gboolean is_paused; /* by the tracker that is being tested */
    guint wanted;       /* atomic: somebody waits for the gate */
    guint stop;         /* atomic */
    guint64 stores;     /* atomic: batches */
    void (*batch)(Tracked *tracked, guint64 *state);
} Writer;

static gboolean
pause_writer(gpointer user, GError **error)
{
    Writer *writer = user;

    (void)error;
    __atomic_store_n(&writer->wanted, 1, __ATOMIC_RELAXED);
    g_rec_mutex_lock(&gate);
    __atomic_store_n(&writer->wanted, 0, __ATOMIC_RELAXED);
    return TRUE;
}

static void
resume_writer(gpointer user)
{
    (void)user;
    g_rec_mutex_unlock(&gate);
}

static gpointer
write_on(gpointer user)
{
    Writer *writer = user;
    guint64 state = 88172645463325252;

    while (!__atomic_load_n(&writer->stop, __ATOMIC_RELAXED)) {
        while (__atomic_load_n(&writer->wanted, __ATOMIC_RELAXED))
            g_thread_yield();
        if (writer->is_paused)
            g_rec_mutex_lock(&gate);
        writer->batch(writer->tracked, &state);
        __atomic_fetch_add(&writer->stores, 1, __ATOMIC_RELAXED);
        if (writer->is_paused)
            g_rec_mutex_unlock(&gate);
    }
    return NULL;
}

static GThread *
start_writing(Writer *writer)
{
    writer->stop = 0;
    writer->stores = 0;
    return g_thread_new("writer", write_on, writer);
}

static void
stop_writing(Writer *writer, GThread *thread)
{
    __atomic_store_n(&writer->stop, 1, __ATOMIC_RELAXED);
    g_thread_join(thread);
}

/* Opened and armed for a writer to come; FALSE after a skip. */
static gboolean
open_armed_for(Writer *writer, const Case *test_case, gboolean populate)
{
    writer->is_paused = dl_tracker_facts_by_name(test_case->tracker)->writers_paused;
    if (writer->is_paused)
        writer->tracked->host = (DlHost){.vm_fd = -1, .pause = pause_writer, .resume = resume_writer, .user = writer};
    return open_armed(writer->tracked, test_case, populate);
}

static void
store_anywhere(Tracked *tracked, guint64 *state)
{
    guint64 n_words = tracked->memory->size / 8;
    guint64 *words = (guint64 *)tracked->memory->hva;

    for (guint i = 0; i < 20; i++) {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        __atomic_store_n(&words[*state % n_words], *state, __ATOMIC_RELAXED);
    }
}

static void
count_up(Tracked *tracked, guint64 *state)
{
    *state = __atomic_fetch_add((guint64 *)tracked->memory->hva, 1, __ATOMIC_RELAXED);
}

static void
copy_pass(Tracked *tracked, guint8 *replica, guint64 window_pages)
{
    guint64 n_bits = dl_layout_n_bits(tracked->layout);
    g_autoptr(DlBitmap) pages = dl_bitmap_new(n_bits);
    g_autoptr(GError) error = NULL;

    dl_log_collect(tracked->log, &error);
    for (guint64 first = 0; first < n_bits; first += window_pages) {
        DlPageRange window = {first, MIN(window_pages, n_bits - first)};
        dl_log_rearm(tracked->log, window, &error);
        dl_bitmap_clear_all(pages);
        dl_consumer_take(tracked->consumer, window, pages);
        for (DlPageRange run = {.first = first}; dl_bitmap_next_run(pages, run.first + run.count, n_bits, &run);)
            memcpy(replica + run.first * DL_PAGE_SIZE, tracked->memory->hva + run.first * DL_PAGE_SIZE, run.count * DL_PAGE_SIZE);
    }
    g_assert_no_error(error);
}

static void
test_replica(gconstpointer data)
{
    const Case *test_case = data;
    g_auto(Tracked) tracked = {0};
    Writer writer = {.tracked = &tracked, .batch = store_anywhere};
    guint rounds = test_case->kind == DL_RAM_HUGETLB_1G ? 1 : is_short() ? 3 : 8;

    if (!open_armed_for(&writer, test_case, FALSE))
        return;
    g_autofree guint8 *replica = g_malloc0(tracked.memory->size);
    for (guint round = 0; round < rounds; round++) {
        GThread *thread = start_writing(&writer);
        gint64 start = g_get_monotonic_time();
        /* at least until the writer has come to store, on a busy host too */
        while (g_get_monotonic_time() < start + (__atomic_load_n(&writer.stores, __ATOMIC_RELAXED) ? 60000 : PATIENCE_US))
            copy_pass(&tracked, replica, round % 2 ? 256 : 300 + round);
        stop_writing(&writer, thread);
        copy_pass(&tracked, replica, 256);
        g_assert_cmpuint(writer.stores, >, 0);
        g_assert_cmpint(memcmp(replica, tracked.memory->hva, tracked.memory->size), ==, 0);
    }
}

/* A writer that is paused again and again may not come to store in between; there would be nothing to report then. */
static void
wait_for_store(Writer *writer, gint64 deadline)
{
    guint64 before = __atomic_load_n(&writer->stores, __ATOMIC_RELAXED);

    while (writer->is_paused && __atomic_load_n(&writer->stores, __ATOMIC_RELAXED) == before && g_get_monotonic_time() < deadline)
        g_thread_yield();
}

/*
 * One page, stored to without end: collect and rearm meet its fault at every possible moment. A page that is once left open and
 * unreported is never reported again, and the next report does not come.
 */
static void
test_race(gconstpointer data)
{
    const Case *test_case = data;
    g_auto(Tracked) tracked = {0};
    Writer writer = {.tracked = &tracked, .batch = count_up};
    static const guint by_kind[DL_N_RAM_KINDS] = {4000, 2000, 1000, 50};
    guint wanted = by_kind[test_case->kind] / (is_short() ? 20 : 1);
    guint reports = 0;

    if (!open_armed_for(&writer, test_case, TRUE))
        return;
    GThread *thread = start_writing(&writer);
    gint64 deadline = g_get_monotonic_time() + PATIENCE_US;
    while (reports < wanted && g_get_monotonic_time() < deadline) {
        wait_for_store(&writer, deadline);
        g_autoptr(DlBitmap) found = harvest(&tracked);
        if (dl_bitmap_is_empty(found))
            continue;
        reports++;
        deadline = g_get_monotonic_time() + PATIENCE_US;
    }
    __atomic_store_n(&writer.stop, 1, __ATOMIC_RELAXED);
    move_to(&tracked, "none"); /* lets a writer go that nobody answers */
    g_thread_join(thread);
    g_assert_cmpuint(reports, ==, wanted);
}

/* --- punching --- */

typedef struct {
    Tracked *tracked;
    guint64 offset, size;
} Hole;

static gboolean
punch(gpointer user, GError **error)
{
    const Hole *hole = user;

    if (fallocate(hole->tracked->memory->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)hole->offset,
                  (off_t)hole->size) == 0)
        return TRUE;
    dl_set_error(error, DL_ERROR_FAILED, errno, NULL, "fallocate");
    return FALSE;
}

/* A page that is punched is reported, and its next store too, whether it was clean, written or collected when it was punched. */
static void
test_discard(gconstpointer data)
{
    g_auto(Tracked) tracked = {0};
    g_autoptr(GError) error = NULL;

    if (!open_armed(&tracked, data, TRUE))
        return;
    guint64 backing = dl_ram_kind_page_size(((const Case *)data)->kind);
    guint64 base = dl_layout_region(tracked.layout, 0)->gpa;
    for (guint state = 0; state < 3; state++) {
        Hole hole = {&tracked, 0, backing};
        g_autoptr(DlBitmap) before = harvest(&tracked);
        if (state > 0)
            store(&tracked, 0);
        if (state > 1)
            dl_log_collect(tracked.log, &error);
        dl_log_discard(tracked.log, base, backing, punch, &hole, &error);
        g_assert_no_error(error);
        g_autoptr(DlBitmap) punched = harvest(&tracked);
        g_assert_cmpuint(dl_bitmap_count_range(punched, (DlPageRange){0, backing / DL_PAGE_SIZE}), ==, backing / DL_PAGE_SIZE);
        g_assert_cmpuint(tracked.memory->hva[0], ==, 0);
        store(&tracked, 0);
        g_autoptr(DlBitmap) stored = harvest(&tracked);
        g_assert_true(dl_bitmap_test(stored, 0));
        store(&tracked, 0);
        g_autoptr(DlBitmap) again = harvest(&tracked);
        g_assert_true(dl_bitmap_test(again, 0));
    }
}

static gboolean
cut_and_grow(gpointer user, GError **error)
{
    const DlMemory *memory = ((Tracked *)user)->memory;

    if (ftruncate(memory->fd, 0) == 0 && ftruncate(memory->fd, (off_t)memory->size) == 0)
        return TRUE;
    dl_set_error(error, DL_ERROR_FAILED, errno, NULL, "ftruncate");
    return FALSE;
}

/* The discarded pages are taken and read at once, without another harvest; truncating drops the protection of hugetlb pages. */
static void
test_store_after_discard(gconstpointer data)
{
    g_auto(Tracked) tracked = {0};
    g_autoptr(GError) error = NULL;

    if (!open_armed(&tracked, data, TRUE))
        return;
    const DlRegion *region = dl_layout_region(tracked.layout, 0);
    g_autoptr(DlBitmap) before = harvest(&tracked);
    g_autoptr(DlBitmap) discarded = dl_bitmap_new(dl_layout_n_bits(tracked.layout));
    dl_log_discard(tracked.log, region->gpa, region->size, cut_and_grow, &tracked, &error);
    g_assert_no_error(error);
    dl_consumer_take(tracked.consumer, (DlPageRange){0, dl_layout_n_bits(tracked.layout)}, discarded);
    g_assert_cmpuint(dl_bitmap_count(discarded), ==, tracked.n_pages);
    store(&tracked, 0);
    g_autoptr(DlBitmap) after = harvest(&tracked);
    g_assert_true(dl_bitmap_test(after, 0));
}

/* --- release --- */

static void
test_release(gconstpointer data)
{
    const Case *test_case = data;
    g_auto(Tracked) tracked = {0};
    g_autoptr(GError) error = NULL;

    if (!open_armed(&tracked, test_case, TRUE))
        return;
    for (guint i = 0; i < 5; i++) {
        move_to(&tracked, "none");
        for (guint64 page = 0; page < tracked.n_pages; page += 5)
            store(&tracked, page);
        move_to(&tracked, test_case->tracker);
        g_autoptr(DlBitmap) found = harvest(&tracked);
        g_assert_true(dl_bitmap_is_empty(found));
    }
    move_to(&tracked, "none");
    /* On shmem-thp the huge pages are back; dl_memory_collapse() would find nothing to do and smaps agrees. */
    g_assert_true(dl_memory_collapse(test_case->kind, tracked.memory->hva, tracked.memory->size, &error));
}

/* Writers blocked in a fault when the tracker goes are let go. */
static void
test_release_under_load(gconstpointer data)
{
    const Case *test_case = data;
    g_auto(Tracked) tracked = {0};
    Writer writer = {.tracked = &tracked, .batch = store_anywhere};

    if (!open_armed_for(&writer, test_case, FALSE))
        return;
    GThread *thread = start_writing(&writer);
    for (guint i = 0; i < (test_case->kind == DL_RAM_HUGETLB_1G ? 2 : 20); i++) {
        g_usleep(1000);
        move_to(&tracked, "none");
        move_to(&tracked, test_case->tracker);
    }
    stop_writing(&writer, thread);
}

static void
test_handler_cpu(void)
{
    g_auto(Tracked) tracked = {.host = host_alone()};
    DlTrackerOptions first_cpu = {.handler_cpu_plus_one = 1};
    DlTrackerOptions no_cpu = {.handler_cpu_plus_one = 1000};
    DlTrackerOptions absurd = {.handler_cpu_plus_one = G_MAXUINT};
    g_autoptr(GError) error = NULL;
    DlLogStats stats;

    g_assert_true(tracked_open(&tracked, DL_RAM_SHMEM, SIZE));
    if (!dl_log_move(tracked.log, "uffd-wp", &first_cpu, NULL, &error)) {
        skip_refused("uffd-wp", DL_RAM_SHMEM, error);
        return;
    }
    store(&tracked, 3);
    dl_log_stats(tracked.log, &stats);
    g_assert_cmpuint(stats.faults, ==, 1);
    move_to(&tracked, "none");
    g_assert_false(dl_log_move(tracked.log, "uffd-wp", &no_cpu, NULL, &error));
    g_assert_error(error, DL_ERROR, DL_ERROR_INVALID);
    g_clear_error(&error);
    g_assert_false(dl_log_move(tracked.log, "uffd-wp", &absurd, NULL, &error));
    g_assert_error(error, DL_ERROR, DL_ERROR_INVALID);
    store(&tracked, 4); /* nothing was left armed */
}

/* Two regions, a size that is no multiple of 64 pages, and on hugetlb one that ends inside a page of the backing.
 * (hugetlb-1G would take two of its pages, which are not to be had everywhere.) */
static void
test_odd_regions(gconstpointer data)
{
    const Case *test_case = data;
    g_autoptr(GError) error = NULL;
    DlHost host = host_alone();

    g_autoptr(DlMemory) low = dl_memory_new(test_case->kind, 4 << 20, &error);
    g_autoptr(DlMemory) high = low ? dl_memory_new(test_case->kind, 2 << 20, &error) : NULL;
    if (!high) {
        skip_lacking(error);
        return;
    }
    DlRegion regions[] = {
        {.gpa = 0, .size = 0x301000, .hva = low->hva, .slot = 0, .kind = test_case->kind},
        {.gpa = UINT64_C(1) << 32, .size = 43 * DL_PAGE_SIZE, .hva = high->hva, .slot = 1, .kind = test_case->kind},
    };
    g_autoptr(DlLayout) layout = dl_layout_new(regions, 2, &error);
    g_autoptr(DlLog) log = dl_log_new(layout, &host, &error);
    DlConsumer *consumer = dl_log_subscribe(log);
    if (!dl_log_move(log, test_case->tracker, NULL, NULL, &error)) {
        skip_refused(test_case->tracker, test_case->kind, error);
        return;
    }
    for (guint round = 0; round < 3; round++) {
        g_autoptr(DlBitmap) found = dl_bitmap_new(dl_layout_n_bits(layout));
        g_autoptr(DlBitmap) real = dl_bitmap_new(dl_layout_n_bits(layout));
        *(volatile guint8 *)(low->hva + 0x300fff) += 1;
        *(volatile guint8 *)(low->hva + low->size - 1) += 1; /* behind the region */
        *(volatile guint8 *)(high->hva + 42 * DL_PAGE_SIZE) += 1;
        g_assert_true(dl_log_harvest(log, &error));
        dl_consumer_take(consumer, (DlPageRange){0, dl_bitmap_size(found)}, found);
        g_assert_true(dl_bitmap_test(found, 0x300));
        g_assert_true(dl_bitmap_test(found, dl_layout_region_pages(layout, 1).first + 42));
        dl_layout_fill(layout, real);
        dl_bitmap_and_not(found, real);
        g_assert_true(dl_bitmap_is_empty(found));
    }
}

/* A kernel without it says so when it is asked for, before anything relies on it; the tests above need a kernel that has it. */
static void
test_refused(gconstpointer data)
{
    const Case *test_case = data;
    g_auto(Tracked) tracked = {.host = host_alone()};
    g_autoptr(GError) error = NULL;

    if (!tracked_open(&tracked, test_case->kind, SIZE))
        return;
    g_assert_false(dl_log_move(tracked.log, test_case->tracker, NULL, NULL, &error));
    g_assert_error(error, DL_ERROR, DL_ERROR_UNSUPPORTED);
    g_assert_cmpstr(dl_log_tracker(tracked.log)->name, ==, "none");
}

/* --- one who takes while another harvests --- */

#define TAKEN_PAGE 7

static struct {
    const DlTrackerClass *class; /* the real one */
    Tracked *tracked;
    gboolean taken;
} meddler;

/* Between a harvest's collect and its rearm: a consumer takes what is pending and reads it, and the page is stored to again. */
static gboolean
meddle_and_rearm(DlTracker *tracker, DlPageRange range, DlBitmap *out, GError **error)
{
    Tracked *tracked = meddler.tracked;
    g_autoptr(DlBitmap) pages = dl_bitmap_new(dl_layout_n_bits(tracked->layout));

    if (tracked->memory->hva[TAKEN_PAGE * DL_PAGE_SIZE] == 1) {
        dl_consumer_take(tracked->consumer, (DlPageRange){0, dl_bitmap_size(pages)}, pages);
        meddler.taken = dl_bitmap_test(pages, TAKEN_PAGE);
        tracked->memory->hva[TAKEN_PAGE * DL_PAGE_SIZE] = 2;
    }
    return meddler.class->rearm(tracker, range, out, error);
}

/* What a harvest found may be taken, and read, only when it is protected again: a store in between would be lost to who has read. */
static void
test_taking_meanwhile(gconstpointer data)
{
    const Case *test_case = data;
    g_auto(Tracked) tracked = {.host = host_alone()};
    g_autoptr(GError) error = NULL;
    DlTrackerClass class = *dl_tracker_class_by_name(test_case->tracker);

    if (!class.rearm) {
        g_test_skip("it re-arms as it collects");
        return;
    }
    if (!tracked_open(&tracked, test_case->kind, SIZE))
        return;
    meddler.class = dl_tracker_class_by_name(test_case->tracker);
    meddler.tracked = &tracked;
    meddler.taken = FALSE;
    class.rearm = meddle_and_rearm;
    if (!dl_log_move_to_class(tracked.log, &class, NULL, NULL, &error)) {
        skip_refused(test_case->tracker, test_case->kind, error);
        return;
    }
    g_autoptr(DlBitmap) first = harvest(&tracked);
    tracked.memory->hva[TAKEN_PAGE * DL_PAGE_SIZE] = 1;
    g_autoptr(DlBitmap) found = harvest(&tracked);
    g_autoptr(DlBitmap) later = harvest(&tracked);
    g_assert_true(!meddler.taken || dl_bitmap_test(found, TAKEN_PAGE) || dl_bitmap_test(later, TAKEN_PAGE));
    g_assert_true(meddler.taken || dl_bitmap_test(found, TAKEN_PAGE));
    dl_log_move(tracked.log, "none", NULL, NULL, &error); /* the class goes with this function */
    g_assert_no_error(error);
}

static void
add_test(const char *tracker, DlRamKind kind, const char *name, void (*function)(gconstpointer data))
{
    g_autofree char *path = g_strdup_printf("/%s/%s/%s", tracker, dl_ram_kind_name(kind), name);
    Case *test_case = g_new(Case, 1);

    *test_case = (Case){tracker, kind};
    g_test_add_data_func_full(path, test_case, function, g_free);
}

int
main(int argc, char **argv)
{
    static const char *const trackers[] = {"uffd-wp", "pagemap-scan", "soft-dirty"};
    static const struct {
        const char *name;
        void (*function)(gconstpointer data);
    } tests[] = {
        {"reports-exactly-the-units-stored-to", test_exact_populated},
        {"reports-exactly-on-unpopulated-memory", test_exact_unpopulated},
        {"rearming-a-range-leaves-the-rest-alone", test_rearm_by_range},
        {"sees-system-calls", test_system_call},
        {"does-not-see-another-mapping", test_alias},
        {"a-replica-fed-under-load-is-equal", test_replica},
        {"who-takes-during-another-s-harvest-loses-nothing", test_taking_meanwhile},
        {"no-race-leaves-a-page-open-and-unreported", test_race},
        {"a-discard-is-reported-and-so-is-what-follows", test_discard},
        {"a-store-after-a-discard-is-not-lost", test_store_after_discard},
        {"release-leaves-nothing-armed", test_release},
        {"release-lets-blocked-writers-go", test_release_under_load},
        {"regions-that-end-anywhere", test_odd_regions},
    };

    g_test_init(&argc, &argv, NULL);
    for (guint t = 0; t < G_N_ELEMENTS(trackers); t++) {
        for (guint kind = 0; kind < DL_N_RAM_KINDS; kind++) {
            g_auto(DlProbe) probe = {0};
            dl_probe(dl_tracker_facts_by_name(trackers[t]), (DlRamKind)kind, &probe);
            if (!probe.supported && g_str_equal(trackers[t], "soft-dirty")) {
                add_test(trackers[t], (DlRamKind)kind, "is-refused-with-a-reason", test_refused);
                continue;
            }
            for (guint i = 0; i < G_N_ELEMENTS(tests); i++) {
                if (kind != DL_RAM_HUGETLB_1G || tests[i].function != test_odd_regions)
                    add_test(trackers[t], (DlRamKind)kind, tests[i].name, tests[i].function);
            }
        }
    }
    g_test_add_func("/uffd-wp/the-handler-runs-where-it-is-told", test_handler_cpu);
    return g_test_run();
}
