/* SPDX-License-Identifier: MIT */
#include <machine/bus.h>
#include <machine/error.h>

typedef struct {
    guint reads, writes;
    guint vcpu, size;
    guint64 offset, value;
} Device;

static guint64
device_read(gpointer user, guint vcpu, guint64 offset, guint size)
{
    Device *device = user;

    *device = (Device){.reads = device->reads + 1, .writes = device->writes, .vcpu = vcpu, .size = size, .offset = offset};
    return 0x1122334455667788;
}

static void
device_write(gpointer user, guint vcpu, guint64 offset, guint size, guint64 value)
{
    Device *device = user;

    *device = (Device){
        .reads = device->reads, .writes = device->writes + 1, .vcpu = vcpu, .size = size, .offset = offset, .value = value};
}

static const BusHandler handler = {.read = device_read, .write = device_write};
static const BusHandler silent;

static void
register_ok(Bus *bus, BusSpace space, guint64 start, guint64 size, gpointer user)
{
    g_autoptr(GError) error = NULL;
    gboolean done = bus_register(bus, space, start, size, "device", &handler, user, &error);

    g_assert_no_error(error);
    g_assert_true(done);
}

static void
register_refused(Bus *bus, BusSpace space, guint64 start, guint64 size)
{
    g_autoptr(GError) error = NULL;

    g_assert_false(bus_register(bus, space, start, size, "intruder", &handler, NULL, &error));
    g_assert_error(error, MACHINE_ERROR, MACHINE_ERROR_INVALID);
}

static void
test_refuses_overlaps(void)
{
    g_autoptr(Bus) bus = bus_new();
    Device device = {0};

    register_ok(bus, BUS_PIO, 0x100, 0x10, &device);
    register_refused(bus, BUS_PIO, 0x100, 0x10);
    register_refused(bus, BUS_PIO, 0x10f, 1);
    register_refused(bus, BUS_PIO, 0xff, 2);
    register_refused(bus, BUS_PIO, 0, 0x1000);
    register_refused(bus, BUS_PIO, 0x104, 1);
    register_ok(bus, BUS_PIO, 0x110, 1, &device);
    register_ok(bus, BUS_PIO, 0xff, 1, &device);
    register_ok(bus, BUS_MMIO, 0x100, 0x10, &device);
}

static void
test_refuses_ranges_outside(void)
{
    g_autoptr(Bus) bus = bus_new();
    Device device = {0};

    register_refused(bus, BUS_PIO, 0x100, 0);
    register_refused(bus, BUS_PIO, 0x10000, 1);
    register_refused(bus, BUS_PIO, 0xffff, 2);
    register_refused(bus, BUS_PIO, 1, G_MAXUINT64);
    register_refused(bus, BUS_MMIO, G_MAXUINT64 - 1, 4);
    register_ok(bus, BUS_PIO, 0xffff, 1, &device);
}

static void
test_hands_over_the_access(void)
{
    g_autoptr(Bus) bus = bus_new();
    Device device = {0};
    guint64 value;

    register_ok(bus, BUS_MMIO, 0xd0000000, 0x1000, &device);
    g_assert_true(bus_write(bus, BUS_MMIO, 3, 0xd0000ffc, 4, 0xcafe));
    g_assert_cmpuint(device.writes, ==, 1);
    g_assert_cmpuint(device.vcpu, ==, 3);
    g_assert_cmphex(device.offset, ==, 0xffc);
    g_assert_cmpuint(device.size, ==, 4);
    g_assert_cmphex(device.value, ==, 0xcafe);
    g_assert_true(bus_read(bus, BUS_MMIO, 1, 0xd0000000, 8, &value));
    g_assert_cmphex(value, ==, 0x1122334455667788);
    g_assert_cmpuint(device.reads, ==, 1);
}

static void
test_nobody_answers_with_ones(void)
{
    g_autoptr(Bus) bus = bus_new();
    Device device = {0};
    guint64 value = 0;

    register_ok(bus, BUS_PIO, 0x60, 4, &device);
    g_assert_false(bus_read(bus, BUS_PIO, 0, 0x64, 1, &value));
    g_assert_cmphex(value, ==, G_MAXUINT64);
    g_assert_false(bus_write(bus, BUS_PIO, 0, 0x62, 4, 1)); /* runs over the end */
    g_assert_false(bus_write(bus, BUS_PIO, 0, 0x5f, 2, 1));
    g_assert_false(bus_read(bus, BUS_MMIO, 0, 0x60, 1, &value));
    g_assert_false(bus_read(bus, BUS_MMIO, 0, G_MAXUINT64, 8, &value));
    g_assert_cmpuint(device.reads + device.writes, ==, 0);
    g_assert_true(bus_register(bus, BUS_PIO, 0x80, 1, "silent", &silent, NULL, NULL));
    g_assert_true(bus_read(bus, BUS_PIO, 0, 0x80, 1, &value));
    g_assert_cmphex(value, ==, G_MAXUINT64);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/bus/refuses-overlaps", test_refuses_overlaps);
    g_test_add_func("/bus/refuses-ranges-outside-the-space", test_refuses_ranges_outside);
    g_test_add_func("/bus/hands-over-vcpu-offset-size-value", test_hands_over_the_access);
    g_test_add_func("/bus/nobody-answers-with-ones", test_nobody_answers_with_ones);
    return g_test_run();
}
