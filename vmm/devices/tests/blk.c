/* SPDX-License-Identifier: MIT */
/* virtio-blk as a driver sees it, without a machine: requests are served by the test. */
#include "driver.h"

#include <devices/virtio_blk.h>
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <machine/error.h>
#include <unistd.h>

#define MIB (UINT64_C(1) << 20)
#define DISK_SECTORS UINT64_C(2048)
#define HEADER DRIVER_ARENA
#define STATUS (DRIVER_ARENA + 0x100)
#define DATA (DRIVER_ARENA + 0x1000)
#define RAM_BYTES (8 * MIB)

typedef struct {
    GuestRam *ram;
    Bus *bus;
    VirtioMmio *mmio;
    Driver driver;
    char *path;
} Fixture;

static char *
make_image(gsize size)
{
    char *path = NULL;
    int fd = g_file_open_tmp("dirtylab-blk-XXXXXX", &path, NULL);
    g_autofree guint8 *bytes = g_malloc(size + 1);

    g_assert_cmpint(fd, >=, 0);
    for (gsize i = 0; i < size; i++)
        bytes[i] = (guint8)(i / 512 * 7 + i);
    g_assert_cmpint(write(fd, bytes, size), ==, (gssize)size);
    close(fd);
    return path;
}

static void
set_up(Fixture *fixture, VirtioBlkConfig config, guint64 features)
{
    g_autoptr(GError) error = NULL;

    fixture->ram = guest_ram_new(DL_RAM_SHMEM, RAM_BYTES, FALSE, &error);
    g_assert_no_error(error);
    fixture->bus = bus_new();
    fixture->mmio = virtio_mmio_new(fixture->bus, &error);
    g_assert_no_error(error);
    fixture->path = make_image(DISK_SECTORS * 512);
    config.path = fixture->path;
    VirtioDevice *device = virtio_blk_new(fixture->ram, &config, &error);
    g_assert_no_error(error);
    virtio_mmio_plug(fixture->mmio, 1, device);
    fixture->driver = (Driver){.ram = fixture->ram, .bus = fixture->bus, .slot = 1};
    driver_start(&fixture->driver, features, 1);
}

static void
tear_down(Fixture *fixture)
{
    virtio_mmio_free(fixture->mmio);
    bus_free(fixture->bus);
    guest_ram_free(fixture->ram);
    g_unlink(fixture->path);
    g_free(fixture->path);
}

static void
serve(Fixture *fixture)
{
    while (virtio_device_process(virtio_mmio_device(fixture->mmio, 1)))
        ;
}

static void
put_header(Fixture *fixture, guint64 gpa, guint32 type, guint64 sector)
{
    struct virtio_blk_outhdr header = {.type = type, .sector = sector};

    driver_store(&fixture->driver, gpa, &header, sizeof header);
}

/* One request with @bytes of data at DATA; the status, and what the device says it wrote in @written. */
static guint8
request(Fixture *fixture, guint32 type, guint64 sector, gsize bytes, guint32 *written)
{
    gboolean out = type == VIRTIO_BLK_T_OUT;
    GuestRamPiece pieces[] = {{HEADER, 16}, {DATA, bytes}, {STATUS, 1}};
    struct vring_used_elem used;
    guint8 status = 0xee;

    put_header(fixture, HEADER, type, sector);
    driver_store(&fixture->driver, STATUS, &status, 1);
    if (!bytes)
        pieces[1] = pieces[2];
    guint16 head = driver_add(&fixture->driver, 0, pieces, bytes ? 3 : 2, out ? 2 : 1);
    driver_kick(&fixture->driver, 0);
    serve(fixture);
    g_assert_true(driver_take_used(&fixture->driver, 0, &used));
    g_assert_cmpuint(used.id, ==, head);
    if (written)
        *written = used.len;
    g_assert_true(guest_ram_load(fixture->ram, STATUS, &status, 1));
    return status;
}

/* Where the images lie: a tmpfs has it since Linux 6.6. */
static gboolean
has_o_direct(void)
{
    g_autofree char *path = make_image(512);
    int fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);

    if (fd < 0)
        g_assert_cmpint(errno, ==, EINVAL);
    else
        close(fd);
    g_unlink(path);
    return fd >= 0;
}

