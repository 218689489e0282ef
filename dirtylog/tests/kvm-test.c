/* SPDX-License-Identifier: MIT */
/*
 * Every tracker on a VM with two slots, a hole between them, and a tail that is no multiple of 64 pages, stored to by a vCPU:
 * exact pages, ranges re-armed one by one, and every move that such a VM allows.
 */
#include <string.h>
#include <unistd.h>

#include "common.h"
#include "dirtylog/private.h"
#include "dirtylog/tiny_vm.h"

#define LOW_PAGES (UINT64_C(512) + 21)
#define HIGH_PAGES UINT64_C(43)
#define HIGH_GPA (UINT64_C(1) << 32)
#define RING_BYTES (1024 * 16)

typedef struct {
    DlMemory *low, *high;
    DlLayout *layout;
    TinyVm vm;
    DlLog *log;
    DlConsumer *consumer;
} Machine;

static gboolean
machine_open(Machine *machine, guint32 ring_bytes, gboolean can_pause)
{
    g_autoptr(GError) error = NULL;

    *machine = (Machine){.vm = TINY_VM_INIT};
    if (access("/dev/kvm", R_OK | W_OK)) {
        g_test_skip("no /dev/kvm, or no permission on it");
        return FALSE;
    }
    machine->low = dl_memory_new(DL_RAM_SHMEM, LOW_PAGES * DL_PAGE_SIZE, &error);
    machine->high = dl_memory_new(DL_RAM_SHMEM, HIGH_PAGES * DL_PAGE_SIZE, &error);
    g_assert_no_error(error);
    DlRegion regions[] = {
        {.gpa = 0, .size = machine->low->size, .hva = machine->low->hva, .slot = 3},
        {.gpa = HIGH_GPA, .size = machine->high->size, .hva = machine->high->hva, .slot = 1},
    };
    machine->layout = dl_layout_new(regions, 2, &error);
    tiny_vm_open(&machine->vm, machine->layout, ring_bytes, &error);
    g_assert_no_error(error);
    DlHost host = tiny_vm_host(&machine->vm);
    if (!can_pause)
        host.pause = NULL, host.resume = NULL;
    machine->log = dl_log_new(machine->layout, &host, &error);
    g_assert_no_error(error);
    machine->consumer = dl_log_subscribe(machine->log);
    return TRUE;
}

static void
machine_close(Machine *machine)
{
    dl_log_free(machine->log);
    tiny_vm_close(&machine->vm);
    g_clear_pointer(&machine->layout, dl_layout_unref);
    dl_memory_free(machine->low);
    dl_memory_free(machine->high);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Machine, machine_close)

static void
guest_store(Machine *machine, guint64 page, DlBitmap *expected)
{
    g_autoptr(GError) error = NULL;
    guint64 gpa;

    g_assert_true(dl_layout_gpa_of_page(machine->layout, page, &gpa));
    tiny_vm_store(&machine->vm, gpa + page % DL_PAGE_SIZE, &error);
    g_assert_no_error(error);
    if (expected)
        dl_bitmap_set(expected, page);
}

/* Not the VM's own pages; the last of each slot more often than chance would have it. */
static guint64
random_page(const Machine *machine)
{
    DlPageRange pages = dl_layout_region_pages(machine->layout, (guint)g_test_rand_int_range(0, 2));

    if (g_test_rand_int_range(0, 8) == 0)
        return pages.first + pages.count - 1;
    guint64 low = pages.first == 0 ? TINY_VM_OWN_PAGES : 0;
    return pages.first + low + (guint64)g_test_rand_int_range(0, (gint)(pages.count - low));
}

static void
take(Machine *machine, DlBitmap *found)
{
    dl_consumer_take(machine->consumer, (DlPageRange){0, dl_bitmap_size(found)}, found);
    dl_bitmap_clear_range(found, (DlPageRange){0, TINY_VM_OWN_PAGES});
}

static void
arm(Machine *machine, const char *tracker)
{
    g_autoptr(GError) error = NULL;

    dl_log_move(machine->log, tracker, NULL, NULL, &error);
    g_assert_no_error(error);
}

