/* SPDX-License-Identifier: MIT */
#include <devices/virtio_console.h>
#include <linux/virtio_console.h>
#include <linux/virtio_ids.h>

enum {
    QUEUE_RECEIVE,
    QUEUE_TRANSMIT,
    N_QUEUES
};

#define BATCH_REQUESTS 64
#define CHUNK 4096u
#define BATCH_BYTES ((gsize)64 * CHUNK)

typedef struct {
    VirtioDevice base;
    ConsoleOutput output;
    gpointer output_user;
    ConsoleRoom room;
    gpointer room_user;
    struct virtio_console_config config;

    ConsoleBuffer input;
    guint32 sent; /* of the next request: bytes that the output has taken already */
    VirtqueueChain chain;
} VirtioConsole;

/* FALSE: nothing to send to the guest. */
static gboolean
receive(VirtioConsole *console, Virtqueue *queue)
{
    guint8 bytes[CONSOLE_BUFFER_BYTES];

    while (console->input.count && virtqueue_take(queue, &console->chain) == VIRTQUEUE_TAKEN) {
        gsize n = console_buffer_get(&console->input, bytes, MIN(console->chain.in_bytes, sizeof bytes));
        if (!n) {
            virtqueue_reject(queue, "a receive buffer that cannot be written");
            break;
        }
        virtqueue_chain_scatter(queue, &console->chain, 0, bytes, n);
        virtqueue_give(queue, &console->chain, n);
    }
    if (console_buffer_freed(&console->input) && console->room)
        console->room(console->room_user);
    return console->input.count > 0;
}

/* Sends what is left of the request; FALSE: the output takes no more. */
static gboolean
send_chain(VirtioConsole *console, const Virtqueue *queue, gsize *budget)
{
    char bytes[CHUNK];

    while (console->sent < console->chain.out_bytes && *budget) {
        gsize n = MIN(MIN(sizeof bytes, console->chain.out_bytes - console->sent), *budget);
        virtqueue_chain_gather(queue, &console->chain, console->sent, bytes, n);
        gsize taken = console->output(console->output_user, bytes, n);
        g_assert(taken <= n);
        console->sent += (guint32)taken;
        *budget -= taken;
        if (taken < n)
            return FALSE;
    }
    return TRUE;
}

/* FALSE: the output is to say when it goes on. */
static gboolean
transmit(VirtioConsole *console, Virtqueue *queue)
{
    gsize budget = BATCH_BYTES;

    for (guint i = 0; i < BATCH_REQUESTS && virtqueue_take(queue, &console->chain) == VIRTQUEUE_TAKEN; i++) {
        if (console->chain.n_in) {
            virtqueue_reject(queue, "a transmit buffer that is to be written");
            break;
        }
        gboolean taken = send_chain(console, queue, &budget);
        if (console->sent < console->chain.out_bytes) {
            virtqueue_take_back(queue);
            return taken;
        }
        console->sent = 0;
        virtqueue_give(queue, &console->chain, 0);
    }
    return TRUE;
}

static gboolean
console_process(VirtioDevice *device, guint queue)
{
    VirtioConsole *console = (VirtioConsole *)device;

    return queue == QUEUE_RECEIVE ? receive(console, &device->queues[queue]) : transmit(console, &device->queues[queue]);
}

static void
console_reset(VirtioDevice *device)
{
    ((VirtioConsole *)device)->sent = 0;
}

/* --- saved state --- */

static void
console_save(VirtioDevice *device, GByteArray *out)
{
    const VirtioConsole *console = (VirtioConsole *)device;

    wire_put_u32(out, console->sent);
    console_buffer_save(&console->input, out);
}

static gboolean
console_load(VirtioDevice *device, WireReader *reader)
{
    VirtioConsole *console = (VirtioConsole *)device;

    console->sent = wire_get_u32(reader);
    return console_buffer_load(&console->input, reader) && console->sent <= VIRTQUEUE_MAX_BYTES;
}

static void
console_free(VirtioDevice *device)
{
    g_free(device);
}

static const VirtioDeviceClass console_class = {
    .name = "virtio-console",
    .id = VIRTIO_ID_CONSOLE,
    .n_queues = N_QUEUES,
    .process = console_process,
    .reset = console_reset,
    .save = console_save,
    .load = console_load,
    .state_bytes = sizeof(guint32) + CONSOLE_BUFFER_SAVED_BYTES,
    .free = console_free,
};

/* --- what its owner calls --- */

VirtioDevice *
virtio_console_new(GuestRam *ram, ConsoleOutput output, gpointer user)
{
    VirtioConsole *console = g_new0(VirtioConsole, 1);

    console->output = output;
    console->output_user = user;
    virtio_device_init(&console->base, &console_class, ram, 0, &console->config, sizeof console->config);
    return &console->base;
}

void
virtio_console_set_room(VirtioDevice *device, ConsoleRoom room, gpointer user)
{
    VirtioConsole *console = (VirtioConsole *)device;

    console->room = room;
    console->room_user = user;
}

gsize
virtio_console_receive(VirtioDevice *device, const guint8 *bytes, gsize n_bytes)
{
    VirtioConsole *console = (VirtioConsole *)device;

    g_mutex_lock(&device->lock);
    gsize taken = console_buffer_put(&console->input, bytes, n_bytes);
    g_mutex_unlock(&device->lock);
    if (taken)
        virtio_device_kick(device);
    return taken;
}

void
virtio_console_output_ready(VirtioDevice *device)
{
    virtio_device_kick(device);
}
