/* SPDX-License-Identifier: MIT */
/*
 * libFuzzer over the virtio devices: the input is a guest's program. It writes registers, fills rings and buffers, kicks, and loads saved
 * state; whatever it does, the devices stay inside RAM and come to an end. Steps that set a queue up as a driver would get the fuzzer
 * past the negotiation.
 *
 * For longer than the test does: build-fuzz/vmm/devices/tests/fuzz-virtqueue -max_total_time=3600 -max_len=2048 CORPUS-FOLDER
 */
#include "driver.h"

#include <devices/virtio_balloon.h>
#include <devices/virtio_blk.h>
#include <devices/virtio_console.h>
#include <devices/virtio_rng.h>
#include <linux/virtio_blk.h>
#include <machine/platform.h>
#include <sys/mman.h>
#include <unistd.h>

#define RAM_BYTES (UINT64_C(1) << 20)
#define USED_BYTES (UINT64_C(512) << 10) /* of RAM, by the guest's own stores: this much is zeroed for each input */
#define DISK_BYTES 65536
#define N_DEVICES 4u
#define MOST_BATCHES 64u
#define IN_RING 8u /* of a descriptor's flags in the input: no flag of virtio's */

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

typedef struct {
    GuestRam *ram;
    Bus *bus;
    VirtioMmio *mmio;
    Driver driver[N_DEVICES];
} World;

typedef enum {
    STEP_REGISTER,
    STEP_STORE,
    STEP_SERVE,
    STEP_SET_UP,
    STEP_DESCRIBE,
    STEP_AVAILABLE,
    STEP_REQUEST,
    STEP_TYPE,
    STEP_LOAD,
    N_STEPS
} Step;

static gsize
swallow(gpointer user G_GNUC_UNUSED, const char *bytes, gsize n_bytes)
{
    /* every byte is looked at, and not all are taken */
    return n_bytes && bytes[n_bytes - 1] == 'x' ? n_bytes / 2 : n_bytes;
}

static VirtioDevice *
make_disk(GuestRam *ram)
{
    g_autoptr(GError) error = NULL;
    int fd = memfd_create("disk", MFD_CLOEXEC);
    g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fd);
    VirtioBlkConfig config = {.path = path, .serial = "fuzz"};

    g_assert_cmpint(ftruncate(fd, DISK_BYTES), ==, 0);
    VirtioDevice *device = virtio_blk_new(ram, &config, &error);
    g_assert_no_error(error);
    close(fd);
    return device;
}

static World *
make_world(void)
{
    g_autoptr(GError) error = NULL;
    World *world = g_new0(World, 1);

    world->ram = guest_ram_new(DL_RAM_SHMEM, RAM_BYTES, TRUE, &error);
    g_assert_no_error(error);
    world->bus = bus_new();
    world->mmio = virtio_mmio_new(world->bus, &error);
    g_assert_no_error(error);
    virtio_mmio_plug(world->mmio, 0, make_disk(world->ram));
    virtio_mmio_plug(world->mmio, 1, virtio_rng_new(world->ram));
    virtio_mmio_plug(world->mmio, 2, virtio_console_new(world->ram, swallow, NULL));
    virtio_mmio_plug(world->mmio, 3, virtio_balloon_new(world->ram));
    for (guint i = 0; i < N_DEVICES; i++)
        world->driver[i] = (Driver){.ram = world->ram, .bus = world->bus, .slot = i};
    return world;
}

static void
serve(World *world, guint slot)
{
    for (guint i = 0; i < MOST_BATCHES && virtio_device_process(virtio_mmio_device(world->mmio, slot)); i++)
        ;
}

static void
store(World *world, guint slot, guint64 gpa, gconstpointer bytes, gsize size)
{
    driver_store(&world->driver[slot], gpa % (USED_BYTES - size), bytes, size);
}

static void
load_state(World *world, guint slot, WireReader *input)
{
    g_autoptr(GByteArray) state = g_byte_array_new();
    guint8 edits = wire_get_u8(input) % 16;

    virtio_mmio_save(world->mmio, slot, state);
    for (; edits; edits--) {
        guint16 place = wire_get_u16(input);
        state->data[place % state->len] ^= wire_get_u8(input);
    }
    virtio_mmio_load(world->mmio, slot, state->data, state->len, NULL);
}