static guint32
ring_bytes_for(const char *tracker)
{
    return g_str_equal(tracker, "kvm-ring") ? RING_BYTES : 0;
}

static void
test_exact(gconstpointer tracker)
{
    g_auto(Machine) machine = {0};
    guint64 stores = 0;

    if (!supported_or_skip(tracker, DL_RAM_SHMEM) || !machine_open(&machine, ring_bytes_for(tracker), TRUE))
        return;
    for (guint cycle = 0; cycle < 3; cycle++) {
        arm(&machine, tracker);
        for (guint round = 0; round < 25; round++) {
            g_autoptr(DlBitmap) expected = dl_bitmap_new(dl_layout_n_bits(machine.layout));
            g_autoptr(DlBitmap) found = dl_bitmap_new(dl_layout_n_bits(machine.layout));
            g_autoptr(GError) error = NULL;
            for (guint i = (guint)g_test_rand_int_range(0, 60); i > 0; i--, stores++)
                guest_store(&machine, random_page(&machine), expected);
            dl_log_harvest(machine.log, &error);
            g_assert_no_error(error);
            take(&machine, found);
            assert_same_pages(found, expected);
        }
        arm(&machine, "none");
        guest_store(&machine, random_page(&machine), NULL);
    }
    DlLogStats stats;
    dl_log_stats(machine.log, &stats);
    g_assert_cmpuint(stats.ring_overflows, ==, 0);
    g_assert_cmpuint(stores, >, 0);
}

/* Collect once, re-arm small odd ranges, with stores in between: what was stored last is reported last. */
static void
test_ranges(gconstpointer tracker)
{
    g_auto(Machine) machine = {0};
    g_autoptr(GError) error = NULL;

    if (!supported_or_skip(tracker, DL_RAM_SHMEM) || !machine_open(&machine, ring_bytes_for(tracker), TRUE))
        return;
    guint64 n_bits = dl_layout_n_bits(machine.layout);
    g_autoptr(DlBitmap) owed = dl_bitmap_new(n_bits);
    arm(&machine, tracker);
    for (guint round = 0; round < 25; round++) {
        for (guint i = 0; i < 30; i++)
            guest_store(&machine, random_page(&machine), owed);
        dl_log_collect(machine.log, &error);
        g_assert_no_error(error);
        for (guint64 first = 0, count; first < n_bits; first += count) {
            count = (guint64)g_test_rand_int_range(1, 150);
            count = MIN(count, n_bits - first);
            guest_store(&machine, random_page(&machine), owed);
            dl_log_rearm(machine.log, (DlPageRange){first, count}, &error);
            g_assert_no_error(error);
            g_autoptr(DlBitmap) found = dl_bitmap_new(n_bits);
            dl_consumer_take(machine.consumer, (DlPageRange){first, count}, found);
            dl_bitmap_and_not(owed, found); /* would be read now */
            guest_store(&machine, random_page(&machine), owed);
        }
    }
    dl_log_harvest(machine.log, &error);
    g_assert_no_error(error);
    g_autoptr(DlBitmap) last = dl_bitmap_new(n_bits);
    take(&machine, last);
    dl_bitmap_and_not(owed, last);
    g_assert_cmpuint(dl_bitmap_count(owed), ==, 0);
}

