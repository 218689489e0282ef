/* SPDX-License-Identifier: MIT */
/* The oracles and the judge, tried on windows made by hand: what each must count, and for which cause. */
#include "bench/judge.h"
#include "bench/new_mappings.h"
#include "bench/replica.h"
#include "bench/stall.h"
#include "bench/write_list.h"

#include <string.h>

#define ARENA_PAGES 1000
#define FIRST_ARENA_PAGE (ABI_ARENA_GPA / ABI_PAGE_SIZE)

typedef struct {
    DlMemory *memory;
    DlLayout *layout;
    struct abi_arena arena;
    DlBitmap *none, *reported, *missed;
} Fixture;

static void
set_up(Fixture *f, gconstpointer kind)
{
    const guint64 size = ABI_ARENA_GPA + ARENA_PAGES * ABI_PAGE_SIZE;

    f->memory = dl_memory_new(DL_RAM_SHMEM, size, NULL);
    g_assert_nonnull(f->memory);
    const DlRegion region = {0, size, f->memory->hva, 0, (DlRamKind)GPOINTER_TO_INT(kind)};
    f->layout = dl_layout_new(&region, 1, NULL);
    g_assert_nonnull(f->layout);
    f->arena = (struct abi_arena){0};
    abi_arena_add(&f->arena, 0, size);
    f->none = dl_bitmap_new(dl_layout_n_bits(f->layout));
    f->reported = dl_bitmap_new(dl_layout_n_bits(f->layout));
    f->missed = dl_bitmap_new(dl_layout_n_bits(f->layout));
}

static void
tear_down(Fixture *f, gconstpointer kind G_GNUC_UNUSED)
{
    dl_bitmap_free(f->none);
    dl_bitmap_free(f->reported);
    dl_bitmap_free(f->missed);
    dl_layout_unref(f->layout);
    dl_memory_free(f->memory);
}

static WriteList *
make_list(const Fixture *f, guint32 pattern, guint32 vcpus, guint64 pages, gboolean gated)
{
    const WriteListConfig config = {
        .workload = {.pattern = pattern, .vcpus = vcpus, .pages = pages, .seed = 7, .arena_pages = ARENA_PAGES},
        .arena = f->arena,
        .gated = gated,
    };
    return write_list_new(&config, f->layout);
}

static guint64
page_at(const struct abi_workload *workload, guint32 vcpu, guint64 pass, guint64 index)
{
    return FIRST_ARENA_PAGE + abi_write_at(workload, vcpu, pass, index).page;
}

/* --- the write list --- */

static void
test_written_is_the_prefix(Fixture *f, gconstpointer kind G_GNUC_UNUSED)
{
    g_autoptr(WriteList) list = make_list(f, ABI_RANDOM, 2, 100, FALSE);
    const struct abi_workload workload = {.pattern = ABI_RANDOM, .vcpus = 2, .pages = 100, .seed = 7, .arena_pages = ARENA_PAGES};
    const guint64 positions[] = {30, 20}, later[] = {60, 50};

    write_list_open_window(list);
    const WriteWindow *window = write_list_close_window(list, positions);
    g_assert_cmpuint(dl_bitmap_count(window->written), ==, 50);
    g_assert_true(dl_bitmap_test(window->written, page_at(&workload, 0, 0, 29)));
    g_assert_true(dl_bitmap_test(window->written, page_at(&workload, 1, 0, 19)));
    g_assert_true(dl_bitmap_test(window->in_flight, page_at(&workload, 0, 0, 30)));
    g_assert_true(dl_bitmap_test(window->in_flight, page_at(&workload, 1, 0, 20)));
    g_assert_cmpuint(write_list_first_writes(list, 0), ==, 50);

    /* the next window holds the rest of this pass, and of the next one ten writes of vCPU 0 */
    write_list_open_window(list);
    window = write_list_close_window(list, later);
    g_assert_true(dl_bitmap_test(window->written, page_at(&workload, 0, 0, 30)));
    g_assert_false(dl_bitmap_test(window->in_flight, page_at(&workload, 0, 0, 30)));
    g_assert_cmpuint(write_list_first_writes(list, 0), ==, 100);
    g_assert_true(dl_bitmap_test(window->written, page_at(&workload, 0, 1, 9)));
}

