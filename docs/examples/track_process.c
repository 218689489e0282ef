/* SPDX-License-Identifier: MIT */
/*
 * Tracks a piece of this process's own memory with libdirtylog, without any VM: writes some pages, asks which, copies just
 * those, and checks that the copy is the same as the memory.
 *
 *   cc track_process.c $(pkg-config --cflags --libs dirtylog) -o track_process
 *   ./track_process [tracker [RAM kind]]           pagemap-scan and shmem, unless told otherwise
 */
#include <dirtylog/dirtylog.h>
#include <stdio.h>
#include <string.h>

#define SIZE (UINT64_C(16) << 20)
#define WINDOW_PAGES 256

/* This program's only writer is this thread, which stands while it is in the library: soft-dirty wants to be told so. */
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

/* One pass, as a migration would make it: collect once; then, window by window, re-arm, take, and only then read. */
static gboolean
copy_dirty_pages(DlLog *log, DlConsumer *consumer, guint8 *copy, guint64 *copied, GError **error)
{
    DlLayout *layout = dl_log_layout(log);
    guint64 n_bits = dl_layout_n_bits(layout);
    guint8 *memory = dl_layout_region(layout, 0)->hva;

    *copied = 0;
    if (!dl_log_collect(log, error))
        return FALSE;
    for (guint64 first = 0; first < n_bits; first += WINDOW_PAGES) {
        DlPageRange window = {first, MIN(WINDOW_PAGES, n_bits - first)};
        g_autoptr(DlBitmap) pages = dl_bitmap_new(n_bits);

        if (!dl_log_rearm(log, window, error))
            return FALSE;
        *copied += dl_consumer_take(consumer, window, pages);
        for (DlPageRange run = {.first = 0}; dl_bitmap_next_run(pages, run.first + run.count, n_bits, &run);) {
            guint8 *from = dl_layout_hva_of_page(layout, run.first);
            memcpy(copy + (from - memory), from, run.count * DL_PAGE_SIZE);
        }
    }
    return TRUE;
}

static gboolean
track(const char *tracker, const char *kind_name, GError **error)
{
    DlRamKind kind;
    if (!dl_ram_kind_from_name(kind_name, &kind, error))
        return FALSE;

    g_autoptr(DlMemory) memory = dl_memory_new(kind, SIZE, error);
    if (!memory)
        return FALSE;
    DlRegion region = {.gpa = 0, .size = memory->size, .hva = memory->hva, .kind = kind};
    g_autoptr(DlLayout) layout = dl_layout_new(&region, 1, error);
    if (!layout)
        return FALSE;

    DlHost host = {.vm_fd = -1, .pause = nothing_to_pause, .resume = nothing_to_resume};
    g_autoptr(DlLog) log = dl_log_new(layout, &host, error);
    if (!log)
        return FALSE;
    DlConsumer *consumer = dl_log_subscribe(log);
    if (!dl_log_move(log, tracker, NULL, NULL, error))
        return FALSE;

    g_autofree guint8 *copy = g_malloc0(memory->size);
    for (guint64 pass = 1; pass <= 3; pass++) {
        guint64 copied;
        for (guint64 i = 0; i < 100 * pass; i++)
            memory->hva[i * 7919 * 64 % memory->size] = (guint8)(pass + i);
        if (!copy_dirty_pages(log, consumer, copy, &copied, error))
            return FALSE;
        printf("pass %" G_GUINT64_FORMAT ": %" G_GUINT64_FORMAT " stores, %" G_GUINT64_FORMAT " pages copied, the copy is %s\n",
               pass, 100 * pass, copied, memcmp(copy, memory->hva, memory->size) == 0 ? "the same" : "DIFFERENT");
    }
    gboolean same = memcmp(copy, memory->hva, memory->size) == 0;
    if (!same)
        g_set_error(error, DL_ERROR, DL_ERROR_FAILED, "%s missed a page", tracker);
    return same;
}

int
main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;

    if (track(argc > 1 ? argv[1] : "pagemap-scan", argc > 2 ? argv[2] : "shmem", &error))
        return 0;
    fprintf(stderr, "track_process: %s\n", error->message);
    return 1;
}
