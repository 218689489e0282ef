/* SPDX-License-Identifier: MIT */
/* Runs the toy tracker of docs/hacking.md, as extracted from that page, over plain process memory. */
#include "dirtylog/tracker_class.h"

extern const DlTrackerClass dl_compare_class;

static void
test_toy_reports_what_was_written(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(DlMemory) memory = dl_memory_new(DL_RAM_SHMEM, 100 * DL_PAGE_SIZE, &error);
    g_assert_no_error(error);
    const DlRegion region = {.size = memory->size, .hva = memory->hva, .kind = DL_RAM_SHMEM};
    const DlHost host = {.vm_fd = -1};
    g_autoptr(DlLayout) layout = dl_layout_new(&region, 1, &error);
    g_assert_no_error(error);
    g_autoptr(DlLog) log = dl_log_new(layout, &host, &error);
    g_assert_no_error(error);
    g_autoptr(DlBitmap) found = dl_bitmap_new(dl_layout_n_bits(layout));
    DlConsumer *consumer = dl_log_subscribe(log);
    const DlPageRange all = {0, dl_layout_n_bits(layout)};

    g_assert_true(dl_log_move_to_class(log, &dl_compare_class, NULL, NULL, &error));
    for (guint round = 1; round <= 3; round++) {
        dl_bitmap_clear_all(found);
        memory->hva[7 * DL_PAGE_SIZE + 5] = (guint8)round;
        memory->hva[99 * DL_PAGE_SIZE + DL_PAGE_SIZE - 1] = (guint8)round;
        g_assert_true(dl_log_harvest(log, &error));
        g_assert_cmpuint(dl_consumer_take(consumer, all, found), ==, 2);
        g_assert_true(dl_bitmap_test(found, 7));
        g_assert_true(dl_bitmap_test(found, 99));
    }
    g_assert_true(dl_log_move(log, "none", NULL, NULL, &error));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/docs/the toy tracker of hacking.md reports what was written and nothing else",
                    test_toy_reports_what_was_written);
    return g_test_run();
}
