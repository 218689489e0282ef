/* SPDX-License-Identifier: MIT */
/*
 * Negotiation, status and queues as the transport shows them, and what becomes of a driver that breaks the rules: the device needs a reset,
 * RAM is as it was, and after the reset it works. virtio-rng stands for every device.
 */
#include "driver.h"

#include <devices/virtio_console.h>
#include <devices/virtio_rng.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <machine/error.h>
#include <machine/platform.h>

#define MIB (UINT64_C(1) << 20)
#define RAM_BYTES (2 * MIB)
#define SLOT 2
#define BUFFER DRIVER_ARENA
#define TABLE (DRIVER_ARENA + 0x10000)
#define BROKEN 0x4fu /* NEEDS_RESET and all that a driver sets */

typedef struct {
    GuestRam *ram;
    Bus *bus;
    VirtioMmio *mmio;
    Driver driver;
    guint interrupts;
} Fixture;

static void
count_interrupt(gpointer user)
{
    ((Fixture *)user)->interrupts++;
}

static VirtioDevice *
device(Fixture *fixture)
{
    return virtio_mmio_device(fixture->mmio, SLOT);
}

static void
set_up_with(Fixture *fixture, VirtioDevice *(*make)(GuestRam *ram))
{
    g_autoptr(GError) error = NULL;

    fixture->ram = guest_ram_new(DL_RAM_SHMEM, RAM_BYTES, FALSE, &error);
    g_assert_no_error(error);
    fixture->bus = bus_new();
    fixture->mmio = virtio_mmio_new(fixture->bus, &error);
    g_assert_no_error(error);
    virtio_mmio_plug(fixture->mmio, SLOT, make(fixture->ram));
    device(fixture)->raise = count_interrupt;
    device(fixture)->user = fixture;
    fixture->driver = (Driver){.ram = fixture->ram, .bus = fixture->bus, .slot = SLOT};
}

static void
set_up(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    set_up_with(fixture, virtio_rng_new);
}

static void
tear_down(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    virtio_mmio_free(fixture->mmio);
    bus_free(fixture->bus);
    guest_ram_free(fixture->ram);
}

static void
serve(Fixture *fixture)
{
    for (guint i = 0; virtio_device_process(device(fixture)); i++)
        g_assert_cmpuint(i, <, 1000); /* it comes to an end */
}

/* The device fills a buffer. */
static void
check_works(Fixture *fixture)
{
    GuestRamPiece piece = {BUFFER, 64};
    struct vring_used_elem used;
    guint8 bytes[64] = {0};

    driver_store(&fixture->driver, BUFFER, bytes, sizeof bytes);
    guint16 head = driver_add(&fixture->driver, 0, &piece, 1, 0);
    driver_kick(&fixture->driver, 0);
    serve(fixture);
    g_assert_true(driver_take_used(&fixture->driver, 0, &used));
    g_assert_cmpuint(used.id, ==, head);
    g_assert_cmpuint(used.len, ==, 64);
    g_assert_true(guest_ram_load(fixture->ram, BUFFER, bytes, sizeof bytes));
    guint zeroes = 0;
    for (guint i = 0; i < sizeof bytes; i++)
        zeroes += bytes[i] == 0;
    g_assert_cmpuint(zeroes, <, 32);
}

/* --- the transport --- */

