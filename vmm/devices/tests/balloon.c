/* SPDX-License-Identifier: MIT */
/* The balloon: what the guest gives up goes back to the host, nothing else does, and nothing while the machine is paused. */
#include "driver.h"

#include <devices/virtio_balloon.h>
#include <devices/virtio_worker.h>
#include <linux/virtio_balloon.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <machine/section.h>
#include <sys/stat.h>

#define MIB (UINT64_C(1) << 20)
#define RAM_BYTES (16 * MIB)
#define RAM_PAGES (RAM_BYTES / DL_PAGE_SIZE)
#define SLOT 3
#define INFLATE 0
#define DEFLATE 1
#define FIRST (8 * MIB / DL_PAGE_SIZE) /* the pages that tests give up */
#define HUGE_PAGES UINT64_C(512)
#define WAIT_US (90 * G_TIME_SPAN_SECOND)
#define APART 900u
#define A_WHILE_US 50000

typedef struct {
    GuestRam *ram;
    Machine *machine;
    VirtioMmio *mmio;
    VirtioDevice *device;
    VirtioWorker *worker;
    Driver driver;
} Stage;

static gboolean
set_up_kind(Stage *stage, DlRamKind kind)
{
    const MachineConfig config = {.vcpus = 1};
    g_auto(DlProbe) memory = {0};
    g_autoptr(GError) error = NULL;

    dl_probe_ram(kind, &memory);
    if (!memory.supported) {
        g_test_skip(memory.reason);
        return FALSE;
    }
    stage->ram = guest_ram_new(kind, RAM_BYTES, TRUE, &error);
    g_assert_no_error(error);
    stage->machine = machine_new(stage->ram, &config, &error);
    g_assert_no_error(error);
    stage->mmio = virtio_mmio_new(machine_bus(stage->machine), &error);
    g_assert_no_error(error);
    stage->device = virtio_balloon_new(stage->ram);
    virtio_mmio_plug(stage->mmio, SLOT, stage->device);
    stage->worker = virtio_worker_new(stage->machine, stage->mmio, SLOT, &error);
    g_assert_no_error(error);
    stage->driver = (Driver){.ram = stage->ram, .bus = machine_bus(stage->machine), .slot = SLOT};
    return TRUE;
}

static void
start(Stage *stage)
{
    driver_start_machine(stage->machine);
    driver_start(&stage->driver, G_MAXUINT64, 2);
    g_assert_true(stage->driver.features & UINT64_C(1) << VIRTIO_BALLOON_F_MUST_TELL_HOST);
}

static void
tear_down(Stage *stage, gconstpointer data G_GNUC_UNUSED)
{
    if (!stage->ram)
        return;
    machine_stop(stage->machine);
    virtio_worker_free(stage->worker);
    machine_free(stage->machine);
    virtio_mmio_free(stage->mmio);
    guest_ram_free(stage->ram);
}

static void
set_up(Stage *stage, gconstpointer data G_GNUC_UNUSED)
{
    g_assert_true(set_up_kind(stage, DL_RAM_SHMEM));
    start(stage);
}

/* --- requests --- */

static guint8 *
page(const Stage *stage, guint64 number)
{
    return dl_layout_hva_of_page(guest_ram_layout(stage->ram), number);
}

static void
fill(const Stage *stage)
{
    for (guint64 i = FIRST; i < RAM_PAGES; i++)
        memset(page(stage, i), 0xa5, DL_PAGE_SIZE);
}

static guint64
count_filled(const Stage *stage)
{
    guint64 n = 0;

    for (guint64 i = FIRST; i < RAM_PAGES; i++)
        n += page(stage, i)[0] == 0xa5 && page(stage, i)[DL_PAGE_SIZE - 1] == 0xa5;
    return n;
}

static guint64
backed_pages(const Stage *stage)
{
    struct stat status;

    g_assert_cmpint(fstat(guest_ram_memory(stage->ram, 0)->fd, &status), ==, 0);
    return (guint64)status.st_blocks * 512 / DL_PAGE_SIZE;
}

/* @n pages from @first on, every @step-th, the last first. */
static void
request(Stage *stage, guint queue, guint64 first, guint n, guint step)
{
    GuestRamPiece piece = {DRIVER_ARENA + queue * MIB, n * sizeof(guint32)};

    for (guint i = 0; i < n; i++) {
        guint32 number = GUINT32_TO_LE((guint32)first + (n - 1 - i) * step);
        driver_store(&stage->driver, piece.gpa + i * sizeof number, &number, sizeof number);
    }
    driver_add(&stage->driver, queue, &piece, 1, 1);
    driver_kick(&stage->driver, queue);
}

