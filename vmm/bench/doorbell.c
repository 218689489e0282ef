/* SPDX-License-Identifier: MIT */
/*
 * The doorbell. A held vCPU is parked: it counts as standing, so that a pause need not wait for it. It parks before it is counted as
 * ready, hence whoever sees all of them ready sees all of them stand.
 */
#include "bench/doorbell.h"

#include "guest-tests/abi.h"
#include "machine/vcpu.h"

struct Doorbell {
    Machine *machine;
    GMutex lock;
    GCond changed;
    guint n_vcpus;
    guint64 released; /* passes that may have begun */
    guint64 *rung;    /* a vCPU each: how often it asked */
    gboolean stopping;
};

static void
hold(Doorbell *doorbell, guint vcpu)
{
    vcpu_park(doorbell->machine, vcpu);
    g_mutex_lock(&doorbell->lock);
    doorbell->rung[vcpu]++;
    while (doorbell->rung[vcpu] > doorbell->released && !doorbell->stopping)
        g_cond_wait(&doorbell->changed, &doorbell->lock);
    g_mutex_unlock(&doorbell->lock);
    vcpu_unpark(doorbell->machine, vcpu);
}

static void
ring(gpointer user, guint vcpu, guint64 offset, guint size, guint64 value)
{
    Doorbell *doorbell = user;

    if (offset != 0 || size != 4)
        return;
    if (value == ABI_DOORBELL_READY) {
        hold(doorbell, vcpu);
    } else if (value == ABI_DOORBELL_PANIC) {
        struct abi_mailbox mailbox = {0};

        guest_ram_load(machine_ram(doorbell->machine), ABI_MAILBOX_GPA, &mailbox, sizeof mailbox);
        machine_crash(doorbell->machine,
                      "the embedded guest gave up: error %" G_GUINT64_FORMAT " at rip 0x%" G_GINT64_MODIFIER "x", mailbox.error,
                      mailbox.error_rip);
    }
}

static void
stop(gpointer user)
{
    Doorbell *doorbell = user;

    g_mutex_lock(&doorbell->lock);
    doorbell->stopping = TRUE;
    g_cond_broadcast(&doorbell->changed);
    g_mutex_unlock(&doorbell->lock);
}

Doorbell *
doorbell_new(Machine *machine, GError **error)
{
    Doorbell *doorbell = g_new0(Doorbell, 1);
    const BusHandler handler = {.write = ring};

    doorbell->machine = machine;
    doorbell->n_vcpus = machine_n_vcpus(machine);
    doorbell->rung = g_new0(guint64, doorbell->n_vcpus);
    g_mutex_init(&doorbell->lock);
    g_cond_init(&doorbell->changed);
    if (!bus_register(machine_bus(machine), BUS_PIO, ABI_DOORBELL_PORT, 4, "doorbell", &handler, doorbell, error)) {
        doorbell_free(doorbell);
        return NULL;
    }
    machine_add_stop_hook(machine, stop, doorbell);
    return doorbell;
}

void
doorbell_free(Doorbell *doorbell)
{
    g_mutex_clear(&doorbell->lock);
    g_cond_clear(&doorbell->changed);
    g_free(doorbell->rung);
    g_free(doorbell);
}

static void
release_to(Doorbell *doorbell, gboolean all)
{
    g_mutex_lock(&doorbell->lock);
    doorbell->released = all ? G_MAXUINT64 : doorbell->released + 1;
    g_cond_broadcast(&doorbell->changed);
    g_mutex_unlock(&doorbell->lock);
}

void
doorbell_release(Doorbell *doorbell)
{
    release_to(doorbell, FALSE);
}

void
doorbell_open(Doorbell *doorbell)
{
    release_to(doorbell, TRUE);
}

gboolean
doorbell_all_ready(Doorbell *doorbell)
{
    gboolean ready = TRUE;

    g_mutex_lock(&doorbell->lock);
    for (guint vcpu = 0; vcpu < doorbell->n_vcpus; vcpu++)
        ready = ready && doorbell->rung[vcpu] > doorbell->released;
    g_mutex_unlock(&doorbell->lock);
    return ready;
}