static void
test_a_stored_write_in_flight_counts_as_written(Fixture *f, gconstpointer kind G_GNUC_UNUSED)
{
    g_autoptr(WriteList) list = make_list(f, ABI_RANDOM, 1, 100, FALSE);
    const struct abi_workload workload = {.pattern = ABI_RANDOM, .vcpus = 1, .pages = 100, .seed = 7, .arena_pages = ARENA_PAGES};
    const struct abi_write next = abi_write_at(&workload, 0, 0, 10);
    const guint64 positions[] = {10};

    memcpy(f->memory->hva + ABI_ARENA_GPA + next.page * ABI_PAGE_SIZE + next.offset, &next.value, sizeof next.value);
    write_list_open_window(list);
    const WriteWindow *window = write_list_close_window(list, positions);
    g_assert_cmpuint(dl_bitmap_count(window->written), ==, 11);
    /* and not in the window after it */
    write_list_open_window(list);
    window = write_list_close_window(list, (guint64[]){11});
    g_assert_cmpuint(dl_bitmap_count(window->written), ==, 0);
}

static void
test_a_silent_write_in_flight_is_demanded_of_no_window(Fixture *f, gconstpointer kind G_GNUC_UNUSED)
{
    g_autoptr(WriteList) list = make_list(f, ABI_SILENT, 1, 100, FALSE);
    const struct abi_workload workload = {.pattern = ABI_SILENT, .vcpus = 1, .pages = 100, .seed = 7, .arena_pages = ARENA_PAGES};
    const guint64 page = page_at(&workload, 0, 0, 10);

    write_list_open_window(list);
    const WriteWindow *window = write_list_close_window(list, (guint64[]){10});
    g_assert_false(dl_bitmap_test(window->written, page));
    g_assert_true(dl_bitmap_test(window->in_flight, page));
    write_list_open_window(list);
    window = write_list_close_window(list, (guint64[]){20});
    g_assert_false(dl_bitmap_test(window->written, page));
    g_assert_true(dl_bitmap_test(window->in_flight, page));
    g_assert_cmpuint(dl_bitmap_count(window->written), ==, 9);
}

static guint64 *
word_of(const Fixture *f, const struct abi_write *write)
{
    return (guint64 *)(gpointer)(f->memory->hva + abi_arena_gpa(&f->arena, write->page) + write->offset);
}

/* A word among the last 256 of the first vCPU's, which the second writes to only after its position; the value that it will store. */
static guint64 *
find_future_word(const Fixture *f, const struct abi_workload *workload, const guint64 positions[2], guint64 *value)
{
    guint64 per_pass = MAX(abi_vcpu_writes(workload, 0), 1);
    g_autoptr(GHashTable) last = g_hash_table_new(NULL, NULL);

    for (guint64 at = positions[0] - 256; at < positions[0]; at++) {
        struct abi_write write = abi_write_at(workload, 0, at / per_pass, at % per_pass);
        g_hash_table_add(last, word_of(f, &write));
    }
    for (guint64 at = positions[1] + 1;; at++) {
        struct abi_write write = abi_write_at(workload, 1, at / per_pass, at % per_pass);
        *value = write.value;
        if (g_hash_table_contains(last, word_of(f, &write)))
            return word_of(f, &write);
    }
}

/* One vCPU waits for a processor while the other goes through all of the arena many times. */
static void
test_a_word_may_be_overwritten_by_another(Fixture *f, gconstpointer kind G_GNUC_UNUSED)
{
    g_autoptr(WriteList) list = make_list(f, ABI_RANDOM, 2, ARENA_PAGES, FALSE);
    const struct abi_workload workload = {
        .pattern = ABI_RANDOM, .vcpus = 2, .pages = ARENA_PAGES, .seed = 7, .arena_pages = ARENA_PAGES};
    const guint64 positions[] = {600, 400000}, per_pass = abi_vcpu_writes(&workload, 0);

    for (guint32 vcpu = 0; vcpu < 2; vcpu++) {
        for (guint64 at = 0; at < positions[vcpu]; at++) {
            struct abi_write write = abi_write_at(&workload, vcpu, at / per_pass, at % per_pass);
            *word_of(f, &write) = write.value;
        }
    }
    g_assert_cmpuint(write_list_wrong_words(list, positions, 256), ==, 0);

    guint64 value, *word = find_future_word(f, &workload, positions, &value), held = *word;
    *word = value; /* nobody has stored that yet */
    g_assert_cmpuint(write_list_wrong_words(list, positions, 256), ==, 1);
    *word = held;

    struct abi_write last = abi_write_at(&workload, 1, 399999 / per_pass, 399999 % per_pass);
    struct abi_write before = abi_write_at(&workload, 1, 399998 / per_pass, 399998 % per_pass);
    *word_of(f, &last) = 0;
    *word_of(f, &before) = last.value; /* another place's value */
    g_assert_cmpuint(write_list_wrong_words(list, positions, 256), ==, 2);
}