static void
test_reads_and_writes(gconstpointer data)
{
    gboolean direct = GPOINTER_TO_INT(data);
    Fixture fixture = {0};
    guint8 bytes[4096], again[4096];
    guint32 written;

    if (direct && !has_o_direct()) {
        g_test_skip("the file system of the folder for temporary files has no O_DIRECT");
        return;
    }
    set_up(&fixture, (VirtioBlkConfig){.direct = direct}, G_MAXUINT64);
    g_assert_cmpuint(request(&fixture, VIRTIO_BLK_T_IN, 8, 4096, &written), ==, VIRTIO_BLK_S_OK);
    g_assert_cmpuint(written, ==, 4097);
    g_assert_true(guest_ram_load(fixture.ram, DATA, bytes, sizeof bytes));
    for (guint i = 0; i < sizeof bytes; i++)
        g_assert_cmpuint(bytes[i], ==, (guint8)((4096 + i) / 512 * 7 + 4096 + i));
    for (guint i = 0; i < sizeof bytes; i++)
        bytes[i] = (guint8)(i * 13 + 1);
    driver_store(&fixture.driver, DATA, bytes, sizeof bytes);
    g_assert_cmpuint(request(&fixture, VIRTIO_BLK_T_OUT, DISK_SECTORS - 8, 4096, &written), ==, VIRTIO_BLK_S_OK);
    g_assert_cmpuint(written, ==, 1);
    g_assert_cmpuint(request(&fixture, VIRTIO_BLK_T_OUT, 3, 512, NULL), ==, VIRTIO_BLK_S_OK); /* not aligned for O_DIRECT */
    g_assert_cmpuint(request(&fixture, VIRTIO_BLK_T_FLUSH, 0, 0, NULL), ==, VIRTIO_BLK_S_OK);
    int fd = open(fixture.path, O_RDONLY | O_CLOEXEC);
    g_assert_cmpint(pread(fd, again, 4096, (off_t)((DISK_SECTORS - 8) * 512)), ==, 4096);
    g_assert_cmpmem(again, 4096, bytes, 4096);
    g_assert_cmpint(pread(fd, again, 512, 1536), ==, 512);
    g_assert_cmpmem(again, 512, bytes, 512);
    close(fd);
    tear_down(&fixture);
}

static void
test_bounds(void)
{
    static const struct {
        guint64 sector;
        gsize bytes;
        guint32 type;
        guint8 status;
    } cases[] = {{DISK_SECTORS, 512, VIRTIO_BLK_T_IN, VIRTIO_BLK_S_IOERR},
                 {DISK_SECTORS - 1, 1024, VIRTIO_BLK_T_IN, VIRTIO_BLK_S_IOERR},
                 {DISK_SECTORS - 1, 1024, VIRTIO_BLK_T_OUT, VIRTIO_BLK_S_IOERR},
                 {G_MAXUINT64, 512, VIRTIO_BLK_T_IN, VIRTIO_BLK_S_IOERR},
                 {G_MAXUINT64 / 512, 512, VIRTIO_BLK_T_OUT, VIRTIO_BLK_S_IOERR},
                 {0, 511, VIRTIO_BLK_T_IN, VIRTIO_BLK_S_IOERR},
                 {0, 513, VIRTIO_BLK_T_OUT, VIRTIO_BLK_S_IOERR},
                 {0, 16, VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_S_UNSUPP},
                 {0, 512, 0xffffffff, VIRTIO_BLK_S_UNSUPP},
                 {DISK_SECTORS - 1, 512, VIRTIO_BLK_T_IN, VIRTIO_BLK_S_OK}};
    Fixture fixture = {0};

    set_up(&fixture, (VirtioBlkConfig){0}, G_MAXUINT64);
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++)
        g_assert_cmpuint(request(&fixture, cases[i].type, cases[i].sector, cases[i].bytes, NULL), ==, cases[i].status);
    g_assert_cmphex(driver_read(&fixture.driver, VIRTIO_MMIO_STATUS), ==, 0xf);
    tear_down(&fixture);
}

static void
test_read_only(void)
{
    Fixture fixture = {0};

    set_up(&fixture, (VirtioBlkConfig){.read_only = TRUE}, G_MAXUINT64);
    g_assert_true(fixture.driver.features & UINT64_C(1) << VIRTIO_BLK_F_RO);
    g_assert_cmpuint(request(&fixture, VIRTIO_BLK_T_OUT, 0, 512, NULL), ==, VIRTIO_BLK_S_IOERR);
    g_assert_cmpuint(request(&fixture, VIRTIO_BLK_T_IN, 0, 512, NULL), ==, VIRTIO_BLK_S_OK);
    tear_down(&fixture);
}

