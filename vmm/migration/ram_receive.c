/* SPDX-License-Identifier: MIT */
/*
 * Contents are read straight into guest RAM, which no vCPU uses yet. A long run has its memory before it is written to, by
 * MADV_POPULATE_WRITE, which is cheaper than a fault a page; a short one gets it from the read itself. Either answers with an error where a
 * store of ours would end in SIGBUS, when the host has no memory left.
 *
 * `present` is what of this RAM exists. Only that can hold anything but zeroes: a zero run makes no page, and asks the kernel nothing.
 *
 * A page whose content does not match its checksum is doubtful until it comes again and matches: the guest may have written to it
 * while it was being sent (ram_send.c). One that is doubtful at the end arrived damaged.
 *
 * System calls: madvise, recvmsg.
 */
#include <errno.h>
#include <machine/wire.h>
#include <migration/hash.h>
#include <migration/pages.h>
#include <migration/ram_holes.h>
#include <migration/ram_receive.h>
#include <sys/mman.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif

typedef struct {
    guint64 gpa;
    DlPageRange pages;
    guint8 *hva;
    guint32 kind;
} Run;

struct RamReceiver {
    GuestRam *ram;
    DlLayout *layout;
    DlLog *log;
    Stream *stream;
    DlBitmap *doubtful;
    DlBitmap *present;
    gboolean looked;
    guint64 normal;
    guint64 zero;
    guint n_runs;
    guint n_contents;
    Run runs[PAGES_MAX_RUNS];
    guint64 sums[PAGES_MAX_CONTENTS];
};

static const guint8 zeroes[DL_PAGE_SIZE];

RamReceiver *
ram_receiver_new(GuestRam *ram, DlLog *log, Stream *stream)
{
    RamReceiver *receiver = g_new0(RamReceiver, 1);

    receiver->ram = ram;
    receiver->layout = guest_ram_layout(ram);
    receiver->log = log;
    receiver->stream = stream;
    receiver->doubtful = dl_bitmap_new(dl_layout_n_bits(receiver->layout));
    receiver->present = dl_bitmap_new(dl_layout_n_bits(receiver->layout));
    return receiver;
}

void
ram_receiver_free(RamReceiver *receiver)
{
    dl_bitmap_free(receiver->doubtful);
    dl_bitmap_free(receiver->present);
    g_free(receiver);
}

guint64
ram_receiver_normal(const RamReceiver *receiver)
{
    return receiver->normal;
}

guint64
ram_receiver_zero(const RamReceiver *receiver)
{
    return receiver->zero;
}

/* --- the frame --- */

static gboolean
malformed(GError **error)
{
    g_set_error_literal(
        error, MIGRATION_ERROR, MIGRATION_ERROR_DAMAGED,
        "the migration stream is damaged: a PAGES frame names what is not RAM, or some twice, or does not add up");
    return FALSE;
}

static gboolean
parse_run(RamReceiver *receiver, WireReader *reader, Run *run)
{
    guint64 gpa = wire_get_u64(reader);
    guint64 size = (guint64)wire_get_u32(reader) * DL_PAGE_SIZE;

    *run = (Run){.gpa = gpa, .kind = wire_get_u32(reader)};
    run->hva = dl_layout_hva_of_gpa(receiver->layout, gpa, size);
    return size && gpa % DL_PAGE_SIZE == 0 && run->kind <= PAGES_RUN_ZERO && run->hva &&
           dl_layout_pages_of_gpa(receiver->layout, gpa, size, &run->pages);
}

/* Runs ascend and are disjoint, so that no frame is more work than one walk over RAM. */
static gboolean
parse(RamReceiver *receiver, const Frame *frame, GError **error)
{
    WireReader reader = {.bytes = frame->payload, .left = frame->length};
    guint64 contents = 0, past = 0;

    receiver->n_runs = wire_get_u32(&reader);
    receiver->n_contents = wire_get_u32(&reader);
    if (receiver->n_runs > PAGES_MAX_RUNS || receiver->n_contents > PAGES_MAX_CONTENTS ||
        frame->length != PAGES_HEAD_BYTES + receiver->n_runs * PAGES_RUN_BYTES + receiver->n_contents * PAGES_SUM_BYTES)
        return malformed(error);
    for (guint i = 0; i < receiver->n_runs; i++) {
        const Run *run = &receiver->runs[i];
        if (!parse_run(receiver, &reader, &receiver->runs[i]) || run->gpa < past)
            return malformed(error);
        past = run->gpa + run->pages.count * DL_PAGE_SIZE;
        contents += run->kind == PAGES_RUN_CONTENT ? run->pages.count : 0;
    }
    for (guint i = 0; i < receiver->n_contents; i++)
        receiver->sums[i] = wire_get_u64(&reader);
    return contents == receiver->n_contents || malformed(error);
}

/* --- memory --- */

#define LONG_RUN UINT64_C(8)

