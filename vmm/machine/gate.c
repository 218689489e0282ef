/* SPDX-License-Identifier: MIT */
#include <machine/error.h>
#include <machine/private.h>

struct MachineGate {
    Machine *machine;
    GMutex lock;
    GCond changed;
    guint inside;
    gint started; /* atomic */
    gboolean shut;
    gboolean ending;
};

static gboolean
gate_pause(gpointer user, GError **error)
{
    MachineGate *gate = user;
    gint64 deadline = g_get_monotonic_time() + gate->machine->pause_timeout_us;
    gboolean in_time = TRUE;

    g_mutex_lock(&gate->lock);
    gate->shut = TRUE;
    while (gate->inside && in_time)
        in_time = g_cond_wait_until(&gate->changed, &gate->lock, deadline);
    if (gate->inside) {
        gate->shut = FALSE;
        g_cond_broadcast(&gate->changed);
        g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_FAILED,
                    "cannot pause: a host-side writer did not leave guest RAM in time");
        g_mutex_unlock(&gate->lock);
        return FALSE;
    }
    g_mutex_unlock(&gate->lock);
    return TRUE;
}

static void
gate_resume(gpointer user)
{
    MachineGate *gate = user;

    g_mutex_lock(&gate->lock);
    gate->shut = FALSE;
    g_cond_broadcast(&gate->changed);
    g_mutex_unlock(&gate->lock);
}

static void
gate_end(gpointer user)
{
    MachineGate *gate = user;

    g_mutex_lock(&gate->lock);
    gate->ending = TRUE;
    g_cond_broadcast(&gate->changed);
    g_mutex_unlock(&gate->lock);
}

MachineGate *
machine_gate_new(Machine *machine)
{
    MachineGate *gate = g_new0(MachineGate, 1);

    gate->machine = machine;
    g_mutex_init(&gate->lock);
    g_cond_init(&gate->changed);
    g_ptr_array_add(machine->gates, gate);
    machine_add_pausable(machine, gate_pause, gate_resume, gate);
    machine_add_stop_hook(machine, gate_end, gate);
    return gate;
}

void
machine_gate_destroy(gpointer user)
{
    MachineGate *gate = user;

    g_mutex_clear(&gate->lock);
    g_cond_clear(&gate->changed);
    g_free(gate);
}

/* Nobody stores into the RAM of a machine that does not run yet: its content may be on the way. */
static void
await_start(Machine *machine)
{
    g_mutex_lock(&machine->lock);
    while (machine->state == MACHINE_CREATED && !machine->ending)
        g_cond_wait(&machine->changed, &machine->lock);
    g_mutex_unlock(&machine->lock);
}

gboolean
machine_gate_enter(MachineGate *gate)
{
    if (!g_atomic_int_get(&gate->started)) {
        await_start(gate->machine);
        g_atomic_int_set(&gate->started, TRUE);
    }
    g_mutex_lock(&gate->lock);
    while (gate->shut && !gate->ending)
        g_cond_wait(&gate->changed, &gate->lock);
    gboolean entered = !gate->ending;
    if (entered)
        gate->inside++;
    g_mutex_unlock(&gate->lock);
    return entered;
}

gboolean
machine_gate_try_enter(MachineGate *gate)
{
    if (!g_atomic_int_get(&gate->started))
        return FALSE;
    g_mutex_lock(&gate->lock);
    gboolean entered = !gate->shut && !gate->ending;
    if (entered)
        gate->inside++;
    g_mutex_unlock(&gate->lock);
    return entered;
}

void
machine_gate_leave(MachineGate *gate)
{
    g_mutex_lock(&gate->lock);
    g_assert(gate->inside);
    if (--gate->inside == 0)
        g_cond_broadcast(&gate->changed);
    g_mutex_unlock(&gate->lock);
}