/* A request of virtio-blk that is nearly right. */
static void
request(World *world, WireReader *input)
{
    struct virtio_blk_outhdr header = {.type = wire_get_u8(input) % 12, .sector = wire_get_u8(input)};
    gsize bytes = wire_get_u16(input);
    GuestRamPiece pieces[] = {
        {DRIVER_ARENA, sizeof header}, {DRIVER_ARENA + wire_get_u16(input), bytes + 1}, {DRIVER_ARENA + 32, 1}};

    store(world, 0, DRIVER_ARENA, &header, sizeof header);
    if (world->driver[0].queue[0].size)
        driver_add(&world->driver[0], 0, pieces, 3, header.type == VIRTIO_BLK_T_OUT ? 2 : 1);
}

static void
step(World *world, WireReader *input)
{
    Step kind = wire_get_u8(input) % N_STEPS;
    guint8 choice = wire_get_u8(input);
    guint slot = choice % N_DEVICES, queue = choice / N_DEVICES % VIRTIO_MAX_QUEUES;
    Driver *driver = &world->driver[slot];
    guint8 bytes[256];
    gsize size;

    switch (kind) {
    case STEP_REGISTER: {
        guint64 address =
            PLATFORM_VIRTIO_BASE + (choice % PLATFORM_VIRTIO_SLOTS) * PLATFORM_VIRTIO_STRIDE + wire_get_u16(input) % 0x200;
        guint64 value = wire_get_u32(input);
        guint width = 1u << (choice >> 6);
        bus_write(world->bus, BUS_MMIO, 0, address, width, value);
        bus_read(world->bus, BUS_MMIO, 0, address, width, &value);
        break;
    }
    case STEP_STORE: {
        guint64 gpa = wire_get_u32(input);
        size = wire_get_u8(input);
        wire_get_bytes(input, bytes, size);
        store(world, slot, gpa, bytes, size);
        break;
    }
    case STEP_SERVE:
        driver_kick(driver, queue);
        serve(world, slot);
        break;
    case STEP_SET_UP:
        driver_negotiate(driver, (guint64)wire_get_u8(input) << 28 | UINT64_C(1) << 32 | 0xffff);
        for (guint i = 0; i < VIRTIO_MAX_QUEUES; i++)
            driver_set_up_queue(driver, i, (guint16)(1u << wire_get_u8(input) % 7));
        driver_ready(driver);
        break;
    case STEP_DESCRIBE: {
        struct vring_desc descriptor = {.addr = wire_get_u32(input) % (RAM_BYTES + 4096), .len = wire_get_u16(input)};
        descriptor.flags = wire_get_u8(input) % 16;
        if (descriptor.flags & IN_RING) /* the rings themselves as a buffer, or as an indirect table */
            descriptor.addr = driver_ring(queue, 0) + descriptor.addr % (DRIVER_QUEUE_PAGES * DL_PAGE_SIZE) / 16 * 16;
        descriptor.flags &= (guint16)~IN_RING;
        descriptor.next = wire_get_u8(input);
        driver_describe(driver, queue, wire_get_u8(input), descriptor);
        break;
    }
    case STEP_AVAILABLE:
        if (driver->queue[queue].size)
            driver_make_available(driver, queue, wire_get_u8(input));
        break;
    case STEP_REQUEST:
        request(world, input);
        break;
    case STEP_TYPE:
        size = wire_get_u8(input);
        memset(bytes, choice, size);
        virtio_console_receive(virtio_mmio_device(world->mmio, 2), bytes, size);
        break;
    default:
        load_state(world, slot, input);
        break;
    }
}

/* As a machine that was just switched on. */
static void
reset(World *world)
{
    memset(dl_layout_hva_of_gpa(guest_ram_layout(world->ram), 0, USED_BYTES), 0, USED_BYTES);
    for (guint i = 0; i < N_DEVICES; i++) {
        driver_write(&world->driver[i], 0x70, 0);
        memset(world->driver[i].queue, 0, sizeof world->driver[i].queue);
    }
}

int
LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
    static World *world; /* one for all inputs */
    WireReader input = {.bytes = data, .left = size};

    if (!world)
        world = make_world();
    reset(world);
    while (input.left && !input.overrun)
        step(world, &input);
    for (guint i = 0; i < N_DEVICES; i++)
        serve(world, i);
    return 0;
}
