/* SPDX-License-Identifier: MIT */
/* Start, pause, resume, kick, crash, shut down, stop: the owner's side. The vCPU's side is run.c; the rules stand in machine.h. */
#include <machine/error.h>
#include <machine/private.h>

gboolean
machine_start(Machine *machine, GError **error)
{
    g_mutex_lock(&machine->lock);
    gboolean fresh = machine->state == MACHINE_CREATED && !machine->ending;
    if (fresh) {
        machine->state = MACHINE_STARTED;
        g_cond_broadcast(&machine->changed);
    }
    g_mutex_unlock(&machine->lock);
    if (!fresh)
        g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_INVALID, "this machine has been started before");
    return fresh;
}

/* With the lock held. */
static void
request_all_exits(Machine *machine)
{
    for (guint i = 0; i < machine->n_vcpus; i++)
        vcpu_request_exit(&machine->vcpus[i]);
}

/* With the lock held; NULL: all stand. */
static Vcpu *
find_running(Machine *machine)
{
    for (guint i = 0; i < machine->n_vcpus; i++) {
        if (machine->vcpus[i].state != VCPU_STANDING)
            return &machine->vcpus[i];
    }
    return NULL;
}

static gboolean
pause_vcpus(Machine *machine, GError **error)
{
    gint64 deadline = g_get_monotonic_time() + machine->pause_timeout_us;
    gboolean in_time = TRUE;
    Vcpu *running;

    g_mutex_lock(&machine->lock);
    machine->pauses++;
    request_all_exits(machine);
    while ((running = find_running(machine)) && in_time)
        in_time = g_cond_wait_until(&machine->changed, &machine->lock, deadline);
    if (running) {
        g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_FAILED, "cannot pause: vCPU %u is still %s after %" G_GINT64_FORMAT " ms",
                    running->index,
                    running->state == VCPU_IN_GUEST ? "in the guest, or blocked in a page fault" : "having an exit handled",
                    machine->pause_timeout_us / 1000);
        machine->pauses--;
        g_cond_broadcast(&machine->changed);
    }
    g_mutex_unlock(&machine->lock);
    return !running;
}

static void
resume_vcpus(Machine *machine)
{
    g_mutex_lock(&machine->lock);
    g_assert(machine->pauses);
    machine->pauses--;
    g_cond_broadcast(&machine->changed);
    g_mutex_unlock(&machine->lock);
}

static void
resume_pausables(Machine *machine, guint n)
{
    while (n--) {
        Pausable *pausable = &g_array_index(machine->pausables, Pausable, n);
        pausable->resume(pausable->user);
    }
}

static gboolean
pause_pausables(Machine *machine, GError **error)
{
    for (guint i = 0; i < machine->pausables->len; i++) {
        Pausable *pausable = &g_array_index(machine->pausables, Pausable, i);
        if (!pausable->pause(pausable->user, error)) {
            resume_pausables(machine, i);
            return FALSE;
        }
    }
    return TRUE;
}

gboolean
machine_pause(Machine *machine, GError **error)
{
    /* Changes only under pause_lock, so it may be read with that alone. */
    g_mutex_lock(&machine->pause_lock);
    gboolean outermost = !machine->pauses;
    gboolean paused = pause_vcpus(machine, error);
    if (paused && outermost && !pause_pausables(machine, error)) {
        resume_vcpus(machine);
        paused = FALSE;
    }
    g_mutex_unlock(&machine->pause_lock);
    return paused;
}

void
machine_resume(Machine *machine)
{
    g_mutex_lock(&machine->pause_lock);
    if (machine->pauses == 1)
        resume_pausables(machine, machine->pausables->len);
    resume_vcpus(machine);
    g_mutex_unlock(&machine->pause_lock);
}

/* With the lock held: who is outside has left already, and may be inside again, unasked, before the others have. */
static guint64
begin_kick(Machine *machine)
{
    guint64 generation = ++machine->kick_generation;

    for (guint i = 0; i < machine->n_vcpus; i++) {
        if (machine->vcpus[i].state != VCPU_IN_GUEST)
            machine->vcpus[i].left_generation = generation;
    }
    request_all_exits(machine);
    return generation;
}

/* With the lock held. */
static gboolean
all_left_since(const Machine *machine, guint64 generation)
{
    for (guint i = 0; i < machine->n_vcpus; i++) {
        if (machine->vcpus[i].left_generation < generation)
            return FALSE;
    }
    return TRUE;
}