static void
test_id(void)
{
    Fixture fixture = {0};
    char id[21] = "";
    guint32 written;

    set_up(&fixture, (VirtioBlkConfig){.serial = "twenty-characters-and-more"}, G_MAXUINT64);
    g_assert_cmpuint(request(&fixture, VIRTIO_BLK_T_GET_ID, 0, 20, &written), ==, VIRTIO_BLK_S_OK);
    g_assert_cmpuint(written, ==, 21);
    g_assert_true(guest_ram_load(fixture.ram, DATA, id, 20));
    g_assert_cmpstr(id, ==, "twenty-characters-an");
    tear_down(&fixture);
}

/* As many segments as a driver may send, each as long as it may be, in an indirect table that is longer than the queue. */
static void
test_largest_request(void)
{
    g_autofree struct vring_desc *table = NULL;
    Fixture fixture = {0};
    struct vring_used_elem used;
    guint8 status = 0xee;

    set_up(&fixture, (VirtioBlkConfig){0}, G_MAXUINT64);
    g_assert_true(fixture.driver.features & UINT64_C(1) << VIRTIO_BLK_F_SIZE_MAX);
    guint32 size_max = driver_read(&fixture.driver, VIRTIO_MMIO_CONFIG + offsetof(struct virtio_blk_config, size_max));
    guint32 n = driver_read(&fixture.driver, VIRTIO_MMIO_CONFIG + offsetof(struct virtio_blk_config, seg_max));
    g_assert_cmpuint(n, >, DRIVER_QUEUE_SIZE);
    table = g_new0(struct vring_desc, n + 2);
    for (guint32 i = 0; i < n + 2; i++)
        table[i] = (struct vring_desc){DATA, size_max, VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, (guint16)(i + 1)};
    table[0] = (struct vring_desc){HEADER, sizeof(struct virtio_blk_outhdr), VRING_DESC_F_NEXT, 1};
    table[n + 1] = (struct vring_desc){STATUS, 1, VRING_DESC_F_WRITE, 0};
    driver_store(&fixture.driver, DATA + 4 * MIB, table, (n + 2) * sizeof *table);
    put_header(&fixture, HEADER, VIRTIO_BLK_T_IN, 0);
    driver_describe(&fixture.driver, 0, 0,
                    (struct vring_desc){DATA + 4 * MIB, (guint32)((n + 2) * sizeof *table), VRING_DESC_F_INDIRECT, 0});
    driver_make_available(&fixture.driver, 0, 0);
    serve(&fixture);
    g_assert_true(driver_take_used(&fixture.driver, 0, &used));
    g_assert_true(guest_ram_load(fixture.ram, STATUS, &status, 1));
    g_assert_cmpuint(status, ==, VIRTIO_BLK_S_IOERR); /* the disk is smaller; the request is one all the same */
    g_assert_cmphex(driver_read(&fixture.driver, VIRTIO_MMIO_STATUS), ==, 0xf);
    tear_down(&fixture);
}

/* Many that follow each other, with one that fails among them: each has the right data and its own status. */
static void
test_merged_requests(void)
{
    Fixture fixture = {0};
    const guint64 n = 12;
    struct vring_used_elem used;

    set_up(&fixture, (VirtioBlkConfig){0}, G_MAXUINT64);
    for (guint64 i = 0; i < n; i++) {
        guint64 sector = i == 7 ? DISK_SECTORS : i * 2;
        GuestRamPiece pieces[] = {
            {HEADER + 16 * i, 16}, {DATA + 0x2000 * i, 512}, {DATA + 0x2000 * i + 0x1000, 512}, {STATUS + i, 1}};
        put_header(&fixture, HEADER + 16 * i, VIRTIO_BLK_T_IN, sector);
        driver_add(&fixture.driver, 0, pieces, 4, 1);
    }
    driver_kick(&fixture.driver, 0);
    serve(&fixture);
    for (guint64 i = 0; i < n; i++) {
        guint8 status, byte[2];
        g_assert_true(driver_take_used(&fixture.driver, 0, &used));
        g_assert_cmpuint(used.id, ==, 4 * i);
        g_assert_true(guest_ram_load(fixture.ram, STATUS + i, &status, 1));
        g_assert_cmpuint(status, ==, i == 7 ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_OK);
        g_assert_true(guest_ram_load(fixture.ram, DATA + 0x2000 * i + 3, &byte[0], 1));
        g_assert_true(guest_ram_load(fixture.ram, DATA + 0x2000 * i + 0x1003, &byte[1], 1));
        g_assert_cmpuint(byte[0], ==, i == 7 ? 0 : (guint8)(2 * i * 7 + 3));
        g_assert_cmpuint(byte[1], ==, i == 7 ? 0 : (guint8)((2 * i + 1) * 7 + 3));
    }
    tear_down(&fixture);
}

