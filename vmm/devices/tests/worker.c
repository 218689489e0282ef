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
#define WAIT_SECONDS 90
#define LONG_ENOUGH_US 50000 /* for what must not happen */
#define SHORT_TIMEOUT_MS 300 /* for what must be given up */

typedef struct {
    GuestRam *ram;
    Machine *machine;
    VirtioMmio *mmio;
    VirtioWorker *worker;
    Driver driver;
} Fixture;

static void
make(Fixture *fixture, guint pause_timeout_ms, VirtioDevice *(*device)(GuestRam *ram))
{
    MachineConfig config = {.vcpus = 1, .pause_timeout_ms = pause_timeout_ms};
    g_autoptr(GError) error = NULL;

    fixture->ram = guest_ram_new(DL_RAM_SHMEM, RAM_BYTES, FALSE, &error);
    g_assert_no_error(error);
    fixture->machine = machine_new(fixture->ram, &config, &error);
    g_assert_no_error(error);
    fixture->mmio = virtio_mmio_new(machine_bus(fixture->machine), &error);
    g_assert_no_error(error);
    virtio_mmio_plug(fixture->mmio, SLOT, device(fixture->ram));
    fixture->worker = virtio_worker_new(fixture->machine, fixture->mmio, SLOT, &error);
    g_assert_no_error(error);
    fixture->driver = (Driver){.ram = fixture->ram, .bus = machine_bus(fixture->machine), .slot = SLOT};
}

static void
set_up(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    make(fixture, 0, virtio_rng_new);
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
    g_assert_true(machine_quiesce(fixture->machine, NULL, NULL, &error));
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

/* --- what hangs --- */

typedef enum {
    HANG_NOWHERE,
    HANG_IN_A_REQUEST,
    HANG_IN_SETTLE,
} Hang;

/** A device that hangs where it is told to, as a disk does whose server does not answer. */
typedef struct {
    VirtioDevice base;
    GMutex lock; /* of what follows */
    GCond changed;
    Hang hang;
    guint hanging;
} Patient;

static void
hang_at(Patient *patient, Hang here)
{
    g_mutex_lock(&patient->lock);
    patient->hanging++;
    g_cond_broadcast(&patient->changed);
    while (patient->hang == here)
        g_cond_wait(&patient->changed, &patient->lock);
    patient->hanging--;
    g_mutex_unlock(&patient->lock);
}

static gboolean
patient_process(VirtioDevice *device, guint index)
{
    VirtqueueChain chain;

    while (virtqueue_take(&device->queues[index], &chain) == VIRTQUEUE_TAKEN) {
        hang_at((Patient *)device, HANG_IN_A_REQUEST);
        virtqueue_give(&device->queues[index], &chain, 64);
    }
    return TRUE;
}

static gboolean
patient_settle(VirtioDevice *device, GError **error G_GNUC_UNUSED)
{
    hang_at((Patient *)device, HANG_IN_SETTLE);
    return TRUE;
}

static void
patient_free(VirtioDevice *device)
{
    Patient *patient = (Patient *)device;

    g_mutex_clear(&patient->lock);
    g_cond_clear(&patient->changed);
    g_free(patient);
}

static VirtioDevice *
patient_new(GuestRam *ram)
{
    static const VirtioDeviceClass class = {
        .name = "patient", .id = 42, .n_queues = 1, .process = patient_process, .settle = patient_settle, .free = patient_free};
    Patient *patient = g_new0(Patient, 1);

    g_mutex_init(&patient->lock);
    g_cond_init(&patient->changed);
    virtio_device_init(&patient->base, &class, ram, 0, NULL, 0);
    return &patient->base;
}

static void
set_up_patient(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    make(fixture, SHORT_TIMEOUT_MS, patient_new);
    driver_start(&fixture->driver, G_MAXUINT64, 1);
    driver_start_machine(fixture->machine);
}

static Patient *
set_hang(Fixture *fixture, Hang hang)
{
    Patient *patient = (Patient *)virtio_mmio_device(fixture->mmio, SLOT);

    g_mutex_lock(&patient->lock);
    patient->hang = hang;
    g_cond_broadcast(&patient->changed);
    g_mutex_unlock(&patient->lock);
    return patient;
}

static void
expect_given_up(Fixture *fixture)
{
    g_autoptr(GError) error = NULL;

    g_assert_false(machine_quiesce(fixture->machine, NULL, NULL, &error));
    g_assert_error(error, MACHINE_ERROR, MACHINE_ERROR_FAILED);
    g_test_message("%s", error->message);
    g_assert_true(g_str_has_prefix(error->message, "virtio-3: patient hangs: "));
}

/* A busy host may take longer than the time that this machine has. */
static void
quiesce_at_last(Fixture *fixture)
{
    gint64 deadline = driver_deadline();

    while (!machine_quiesce(fixture->machine, NULL, NULL, NULL))
        g_assert_cmpint(g_get_monotonic_time(), <, deadline);
}

static gboolean
nobody_wants_it(gpointer user)
{
    return ++*(guint *)user > 3;
}

/* Whoever waits may lose interest before the time is over. */
static void
expect_given_up_early(Fixture *fixture)
{
    guint asked = 0;

    g_assert_false(machine_quiesce(fixture->machine, nobody_wants_it, &asked, NULL));
    g_assert_cmpuint(asked, ==, 4);
}

static void
test_hanging_request(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    Patient *patient = set_hang(fixture, HANG_IN_A_REQUEST);

    ask(fixture);
    g_mutex_lock(&patient->lock);
    while (!patient->hanging)
        g_cond_wait(&patient->changed, &patient->lock);
    g_mutex_unlock(&patient->lock);
    expect_given_up(fixture);
    expect_given_up_early(fixture);
    set_hang(fixture, HANG_NOWHERE);
    await(fixture);
    ask(fixture); /* it works on */
    await(fixture);
    quiesce_at_last(fixture);
    ask(fixture);
    check_stands(fixture);
    machine_unquiesce(fixture->machine);
    await(fixture);
}

static void
test_hanging_settle(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    Patient *patient = set_hang(fixture, HANG_IN_SETTLE);

    expect_given_up_early(fixture);
    expect_given_up(fixture);
    ask(fixture); /* it works on, although that has not ended */
    await(fixture);
    expect_given_up(fixture);
    g_mutex_lock(&patient->lock);
    g_assert_cmpuint(patient->hanging, <=, 1); /* attempts do not pile up */
    g_mutex_unlock(&patient->lock);
    set_hang(fixture, HANG_NOWHERE);
    quiesce_at_last(fixture);
    machine_unquiesce(fixture->machine);
}

/* The end waits for what was given up. */
static void
test_hanging_end(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    set_hang(fixture, HANG_IN_SETTLE);
    expect_given_up(fixture);
    set_hang(fixture, HANG_NOWHERE);
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
    g_test_add("/worker/a-request-that-hangs-is-given-up-and-works-on", Fixture, NULL, set_up_patient, test_hanging_request,
               tear_down);
    g_test_add("/worker/a-disk-that-cannot-be-settled-is-given-up-and-works-on", Fixture, NULL, set_up_patient,
               test_hanging_settle, tear_down);
    g_test_add("/worker/the-end-waits-for-what-was-given-up", Fixture, NULL, set_up_patient, test_hanging_end, tear_down);
    return g_test_run();
}