static void
check_moves(const char *const *all_names, guint n_all_names, guint32 ring_bytes, gboolean can_pause)
{
    g_auto(Machine) machine = {0};
    const char *names[8];
    guint n_names = 0, from = 0;

    if (!machine_open(&machine, ring_bytes, can_pause))
        return;
    for (guint i = 0; i < n_all_names; i++) {
        if (is_supported(all_names[i], DL_RAM_SHMEM))
            names[n_names++] = all_names[i];
    }
    g_assert_cmpuint(n_names, >, 1); /* KVM's own one, and userfaultfd */
    arm(&machine, names[0]);
    for (guint i = 0; i < 60; i++) {
        g_autoptr(DlBitmap) expected = dl_bitmap_new(dl_layout_n_bits(machine.layout));
        g_autoptr(DlBitmap) found = dl_bitmap_new(dl_layout_n_bits(machine.layout));
        g_autoptr(GError) error = NULL;
        DlMoveResult result;
        guint to = (guint)g_test_rand_int_range(0, (gint)n_names);

        for (guint k = 0; k < 10; k++)
            guest_store(&machine, random_page(&machine), expected);
        if (g_test_rand_bit())
            dl_log_collect(machine.log, &error); /* collected, not re-armed */
        g_assert_no_error(error);
        dl_log_move(machine.log, names[to], NULL, &result, &error);
        g_assert_no_error(error);
        gboolean both_uffd = from != to && dl_tracker_facts_by_name(names[from])->holds == DL_HOLDS_UFFD &&
                             dl_tracker_facts_by_name(names[to])->holds == DL_HOLDS_UFFD;
        if (both_uffd)
            g_assert_cmpint(result.kind, ==, can_pause ? DL_MOVE_PAUSED : DL_MOVE_BRIDGED);
        for (guint k = 0; k < 10; k++)
            guest_store(&machine, random_page(&machine), expected);
        dl_log_harvest(machine.log, &error);
        g_assert_no_error(error);
        take(&machine, found);
        assert_same_pages(found, expected);
        from = to;
    }
}

static void
test_moves(gconstpointer can_pause)
{
    const char *const bitmaps[] = {"kvm-bitmap", "kvm-bitmap-clear", "uffd-wp", "pagemap-scan", "soft-dirty"};
    const char *const ring[] = {"kvm-ring", "uffd-wp", "pagemap-scan", "soft-dirty"};

    /* soft-dirty, the last, is refused without a pause */
    check_moves(bitmaps, G_N_ELEMENTS(bitmaps) - !can_pause, 0, GPOINTER_TO_INT(can_pause));
    if (can_pause) /* the ring is refused without: its recovery needs it */
        check_moves(ring, G_N_ELEMENTS(ring), RING_BYTES, TRUE);
}

static void
test_impossible(void)
{
    for (guint with_ring = 0; with_ring < 2; with_ring++) {
        g_auto(Machine) machine = {0};
        g_autoptr(GError) error = NULL;

        if (!machine_open(&machine, with_ring ? RING_BYTES : 0, TRUE))
            return;
        arm(&machine, with_ring ? "kvm-ring" : "kvm-bitmap");
        g_assert_false(dl_log_move(machine.log, with_ring ? "kvm-bitmap" : "kvm-ring", NULL, NULL, &error));
        g_assert_error(error, DL_ERROR, DL_ERROR_UNSUPPORTED);
        g_assert_nonnull(strstr(error->message, with_ring ? "ENXIO" : "before the first vCPU"));
    }
}

int
main(int argc, char **argv)
{
    static const char *const trackers[] = {"kvm-bitmap", "kvm-bitmap-clear", "kvm-ring", "uffd-wp", "pagemap-scan"};

    g_test_init(&argc, &argv, NULL);
    for (guint i = 0; i < G_N_ELEMENTS(trackers); i++) {
        g_autofree char *exact = g_strdup_printf("/kvm/%s/reports-exactly-what-the-guest-stored", trackers[i]);
        g_autofree char *ranges = g_strdup_printf("/kvm/%s/re-arming-range-by-range-loses-nothing", trackers[i]);
        g_test_add_data_func(exact, trackers[i], test_exact);
        g_test_add_data_func(ranges, trackers[i], test_ranges);
    }
    g_test_add_data_func("/kvm/moves-with-a-pause-lose-nothing", GINT_TO_POINTER(TRUE), test_moves);
    g_test_add_data_func("/kvm/moves-without-a-pause-lose-nothing", GINT_TO_POINTER(FALSE), test_moves);
    g_test_add_func("/kvm/bitmap-and-ring-exclude-each-other-with-a-reason", test_impossible);
    return g_test_run();
}