/* Two stops at the same place: the write there is in flight in all three windows, and the one behind it is demanded of the third. */
static void
test_a_silent_write_in_flight_at_two_stops(Fixture *f, gconstpointer kind G_GNUC_UNUSED)
{
    g_autoptr(WriteList) list = make_list(f, ABI_SILENT, 1, 100, FALSE);
    const struct abi_workload workload = {.pattern = ABI_SILENT, .vcpus = 1, .pages = 100, .seed = 7, .arena_pages = ARENA_PAGES};
    const WriteWindow *window = NULL;

    for (guint stop = 0; stop < 2; stop++) {
        write_list_open_window(list);
        window = write_list_close_window(list, (guint64[]){10});
        g_assert_true(dl_bitmap_test(window->in_flight, page_at(&workload, 0, 0, 10)));
    }
    write_list_open_window(list);
    window = write_list_close_window(list, (guint64[]){12});
    g_assert_true(dl_bitmap_test(window->in_flight, page_at(&workload, 0, 0, 10)));
    g_assert_true(dl_bitmap_test(window->written, page_at(&workload, 0, 0, 11)));
    g_assert_cmpuint(dl_bitmap_count(window->written), ==, 1);
}

static void
test_a_rearm_makes_first_writes_anew(Fixture *f, gconstpointer kind G_GNUC_UNUSED)
{
    g_autoptr(WriteList) list = make_list(f, ABI_HOTSPOT, 1, 10, FALSE); /* one hot page, 9 cold ones, 90 writes */

    write_list_open_window(list);
    write_list_rearmed(list, (guint64[]){45});
    write_list_close_window(list, (guint64[]){90});
    g_assert_cmpuint(write_list_first_writes(list, 0), ==, 9 + 2);
}

/* --- the judge --- */

static AccuracyResult
judge(Fixture *f, const char *tracker, Writer writer, WriteList *list, const guint64 *positions, gboolean overflow)
{
    AccuracyResult sum = {0};
    const JudgeContext context = {dl_tracker_facts_by_name(tracker), writer, f->layout, f->none, f->none, f->none};

    const JudgeWindow window = {
        .reported = f->reported, .writes = write_list_close_window(list, positions), .changed = f->none, .overflow = overflow};
    judge_write_list(&context, &window, write_list_scope(list), &sum, f->missed);
    return sum;
}

static void
report_written(Fixture *f, const struct abi_workload *workload, guint64 n_writes)
{
    for (guint64 i = 0; i < n_writes; i++)
        dl_bitmap_set(f->reported, page_at(workload, 0, 0, i));
}

static const struct abi_workload random_workload = {
    .pattern = ABI_RANDOM, .vcpus = 1, .pages = 100, .seed = 7, .arena_pages = ARENA_PAGES};

static void
test_an_exact_report_is_exact(Fixture *f, gconstpointer kind G_GNUC_UNUSED)
{
    g_autoptr(WriteList) list = make_list(f, ABI_RANDOM, 1, 100, FALSE);

    report_written(f, &random_workload, 40);
    AccuracyResult sum = judge(f, "kvm-bitmap", WRITER_GUEST, list, (guint64[]){40}, FALSE);
    g_assert_cmpuint(sum.written_pages, ==, 40);
    g_assert_cmpuint(sum.reported_pages, ==, 40);
    g_assert_cmpuint(sum.missed_pages, ==, 0);
    g_assert_cmpuint(accuracy_extra_pages(&sum), ==, 0);
    g_assert_cmpuint(sum.judged_pages, ==, ARENA_PAGES);
}

