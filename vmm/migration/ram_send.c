/* SPDX-License-Identifier: MIT */
/*
 * Contents go from guest RAM to the channel without a copy in between, while the guest may be writing to them. So no checksum over
 * them can be sent that is certain to be that of the bytes that went out. Each page's is sent all the same: one that does not
 * match is not an error yet. A page that the guest wrote to after the checksum was taken was written to after its re-arm, hence
 * is reported and sent once more, at the latest with the guest stopped. A page that arrived damaged is not, and the
 * destination, which remembers which pages never matched, will not say that it has loaded the guest (ram_receive.c).
 *
 * The checksum also finds zero pages: only a page with that of zeroes is looked at a second time.
 *
 * Reading a page that does not exist would make it: a hole of the memfd is never read. `present` holds the pages that are known
 * to exist; nothing but a discard takes one away, and then all is forgotten and asked for again, page by page. What the last look did not
 * find is another matter: in the first pass that remains so, discard or not, for whatever has come into being since is reported, by the
 * tracker or by who wrote it through another mapping, and a later pass sends it. In later passes the report may be the very one
 * that is being answered, and is asked about then.
 */
#include <machine/wire.h>
#include <migration/hash.h>
#include <migration/pages.h>
#include <migration/ram_holes.h>
#include <migration/ram_send.h>

#define FRAME_CONTENTS 128 /* 512 KiB: what is hashed is still in the cache when it is written */
#define CACHE_LINE 64

G_STATIC_ASSERT(FRAME_CONTENTS <= PAGES_MAX_CONTENTS);

typedef struct {
    guint64 gpa;
    guint64 pages;
    guint32 kind;
} Run;

struct RamSender {
    GuestRam *ram;
    DlLayout *layout;
    Stream *stream;
    RamSenderPace pace;
    gpointer user;
    gboolean first; /* this pass is the first */
    DlBitmap *present;
    DlBitmap *found; /* by the last look; some of it may have been discarded since */
    guint64 zero_sum;
    GByteArray *payload;
    guint n_runs;
    guint n_contents;
    guint n_pieces;
    Run runs[PAGES_MAX_RUNS];
    guint64 sums[FRAME_CONTENTS];
    struct iovec pieces[FRAME_CONTENTS + 2]; /* the first two are the frame's */
};

static const guint8 zeroes[DL_PAGE_SIZE];

RamSender *
ram_sender_new(GuestRam *ram, Stream *stream, RamSenderPace pace, gpointer user)
{
    RamSender *sender = g_new0(RamSender, 1);

    sender->ram = ram;
    sender->layout = guest_ram_layout(ram);
    sender->stream = stream;
    sender->pace = pace;
    sender->user = user;
    sender->present = dl_bitmap_new(dl_layout_n_bits(sender->layout));
    sender->found = dl_bitmap_new(dl_layout_n_bits(sender->layout));
    sender->zero_sum = hash_bytes(zeroes, sizeof zeroes);
    sender->payload = g_byte_array_new();
    sender->n_pieces = 2;
    return sender;
}

void
ram_sender_free(RamSender *sender)
{
    dl_bitmap_free(sender->present);
    dl_bitmap_free(sender->found);
    g_byte_array_unref(sender->payload);
    g_free(sender);
}

/* --- what exists --- */

gboolean
ram_sender_look(RamSender *sender, GError **error)
{
    if (!ram_look(sender->ram, sender->present, error))
        return FALSE;
    dl_bitmap_clear_all(sender->found);
    dl_bitmap_or(sender->found, sender->present);
    return TRUE;
}

void
ram_sender_forget(RamSender *sender)
{
    dl_bitmap_clear_all(sender->present);
}

/* How many pages at the start of @run the last look did not find; those behind them in @run that it did find are all that @run is cut to. */
static guint64
count_never_found(const RamSender *sender, DlPageRange *run)
{
    guint64 end = run->first + run->count;
    DlPageRange found = {end, 0};

    dl_bitmap_next_run(sender->found, run->first, end, &found);
    if (found.first == run->first)
        run->count = found.count;
    return found.first - run->first;
}

/* How many pages at the start of @run, which were absent, are so still; if the first is not, it is present from now on. */
static gboolean
count_absent(RamSender *sender, guint region, DlPageRange run, guint64 *absent, GError **error)
{
    DlPageRange pages = dl_layout_region_pages(sender->layout, region);
    guint64 from = (run.first - pages.first) * DL_PAGE_SIZE, data;
    guint64 unit = dl_ram_kind_page_size(dl_layout_region(sender->layout, region)->kind) / DL_PAGE_SIZE;

    *absent = sender->first ? count_never_found(sender, &run) : 0;
    if (*absent)
        return TRUE;
    if (!ram_find_data(sender->ram, region, from, from + run.count * DL_PAGE_SIZE, &data, NULL, error) ||
        !ram_find_behind(sender->ram, region, from, &data, error))
        return FALSE;
    *absent = (data - from) / DL_PAGE_SIZE;
    if (!*absent) /* and all that is one page with it for the host */
        dl_bitmap_set_range(sender->present, (DlPageRange){run.first, MIN(unit - from / DL_PAGE_SIZE % unit, run.count)});
    return TRUE;
}

/* --- frames --- */

