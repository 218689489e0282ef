/* SPDX-License-Identifier: MIT */
/*
 * shmem answers SEEK_DATA and SEEK_HOLE, one call for each end of each piece. mincore() tells of thousands of pages at once, but takes as
 * long for a page that is not there, and what is swapped out counts as not there: it is asked where there is no swap and not
 * little RAM.
 *
 * hugetlbfs does not know SEEK_DATA: its whole file counts as data. There mincore() tells what this process has mapped, which is all that the
 * guest or the VMM ever stored through the mapping; whether the file has more is seen from its blocks, and then what is not
 * mapped is looked at by pread(), which makes no page.
 *
 * System calls: lseek, mincore, fstat, pread, sysinfo.
 */
#include <errno.h>
#include <migration/migration.h>
#include <migration/ram_holes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#define PROBE_BYTES 65536
#define STAT_BLOCK 512
#define LITTLE 64 /* a 64th of RAM */
#define VECTOR_PAGES UINT64_C(16384)
#define ASK_BYTES UINT64_C(32768) /* of a hole, read in the time of an mincore(): 1.1 us and 69 us for 2 MiB, as measured */

static gboolean
failed(const char *call, GError **error)
{
    g_set_error(error, MIGRATION_ERROR, MIGRATION_ERROR_FAILED, "looking for the pages that guest RAM has: %s: %s", call,
                g_strerror(errno));
    return FALSE;
}

static gboolean
is_hugetlb(const GuestRam *ram)
{
    return guest_ram_kind(ram) == DL_RAM_HUGETLB_2M || guest_ram_kind(ram) == DL_RAM_HUGETLB_1G;
}

static gboolean
is_mapped(const DlMemory *memory, guint64 offset, gboolean *mapped, GError **error)
{
    guint8 in_core;

    if (mincore(memory->hva + offset, DL_PAGE_SIZE, &in_core) < 0)
        return failed("mincore", error);
    *mapped = in_core & 1;
    return TRUE;
}

static gboolean
find_mapped(const DlMemory *memory, guint64 from, guint64 end, guint64 *data, guint64 *hole, GError **error)
{
    guint64 unit = dl_ram_kind_page_size(memory->kind), at = from / unit * unit;
    gboolean mapped = FALSE;

    *data = end;
    if (hole)
        *hole = end;
    for (; at < end; at += unit) {
        if (!is_mapped(memory, at, &mapped, error))
            return FALSE;
        if (mapped)
            break;
    }
    if (at >= end)
        return TRUE;
    *data = MAX(at, from);
    if (!hole)
        return TRUE;
    for (at += unit; at < end; at += unit) {
        if (!is_mapped(memory, at, &mapped, error))
            return FALSE;
        if (!mapped)
            break;
    }
    *hole = MIN(at, end);
    return TRUE;
}

static gboolean
seek_data(const DlMemory *memory, guint64 from, guint64 end, guint64 *data, guint64 *hole, GError **error)
{
    off_t start = lseek(memory->fd, (off_t)from, SEEK_DATA), past;

    *data = end;
    if (hole)
        *hole = end;
    if (start < 0 && errno != ENXIO)
        return failed("lseek", error);
    if (start < 0 || (guint64)start >= end)
        return TRUE;
    *data = (guint64)start;
    if (!hole)
        return TRUE;
    past = lseek(memory->fd, start, SEEK_HOLE);
    if (past <= start)
        return failed("lseek", error);
    *hole = MIN((guint64)past, end);
    return TRUE;
}

gboolean
ram_find_data(GuestRam *ram, guint region, guint64 from, guint64 end, guint64 *data, guint64 *hole, GError **error)
{
    const DlMemory *memory = guest_ram_memory(ram, region);

    return is_hugetlb(ram) ? find_mapped(memory, from, end, data, hole, error) : seek_data(memory, from, end, data, hole, error);
}

/* A page of the backing that is not mapped here. */
static gboolean
has_content(const DlMemory *memory, guint64 offset, guint64 unit, gboolean *content, GError **error)
{
    g_autofree guint8 *bytes = g_malloc(PROBE_BYTES);

    *content = FALSE;
    for (guint64 end = offset + unit; offset < end && !*content; offset += PROBE_BYTES) {
        if (pread(memory->fd, bytes, PROBE_BYTES, (off_t)offset) != PROBE_BYTES)
            return failed("pread", error);
        *content = bytes[0] || memcmp(bytes, bytes + 1, PROBE_BYTES - 1) != 0;
    }
    return TRUE;
}

/* Whether the file has more than this process has mapped. */
static gboolean
has_more(const DlMemory *memory, gboolean *more, GError **error)
{
    guint64 unit = dl_ram_kind_page_size(memory->kind), mapped_bytes = 0;
    gboolean mapped = FALSE;
    struct stat status;

    if (fstat(memory->fd, &status) < 0)
        return failed("fstat", error);
    for (guint64 at = 0; at < memory->size; at += unit) {
        if (!is_mapped(memory, at, &mapped, error))
            return FALSE;
        mapped_bytes += mapped ? unit : 0;
    }
    *more = (guint64)status.st_blocks * STAT_BLOCK > mapped_bytes;
    return TRUE;
}

