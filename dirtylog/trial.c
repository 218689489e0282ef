/* SPDX-License-Identifier: MIT */
/*
 * A tracker works here if, armed over memory that nobody has touched, a store to one page reports that page (its unit) and no
 * other; with no store nothing is reported; and after the re-arm another store to the same page is reported again.
 */
#include "dirtylog/trial.h"

#include "dirtylog/private.h"

#define TRIAL_BYTES (UINT64_C(1) << 20)

static gboolean
expect(DlLog *log, DlConsumer *consumer, guint64 first_page, DlPageRange expected, const char *when, GError **error)
{
    guint64 n_bits = dl_layout_n_bits(dl_log_layout(log));
    g_autoptr(DlBitmap) found = dl_bitmap_new(n_bits);

    if (!dl_log_harvest(log, error))
        return FALSE;
    dl_consumer_take(consumer, (DlPageRange){0, n_bits}, found);
    dl_bitmap_clear_range(found, (DlPageRange){0, first_page});

    guint64 inside = dl_bitmap_count_range(found, expected);
    guint64 outside = dl_bitmap_count(found) - inside;
    if (inside == expected.count && outside == 0)
        return TRUE;
    dl_set_error(error, DL_ERROR_UNSUPPORTED, 0, NULL,
                 "tried, and it does not work: %s, %" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT
                 " pages were reported, and %" G_GUINT64_FORMAT " that nobody wrote",
                 when, inside, expected.count, outside);
    return FALSE;
}

gboolean
dl_trial_run(const DlTrackerClass *class, DlLog *log, guint64 first_page, DlTrialStore store, gpointer user, GError **error)
{
    DlLayout *layout = dl_log_layout(log);
    DlPageRange pages = dl_layout_region_pages(layout, 0);
    guint64 unit = class->unit(dl_layout_region(layout, 0)->kind) / DL_PAGE_SIZE;
    guint64 page = pages.count - 3; /* not the last: something has to be left that must not be reported */
    DlPageRange written = {page / unit * unit, MIN(unit, pages.count - page / unit * unit)};
    DlPageRange nothing = {first_page, 0};
    DlConsumer *consumer = dl_log_subscribe(log);

    if (written.first < first_page) {
        written.count -= first_page - written.first;
        written.first = first_page;
    }
    if (class->facts.unseen == DL_WRITERS_ALL)
        written = nothing;
    return dl_log_move_to_class(log, class, NULL, NULL, error) && store(user, page, error) &&
           expect(log, consumer, first_page, written, "after a store", error) &&
           expect(log, consumer, first_page, nothing, "without a store", error) && store(user, page, error) &&
           expect(log, consumer, first_page, written, "after re-arming and another store", error) &&
           dl_log_move(log, "none", NULL, NULL, error) && store(user, page, error);
}

static gboolean
store_here(gpointer user, guint64 page, GError **error)
{
    volatile guint8 *memory = user;

    (void)error;
    memory[page * DL_PAGE_SIZE]++;
    return TRUE;
}

/* This thread is the only writer, and stands still while the library works. */
static gboolean
nothing_to_pause(gpointer user, GError **error)
{
    (void)user;
    (void)error;
    return TRUE;
}

static void
nothing_to_resume(gpointer user)
{
    (void)user;
}

gboolean
dl_trial_process(const DlTrackerClass *class, DlRamKind kind, GError **error)
{
    DlHost host = {.vm_fd = -1, .pause = nothing_to_pause, .resume = nothing_to_resume};
    g_autoptr(DlMemory) memory = dl_memory_new(kind, MAX(TRIAL_BYTES, dl_ram_kind_page_size(kind)), error);

    if (!memory)
        return FALSE;
    DlRegion region = {.size = memory->size, .hva = memory->hva, .kind = kind};
    g_autoptr(DlLayout) layout = dl_layout_new(&region, 1, error);
    g_autoptr(DlLog) log = layout ? dl_log_new(layout, &host, error) : NULL;
    return log && dl_trial_run(class, log, 0, store_here, memory->hva, error);
}