static void
test_each_cause_has_its_pages(Fixture *f, gconstpointer kind G_GNUC_UNUSED)
{
    g_autoptr(WriteList) list = make_list(f, ABI_RANDOM, 1, 100, FALSE);

    report_written(f, &random_workload, 39);                         /* of 40: one is missed */
    dl_bitmap_set(f->reported, page_at(&random_workload, 0, 0, 40)); /* in flight */
    dl_bitmap_set(f->reported, page_at(&random_workload, 0, 0, 60)); /* nothing explains it */
    AccuracyResult sum = judge(f, "kvm-bitmap", WRITER_GUEST, list, (guint64[]){40}, FALSE);
    g_assert_cmpuint(sum.missed_pages, ==, 1);
    g_assert_true(dl_bitmap_test(f->missed, page_at(&random_workload, 0, 0, 39)));
    g_assert_cmpuint(sum.extra[EXTRA_IN_FLIGHT], ==, 1);
    g_assert_cmpuint(sum.extra[EXTRA_UNEXPLAINED], ==, 1);
    g_assert_cmpuint(accuracy_extra_pages(&sum), ==, 2);
    g_assert_cmpuint(sum.expected_missed_pages, ==, 0);
}

static void
test_reads_excuse_kvm_only(Fixture *f, gconstpointer kind G_GNUC_UNUSED)
{
    const struct abi_workload workload = {.pattern = ABI_READ, .vcpus = 1, .pages = 100, .seed = 7, .arena_pages = ARENA_PAGES};
    g_autoptr(WriteList) list = make_list(f, ABI_READ, 1, 100, FALSE);
    g_autoptr(WriteList) same = make_list(f, ABI_READ, 1, 100, FALSE);

    report_written(f, &workload, 30);
    AccuracyResult kvm = judge(f, "kvm-bitmap", WRITER_GUEST, list, (guint64[]){30}, FALSE);
    g_assert_cmpuint(kvm.written_pages, ==, 0);
    g_assert_cmpuint(kvm.extra[EXTRA_READ_FAULT], ==, 30);
    AccuracyResult scan = judge(f, "pagemap-scan", WRITER_GUEST, same, (guint64[]){30}, FALSE);
    g_assert_cmpuint(scan.extra[EXTRA_UNEXPLAINED], ==, 30);
}

static void
test_a_unit_explains_its_pages_and_no_others(Fixture *f, gconstpointer kind G_GNUC_UNUSED)
{
    g_autoptr(WriteList) list = make_list(f, ABI_RANDOM, 1, 100, TRUE); /* nothing in flight, so one unit only */
    guint64 first = page_at(&random_workload, 0, 0, 0), unit = first / 512 * 512, other = unit == 1024 ? 1536 : 1024;

    dl_bitmap_set_range(f->reported, (DlPageRange){unit, MIN(512, FIRST_ARENA_PAGE + ARENA_PAGES - unit)});
    guint64 whole = dl_bitmap_count(f->reported);
    dl_bitmap_set(f->reported, other);
    AccuracyResult sum = judge(f, "pagemap-scan", WRITER_GUEST, list, (guint64[]){1}, FALSE);
    g_assert_cmpuint(sum.missed_pages, ==, 0);
    g_assert_cmpuint(sum.extra[EXTRA_GRANULARITY], ==, whole - 1);
    g_assert_cmpuint(sum.extra[EXTRA_UNEXPLAINED], ==, 1);
}

static void
test_a_declared_miss_must_occur(Fixture *f, gconstpointer kind G_GNUC_UNUSED)
{
    g_autoptr(WriteList) unseen = make_list(f, ABI_RANDOM, 1, 100, TRUE);
    g_autoptr(WriteList) seen = make_list(f, ABI_RANDOM, 1, 100, TRUE);

    AccuracyResult sum = judge(f, "kvm-bitmap", WRITER_ALIAS, unseen, (guint64[]){40}, FALSE);
    g_assert_cmpuint(sum.missed_pages, ==, 40);
    g_assert_cmpuint(sum.expected_missed_pages, ==, 40);
    report_written(f, &random_workload, 40);
    sum = judge(f, "kvm-bitmap", WRITER_ALIAS, seen, (guint64[]){40}, FALSE);
    g_assert_cmpuint(sum.missed_pages, ==, 0);
    g_assert_cmpuint(sum.expected_missed_pages, ==, 40);
}