static void
await_used(Stage *stage, guint queue)
{
    gint64 deadline = g_get_monotonic_time() + WAIT_US;
    struct vring_used_elem used;

    while (!driver_take_used(&stage->driver, queue, &used)) {
        g_assert_cmpint(g_get_monotonic_time(), <, deadline);
        g_usleep(200);
    }
    g_assert_cmpuint(used.len, ==, 0);
}

static void
served(Stage *stage, guint queue, guint64 first, guint n, guint step)
{
    request(stage, queue, first, n, step);
    await_used(stage, queue);
}

/* --- what goes and what stays --- */

static void
test_backing_goes(Stage *stage, gconstpointer data G_GNUC_UNUSED)
{
    guint64 before = backed_pages(stage);

    fill(stage);
    served(stage, INFLATE, FIRST, 200, 3);
    g_assert_cmpuint(backed_pages(stage), ==, before - 200);
    g_assert_cmpuint(count_filled(stage), ==, RAM_PAGES - FIRST - 200);
    for (guint i = 0; i < 200; i++)
        g_assert_cmpuint(page(stage, FIRST + (guint64)i * 3)[7], ==, 0);
    served(stage, DEFLATE, FIRST, 200, 3);
    fill(stage);
    g_assert_cmpuint(count_filled(stage), ==, RAM_PAGES - FIRST);
}

/* More than a slice, and more requests than a batch. */
static void
test_long_requests(Stage *stage, gconstpointer data G_GNUC_UNUSED)
{
    guint64 before = backed_pages(stage);

    fill(stage);
    served(stage, INFLATE, FIRST, 2040, 1);
    g_assert_cmpuint(backed_pages(stage), ==, before - 2040);
    g_assert_cmpuint(count_filled(stage), ==, RAM_PAGES - FIRST - 2040);
    served(stage, DEFLATE, FIRST, 2040, 1);
    fill(stage);
    for (guint i = 0; i < 40; i++)
        request(stage, INFLATE, FIRST + 100, 1, 1);
    for (guint i = 0; i < 40; i++)
        await_used(stage, INFLATE);
    g_assert_cmpuint(count_filled(stage), ==, RAM_PAGES - FIRST - 1);
}

/* A page of the backing goes when the guest has given up all of it, in whatever requests; one that came back keeps it. */
static void
test_larger_pages(Stage *stage, gconstpointer data G_GNUC_UNUSED)
{
    if (!set_up_kind(stage, DL_RAM_HUGETLB_2M))
        return;
    start(stage);
    guint64 before = backed_pages(stage);

    fill(stage);
    served(stage, INFLATE, FIRST, (guint)HUGE_PAGES / 2, 2);
    g_assert_cmpuint(count_filled(stage), ==, RAM_PAGES - FIRST);
    served(stage, DEFLATE, FIRST + 10, 1, 1);
    served(stage, INFLATE, FIRST + 1, (guint)HUGE_PAGES / 2, 2);
    g_assert_cmpuint(count_filled(stage), ==, RAM_PAGES - FIRST); /* one is in use */
    g_assert_cmpuint(backed_pages(stage), ==, before);
    served(stage, INFLATE, FIRST + 10, 1, 1);
    g_assert_cmpuint(backed_pages(stage), ==, before - HUGE_PAGES);
    g_assert_cmpuint(count_filled(stage), ==, RAM_PAGES - FIRST - HUGE_PAGES);
    fill(stage); /* a guest that was reset owns all again: what it had given counts no more */
    served(stage, INFLATE, FIRST + HUGE_PAGES, (guint)HUGE_PAGES - 1, 1);
    driver_start(&stage->driver, G_MAXUINT64, 2);
    served(stage, INFLATE, FIRST + 2 * HUGE_PAGES - 1, 1, 1);
    g_assert_cmpuint(count_filled(stage), ==, RAM_PAGES - FIRST);
}

/* --- pauses and resets --- */

