/* SPDX-License-Identifier: MIT */
/* The store path: its bounds, the hole, and that the log learns of every store. */
#include <fcntl.h>
#include <machine/error.h>
#include <machine/ram.h>
#include <machine/ram_digest.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE UINT64_C(4096)
#define MIB UINT64_C(1048576)
#define GIB (UINT64_C(1) << 30)

static GuestRam *
new_ram(guint64 bytes)
{
    g_autoptr(GError) error = NULL;
    GuestRam *ram = guest_ram_new(DL_RAM_SHMEM, bytes, FALSE, &error);

    g_assert_no_error(error);
    return ram;
}

static DlLog *
new_log(GuestRam *ram)
{
    g_autoptr(GError) error = NULL;
    DlHost host = {.vm_fd = -1};
    DlLog *log = dl_log_new(guest_ram_layout(ram), &host, &error);

    g_assert_no_error(error);
    guest_ram_attach_log(ram, log);
    return log;
}

static void
test_store_stays_inside(void)
{
    g_autoptr(GuestRam) ram = new_ram(8 * MIB);
    static const struct {
        guint64 gpa;
        gsize size;
    } bad[] = {{8 * MIB, 1},     {8 * MIB - 4, 8},  {G_MAXUINT64, 1}, {G_MAXUINT64 - 3, 8},
               {0, 8 * MIB + 1}, {4096, G_MAXSIZE}, {5 * GIB, 8}};
    guint64 value = 0x5a5a;

    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_assert_false(guest_ram_store(ram, bad[i].gpa, &value, bad[i].size));
        g_assert_false(guest_ram_load(ram, bad[i].gpa, &value, bad[i].size));
    }
    g_assert_cmphex(value, ==, 0x5a5a);
    g_assert_true(guest_ram_store(ram, 8 * MIB - 8, &value, 8));
    value = 0;
    g_assert_true(guest_ram_load(ram, 8 * MIB - 8, &value, 8));
    g_assert_cmphex(value, ==, 0x5a5a);
}

static void
test_hole_is_no_ram(void)
{
    g_autoptr(GError) too_small = NULL;

    if (!guest_ram_check_host(DL_RAM_SHMEM, 4 * GIB, FALSE, 0, &too_small)) {
        g_assert_error(too_small, MACHINE_ERROR, MACHINE_ERROR_RESOURCE);
        g_test_skip(too_small->message);
        return;
    }
    g_autoptr(GuestRam) ram = new_ram(4 * GIB);
    guint64 value = 7;

    g_assert_cmpuint(dl_layout_n_regions(guest_ram_layout(ram)), ==, 2);
    g_assert_true(guest_ram_store(ram, GUEST_RAM_HOLE_START - 8, &value, 8));
    g_assert_false(guest_ram_store(ram, GUEST_RAM_HOLE_START - 4, &value, 8));
    g_assert_false(guest_ram_store(ram, GUEST_RAM_HOLE_START, &value, 8));
    g_assert_false(guest_ram_store(ram, GUEST_RAM_HOLE_END - 8, &value, 8));
    g_assert_false(guest_ram_store(ram, GUEST_RAM_HOLE_END - 4, &value, 8));
    g_assert_true(guest_ram_store(ram, GUEST_RAM_HOLE_END, &value, 8));
    g_assert_true(guest_ram_store(ram, GUEST_RAM_HOLE_END + GIB - 8, &value, 8));
    g_assert_false(guest_ram_store(ram, GUEST_RAM_HOLE_END + GIB, &value, 8));
    g_assert_cmpuint(dl_layout_n_pages(guest_ram_layout(ram)), ==, 4 * GIB / 4096);
}

static guint64
pending_pages(DlLog *log, DlConsumer *consumer, DlBitmap *pages)
{
    g_autoptr(GError) error = NULL;

    dl_bitmap_clear_all(pages);
    g_assert_true(dl_log_collect(log, &error));
    return dl_consumer_take(consumer, (DlPageRange){0, dl_bitmap_size(pages)}, pages);
}

