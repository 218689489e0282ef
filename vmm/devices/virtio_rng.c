/* SPDX-License-Identifier: MIT */
/* System calls: getrandom. */
#include <devices/virtio_rng.h>
#include <linux/virtio_ids.h>
#include <sys/random.h>

#define BATCH_REQUESTS 16
#define REQUEST_BYTES 256u /* getrandom() gives so many in one piece, never interrupted */

static gboolean
rng_process(VirtioDevice *device, guint index)
{
    Virtqueue *queue = &device->queues[index];
    guint8 bytes[REQUEST_BYTES];
    VirtqueueChain chain;

    for (guint i = 0; i < BATCH_REQUESTS && virtqueue_take(queue, &chain) == VIRTQUEUE_TAKEN; i++) {
        gssize n = chain.n_out ? 0 : getrandom(bytes, MIN(chain.in_bytes, sizeof bytes), 0);
        if (n <= 0) {
            virtqueue_reject(queue, "a buffer for random bytes that cannot be written");
            break;
        }
        virtqueue_chain_scatter(queue, &chain, 0, bytes, (gsize)n);
        virtqueue_give(queue, &chain, (gsize)n);
    }
    return TRUE;
}

static void
rng_free(VirtioDevice *device)
{
    g_free(device);
}

static const VirtioDeviceClass rng_class = {
    .name = "virtio-rng", .id = VIRTIO_ID_RNG, .n_queues = 1, .process = rng_process, .free = rng_free};

VirtioDevice *
virtio_rng_new(GuestRam *ram)
{
    VirtioDevice *device = g_new0(VirtioDevice, 1);

    virtio_device_init(device, &rng_class, ram, 0, NULL, 0);
    return device;
}
