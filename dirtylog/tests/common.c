/* SPDX-License-Identifier: MIT */
#include "common.h"

#include <string.h>

static gboolean
stands_already(gpointer user, GError **error)
{
    (void)user;
    (void)error;
    return TRUE;
}

static void
goes_on(gpointer user)
{
    (void)user;
}

DlHost
host_alone(void)
{
    return (DlHost){.vm_fd = -1, .pause = stands_already, .resume = goes_on};
}

gboolean
is_supported(const char *tracker, DlRamKind kind)
{
    g_auto(DlProbe) probe = {0};

    dl_probe(dl_tracker_facts_by_name(tracker), kind, &probe);
    if (!probe.supported)
        g_test_message("without %s on %s: %s", tracker, dl_ram_kind_name(kind), probe.reason);
    return probe.supported;
}

gboolean
supported_or_skip(const char *tracker, DlRamKind kind)
{
    g_auto(DlProbe) probe = {0};

    dl_probe(dl_tracker_facts_by_name(tracker), kind, &probe);
    if (!probe.supported)
        g_test_skip(probe.reason);
    return probe.supported;
}

void
skip_refused(const char *tracker, DlRamKind kind, const GError *error)
{
    if (!g_error_matches(error, DL_ERROR, DL_ERROR_UNSUPPORTED) && !g_error_matches(error, DL_ERROR, DL_ERROR_PERMISSION))
        g_assert_no_error(error);
    g_assert_false(is_supported(tracker, kind));
    g_test_skip(error->message);
}

void
skip_lacking(const GError *error)
{
    if (!g_error_matches(error, DL_ERROR, DL_ERROR_RESOURCE))
        g_assert_no_error(error);
    g_test_skip(error->message);
}

gboolean
tracked_open(Tracked *tracked, DlRamKind kind, guint64 size)
{
    g_autoptr(GError) error = NULL;

    tracked->memory = dl_memory_new(kind, size, &error);
    if (!tracked->memory) {
        skip_lacking(error);
        return FALSE;
    }
    DlRegion region = {.gpa = 0x100000, .size = tracked->memory->size, .hva = tracked->memory->hva, .kind = kind};
    tracked->layout = dl_layout_new(&region, 1, &error);
    g_assert_no_error(error);
    tracked->log = dl_log_new(tracked->layout, &tracked->host, &error);
    g_assert_no_error(error);
    tracked->consumer = dl_log_subscribe(tracked->log);
    tracked->n_pages = dl_layout_n_pages(tracked->layout);
    return TRUE;
}

void
tracked_close(Tracked *tracked)
{
    dl_log_free(tracked->log);
    dl_layout_unref(tracked->layout);
    dl_memory_free(tracked->memory);
    memset(tracked, 0, sizeof(*tracked));
}

void
move_to(Tracked *tracked, const char *tracker)
{
    g_autoptr(GError) error = NULL;

    dl_log_move(tracked->log, tracker, NULL, NULL, &error);
    g_assert_no_error(error);
}

DlBitmap *
harvest(Tracked *tracked)
{
    g_autoptr(GError) error = NULL;
    DlBitmap *found = dl_bitmap_new(dl_layout_n_bits(tracked->layout));

    dl_log_harvest(tracked->log, &error);
    g_assert_no_error(error);
    dl_consumer_take(tracked->consumer, (DlPageRange){0, dl_bitmap_size(found)}, found);
    return found;
}

guint64
unit_pages(const Tracked *tracked)
{
    return dl_tracker_unit(dl_log_tracker(tracked->log), tracked->memory->kind) / DL_PAGE_SIZE;
}

void
expect_page(const Tracked *tracked, DlBitmap *expected, guint64 page)
{
    guint64 unit = unit_pages(tracked);

    dl_bitmap_set_range(expected, (DlPageRange){page / unit * unit, unit});
}

void
store(Tracked *tracked, guint64 page)
{
    volatile guint8 *byte = tracked->memory->hva + page * DL_PAGE_SIZE + page % DL_PAGE_SIZE;

    (*byte)++;
}

void
assert_same_pages(const DlBitmap *found, const DlBitmap *expected)
{
    g_autoptr(DlBitmap) missed = dl_bitmap_copy(expected);
    g_autoptr(DlBitmap) extra = dl_bitmap_copy(found);

    dl_bitmap_and_not(missed, found);
    dl_bitmap_and_not(extra, expected);
    g_assert_cmpuint(dl_bitmap_count(missed), ==, 0);
    g_assert_cmpuint(dl_bitmap_count(extra), ==, 0);
}

void
add_for_kinds(const char *path, void (*function)(gconstpointer kind))
{
    for (guint kind = 0; kind < DL_N_RAM_KINDS; kind++) {
        g_autofree char *name = g_strdup_printf("%s/%s", path, dl_ram_kind_name((DlRamKind)kind));
        g_test_add_data_func(name, GUINT_TO_POINTER(kind), function);
    }
}
