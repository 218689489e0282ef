/* SPDX-License-Identifier: MIT */
/*
 * Interrupts go by KVM_IRQ_LINE and not by irqfd: for an I/O APIC pin an irqfd hands the edge to a kernel worker, and state that is
 * saved in between has lost it. Here it is in KVM before the worker leaves the gate.
 *
 * System calls: eventfd2, read, write, close; machine/interrupts.h's.
 */
#include <devices/virtio_worker.h>
#include <errno.h>
#include <linux/virtio_mmio.h>
#include <machine/error.h>
#include <machine/gate.h>
#include <machine/interrupts.h>
#include <machine/platform.h>
#include <machine/section.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct VirtioWorker {
    Machine *machine;
    MachineGate *gate;
    VirtioMmio *mmio;
    VirtioDevice *device;
    guint slot;
    int doorbell;
    GThread *thread;
    gint stopping; /* atomic */
    gint loaded;   /* atomic: its state came from elsewhere: an interrupt may have been lost on the way */
    char *name;
    SectionClass section;
};

/* --- the thread --- */

static void
raise_interrupt(gpointer user)
{
    VirtioWorker *worker = user;

    machine_set_interrupt(worker->machine, PLATFORM_VIRTIO_GSI + worker->slot, TRUE);
    machine_set_interrupt(worker->machine, PLATFORM_VIRTIO_GSI + worker->slot, FALSE);
}

static void
ring_doorbell(gpointer user)
{
    VirtioWorker *worker = user;
    guint64 one = 1;

    if (write(worker->doorbell, &one, sizeof one) < 0)
        g_warning("a doorbell cannot be rung: %s", g_strerror(errno));
}

static void
await_doorbell(VirtioWorker *worker)
{
    guint64 count;

    while (read(worker->doorbell, &count, sizeof count) < 0 && errno == EINTR)
        ;
}

static gpointer
work(gpointer user)
{
    VirtioWorker *worker = user;
    gboolean more = FALSE;

    for (;;) {
        if (!more)
            await_doorbell(worker);
        if (g_atomic_int_get(&worker->stopping) || !machine_gate_enter(worker->gate))
            return NULL;
        if (g_atomic_int_compare_and_exchange(&worker->loaded, TRUE, FALSE) &&
            __atomic_load_n(&worker->device->interrupt_status, __ATOMIC_SEQ_CST))
            raise_interrupt(worker);
        more = virtio_device_process(worker->device);
        machine_gate_leave(worker->gate);
        if (worker->device->class->after && worker->device->class->after(worker->device))
            more = TRUE;
    }
}

static gboolean
enter_gate(gpointer user)
{
    return machine_gate_try_enter(((VirtioWorker *)user)->gate);
}

static void
leave_gate(gpointer user)
{
    machine_gate_leave(((VirtioWorker *)user)->gate);
}

static void
stop(gpointer user)
{
    VirtioWorker *worker = user;

    g_atomic_int_set(&worker->stopping, TRUE);
    ring_doorbell(worker);
}

/* --- saved state --- */

static gboolean
save(gpointer user, GByteArray *out, GError **error G_GNUC_UNUSED)
{
    VirtioWorker *worker = user;

    virtio_mmio_save(worker->mmio, worker->slot, out);
    return TRUE;
}

static gboolean
load(gpointer user, guint32 version G_GNUC_UNUSED, const guint8 *bytes, gsize size, GError **error)
{
    VirtioWorker *worker = user;

    if (!virtio_mmio_load(worker->mmio, worker->slot, bytes, size, error))
        return FALSE;
    g_atomic_int_set(&worker->loaded, TRUE);
    ring_doorbell(worker);
    return TRUE;
}

static gboolean
quiesce(gpointer user, const Patience *patience, GError **error)
{
    return virtio_device_quiesce(((VirtioWorker *)user)->device, patience, error);
}

static void
unquiesce(gpointer user)
{
    virtio_device_unquiesce(((VirtioWorker *)user)->device);
}

/* --- making one --- */

/* Without ioeventfds the store comes by the bus, which kicks as well. */
static void
bind_doorbells(VirtioWorker *worker)
{
    guint64 gpa = PLATFORM_VIRTIO_BASE + worker->slot * PLATFORM_VIRTIO_STRIDE + VIRTIO_MMIO_QUEUE_NOTIFY;
    g_autoptr(GError) error = NULL;

    for (guint i = 0; i < worker->device->class->n_queues && !error; i++)
        machine_bind_doorbell(worker->machine, gpa, 4, i, worker->doorbell, &error);
    if (error)
        g_info("%s: no doorbell of its own: %s", worker->name, error->message);
}

static void
add_section(VirtioWorker *worker)
{
    worker->section = (SectionClass){.name = worker->name,
                                     .version = 1,
                                     .max_bytes = VIRTIO_MMIO_SAVED_BYTES + virtio_device_saved_bytes(worker->device),
                                     .save = save,
                                     .load = load,
                                     .quiesce = quiesce,
                                     .unquiesce = unquiesce};
    machine_add_section(worker->machine, &worker->section, worker);
}

VirtioWorker *
virtio_worker_new(Machine *machine, VirtioMmio *mmio, guint slot, GError **error)
{
    int doorbell = eventfd(0, EFD_CLOEXEC);

    if (doorbell < 0) {
        machine_set_errno_error(error, "eventfd");
        return NULL;
    }
    VirtioWorker *worker = g_new0(VirtioWorker, 1);
    worker->machine = machine;
    worker->mmio = mmio;
    worker->slot = slot;
    worker->device = virtio_mmio_device(mmio, slot);
    worker->doorbell = doorbell;
    worker->name = g_strdup_printf("virtio-%u", slot);
    worker->gate = machine_gate_new(machine);
    worker->device->user = worker;
    worker->device->raise = raise_interrupt;
    worker->device->kick = ring_doorbell;
    worker->device->enter = enter_gate;
    worker->device->leave = leave_gate;
    worker->thread = g_thread_try_new(worker->name, work, worker, error);
    if (!worker->thread) {
        virtio_worker_free(worker);
        return NULL;
    }
    machine_add_stop_hook(machine, stop, worker);
    bind_doorbells(worker);
    add_section(worker);
    return worker;
}

void
virtio_worker_free(VirtioWorker *worker)
{
    if (!worker)
        return;
    stop(worker);
    g_clear_pointer(&worker->thread, g_thread_join);
    worker->device->raise = worker->device->kick = worker->device->leave = NULL;
    worker->device->enter = NULL;
    close(worker->doorbell);
    g_free(worker->name);
    g_free(worker);
}