static void
test_stores_reach_the_log(void)
{
    g_autoptr(GuestRam) ram = new_ram(8 * MIB);
    DlLog *log = new_log(ram);
    DlConsumer *consumer = dl_log_subscribe(log);
    g_autoptr(DlBitmap) pages = dl_bitmap_new(dl_layout_n_bits(guest_ram_layout(ram)));
    guint64 value = 1;

    pending_pages(log, consumer, pages);
    g_assert_true(guest_ram_store(ram, 5 * PAGE - 4, &value, 8));
    g_assert_cmpuint(pending_pages(log, consumer, pages), ==, 2);
    g_assert_true(dl_bitmap_test(pages, 4) && dl_bitmap_test(pages, 5));
    g_assert_false(guest_ram_store(ram, 8 * MIB, &value, 8));
    g_assert_true(guest_ram_load(ram, PAGE, &value, 8));
    g_assert_cmpuint(pending_pages(log, consumer, pages), ==, 0);
    guest_ram_attach_log(ram, NULL);
    g_assert_true(guest_ram_store(ram, 0, &value, 8));
    g_assert_cmpuint(pending_pages(log, consumer, pages), ==, 0);
    dl_log_free(log);
}

static void
test_preadv_notes_what_arrived(void)
{
    g_autoptr(GuestRam) ram = new_ram(8 * MIB);
    DlLog *log = new_log(ram);
    DlConsumer *consumer = dl_log_subscribe(log);
    g_autoptr(DlBitmap) pages = dl_bitmap_new(dl_layout_n_bits(guest_ram_layout(ram)));
    g_autoptr(GError) error = NULL;
    g_autofree char *bytes = g_malloc0(3 * PAGE);
    GuestRamPiece pieces[] = {{16 * PAGE, PAGE}, {32 * PAGE, PAGE}, {48 * PAGE, PAGE}};
    int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    g_assert_cmpint(fd, >=, 0);
    memset(bytes, 'x', 3 * PAGE);
    g_assert_cmpint(write(fd, bytes, PAGE + 100), ==, PAGE + 100);
    pending_pages(log, consumer, pages);
    g_assert_cmpint(guest_ram_preadv(ram, fd, pieces, 3, 0, &error), ==, PAGE + 100);
    g_assert_no_error(error);
    g_assert_cmpuint(pending_pages(log, consumer, pages), ==, 2);
    g_assert_true(dl_bitmap_test(pages, 16) && dl_bitmap_test(pages, 32));
    g_assert_true(guest_ram_load(ram, 32 * PAGE, bytes, 101));
    g_assert_true(bytes[99] == 'x' && bytes[100] == 0);

    pieces[1].gpa = 8 * MIB;
    g_assert_cmpint(guest_ram_preadv(ram, fd, pieces, 3, 0, &error), ==, -1);
    g_assert_error(error, MACHINE_ERROR, MACHINE_ERROR_INVALID);
    g_clear_error(&error);
    g_assert_cmpuint(pending_pages(log, consumer, pages), ==, 0);
    g_assert_cmpint(guest_ram_preadv(ram, -1, pieces, 1, 0, &error), ==, -1);
    g_assert_error(error, MACHINE_ERROR, MACHINE_ERROR_FAILED);
    g_assert_cmpuint(pending_pages(log, consumer, pages), ==, 1);
    guest_ram_attach_log(ram, NULL);
    dl_log_free(log);
    close(fd);
}

static void
test_refuses_sizes(void)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(guest_ram_new(DL_RAM_SHMEM, 0, FALSE, &error));
    g_assert_error(error, MACHINE_ERROR, MACHINE_ERROR_INVALID);
    g_clear_error(&error);
    g_assert_null(guest_ram_new(DL_RAM_SHMEM, PAGE + 1, FALSE, &error));
    g_assert_error(error, MACHINE_ERROR, MACHINE_ERROR_INVALID);
    g_clear_error(&error);
    g_assert_null(guest_ram_new(DL_RAM_HUGETLB_2M, 3 * MIB, FALSE, &error));
    g_assert_error(error, MACHINE_ERROR, MACHINE_ERROR_INVALID);
    g_clear_error(&error);
    g_assert_null(guest_ram_new(DL_RAM_SHMEM, UINT64_C(1) << 50, FALSE, &error));
    g_assert_error(error, MACHINE_ERROR, MACHINE_ERROR_RESOURCE);
    g_clear_error(&error);
    g_assert_null(guest_ram_new(DL_RAM_HUGETLB_1G, UINT64_C(1) << 50, TRUE, &error));
    g_assert_error(error, MACHINE_ERROR, MACHINE_ERROR_RESOURCE);
}

