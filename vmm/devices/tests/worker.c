/* SPDX-License-Identifier: MIT */
/*
 * A device on its worker, in a machine: it serves what is kicked, stands while the machine is paused or not started, and its saved state
 * goes on in another machine, with the requests that came too late for the first one.
 */
#include "driver.h"

#include <devices/virtio_rng.h>
#include <devices/virtio_worker.h>
#include <linux/virtio_mmio.h>
#include <machine/error.h>
#include <machine/section.h>

#define MIB (UINT64_C(1) << 20)
#define RAM_BYTES (2 * MIB)
#define SLOT 3
#define BUFFER DRIVER_ARENA
#define WAIT_SECONDS 30
#define LONG_ENOUGH_US 50000 /* for what must not happen */

typedef struct {
    GuestRam *ram;
    Machine *machine;
    VirtioMmio *mmio;
    VirtioWorker *worker;
    Driver driver;
} Fixture;

static void
set_up(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    MachineConfig config = {.vcpus = 1};
    g_autoptr(GError) error = NULL;

    fixture->ram = guest_ram_new(DL_RAM_SHMEM, RAM_BYTES, FALSE, &error);
    g_assert_no_error(error);
    fixture->machine = machine_new(fixture->ram, &config, &error);
    g_assert_no_error(error);
    fixture->mmio = virtio_mmio_new(machine_bus(fixture->machine), &error);
    g_assert_no_error(error);
    virtio_mmio_plug(fixture->mmio, SLOT, virtio_rng_new(fixture->ram));
    fixture->worker = virtio_worker_new(fixture->machine, fixture->mmio, SLOT, &error);
    g_assert_no_error(error);
    fixture->driver = (Driver){.ram = fixture->ram, .bus = machine_bus(fixture->machine), .slot = SLOT};
}

static void
tear_down(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    machine_stop(fixture->machine);
    virtio_worker_free(fixture->worker);
    machine_free(fixture->machine);
    virtio_mmio_free(fixture->mmio);
    guest_ram_free(fixture->ram);
}

static void
ask(Fixture *fixture)
{
    GuestRamPiece piece = {BUFFER, 64};

    driver_add(&fixture->driver, 0, &piece, 1, 0);
    driver_kick(&fixture->driver, 0);
}

static void
await(Fixture *fixture)
{
    gint64 deadline = g_get_monotonic_time() + (gint64)WAIT_SECONDS * G_USEC_PER_SEC;
    struct vring_used_elem used;

    while (!driver_take_used(&fixture->driver, 0, &used)) {
        g_assert_cmpint(g_get_monotonic_time(), <, deadline);
        g_usleep(200);
    }
    g_assert_cmpuint(used.len, ==, 64);
}

static void
check_stands(Fixture *fixture)
{
    struct vring_used_elem used;

    g_usleep(LONG_ENOUGH_US);
    g_assert_false(driver_take_used(&fixture->driver, 0, &used));
}

static void
test_serves_kicks(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    driver_start(&fixture->driver, G_MAXUINT64, 1);
    ask(fixture);
    check_stands(fixture); /* the machine has not started */
    driver_start_machine(fixture->machine);
    await(fixture);
    for (guint i = 0; i < 1000; i++) {
        ask(fixture);
        await(fixture);
    }
    g_assert_cmphex(driver_read(&fixture->driver, VIRTIO_MMIO_INTERRUPT_STATUS), ==, VIRTIO_MMIO_INT_VRING);
}

static void
test_stands_while_paused(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    g_autoptr(GError) error = NULL;

    driver_start(&fixture->driver, G_MAXUINT64, 1);
    driver_start_machine(fixture->machine);
    for (guint i = 0; i < 20; i++) {
        g_assert_true(machine_pause(fixture->machine, &error));
        ask(fixture);
        if (i == 0)
            check_stands(fixture);
        machine_resume(fixture->machine);
        await(fixture);
    }
    ask(fixture); /* served or not when the machine ends: it ends */
}

static const SectionClass *
section_of(Fixture *fixture, gpointer *user)
{
    for (guint i = 0; i < machine_n_sections(fixture->machine); i++) {
        const SectionClass *class = machine_section(fixture->machine, i, user);
        if (g_str_equal(class->name, "virtio-3"))
            return class;
    }
    g_assert_not_reached();
}

/* Both ways of loading: into a machine that has not started, and into one that is paused. */
static void
test_goes_on_elsewhere(Fixture *fixture, gconstpointer data)
{
    gboolean paused = GPOINTER_TO_INT(data);
    Fixture other = {0};
    g_autoptr(GByteArray) state = g_byte_array_new();
    g_autoptr(GError) error = NULL;
    gpointer user;

    driver_start(&fixture->driver, G_MAXUINT64, 1);
    driver_start_machine(fixture->machine);
    ask(fixture);
    await(fixture);
    g_assert_true(machine_quiesce(fixture->machine, &error));
    ask(fixture);
    check_stands(fixture);
    g_assert_true(machine_pause(fixture->machine, &error));
    const SectionClass *section = section_of(fixture, &user);
    g_assert_true(section->save(user, state, &error));
    g_assert_cmpuint(state->len, <=, section->max_bytes);

    set_up(&other, NULL);
    if (paused) {
        driver_start_machine(other.machine);
        g_assert_true(machine_pause(other.machine, &error));
    }
    section = section_of(&other, &user);
    g_assert_false(section->load(user, 1, state->data, state->len - 1, &error));
    g_assert_error(error, MACHINE_ERROR, MACHINE_ERROR_INVALID);
    g_clear_error(&error);
    g_assert_true(section->load(user, 1, state->data, state->len, &error));
    memcpy(other.driver.queue, fixture->driver.queue, sizeof other.driver.queue);
    g_usleep(LONG_ENOUGH_US); /* its RAM is not there yet: a device that looked at the rings would find nonsense */
    g_assert_cmphex(driver_read(&other.driver, VIRTIO_MMIO_STATUS), ==, 0xf);
    for (guint64 gpa = DRIVER_RINGS; gpa < DRIVER_ARENA; gpa += DL_PAGE_SIZE) {
        guint8 page[DL_PAGE_SIZE];
        g_assert_true(guest_ram_load(fixture->ram, gpa, page, sizeof page));
        driver_store(&other.driver, gpa, page, sizeof page);
    }
    if (paused)
        machine_resume(other.machine);
    else
        driver_start_machine(other.machine);
    await(&other);
    ask(&other);
    await(&other);
    tear_down(&other, NULL);

    machine_resume(fixture->machine); /* and the first one, when the migration failed after all */
    machine_unquiesce(fixture->machine);
    await(fixture);
    ask(fixture);
    await(fixture);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add("/worker/serves-what-is-kicked", Fixture, NULL, set_up, test_serves_kicks, tear_down);
    g_test_add("/worker/stands-while-the-machine-is-paused", Fixture, NULL, set_up, test_stands_while_paused, tear_down);
    g_test_add("/worker/goes-on-in-a-machine-that-starts", Fixture, GINT_TO_POINTER(FALSE), set_up, test_goes_on_elsewhere,
               tear_down);
    g_test_add("/worker/goes-on-in-a-machine-that-was-paused", Fixture, GINT_TO_POINTER(TRUE), set_up, test_goes_on_elsewhere,
               tear_down);
    return g_test_run();
}