static void
test_noted_stores_are_never_excused(Fixture *f, gconstpointer kind G_GNUC_UNUSED)
{
    g_autoptr(WriteList) list = make_list(f, ABI_RANDOM, 1, 100, TRUE);
    AccuracyResult sum = judge(f, "kvm-bitmap", WRITER_VMM, list, (guint64[]){40}, FALSE);

    g_assert_cmpuint(sum.missed_pages, ==, 40);
    g_assert_cmpuint(sum.expected_missed_pages, ==, 0);
}

static void
test_an_overflow_explains_everything(Fixture *f, gconstpointer kind G_GNUC_UNUSED)
{
    g_autoptr(WriteList) list = make_list(f, ABI_RANDOM, 1, 100, FALSE);

    dl_layout_fill(f->layout, f->reported);
    AccuracyResult sum = judge(f, "kvm-ring", WRITER_GUEST, list, (guint64[]){10}, TRUE);
    g_assert_cmpuint(sum.extra[EXTRA_UNEXPLAINED], ==, 0);
    g_assert_cmpuint(sum.extra[EXTRA_RING_OVERFLOW], ==, ARENA_PAGES - 10 - 1);
    g_assert_cmpuint(sum.extra[EXTRA_IN_FLIGHT], ==, 1);
}

/* --- the replica --- */

static void
test_the_replica_finds_any_byte(Fixture *f, gconstpointer kind G_GNUC_UNUSED)
{
    g_autoptr(Replica) replica = replica_new(f->layout, NULL);
    const guint64 pages[] = {0, 63, 64, 1025, FIRST_ARENA_PAGE + ARENA_PAGES - 1};

    for (guint i = 0; i < G_N_ELEMENTS(pages); i++)
        f->memory->hva[pages[i] * ABI_PAGE_SIZE + (i % 2 ? ABI_PAGE_SIZE - 1 : 0)] ^= 1;
    dl_bitmap_set(f->reported, pages[1]);
    dl_bitmap_set(f->reported, 2); /* reported, unchanged */
    replica_open_window(replica);
    replica_apply(replica, f->reported);
    g_assert_cmpuint(dl_bitmap_count(replica_changed(replica)), ==, 1);
    g_assert_true(dl_bitmap_test(replica_changed(replica), pages[1]));
    replica_compare(replica, f->missed);
    g_assert_cmpuint(dl_bitmap_count(f->missed), ==, 4);
    g_assert_false(dl_bitmap_test(f->missed, pages[1]));
    /* a miss is counted once */
    dl_bitmap_clear_all(f->missed);
    replica_compare(replica, f->missed);
    g_assert_true(dl_bitmap_is_empty(f->missed));
}

/* --- stalls --- */

static void
test_percentiles_come_from_the_right_bucket(void)
{
    struct abi_histogram histogram = {.max_cycles = 100000};

    histogram.count[abi_histogram_bucket(100)] = 980;
    histogram.count[abi_histogram_bucket(5000)] = 19;
    histogram.count[abi_histogram_bucket(100000)] = 1;
    g_assert_cmpfloat(stall_percentile(&histogram, 0.5, 2), >, 2 * 90);
    g_assert_cmpfloat(stall_percentile(&histogram, 0.5, 2), <, 2 * 113);
    g_assert_cmpfloat(stall_percentile(&histogram, 0.99, 1), >, 4500);
    g_assert_cmpfloat(stall_percentile(&histogram, 0.99, 1), <, 5700);
    g_assert_cmpfloat(stall_percentile(&histogram, 1, 1), <=, 100000);
    g_assert_cmpfloat(stall_percentile(&histogram, 1, 1), >, 90000);
}