static gboolean
populate(RamReceiver *receiver, const Run *run, GError **error)
{
    DlPageRange whole = run->pages;
    guint64 unit = dl_ram_kind_page_size(guest_ram_kind(receiver->ram)) / DL_PAGE_SIZE;
    guint index;

    if (dl_layout_region_of_page(receiver->layout, whole.first, &index)) {
        DlPageRange region = dl_layout_region_pages(receiver->layout, index);
        guint64 first = (whole.first - region.first) / unit * unit;
        guint64 end = MIN((whole.first - region.first + whole.count + unit - 1) / unit * unit, region.count);
        whole = (DlPageRange){region.first + first, end - first};
    }
    if (madvise(dl_layout_hva_of_page(receiver->layout, whole.first), whole.count * DL_PAGE_SIZE, MADV_POPULATE_WRITE) < 0 &&
        errno != EINVAL) { /* EINVAL: older than 5.14 */
        g_set_error(error, MIGRATION_ERROR, MIGRATION_ERROR_FAILED,
                    "no memory for the guest's RAM at gpa 0x%" G_GINT64_MODIFIER "x (%s): free some on this host%s", run->gpa,
                    g_strerror(errno), unit > 1 ? ", or reserve more huge pages" : "");
        return FALSE;
    }
    dl_bitmap_set_range(receiver->present, whole);
    return TRUE;
}

static void
zero_run(RamReceiver *receiver, const Run *run)
{
    guint64 end = run->pages.first + run->pages.count;

    for (DlPageRange there = {.first = run->pages.first};
         dl_bitmap_next_run(receiver->present, there.first + there.count, end, &there);) {
        guint8 *hva = run->hva + (there.first - run->pages.first) * DL_PAGE_SIZE;
        for (guint8 *past = hva + there.count * DL_PAGE_SIZE; hva < past; hva += DL_PAGE_SIZE) {
            if (memcmp(hva, zeroes, DL_PAGE_SIZE) != 0)
                memset(hva, 0, DL_PAGE_SIZE);
        }
    }
    dl_bitmap_clear_range(receiver->doubtful, run->pages);
    receiver->zero += run->pages.count;
}

/* --- contents --- */

/* A read that failed for want of memory says only EFAULT: whether it was that shows when memory is asked for. */
static gboolean
explain(RamReceiver *receiver, GError **error)
{
    g_autoptr(GError) memory = NULL;

    for (guint i = 0; i < receiver->n_runs && !memory; i++) {
        if (receiver->runs[i].kind == PAGES_RUN_CONTENT)
            populate(receiver, &receiver->runs[i], &memory);
    }
    if (memory) {
        g_clear_error(error);
        g_propagate_error(error, g_steal_pointer(&memory));
    }
    return FALSE;
}

static gboolean
read_contents(RamReceiver *receiver, GError **error)
{
    struct iovec pieces[PAGES_MAX_RUNS];
    guint n_pieces = 0;

    for (guint i = 0; i < receiver->n_runs; i++) {
        const Run *run = &receiver->runs[i];
        if (run->kind != PAGES_RUN_CONTENT)
            continue;
        if (run->pages.count >= LONG_RUN && dl_bitmap_count_range(receiver->present, run->pages) < run->pages.count / 2 &&
            !populate(receiver, run, error))
            return FALSE;
        pieces[n_pieces++] = (struct iovec){run->hva, run->pages.count * DL_PAGE_SIZE};
    }
    return channel_readv_all(receiver->stream->channel, pieces, n_pieces, CHANNEL_NO_DEADLINE, error) || explain(receiver, error);
}

static void
check_run(RamReceiver *receiver, const Run *run, const guint64 *sums)
{
    for (guint64 i = 0; i < run->pages.count; i++) {
        if (hash_bytes(run->hva + i * DL_PAGE_SIZE, DL_PAGE_SIZE) == sums[i])
            dl_bitmap_clear(receiver->doubtful, run->pages.first + i);
        else
            dl_bitmap_set(receiver->doubtful, run->pages.first + i);
    }
    dl_bitmap_set_range(receiver->present, run->pages);
    receiver->normal += run->pages.count;
}

gboolean
ram_receiver_take(RamReceiver *receiver, const Frame *frame, GError **error)
{
    guint64 done = 0;

    if (!receiver->looked && !ram_look(receiver->ram, receiver->present, error))
        return FALSE;
    receiver->looked = TRUE;
    if (!parse(receiver, frame, error) || !read_contents(receiver, error))
        return FALSE;
    for (guint i = 0; i < receiver->n_runs; i++) {
        const Run *run = &receiver->runs[i];
        if (run->kind == PAGES_RUN_CONTENT) {
            check_run(receiver, run, receiver->sums + done);
            done += run->pages.count;
        } else {
            zero_run(receiver, run);
        }
        dl_log_note_written(receiver->log, run->gpa, run->pages.count * DL_PAGE_SIZE);
    }
    return TRUE;
}

gboolean
ram_receiver_finish(const RamReceiver *receiver, GError **error)
{
    guint64 doubtful = dl_bitmap_count(receiver->doubtful), gpa = 0;
    DlPageRange first = {0};

    if (!doubtful)
        return TRUE;
    dl_bitmap_next_run(receiver->doubtful, 0, dl_bitmap_size(receiver->doubtful), &first);
    dl_layout_gpa_of_page(receiver->layout, first.first, &gpa);
    g_set_error(error, MIGRATION_ERROR, MIGRATION_ERROR_DAMAGED,
                "%" G_GUINT64_FORMAT " pages do not match their checksums, the first at gpa 0x%" G_GINT64_MODIFIER
                "x: damaged on the way, or written at the source without being reported",
                doubtful, gpa);
    return FALSE;
}
