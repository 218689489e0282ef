/* SPDX-License-Identifier: MIT */
/*
 * Nothing of a device is in flight any more: or it is said in time that this cannot be had. A disk may hang for ever in a call that nothing
 * ends: in that of a request, under the device's lock, or in settle(). Who hands the guest over gives up then; the guest runs on, and may be
 * more patient. So the lock is tried here and not waited for, and settle() has a thread of its own, of which one at most is left behind.
 */
#include <devices/virtio.h>
#include <machine/error.h>

#define LOCK_PAUSE_US 200

struct VirtioSettler {
    GThread *thread;
    GMutex lock; /* of all below */
    GCond changed;
    gboolean done;
    GError *error;
};

static gboolean
late(const VirtioDevice *device, const char *what, GError **error)
{
    g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_FAILED, "%s hangs: %s does not end",
                device->label ? device->label : device->class->name, what);
    return FALSE;
}

/* Whoever takes the lock from then on finds the device quiesced. */
static gboolean
await_lock(VirtioDevice *device, const Patience *patience, GError **error)
{
    while (!g_mutex_trylock(&device->lock)) {
        if (patience_is_over(patience))
            return late(device, "a request", error);
        g_usleep(LOCK_PAUSE_US);
    }
    g_mutex_unlock(&device->lock);
    return TRUE;
}

/* --- settling --- */

static gpointer
settler_thread(gpointer user)
{
    VirtioDevice *device = user;
    VirtioSettler *settler = device->settler;
    GError *error = NULL;

    device->class->settle(device, &error);
    g_mutex_lock(&settler->lock);
    settler->error = error;
    settler->done = TRUE;
    g_cond_broadcast(&settler->changed);
    g_mutex_unlock(&settler->lock);
    return NULL;
}

/* TRUE: it has ended, is no more, and its error is in @outcome. */
static gboolean
await_settler(VirtioDevice *device, const Patience *patience, GError **outcome)
{
    VirtioSettler *settler = device->settler;

    g_mutex_lock(&settler->lock);
    while (!settler->done && !patience_is_over(patience))
        g_cond_wait_until(&settler->changed, &settler->lock, MIN(patience->until_us, g_get_monotonic_time() + PATIENCE_SLICE_US));
    gboolean done = settler->done;
    g_mutex_unlock(&settler->lock);
    if (!done)
        return FALSE;
    g_thread_join(settler->thread);
    *outcome = settler->error;
    g_mutex_clear(&settler->lock);
    g_cond_clear(&settler->changed);
    g_clear_pointer(&device->settler, g_free);
    return TRUE;
}

static gboolean
begin_to_settle(VirtioDevice *device, GError **error)
{
    VirtioSettler *settler = device->settler = g_new0(VirtioSettler, 1);

    g_mutex_init(&settler->lock);
    g_cond_init(&settler->changed);
    settler->thread = g_thread_try_new("settle", settler_thread, device, error);
    if (settler->thread)
        return TRUE;
    g_mutex_clear(&settler->lock);
    g_cond_clear(&settler->changed);
    g_clear_pointer(&device->settler, g_free);
    return FALSE;
}

static gboolean
settle(VirtioDevice *device, const Patience *patience, GError **error)
{
    g_autoptr(GError) outcome = NULL;

    /* one that was given up began before the last requests ended: that it ends now does not count */
    if (device->settler && !await_settler(device, patience, &outcome))
        return late(device, "what an earlier attempt began", error);
    g_clear_error(&outcome);
    if (!device->class->settle)
        return TRUE;
    if (!begin_to_settle(device, error))
        return FALSE;
    if (!await_settler(device, patience, &outcome))
        return late(device, "writing down what is done", error);
    if (!outcome)
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&outcome));
    return FALSE;
}

void
virtio_device_end_settling(VirtioDevice *device)
{
    g_autoptr(GError) outcome = NULL;

    while (device->settler && !await_settler(device, &(Patience){.until_us = g_get_monotonic_time() + G_USEC_PER_SEC}, &outcome))
        ;
}

/* --- all of it --- */

gboolean
virtio_device_quiesce(VirtioDevice *device, const Patience *patience, GError **error)
{
    g_atomic_int_set(&device->quiesced, TRUE);
    if (await_lock(device, patience, error) && settle(device, patience, error))
        return TRUE;
    virtio_device_unquiesce(device);
    return FALSE;
}

void
virtio_device_unquiesce(VirtioDevice *device)
{
    g_atomic_int_set(&device->quiesced, FALSE);
    virtio_device_kick(device);
}