static gboolean
flush(RamSender *sender, GError **error)
{
    GByteArray *payload = sender->payload;
    guint64 bytes = STREAM_HEADER_BYTES + (guint64)sender->n_contents * DL_PAGE_SIZE;

    if (!sender->n_runs)
        return TRUE;
    g_byte_array_set_size(payload, 0);
    wire_put_u32(payload, sender->n_runs);
    wire_put_u32(payload, sender->n_contents);
    for (guint i = 0; i < sender->n_runs; i++) {
        wire_put_u64(payload, sender->runs[i].gpa);
        wire_put_u32(payload, (guint32)sender->runs[i].pages);
        wire_put_u32(payload, sender->runs[i].kind);
    }
    for (guint i = 0; i < sender->n_contents; i++)
        wire_put_u64(payload, sender->sums[i]);
    bytes += payload->len;
    gboolean sent =
        stream_send_with(sender->stream, FRAME_PAGES, payload->data, payload->len, sender->pieces, sender->n_pieces, error);
    sender->n_runs = sender->n_contents = 0;
    sender->n_pieces = 2;
    return sent && sender->pace(sender->user, bytes, error);
}

/* Makes the last run longer, or a new one. */
static gboolean
add_run(RamSender *sender, guint64 gpa, guint64 pages, guint32 kind, GError **error)
{
    Run *last = sender->n_runs ? &sender->runs[sender->n_runs - 1] : NULL;

    if (last && last->kind == kind && last->gpa + last->pages * DL_PAGE_SIZE == gpa && last->pages + pages <= G_MAXUINT32) {
        last->pages += pages;
        return TRUE;
    }
    if (sender->n_runs == PAGES_MAX_RUNS && !flush(sender, error))
        return FALSE;
    sender->runs[sender->n_runs++] = (Run){gpa, pages, kind};
    return TRUE;
}

static gboolean
add_content(RamSender *sender, guint64 gpa, const guint8 *hva, guint64 sum, GError **error)
{
    if (sender->n_contents == FRAME_CONTENTS && !flush(sender, error))
        return FALSE;
    if (!add_run(sender, gpa, 1, PAGES_RUN_CONTENT, error))
        return FALSE;

    struct iovec *last = &sender->pieces[sender->n_pieces - 1];
    if (sender->n_pieces > 2 && (const guint8 *)last->iov_base + last->iov_len == hva)
        last->iov_len += DL_PAGE_SIZE;
    else
        sender->pieces[sender->n_pieces++] = (struct iovec){(gpointer)hva, DL_PAGE_SIZE};
    sender->sums[sender->n_contents++] = sum;
    return TRUE;
}

/*
 * While a page is hashed, the next is on its way to the cache: the hardware does not look ahead past the end of a page, and a page that is
 * not in the TLB is a long walk on a nested host.
 */
static void
prefetch_page(const guint8 *hva)
{
    for (guint at = 0; at < DL_PAGE_SIZE; at += CACHE_LINE)
        __builtin_prefetch(hva + at);
}

/* Pages that exist. */
static gboolean
add_present(RamSender *sender, const DlRegion *region, guint64 offset, guint64 n_pages, RamSent *sent, GError **error)
{
    for (guint64 end = offset + n_pages * DL_PAGE_SIZE; offset < end; offset += DL_PAGE_SIZE) {
        guint8 *hva = region->hva + offset;
        if (offset + DL_PAGE_SIZE < end)
            prefetch_page(hva + DL_PAGE_SIZE);
        guint64 sum = hash_bytes(hva, DL_PAGE_SIZE);
        gboolean zero = sum == sender->zero_sum && memcmp(hva, zeroes, DL_PAGE_SIZE) == 0;

        if (zero ? !add_run(sender, region->gpa + offset, 1, PAGES_RUN_ZERO, error)
                 : !add_content(sender, region->gpa + offset, hva, sum, error))
            return FALSE;
        sent->zero += zero;
        sent->normal += !zero;
    }
    return TRUE;
}

/* Takes from the start of @run what is alike, all there or all not, and returns how much that was; 0 and an error. */
static guint64
add_some(RamSender *sender, guint index, DlPageRange run, RamSent *sent, GError **error)
{
    const DlRegion *region = dl_layout_region(sender->layout, index);
    guint64 offset = (run.first - dl_layout_region_pages(sender->layout, index).first) * DL_PAGE_SIZE;
    guint64 end = run.first + run.count;
    DlPageRange there = {end, 0};

    dl_bitmap_next_run(sender->present, run.first, end, &there);
    if (there.first == run.first)
        return add_present(sender, region, offset, there.count, sent, error) ? there.count : 0;

    guint64 absent;
    if (!count_absent(sender, index, (DlPageRange){run.first, there.first - run.first}, &absent, error))
        return 0;
    if (!absent)
        return add_present(sender, region, offset, 1, sent, error) ? 1 : 0;
    sent->zero += absent;
    return add_run(sender, region->gpa + offset, absent, PAGES_RUN_ZERO, error) ? absent : 0;
}

gboolean
ram_sender_send(RamSender *sender, const DlBitmap *pages, DlPageRange window, gboolean first, RamSent *sent, GError **error)
{
    guint64 end = window.first + window.count;
    guint index;

    sender->first = first;
    if (!window.count || !dl_layout_region_of_page(sender->layout, window.first, &index))
        return TRUE;
    for (DlPageRange run = {.first = window.first}; dl_bitmap_next_run(pages, run.first + run.count, end, &run);) {
        for (guint64 done = 0; done < run.count;) {
            guint64 some = add_some(sender, index, (DlPageRange){run.first + done, run.count - done}, sent, error);
            if (!some)
                return FALSE;
            done += some;
        }
    }
    return flush(sender, error);
}