/* Good requests, and a bad one behind them in the same batch: the good ones are done, and the broken device can be saved and loaded. */
static void
test_broken_among_good(gconstpointer data)
{
    gboolean parsed = GPOINTER_TO_INT(data); /* the chain is one, the request is none */
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    g_autoptr(GError) error = NULL;
    Fixture fixture = {0};
    struct vring_used_elem used;

    set_up(&fixture, (VirtioBlkConfig){0}, G_MAXUINT64);
    put_header(&fixture, HEADER, VIRTIO_BLK_T_IN, 0);
    for (guint64 i = 0; i < 3; i++) {
        GuestRamPiece pieces[] = {{HEADER, 16}, {DATA + 512 * i, 512}, {STATUS + i, 1}};
        driver_add(&fixture.driver, 0, pieces, 3, 1);
    }
    if (parsed)
        driver_add(&fixture.driver, 0, &(GuestRamPiece){HEADER, 16}, 1, 1);
    else
        driver_make_available(&fixture.driver, 0, DRIVER_QUEUE_SIZE);
    serve(&fixture);
    for (guint64 i = 0; i < 3; i++) {
        g_assert_true(driver_take_used(&fixture.driver, 0, &used));
        g_assert_cmpuint(used.id, ==, 3 * i);
    }
    g_assert_false(driver_take_used(&fixture.driver, 0, &used));
    g_assert_cmphex(driver_read(&fixture.driver, VIRTIO_MMIO_STATUS), ==, 0x4f);

    virtio_mmio_save(fixture.mmio, 1, bytes);
    driver_write(&fixture.driver, VIRTIO_MMIO_STATUS, 0);
    virtio_mmio_load(fixture.mmio, 1, bytes->data, bytes->len, &error);
    g_assert_no_error(error);
    g_assert_cmphex(driver_read(&fixture.driver, VIRTIO_MMIO_STATUS), ==, 0x4f);
    serve(&fixture);
    g_assert_false(driver_take_used(&fixture.driver, 0, &used));
    driver_start(&fixture.driver, G_MAXUINT64, 1);
    g_assert_cmpuint(request(&fixture, VIRTIO_BLK_T_IN, 0, 512, NULL), ==, VIRTIO_BLK_S_OK);
    tear_down(&fixture);
}

/* Puts a pipe, which cannot be flushed, in the place of the image's descriptor; a copy of that, and its number in @place. */
static int
break_descriptor(const char *path, int *place)
{
    int pipes[2], kept = -1;

    g_assert_cmpint(pipe2(pipes, O_CLOEXEC), ==, 0);
    for (int fd = 3; fd < pipes[0] && kept < 0; fd++) {
        g_autofree char *link = g_strdup_printf("/proc/self/fd/%d", fd);
        g_autofree char *target = g_file_read_link(link, NULL);
        if (g_strcmp0(target, path) == 0) {
            *place = fd;
            kept = dup(fd);
            g_assert_cmpint(dup2(pipes[1], fd), ==, fd);
        }
    }
    g_assert_cmpint(kept, >=, 0);
    close(pipes[0]);
    close(pipes[1]);
    return kept;
}

/* A disk is handed over when what was written is in it. One that cannot be flushed stays here, and is served on. */
static void
test_flushed_before_handover(gconstpointer data)
{
    gboolean read_only = GPOINTER_TO_INT(data);
    g_autoptr(GError) error = NULL;
    Fixture fixture = {0};
    int place = -1;

    set_up(&fixture, (VirtioBlkConfig){.read_only = read_only}, G_MAXUINT64);
    VirtioDevice *device = virtio_mmio_device(fixture.mmio, 1);
    int kept = break_descriptor(fixture.path, &place);
    g_assert_true(virtio_device_quiesce(device, &(Patience){.until_us = driver_deadline()}, &error) == read_only);
    if (!read_only) {
        g_assert_error(error, MACHINE_ERROR, MACHINE_ERROR_FAILED);
        g_assert_nonnull(strstr(error->message, "cannot be flushed"));
        g_clear_error(&error);
    } else {
        virtio_device_unquiesce(device);
    }
    g_assert_cmpint(dup2(kept, place), ==, place);
    close(kept);
    g_assert_cmpuint(request(&fixture, VIRTIO_BLK_T_IN, 0, 512, NULL), ==, VIRTIO_BLK_S_OK);
    virtio_device_quiesce(device, &(Patience){.until_us = driver_deadline()}, &error);
    g_assert_no_error(error);
    tear_down(&fixture);
}