static void
test_nothing_while_paused(Stage *stage, gconstpointer data G_GNUC_UNUSED)
{
    g_autoptr(GError) error = NULL;
    struct vring_used_elem used;

    fill(stage);
    for (guint round = 0; round < 20; round++) {
        g_assert_true(machine_pause(stage->machine, &error));
        request(stage, INFLATE, FIRST, 500, 1);
        g_usleep(2000);
        g_assert_cmpuint(count_filled(stage), ==, RAM_PAGES - FIRST);
        g_assert_false(driver_take_used(&stage->driver, INFLATE, &used));
        machine_resume(stage->machine);
        await_used(stage, INFLATE);
        g_assert_cmpuint(count_filled(stage), ==, RAM_PAGES - FIRST - 500);
        served(stage, DEFLATE, FIRST, 500, 1);
        fill(stage);
    }
}

/* Wherever a pause catches the balloon, nothing moves from then on. */
static void
test_pauses_under_way(Stage *stage, gconstpointer data G_GNUC_UNUSED)
{
    g_autoptr(GError) error = NULL;

    for (guint round = 0; round < 100; round++) {
        fill(stage);
        request(stage, INFLATE, FIRST, APART, 2); /* each a discard of its own */
        g_usleep((gulong)g_test_rand_int_range(0, 1000));
        g_assert_true(machine_pause(stage->machine, &error));
        guint64 filled = count_filled(stage);
        g_usleep(500);
        g_assert_cmpuint(count_filled(stage), ==, filled);
        machine_resume(stage->machine);
        await_used(stage, INFLATE);
        g_assert_cmpuint(count_filled(stage), ==, RAM_PAGES - FIRST - APART);
        served(stage, DEFLATE, FIRST, APART, 2);
    }
}

/* A driver that resets the device has its pages, whatever waited. */
static void
test_reset_under_way(Stage *stage, gconstpointer data G_GNUC_UNUSED)
{
    for (guint round = 0; round < 100; round++) {
        fill(stage);
        request(stage, INFLATE, FIRST, APART, 2); /* each a discard of its own */
        g_usleep((gulong)g_test_rand_int_range(0, 2000));
        driver_write(&stage->driver, VIRTIO_MMIO_STATUS, 0);
        fill(stage);
        g_usleep(2000);
        g_assert_cmpuint(count_filled(stage), ==, RAM_PAGES - FIRST);
        driver_start(&stage->driver, G_MAXUINT64, 2);
    }
}

/* --- configuration, saved state --- */

static void
test_target(Stage *stage, gconstpointer data G_GNUC_UNUSED)
{
    g_assert_cmpuint(virtio_balloon_actual(stage->device), ==, RAM_BYTES);
    virtio_balloon_set_target(stage->device, 12 * MIB + 5);
    g_assert_cmpuint(driver_read(&stage->driver, VIRTIO_MMIO_CONFIG), ==, 4 * MIB / DL_PAGE_SIZE);
    g_assert_true(driver_read(&stage->driver, VIRTIO_MMIO_INTERRUPT_STATUS) & VIRTIO_MMIO_INT_CONFIG);
    driver_write(&stage->driver, VIRTIO_MMIO_CONFIG + 4, 100);
    driver_write(&stage->driver, VIRTIO_MMIO_CONFIG, 7);      /* not the driver's */
    driver_write(&stage->driver, VIRTIO_MMIO_CONFIG + 8, 7);  /* nobody's */
    driver_write(&stage->driver, VIRTIO_MMIO_CONFIG + 6, 99); /* half of it nobody's */
    g_assert_cmpuint(driver_read(&stage->driver, VIRTIO_MMIO_CONFIG + 4), ==, 100);
    g_assert_cmpuint(driver_read(&stage->driver, VIRTIO_MMIO_CONFIG), ==, 4 * MIB / DL_PAGE_SIZE);
    g_assert_cmpuint(virtio_balloon_actual(stage->device), ==, RAM_BYTES - 100 * DL_PAGE_SIZE);
    driver_write(&stage->driver, VIRTIO_MMIO_CONFIG + 4, G_MAXUINT32); /* it may say what it likes */
    g_assert_cmpuint(virtio_balloon_actual(stage->device), ==, 0);
    virtio_balloon_set_target(stage->device, G_MAXUINT64);
    g_assert_cmpuint(driver_read(&stage->driver, VIRTIO_MMIO_CONFIG), ==, 0);
    virtio_balloon_set_target(stage->device, 0);
    g_assert_cmpuint(driver_read(&stage->driver, VIRTIO_MMIO_CONFIG), ==, RAM_PAGES);
}