static void
test_registers(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    Driver *driver = &fixture->driver;
    Driver empty = *driver;
    guint64 value;

    g_assert_cmphex(driver_read(driver, VIRTIO_MMIO_MAGIC_VALUE), ==, 0x74726976);
    g_assert_cmpuint(driver_read(driver, VIRTIO_MMIO_VERSION), ==, 2);
    g_assert_cmpuint(driver_read(driver, VIRTIO_MMIO_DEVICE_ID), ==, 4);
    g_assert_cmpuint(driver_read(driver, VIRTIO_MMIO_QUEUE_NUM_MAX), ==, VIRTQUEUE_MAX_SIZE);
    driver_write(driver, VIRTIO_MMIO_QUEUE_SEL, 1);
    g_assert_cmpuint(driver_read(driver, VIRTIO_MMIO_QUEUE_NUM_MAX), ==, 0);
    driver_write(driver, VIRTIO_MMIO_QUEUE_READY, 1);
    g_assert_cmpuint(driver_read(driver, VIRTIO_MMIO_QUEUE_READY), ==, 0);
    driver_write(driver, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 2);
    g_assert_cmphex(driver_read(driver, VIRTIO_MMIO_DEVICE_FEATURES), ==, 0);
    empty.slot = SLOT + 1;
    g_assert_cmphex(driver_read(&empty, VIRTIO_MMIO_MAGIC_VALUE), ==, 0x74726976);
    g_assert_cmpuint(driver_read(&empty, VIRTIO_MMIO_DEVICE_ID), ==, 0);
    for (guint64 offset = 0; offset < PLATFORM_VIRTIO_STRIDE; offset += 4) {
        driver_write(&empty, offset, 0xffffffff);
        driver_read(&empty, offset);
    }
    for (guint size = 1; size <= 8; size *= 2) { /* only 32 bits at a time, and no more than the configuration has */
        bus_read(fixture->bus, BUS_MMIO, 0, PLATFORM_VIRTIO_BASE + SLOT * PLATFORM_VIRTIO_STRIDE, size, &value);
        g_assert_cmphex(value, ==, size == 4 ? 0x74726976 : 0);
        bus_read(fixture->bus, BUS_MMIO, 0, PLATFORM_VIRTIO_BASE + SLOT * PLATFORM_VIRTIO_STRIDE + 0x100, size, &value);
        g_assert_cmphex(value, ==, 0);
    }
}