void
machine_kick(Machine *machine)
{
    g_mutex_lock(&machine->lock);
    guint64 generation = begin_kick(machine);
    while (!all_left_since(machine, generation))
        g_cond_wait(&machine->changed, &machine->lock);
    g_mutex_unlock(&machine->lock);
}

/* The hooks run once, without a lock; the first caller runs them. */
static void
run_stop_hooks(Machine *machine)
{
    g_mutex_lock(&machine->lock);
    gboolean mine = !machine->hooks_thread;
    if (mine)
        machine->hooks_thread = g_thread_self();
    g_mutex_unlock(&machine->lock);
    if (!mine)
        return;
    for (guint i = 0; i < machine->stop_hooks->len; i++) {
        StopHook *hook = &g_array_index(machine->stop_hooks, StopHook, i);
        hook->hook(hook->user);
    }
    g_mutex_lock(&machine->lock);
    machine->hooks_done = TRUE;
    g_cond_broadcast(&machine->changed);
    g_mutex_unlock(&machine->lock);
}

/* What the hooks know may be freed once a machine has been stopped. A hook that stops the machine itself does not wait for its own end. */
static void
await_stop_hooks(Machine *machine)
{
    g_mutex_lock(&machine->lock);
    while (!machine->hooks_done && machine->hooks_thread != g_thread_self())
        g_cond_wait(&machine->changed, &machine->lock);
    g_mutex_unlock(&machine->lock);
}

/* With the lock held. */
static void
end(Machine *machine, MachineState state)
{
    if (machine->state != MACHINE_CRASHED && machine->state != MACHINE_SHUT_DOWN)
        machine->state = state;
    machine->ending = TRUE;
    request_all_exits(machine);
    g_cond_broadcast(&machine->changed);
}

void
machine_crash(Machine *machine, const char *format, ...)
{
    va_list arguments;

    g_mutex_lock(&machine->lock);
    gboolean first = !machine->ending;
    if (first) {
        va_start(arguments, format);
        machine->crash_reason = g_strdup_vprintf(format, arguments);
        va_end(arguments);
        end(machine, MACHINE_CRASHED);
    }
    g_mutex_unlock(&machine->lock);
    if (first)
        run_stop_hooks(machine);
}

void
machine_shut_down(Machine *machine, MachineEnd how)
{
    g_mutex_lock(&machine->lock);
    gboolean first = !machine->ending;
    if (first) {
        machine->end = how;
        end(machine, MACHINE_SHUT_DOWN);
    }
    g_mutex_unlock(&machine->lock);
    if (first)
        run_stop_hooks(machine);
}

void
machine_stop(Machine *machine)
{
    g_mutex_lock(&machine->lock);
    end(machine, MACHINE_STOPPED);
    g_mutex_unlock(&machine->lock);
    run_stop_hooks(machine);
    await_stop_hooks(machine);
    g_mutex_lock(&machine->stop_lock);
    for (guint i = 0; i < machine->n_vcpus; i++)
        g_clear_pointer(&machine->vcpus[i].thread, g_thread_join);
    g_mutex_unlock(&machine->stop_lock);
}

MachineState
machine_state(Machine *machine)
{
    g_mutex_lock(&machine->lock);
    MachineState state = machine->state;
    g_mutex_unlock(&machine->lock);
    return state;
}

const char *
machine_crash_reason(Machine *machine)
{
    g_mutex_lock(&machine->lock);
    const char *reason = machine->crash_reason;
    g_mutex_unlock(&machine->lock);
    return reason;
}

MachineEnd
machine_end(Machine *machine)
{
    g_mutex_lock(&machine->lock);
    MachineEnd how = machine->end;
    g_mutex_unlock(&machine->lock);
    return how;
}

gboolean
machine_wait(Machine *machine, gint64 timeout_ms)
{
    gint64 deadline = g_get_monotonic_time() + timeout_ms * 1000;
    gboolean in_time = TRUE;

    g_mutex_lock(&machine->lock);
    while (!machine->ending && in_time) {
        if (timeout_ms < 0)
            g_cond_wait(&machine->changed, &machine->lock);
        else
            in_time = g_cond_wait_until(&machine->changed, &machine->lock, deadline);
    }
    gboolean ended = machine->ending;
    g_mutex_unlock(&machine->lock);
    return ended;
}