/* A request that waits goes along and is served there, once there is somebody to serve it. */
static void
test_request_moves(Stage *stage, gconstpointer data G_GNUC_UNUSED)
{
    Stage other = {0};
    g_autoptr(GByteArray) bytes = g_byte_array_new(), again = g_byte_array_new();
    g_autoptr(GError) error = NULL;
    const guint index = machine_n_sections(stage->machine) - 1;

    g_assert_true(set_up_kind(&other, DL_RAM_SHMEM));
    fill(stage);
    virtio_balloon_set_target(stage->device, 12 * MIB);
    g_assert_true(machine_quiesce(stage->machine, NULL, NULL, &error));
    request(stage, INFLATE, FIRST, 1500, 1);
    g_usleep(A_WHILE_US);
    g_assert_true(machine_pause(stage->machine, &error));
    g_assert_cmpuint(count_filled(stage), ==, RAM_PAGES - FIRST);
    g_assert_true(machine_save_section(stage->machine, index, bytes, &error));
    memcpy(page(&other, 0), page(stage, 0), RAM_BYTES);
    g_assert_true(machine_load_section(other.machine, "virtio-3", 1, bytes->data, bytes->len, &error));
    g_assert_true(machine_save_section(other.machine, index, again, &error));
    g_assert_cmpmem(bytes->data, bytes->len, again->data, again->len);
    driver_start_machine(other.machine);
    memcpy(other.driver.queue, stage->driver.queue, sizeof other.driver.queue);
    await_used(&other, INFLATE);
    g_assert_cmpuint(count_filled(&other), ==, RAM_PAGES - FIRST - 1500);
    g_assert_cmpuint(driver_read(&other.driver, VIRTIO_MMIO_CONFIG), ==, 4 * MIB / DL_PAGE_SIZE);
    tear_down(&other, NULL);

    machine_resume(stage->machine); /* had it failed, it would go on here */
    machine_unquiesce(stage->machine);
    await_used(stage, INFLATE);
    g_assert_cmpuint(count_filled(stage), ==, RAM_PAGES - FIRST - 1500);
}

/* --- nonsense --- */

typedef struct {
    guint32 number;
    guint32 bytes;
    gboolean writable;
} Nonsense;

static void
test_nonsense(Stage *stage, gconstpointer data G_GNUC_UNUSED)
{
    static const Nonsense cases[] = {
        {RAM_PAGES, 4, FALSE}, {G_MAXUINT32, 4, FALSE}, {GUEST_RAM_HOLE_START / DL_PAGE_SIZE, 4, FALSE},
        {0xfee00, 4, FALSE},   {FIRST, 3, FALSE},       {FIRST, 6, FALSE},
        {FIRST, 4, TRUE},      {FIRST, 2 * MIB, FALSE},
    };

    for (guint queue = INFLATE; queue <= DEFLATE; queue++) {
        for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
            GuestRamPiece piece = {DRIVER_ARENA, cases[i].bytes};
            gint64 deadline = g_get_monotonic_time() + WAIT_US;
            fill(stage);
            driver_store(&stage->driver, piece.gpa, &cases[i].number, sizeof cases[i].number);
            driver_add(&stage->driver, queue, &piece, 1, !cases[i].writable);
            driver_kick(&stage->driver, queue);
            while (!(driver_read(&stage->driver, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET)) {
                g_assert_cmpint(g_get_monotonic_time(), <, deadline);
                g_usleep(200);
            }
            g_assert_cmpuint(count_filled(stage), ==, RAM_PAGES - FIRST);
            driver_start(&stage->driver, G_MAXUINT64, 2);
            served(stage, INFLATE, FIRST, 1, 1); /* and it works again */
            g_assert_cmpuint(count_filled(stage), ==, RAM_PAGES - FIRST - 1);
        }
    }
}

int
main(int argc, char **argv)
{
    static const struct {
        const char *path;
        void (*test)(Stage *stage, gconstpointer data);
    } tests[] = {
        {"/balloon/backing-goes", test_backing_goes},
        {"/balloon/long-requests", test_long_requests},
        {"/balloon/nothing-while-paused", test_nothing_while_paused},
        {"/balloon/pauses-under-way", test_pauses_under_way},
        {"/balloon/reset-under-way", test_reset_under_way},
        {"/balloon/target", test_target},
        {"/balloon/request-moves", test_request_moves},
        {"/balloon/nonsense", test_nonsense},
    };

    g_test_init(&argc, &argv, NULL);
    for (gsize i = 0; i < G_N_ELEMENTS(tests); i++)
        g_test_add(tests[i].path, Stage, NULL, set_up, tests[i].test, tear_down);
    g_test_add("/balloon/larger-pages", Stage, NULL, NULL, test_larger_pages, tear_down);
    return g_test_run();
}