static void
test_negotiation(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    Driver *driver = &fixture->driver;

    driver_negotiate(driver, 0); /* without VERSION_1 */
    g_assert_cmphex(driver_read(driver, VIRTIO_MMIO_STATUS), ==, 0x3);
    driver_negotiate(driver, UINT64_C(1) << VIRTIO_F_VERSION_1);
    g_assert_cmphex(driver_read(driver, VIRTIO_MMIO_STATUS), ==, 0xb);
    driver_write(driver, VIRTIO_MMIO_DRIVER_FEATURES, 0xffffffff); /* too late */
    g_assert_cmphex(device(fixture)->driver_features, ==, UINT64_C(1) << VIRTIO_F_VERSION_1);

    driver_write(driver, VIRTIO_MMIO_STATUS, 0);
    driver_write(driver, VIRTIO_MMIO_STATUS, 3);
    driver_write(driver, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
    driver_write(driver, VIRTIO_MMIO_DRIVER_FEATURES, 1u << 5); /* not offered */
    driver_write(driver, VIRTIO_MMIO_STATUS, 0xb);
    g_assert_cmphex(driver_read(driver, VIRTIO_MMIO_STATUS), ==, 0x3);
    driver_write(driver, VIRTIO_MMIO_STATUS, 0x7); /* ready all the same */
    g_assert_cmphex(driver_read(driver, VIRTIO_MMIO_STATUS), ==, 0x43);
    driver_write(driver, VIRTIO_MMIO_STATUS, 0x4f); /* nothing but a reset helps */
    g_assert_true(driver_read(driver, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET);
    driver_start(driver, G_MAXUINT64, 1);
    check_works(fixture);
    driver_write(driver, VIRTIO_MMIO_STATUS, 0x3); /* takes bits back */
    g_assert_cmphex(driver_read(driver, VIRTIO_MMIO_STATUS), ==, BROKEN);
}

static void
test_queue_set_up(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    static const struct {
        guint offset;
        guint32 value;
    } wrong[] = {{VIRTIO_MMIO_QUEUE_NUM, 0},
                 {VIRTIO_MMIO_QUEUE_NUM, 3},
                 {VIRTIO_MMIO_QUEUE_NUM, 2 * VIRTQUEUE_MAX_SIZE},
                 {VIRTIO_MMIO_QUEUE_NUM, 0x10040},
                 {VIRTIO_MMIO_QUEUE_DESC_LOW, 0x10008},
                 {VIRTIO_MMIO_QUEUE_AVAIL_LOW, 0x10001},
                 {VIRTIO_MMIO_QUEUE_USED_LOW, 0x10002},
                 {VIRTIO_MMIO_QUEUE_DESC_LOW, RAM_BYTES - 16},
                 {VIRTIO_MMIO_QUEUE_AVAIL_LOW, RAM_BYTES - 2},
                 {VIRTIO_MMIO_QUEUE_USED_LOW, RAM_BYTES},
                 {VIRTIO_MMIO_QUEUE_DESC_HIGH, 1},
                 {VIRTIO_MMIO_QUEUE_AVAIL_HIGH, 0xffffffff},
                 {VIRTIO_MMIO_QUEUE_USED_HIGH, 0x80000000}};
    Driver *driver = &fixture->driver;

    for (guint i = 0; i < G_N_ELEMENTS(wrong); i++) {
        driver_negotiate(driver, UINT64_C(1) << VIRTIO_F_VERSION_1);
        driver_set_up_queue(driver, 0, DRIVER_QUEUE_SIZE);
        driver_write(driver, VIRTIO_MMIO_QUEUE_NUM, 8); /* in use: it stays as it is */
        g_assert_cmpuint(device(fixture)->queues[0].size, ==, DRIVER_QUEUE_SIZE);
        driver_write(driver, VIRTIO_MMIO_QUEUE_READY, 0);
        driver_write(driver, wrong[i].offset, wrong[i].value);
        driver_write(driver, VIRTIO_MMIO_QUEUE_READY, 1);
        g_assert_cmpuint(driver_read(driver, VIRTIO_MMIO_QUEUE_READY), ==, 0);
        g_assert_cmphex(driver_read(driver, VIRTIO_MMIO_STATUS), ==, 0x4b);
        serve(fixture);
    }
    driver_start(driver, G_MAXUINT64, 1);
    check_works(fixture);
}

/* --- interrupts --- */

static void
test_interrupts(gconstpointer data)
{
    gboolean event_idx = GPOINTER_TO_INT(data);
    Fixture fixture = {0};
    Driver *driver = &fixture.driver;
    guint16 event = 2, no_interrupt = VRING_AVAIL_F_NO_INTERRUPT;

    set_up(&fixture, NULL);
    driver_start(driver, event_idx ? G_MAXUINT64 : ~(UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX), 1);
    check_works(&fixture);
    g_assert_cmpuint(fixture.interrupts, ==, 1);
    g_assert_cmphex(driver_read(driver, VIRTIO_MMIO_INTERRUPT_STATUS), ==, VIRTIO_MMIO_INT_VRING);
    driver_write(driver, VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_VRING);
    g_assert_cmphex(driver_read(driver, VIRTIO_MMIO_INTERRUPT_STATUS), ==, 0);
    if (event_idx)
        driver_store(driver, driver_ring(0, 1) + 4 + UINT64_C(2) * DRIVER_QUEUE_SIZE, &event, sizeof event);
    else
        driver_store(driver, driver_ring(0, 1), &no_interrupt, sizeof no_interrupt);
    check_works(&fixture);
    g_assert_cmpuint(fixture.interrupts, ==, 1);
    g_assert_cmphex(driver_read(driver, VIRTIO_MMIO_INTERRUPT_STATUS), ==, 0);
    no_interrupt = 0;
    if (!event_idx)
        driver_store(driver, driver_ring(0, 1), &no_interrupt, sizeof no_interrupt);
    check_works(&fixture);
    g_assert_cmpuint(fixture.interrupts, ==, 2);
    tear_down(&fixture, NULL);
}

/* --- nonsense --- */

#define NEXT VRING_DESC_F_NEXT
#define WRITE VRING_DESC_F_WRITE
#define INDIRECT VRING_DESC_F_INDIRECT

/** Nonsense: descriptors 0 and 1 of the queue, and 0 and 1 of the table at TABLE. */
typedef struct {
    const char *name;
    struct vring_desc ring[2];
    struct vring_desc table[2];
    guint16 head;
    gboolean direct_only; /* INDIRECT_DESC is not negotiated */
} Nonsense;

static const Nonsense nonsense[] = {
    {.name = "head-outside", .head = DRIVER_QUEUE_SIZE},
    {.name = "head-far-outside", .head = 0xffff},
    {.name = "next-outside", .ring = {{BUFFER, 8, WRITE | NEXT, DRIVER_QUEUE_SIZE}}},
    {.name = "loop-of-one", .ring = {{BUFFER, 8, WRITE | NEXT, 0}}},
    {.name = "loop-of-two", .ring = {{BUFFER, 8, WRITE | NEXT, 1}, {BUFFER, 8, WRITE | NEXT, 0}}},
    {.name = "no-bytes", .ring = {{BUFFER, 0, WRITE, 0}}},
    {.name = "past-the-end", .ring = {{RAM_BYTES - 4, 8, WRITE, 0}}},
    {.name = "outside-ram", .ring = {{RAM_BYTES, 8, WRITE, 0}}},
    {.name = "address-wraps", .ring = {{G_MAXUINT64 - 3, 8, WRITE, 0}}},
    {.name = "mmio-as-buffer", .ring = {{PLATFORM_VIRTIO_BASE, 8, WRITE, 0}}},
    {.name = "longer-than-ram", .ring = {{0, 0xffffffff, WRITE, 0}}},
    {.name = "readable-after-writable", .ring = {{BUFFER, 8, WRITE | NEXT, 1}, {BUFFER, 8, 0, 0}}},
    {.name = "wrong-direction", .ring = {{BUFFER, 8, 0, 0}}},
    {.name = "indirect-not-negotiated",
     .ring = {{TABLE, 16, INDIRECT, 0}},
     .table = {{BUFFER, 8, WRITE, 0}},
     .direct_only = TRUE},
    {.name = "indirect-and-next",
     .ring = {{TABLE, 16, INDIRECT | NEXT, 1}, {BUFFER, 8, WRITE, 0}},
     .table = {{BUFFER, 8, WRITE, 0}}},
    {.name = "indirect-empty", .ring = {{TABLE, 0, INDIRECT, 0}}},
    {.name = "indirect-odd-length", .ring = {{TABLE, 17, INDIRECT, 0}}, .table = {{BUFFER, 8, WRITE, 0}}},
    {.name = "indirect-too-long", .ring = {{0, 16 * (VIRTQUEUE_MAX_SIZE + 1), INDIRECT, 0}}},
    {.name = "indirect-huge", .ring = {{TABLE, 0xfffffff0, INDIRECT, 0}}},
    {.name = "indirect-outside-ram", .ring = {{RAM_BYTES - 8, 16, INDIRECT, 0}}},
    {.name = "indirect-inside-indirect", .ring = {{TABLE, 32, INDIRECT, 0}}, .table = {{TABLE, 16, INDIRECT, 0}}},
    {.name = "indirect-in-its-own-ring", .ring = {{DRIVER_RINGS, 16, INDIRECT, 0}}},
    {.name = "indirect-next-outside", .ring = {{TABLE, 16, INDIRECT, 0}}, .table = {{BUFFER, 8, WRITE | NEXT, 1}}},
    {.name = "indirect-loop",
     .ring = {{TABLE, 32, INDIRECT, 0}},
     .table = {{BUFFER, 8, WRITE | NEXT, 1}, {BUFFER, 8, WRITE | NEXT, 0}}},
    {.name = "indirect-after-a-buffer",
     .ring = {{BUFFER, 8, WRITE | NEXT, 1}, {TABLE, 16, INDIRECT, 0}},
     .table = {{BUFFER, 8, WRITE, 0}}},
};

static void
check_broken(Fixture *fixture)
{
    g_autofree guint8 *before = g_malloc(RAM_BYTES), *after = g_malloc(RAM_BYTES);

    fixture->interrupts = 0;
    g_assert_true(guest_ram_load(fixture->ram, 0, before, RAM_BYTES));
    driver_kick(&fixture->driver, 0);
    serve(fixture);
    g_assert_true(guest_ram_load(fixture->ram, 0, after, RAM_BYTES));
    g_assert_cmpint(memcmp(before, after, RAM_BYTES), ==, 0);
    g_assert_cmphex(driver_read(&fixture->driver, VIRTIO_MMIO_STATUS), ==, BROKEN);
    g_assert_nonnull(device(fixture)->fault);
    g_assert_cmpuint(fixture->interrupts, ==, 1);
    g_assert_cmphex(driver_read(&fixture->driver, VIRTIO_MMIO_INTERRUPT_STATUS), ==, VIRTIO_MMIO_INT_CONFIG);
}

static void
test_nonsense(Fixture *fixture, gconstpointer data)
{
    const Nonsense *wrong = data;
    Driver *driver = &fixture->driver;

    driver_start(driver, wrong->direct_only ? ~(UINT64_C(1) << VIRTIO_RING_F_INDIRECT_DESC) : G_MAXUINT64, 1);
    check_works(fixture);
    driver_write(driver, VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_VRING);
    for (guint i = 0; i < 2; i++)
        driver_describe(driver, 0, i, wrong->ring[i]);
    driver_store(driver, TABLE, wrong->table, sizeof wrong->table);
    driver_make_available(driver, 0, wrong->head);
    check_broken(fixture);
    driver_start(driver, G_MAXUINT64, 1);
    check_works(fixture);
}

static void
test_index_runs_away(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    Driver *driver = &fixture->driver;
    guint16 far = DRIVER_QUEUE_SIZE + 1;

    driver_start(driver, G_MAXUINT64, 1);
    driver_store(driver, driver_ring(0, 1) + 2, &far, sizeof far);
    check_broken(fixture);
}

/* As many bytes as there are descriptors for, over and over the same ones: refused before any is touched. */
static void
test_too_many_bytes(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    Driver *driver = &fixture->driver;
    GuestRamPiece pieces[DRIVER_QUEUE_SIZE];

    driver_start(driver, G_MAXUINT64, 1);
    for (guint i = 0; i < DRIVER_QUEUE_SIZE; i++)
        pieces[i] = (GuestRamPiece){0, RAM_BYTES};
    driver_add(driver, 0, pieces, DRIVER_QUEUE_SIZE, 0);
    check_broken(fixture);
}

static void
test_indirect(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    static const struct vring_desc table[] = {{BUFFER, 100, WRITE | NEXT, 2}, {0}, {BUFFER + 0x1000, 28, WRITE, 0}};
    Driver *driver = &fixture->driver;
    struct vring_used_elem used;

    driver_start(driver, G_MAXUINT64, 1);
    driver_store(driver, TABLE, table, sizeof table);
    driver_describe(driver, 0, 5, (struct vring_desc){TABLE, sizeof table, INDIRECT, 0});
    driver_make_available(driver, 0, 5);
    serve(fixture);
    g_assert_true(driver_take_used(driver, 0, &used));
    g_assert_cmpuint(used.id, ==, 5);
    g_assert_cmpuint(used.len, ==, 128);
    g_assert_cmphex(driver_read(driver, VIRTIO_MMIO_STATUS), ==, 0xf);
}

/* --- saved state --- */

static void
test_saved_state(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    g_autoptr(GByteArray) bytes = g_byte_array_new(), again = g_byte_array_new();
    g_autoptr(GError) error = NULL;
    GuestRamPiece piece = {BUFFER, 64};
    struct vring_used_elem used;

    driver_start(&fixture->driver, G_MAXUINT64, 1);
    check_works(fixture);
    virtio_device_quiesce(device(fixture), &(Patience){.until_us = driver_deadline()}, &error);
    g_assert_no_error(error);
    driver_add(&fixture->driver, 0, &piece, 1, 0); /* came too late: it is served over there */
    g_assert_false(virtio_device_process(device(fixture)));
    g_assert_false(driver_take_used(&fixture->driver, 0, &used));
    virtio_mmio_save(fixture->mmio, SLOT, bytes);
    g_assert_cmpuint(bytes->len, ==, VIRTIO_MMIO_SAVED_BYTES + virtio_device_saved_bytes(device(fixture)));
    virtio_device_unquiesce(device(fixture));
    driver_write(&fixture->driver, VIRTIO_MMIO_STATUS, 0);

    g_assert_true(virtio_mmio_load(fixture->mmio, SLOT, bytes->data, bytes->len, &error));
    virtio_mmio_save(fixture->mmio, SLOT, again);
    g_assert_cmpmem(again->data, (int)again->len, bytes->data, (int)bytes->len);
    g_assert_cmphex(driver_read(&fixture->driver, VIRTIO_MMIO_STATUS), ==, 0xf);
    serve(fixture);
    g_assert_true(driver_take_used(&fixture->driver, 0, &used));
    check_works(fixture);

    for (guint size = 0; size < bytes->len; size++) {
        g_assert_false(virtio_mmio_load(fixture->mmio, SLOT, bytes->data, size, &error));
        g_assert_error(error, MACHINE_ERROR, MACHINE_ERROR_INVALID);
        g_clear_error(&error);
    }
    for (guint bit = 0; bit < bytes->len * 8; bit++) { /* it is loaded or refused, and a device that is served survives it */
        bytes->data[bit / 8] ^= (guint8)(1u << bit % 8);
        virtio_mmio_load(fixture->mmio, SLOT, bytes->data, bytes->len, NULL);
        serve(fixture);
        bytes->data[bit / 8] ^= (guint8)(1u << bit % 8);
    }
}

/* --- the console --- */

static GString *sent;
static gsize room;

static gsize
take_output(gpointer user G_GNUC_UNUSED, const char *bytes, gsize n_bytes)
{
    gsize taken = MIN(n_bytes, room);

    g_string_append_len(sent, bytes, (gssize)taken);
    room -= taken;
    return taken;
}

static VirtioDevice *
make_console(GuestRam *ram)
{
    return virtio_console_new(ram, take_output, NULL);
}

static void
test_console(void)
{
    Fixture fixture = {0};
    Driver *driver = &fixture.driver;
    GuestRamPiece in = {BUFFER, 4}, out[] = {{BUFFER + 0x1000, 3}, {BUFFER + 0x2000, 4}};
    struct vring_used_elem used;
    char bytes[5] = "";

    sent = g_string_new(NULL);
    set_up_with(&fixture, make_console);
    driver_start(driver, G_MAXUINT64, 2);
    driver_store(driver, BUFFER + 0x1000, "abc", 3);
    driver_store(driver, BUFFER + 0x2000, "defg", 4);
    room = 5; /* then it stalls */
    driver_add(driver, 1, out, 2, 2);
    serve(&fixture);
    g_assert_cmpstr(sent->str, ==, "abcde");
    g_assert_false(driver_take_used(driver, 1, &used));
    room = 100;
    serve(&fixture);
    g_assert_cmpstr(sent->str, ==, "abcdefg");
    g_assert_true(driver_take_used(driver, 1, &used));

    g_assert_cmpuint(virtio_console_receive(device(&fixture), (const guint8 *)"typed", 5), ==, 5);
    serve(&fixture);
    g_assert_false(driver_take_used(driver, 0, &used));
    driver_add(driver, 0, &in, 1, 0);
    serve(&fixture);
    g_assert_true(driver_take_used(driver, 0, &used));
    g_assert_cmpuint(used.len, ==, 4);
    g_assert_true(guest_ram_load(fixture.ram, BUFFER, bytes, 4));
    g_assert_cmpstr(bytes, ==, "type");
    driver_add(driver, 0, &in, 1, 0);
    serve(&fixture);
    g_assert_true(driver_take_used(driver, 0, &used));
    g_assert_cmpuint(used.len, ==, 1);
    driver_add(driver, 1, &in, 1, 0); /* writable, where the device reads */
    serve(&fixture);
    g_assert_cmphex(driver_read(driver, VIRTIO_MMIO_STATUS), ==, BROKEN);
    tear_down(&fixture, NULL);
    g_string_free(sent, TRUE);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add("/virtio/registers-answer-in-every-slot", Fixture, NULL, set_up, test_registers, tear_down);
    g_test_add("/virtio/negotiation-is-strict", Fixture, NULL, set_up, test_negotiation, tear_down);
    g_test_add("/virtio/queues-that-cannot-be-are-refused", Fixture, NULL, set_up, test_queue_set_up, tear_down);
    g_test_add_data_func("/virtio/interrupts-come-when-wanted", GINT_TO_POINTER(FALSE), test_interrupts);
    g_test_add_data_func("/virtio/interrupts-come-when-wanted-with-event-idx", GINT_TO_POINTER(TRUE), test_interrupts);
    g_test_add("/virtio/indirect-descriptors", Fixture, NULL, set_up, test_indirect, tear_down);
    for (guint i = 0; i < G_N_ELEMENTS(nonsense); i++) {
        g_autofree char *path = g_strdup_printf("/virtio/nonsense-breaks-the-device/%s", nonsense[i].name);
        g_test_add(path, Fixture, &nonsense[i], set_up, test_nonsense, tear_down);
    }
    g_test_add("/virtio/nonsense-breaks-the-device/index-runs-away", Fixture, NULL, set_up, test_index_runs_away, tear_down);
    g_test_add("/virtio/nonsense-breaks-the-device/too-many-bytes", Fixture, NULL, set_up, test_too_many_bytes, tear_down);
    g_test_add("/virtio/saved-state-comes-back-and-is-checked", Fixture, NULL, set_up, test_saved_state, tear_down);
    g_test_add_func("/virtio/console-in-and-out", test_console);
    return g_test_run();
}