static void
test_digests_find_the_page(void)
{
    g_autoptr(GuestRam) one = new_ram(8 * MIB + 5 * PAGE), other = new_ram(8 * MIB + 5 * PAGE);
    guint64 a[5], b[5], pages_a[RAM_DIGEST_PIECE_PAGES], pages_b[RAM_DIGEST_PIECE_PAGES];
    const guint8 mark = 1;

    g_assert_cmpuint(ram_digest_n_pieces(one), ==, 5);
    ram_digest_pieces(one, 0, 5, a);
    ram_digest_pieces(other, 0, 5, b);
    g_assert_cmpmem(a, sizeof a, b, sizeof b);

    g_assert_true(guest_ram_store(one, 8 * MIB + 5 * PAGE - 1, &mark, 1));
    g_assert_true(guest_ram_store(one, 2 * MIB + 7 * PAGE, &mark, 1));
    ram_digest_pieces(one, 0, 2, a);
    ram_digest_pieces(one, 2, 3, a + 2);
    g_assert_true(a[0] == b[0] && a[1] != b[1] && a[2] == b[2] && a[3] == b[3] && a[4] != b[4]);

    g_assert_cmpuint(ram_digest_pages(one, 4, pages_a), ==, 5);
    g_assert_cmpuint(ram_digest_pages(other, 4, pages_b), ==, 5);
    for (guint i = 0; i < 5; i++)
        g_assert_true((pages_a[i] == pages_b[i]) == (i < 4));
    g_assert_cmpuint(ram_digest_pages(one, 1, pages_a), ==, RAM_DIGEST_PIECE_PAGES);
    g_assert_cmpuint(ram_digest_pages(other, 1, pages_b), ==, RAM_DIGEST_PIECE_PAGES);
    for (guint i = 0; i < RAM_DIGEST_PIECE_PAGES; i++)
        g_assert_true((pages_a[i] == pages_b[i]) == (i != 7));
}

static guint64
allocated(const GuestRam *ram)
{
    struct stat status;

    g_assert_cmpint(fstat(guest_ram_memory(ram, 0)->fd, &status), ==, 0);
    return (guint64)status.st_blocks * 512 / PAGE;
}

/* One with holes before, between and behind its pages, and one without any, of the same content. */
static void
test_digests_make_no_pages(void)
{
    static const guint64 pages[] = {3, 4, 511, 512, 1023, 1536, 1540, 2052};
    g_autoptr(GuestRam) holes = new_ram(8 * MIB + 5 * PAGE), full = new_ram(8 * MIB + 5 * PAGE);
    guint64 a[5], b[5], of_holes[RAM_DIGEST_PIECE_PAGES], of_full[RAM_DIGEST_PIECE_PAGES];
    g_autofree guint8 *zeroes = g_malloc0(8 * MIB + 5 * PAGE);

    g_assert_true(guest_ram_store(full, 0, zeroes, 8 * MIB + 5 * PAGE));
    for (guint64 i = 0; i < G_N_ELEMENTS(pages); i++) {
        const guint64 mark = i + 1;
        g_assert_true(guest_ram_store(holes, pages[i] * PAGE + 8 * i, &mark, sizeof mark));
        g_assert_true(guest_ram_store(full, pages[i] * PAGE + 8 * i, &mark, sizeof mark));
    }
    g_assert_cmpuint(allocated(holes), ==, G_N_ELEMENTS(pages));
    ram_digest_pieces(holes, 0, 5, a);
    ram_digest_pieces(full, 0, 5, b);
    g_assert_cmpmem(a, sizeof a, b, sizeof b);
    for (guint64 piece = 0; piece < 5; piece++) {
        guint n = ram_digest_pages(holes, piece, of_holes);
        g_assert_cmpuint(ram_digest_pages(full, piece, of_full), ==, n);
        g_assert_true(memcmp(of_holes, of_full, n * sizeof *of_holes) == 0);
    }
    g_assert_cmpuint(allocated(holes), ==, G_N_ELEMENTS(pages));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ram/store-and-load-stay-inside", test_store_stays_inside);
    g_test_add_func("/ram/the-hole-is-no-ram", test_hole_is_no_ram);
    g_test_add_func("/ram/every-store-reaches-the-log", test_stores_reach_the_log);
    g_test_add_func("/ram/preadv-notes-what-arrived", test_preadv_notes_what_arrived);
    g_test_add_func("/ram/refuses-sizes-that-cannot-be", test_refuses_sizes);
    g_test_add_func("/ram/digests-find-the-page-that-differs", test_digests_find_the_page);
    g_test_add_func("/ram/digests-of-holes-are-those-of-zeroes-and-fill-none", test_digests_make_no_pages);
    return g_test_run();
}
