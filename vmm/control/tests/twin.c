/* SPDX-License-Identifier: MIT */
#include "twin.h"

#include <string.h>

struct Twin {
    DlLog *log;
    DlLayout *layout;
    DlConsumer *consumer;
    DlBitmap *pages;
    guint8 *copy; /* by page bits */
};

static void
copy_pages(Twin *twin)
{
    guint64 end = dl_layout_n_bits(twin->layout);

    for (DlPageRange run = {0}; dl_bitmap_next_run(twin->pages, run.first + run.count, end, &run);) {
        for (guint64 page = run.first; page < run.first + run.count; page++)
            memcpy(twin->copy + page * DL_PAGE_SIZE, dl_layout_hva_of_page(twin->layout, page), DL_PAGE_SIZE);
    }
}

Twin *
twin_new(DlLog *log)
{
    Twin *twin = g_new0(Twin, 1);

    twin->log = log;
    twin->layout = dl_log_layout(log);
    twin->consumer = dl_log_subscribe(log);
    twin->pages = dl_bitmap_new(dl_layout_n_bits(twin->layout));
    twin->copy = g_malloc0(dl_layout_n_bits(twin->layout) * DL_PAGE_SIZE);
    dl_layout_fill(twin->layout, twin->pages);
    copy_pages(twin);
    return twin;
}

void
twin_free(Twin *twin)
{
    dl_log_unsubscribe(twin->log, twin->consumer);
    dl_bitmap_free(twin->pages);
    g_free(twin->copy);
    g_free(twin);
}

static guint64
harvest(Twin *twin)
{
    g_autoptr(GError) error = NULL;

    dl_log_harvest(twin->log, &error);
    g_assert_no_error(error);
    dl_bitmap_clear_all(twin->pages);
    return dl_consumer_take(twin->consumer, (DlPageRange){0, dl_layout_n_bits(twin->layout)}, twin->pages);
}

guint64
twin_follow(Twin *twin)
{
    guint64 pages = harvest(twin);

    copy_pages(twin);
    return pages;
}

void
twin_forget(Twin *twin)
{
    harvest(twin);
}

guint64
twin_differences(Twin *twin)
{
    guint64 differences = 0;

    for (guint64 page = 0; page < dl_layout_n_bits(twin->layout); page++) {
        const guint8 *ram = dl_layout_hva_of_page(twin->layout, page);
        differences += ram && memcmp(ram, twin->copy + page * DL_PAGE_SIZE, DL_PAGE_SIZE) != 0;
    }
    return differences;
}