/*
 * A page of a hugetlb file that is not mapped here is a hole, or another mapping's, and only reading tells which; or counting, when the file has no
 * more than is mapped. Counting takes as long as the region is large, and is worth it only for many pages, or for few large ones: so
 * whatever is asked takes time by what is asked for, not by that and the region.
 *
 * The answer is not kept for the next question. Another mapping's pages are seen by no tracker; whoever has one notes what he wrote once he has
 * written it. The note may come at any moment until the window is taken, and the window then has to be asked about as it is: a page noted
 * just before, and called a hole by what was counted earlier, would go out as zeroes and never again.
 */
static gboolean
counting_is_worth_it(const DlMemory *memory, guint64 bytes)
{
    return memory->size / dl_ram_kind_page_size(memory->kind) * ASK_BYTES < bytes;
}

gboolean
ram_find_behind(GuestRam *ram, guint region, guint64 from, guint64 *end, GError **error)
{
    const DlMemory *memory = guest_ram_memory(ram, region);
    guint64 unit = dl_ram_kind_page_size(memory->kind);
    gboolean content = FALSE, more = TRUE;

    if (!is_hugetlb(ram) || from >= *end)
        return TRUE;
    if (counting_is_worth_it(memory, *end - from) && !has_more(memory, &more, error))
        return FALSE;
    for (guint64 at = from / unit * unit; more && at < *end; at += unit) {
        if (!has_content(memory, at, unit, &content, error))
            return FALSE;
        if (content)
            *end = MAX(at, from);
    }
    return TRUE;
}

static gboolean
look_behind_the_mapping(const DlMemory *memory, DlPageRange pages, DlBitmap *present, GError **error)
{
    guint64 unit = dl_ram_kind_page_size(memory->kind), n_unit = unit / DL_PAGE_SIZE;
    struct stat status;

    if (fstat(memory->fd, &status) < 0)
        return failed("fstat", error);
    if ((guint64)status.st_blocks * STAT_BLOCK == dl_bitmap_count_range(present, pages) * DL_PAGE_SIZE)
        return TRUE;
    for (guint64 done = 0; done < pages.count; done += n_unit) {
        gboolean content = dl_bitmap_test(present, pages.first + done);
        if (!content && !has_content(memory, done * DL_PAGE_SIZE, unit, &content, error))
            return FALSE;
        if (content)
            dl_bitmap_set_range(present, (DlPageRange){pages.first + done, n_unit});
    }
    return TRUE;
}

static gboolean
walk_data(GuestRam *ram, guint region, DlPageRange pages, DlBitmap *present, GError **error)
{
    guint64 end = pages.count * DL_PAGE_SIZE, data, hole;

    for (guint64 at = 0; at < end; at = hole) {
        if (!ram_find_data(ram, region, at, end, &data, &hole, error))
            return FALSE;
        dl_bitmap_set_range(present, (DlPageRange){pages.first + data / DL_PAGE_SIZE, (hole - data) / DL_PAGE_SIZE});
    }
    return TRUE;
}

static void
set_resident(const guint8 *vector, DlPageRange pages, DlBitmap *present)
{
    for (guint64 i = 0, start; i < pages.count;) {
        for (start = i; i < pages.count && vector[i] & 1; i++)
            ;
        if (i > start)
            dl_bitmap_set_range(present, (DlPageRange){pages.first + start, i - start});
        else
            i++;
    }
}

static gboolean
ask_mincore(const DlMemory *memory, DlPageRange pages, DlBitmap *present, GError **error)
{
    g_autofree guint8 *vector = g_malloc(VECTOR_PAGES);

    for (guint64 done = 0; done < pages.count; done += VECTOR_PAGES) {
        DlPageRange piece = {pages.first + done, MIN(VECTOR_PAGES, pages.count - done)};
        if (mincore(memory->hva + done * DL_PAGE_SIZE, piece.count * DL_PAGE_SIZE, vector) < 0)
            return failed("mincore", error);
        set_resident(vector, piece, present);
    }
    return TRUE;
}

static gboolean
has_swap(void)
{
    struct sysinfo info;

    return sysinfo(&info) < 0 || info.totalswap;
}

/* Of so much, each piece of which costs two calls, that mincore() is worth it. */
static gboolean
has_much(const DlMemory *memory)
{
    struct stat status;

    return fstat(memory->fd, &status) == 0 && (guint64)status.st_blocks * STAT_BLOCK > memory->size / LITTLE;
}

static gboolean
look_at_region(GuestRam *ram, guint region, DlBitmap *present, GError **error)
{
    DlPageRange pages = dl_layout_region_pages(guest_ram_layout(ram), region);
    const DlMemory *memory = guest_ram_memory(ram, region);

    if (is_hugetlb(ram))
        return walk_data(ram, region, pages, present, error) && look_behind_the_mapping(memory, pages, present, error);
    return has_swap() || !has_much(memory) ? walk_data(ram, region, pages, present, error)
                                           : ask_mincore(memory, pages, present, error);
}

gboolean
ram_allocated(GuestRam *ram, guint64 *bytes, GError **error)
{
    *bytes = 0;
    for (guint i = 0; i < dl_layout_n_regions(guest_ram_layout(ram)); i++) {
        struct stat status;
        if (fstat(guest_ram_memory(ram, i)->fd, &status) < 0)
            return failed("fstat", error);
        *bytes += (guint64)status.st_blocks * STAT_BLOCK;
    }
    return TRUE;
}

gboolean
ram_look(GuestRam *ram, DlBitmap *present, GError **error)
{
    dl_bitmap_clear_all(present);
    for (guint i = 0; i < dl_layout_n_regions(guest_ram_layout(ram)); i++) {
        if (!look_at_region(ram, i, present, error))
            return FALSE;
    }
    return TRUE;
}