/* Of a mapping that is made anew soft-dirty reports every page until the next clear: that is a cause, and only while it is so. */
static void
test_new_mappings_are_those_not_yet_cleared(Fixture *f, gconstpointer kind G_GNUC_UNUSED)
{
    const DlTrackerFacts *soft_dirty = dl_tracker_facts_by_name("soft-dirty");
    g_auto(DlProbe) probe = {0};

    dl_probe(soft_dirty, DL_RAM_SHMEM, &probe);
    if (!probe.supported) {
        g_test_skip(probe.reason);
        return;
    }
    WriteWindow writes = {.written = f->none, .read = f->none, .in_flight = f->none};
    g_autoptr(DlBitmap) flagged = dl_bitmap_new(dl_layout_n_bits(f->layout));
    const JudgeContext context = {soft_dirty, WRITER_GUEST, f->layout, f->none, f->none, f->none};
    const JudgeWindow window = {.reported = f->reported, .writes = &writes, .changed = f->none, .flagged = flagged};
    g_autoptr(DlBitmap) all = dl_bitmap_new(dl_layout_n_bits(f->layout));
    AccuracyResult new_ones = {0}, none = {0};

    dl_layout_fill(f->layout, all);
    dl_layout_fill(f->layout, f->reported);
    new_mappings_add(f->layout, flagged);
    g_assert_true(dl_bitmap_equal(flagged, all));
    judge_write_list(&context, &window, all, &new_ones, f->missed);
    g_assert_cmpuint(new_ones.extra[EXTRA_FIRST_HARVEST], ==, dl_bitmap_count(all));

    g_assert_true(g_file_set_contents_full("/proc/self/clear_refs", "4", 1, G_FILE_SET_CONTENTS_NONE, 0, NULL));
    dl_bitmap_clear_all(flagged);
    new_mappings_add(f->layout, flagged);
    g_assert_true(dl_bitmap_is_empty(flagged));
    judge_write_list(&context, &window, all, &none, f->missed);
    g_assert_cmpuint(none.extra[EXTRA_FIRST_HARVEST], ==, 0);
    g_assert_cmpuint(none.extra[EXTRA_UNEXPLAINED], ==, dl_bitmap_count(all));
}

#define ADD(name, kind, test) g_test_add("/bench/" name, Fixture, GINT_TO_POINTER(kind), set_up, test, tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("write-list/written is what lies before each position", DL_RAM_SHMEM, test_written_is_the_prefix);
    ADD("write-list/a write in flight that is in RAM was written", DL_RAM_SHMEM, test_a_stored_write_in_flight_counts_as_written);
    ADD("write-list/a silent write in flight is demanded of no window", DL_RAM_SHMEM,
        test_a_silent_write_in_flight_is_demanded_of_no_window);
    ADD("write-list/a silent write in flight at two stops passes over no other", DL_RAM_SHMEM,
        test_a_silent_write_in_flight_at_two_stops);
    ADD("write-list/a re-arm makes first writes anew", DL_RAM_SHMEM, test_a_rearm_makes_first_writes_anew);
    ADD("write-list/a word may hold what another stored there", DL_RAM_SHMEM, test_a_word_may_be_overwritten_by_another);
    ADD("judge/an exact report is exact", DL_RAM_SHMEM, test_an_exact_report_is_exact);
    ADD("judge/each cause has its own pages", DL_RAM_SHMEM, test_each_cause_has_its_pages);
    ADD("judge/reads excuse KVM's trackers only", DL_RAM_SHMEM, test_reads_excuse_kvm_only);
    ADD("judge/a unit explains its pages and no others", DL_RAM_HUGETLB_2M, test_a_unit_explains_its_pages_and_no_others);
    ADD("judge/a declared miss must occur", DL_RAM_SHMEM, test_a_declared_miss_must_occur);
    ADD("judge/a noted store is never excused", DL_RAM_SHMEM, test_noted_stores_are_never_excused);
    ADD("judge/an overflow explains everything", DL_RAM_SHMEM, test_an_overflow_explains_everything);
    ADD("judge/a mapping new to soft-dirty explains its pages until the next clear", DL_RAM_SHMEM,
        test_new_mappings_are_those_not_yet_cleared);
    ADD("replica/finds any byte that differs", DL_RAM_SHMEM, test_the_replica_finds_any_byte);
    g_test_add_func("/bench/stall/percentiles come from the right bucket", test_percentiles_come_from_the_right_bucket);
    return g_test_run();
}