/* The file shrank behind our back: what is gone fails, and no memory is left as it was by mistake. */
static void
test_image_that_shrank(void)
{
    Fixture fixture = {0};

    set_up(&fixture, (VirtioBlkConfig){0}, G_MAXUINT64);
    g_assert_cmpint(truncate(fixture.path, 1024), ==, 0);
    g_assert_cmpuint(request(&fixture, VIRTIO_BLK_T_IN, 0, 1024, NULL), ==, VIRTIO_BLK_S_OK);
    g_assert_cmpuint(request(&fixture, VIRTIO_BLK_T_IN, 1, 1024, NULL), ==, VIRTIO_BLK_S_IOERR);
    g_assert_cmpuint(request(&fixture, VIRTIO_BLK_T_IN, 100, 512, NULL), ==, VIRTIO_BLK_S_IOERR);
    tear_down(&fixture);
}

static void
refuse(const char *path, gboolean read_only, MachineError code, const char *words)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GuestRam) ram = guest_ram_new(DL_RAM_SHMEM, MIB, FALSE, &error);
    VirtioBlkConfig config = {.path = path, .read_only = read_only};

    g_assert_null(virtio_blk_new(ram, &config, &error));
    g_assert_error(error, MACHINE_ERROR, (int)code);
    g_assert_nonnull(strstr(error->message, words));
    g_assert_null(strchr(error->message, '\n'));
}

static void
test_images_that_cannot_be(void)
{
    g_autofree char *odd = make_image(1000);
    g_autofree char *empty = make_image(0);
    g_autofree char *locked = make_image(512);

    refuse("/nonexistent/disk", FALSE, MACHINE_ERROR_FAILED, "No such file");
    refuse("/tmp", TRUE, MACHINE_ERROR_INVALID, "neither a file nor a block device");
    refuse("/dev/zero", FALSE, MACHINE_ERROR_INVALID, "neither a file nor a block device");
    refuse(odd, FALSE, MACHINE_ERROR_INVALID, "multiple of 512");
    refuse(empty, FALSE, MACHINE_ERROR_INVALID, "multiple of 512");
    g_chmod(locked, 0400);
    if (geteuid() != 0)
        refuse(locked, FALSE, MACHINE_ERROR_FAILED, "read-only is `,ro`");
    g_unlink(odd);
    g_unlink(empty);
    g_unlink(locked);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/blk/reads-and-writes", GINT_TO_POINTER(FALSE), test_reads_and_writes);
    g_test_add_data_func("/blk/reads-and-writes-with-o-direct", GINT_TO_POINTER(TRUE), test_reads_and_writes);
    g_test_add_func("/blk/stays-inside-the-disk", test_bounds);
    g_test_add_func("/blk/read-only-refuses-writes", test_read_only);
    g_test_add_func("/blk/tells-its-name", test_id);
    g_test_add_func("/blk/the-largest-request-that-it-allows-is-one", test_largest_request);
    g_test_add_func("/blk/merged-requests-keep-their-own-status", test_merged_requests);
    g_test_add_data_func("/blk/broken-behind-good-requests-is-saved/no-chain", GINT_TO_POINTER(FALSE), test_broken_among_good);
    g_test_add_data_func("/blk/broken-behind-good-requests-is-saved/no-request", GINT_TO_POINTER(TRUE), test_broken_among_good);
    g_test_add_data_func("/blk/handed-over-when-flushed", GINT_TO_POINTER(FALSE), test_flushed_before_handover);
    g_test_add_data_func("/blk/handed-over-when-flushed/not-if-read-only", GINT_TO_POINTER(TRUE), test_flushed_before_handover);
    g_test_add_func("/blk/an-image-that-shrank-fails-where-it-is-short", test_image_that_shrank);
    g_test_add_func("/blk/images-that-cannot-be-are-refused-in-words", test_images_that_cannot_be);
    return g_test_run();
}
