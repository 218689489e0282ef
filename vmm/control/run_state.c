/* SPDX-License-Identifier: MIT */
/*
 * Two locks: `changing` is held through a change, and a pause may take as long as its time limit; `lock` guards the status alone,
 * so that it can be asked, and the machine's end be noted, meanwhile.
 */
#include "control/run_state.h"

#include "control/qmp.h"

struct RunState {
    Machine *machine;
    RunStateChanged changed;
    gpointer user;
    GMutex changing;
    GMutex lock;
    RunStatus status;
    RunStatus before_finish; /* guarded by `changing` */
};

const char *
run_status_name(RunStatus status)
{
    static const char *const names[] = {
        [RUN_RUNNING] = "running",
        [RUN_PAUSED] = "paused",
        [RUN_INMIGRATE] = "inmigrate",
        [RUN_FINISH_MIGRATE] = "finish-migrate",
        [RUN_POSTMIGRATE] = "postmigrate",
        [RUN_SHUTDOWN] = "shutdown",
        [RUN_INTERNAL_ERROR] = "internal-error",
    };

    return names[status];
}

RunState *
run_state_new(Machine *machine, RunStateChanged changed, gpointer user)
{
    RunState *state = g_new0(RunState, 1);

    state->machine = machine;
    state->changed = changed;
    state->user = user;
    state->status = RUN_RUNNING;
    g_mutex_init(&state->changing);
    g_mutex_init(&state->lock);
    return state;
}

void
run_state_free(RunState *state)
{
    if (!state)
        return;
    g_mutex_clear(&state->changing);
    g_mutex_clear(&state->lock);
    g_free(state);
}

RunStatus
run_state_get(RunState *state)
{
    g_mutex_lock(&state->lock);
    RunStatus status = state->status;
    g_mutex_unlock(&state->lock);
    return status;
}

static gboolean
is_final(RunStatus status)
{
    return status == RUN_SHUTDOWN || status == RUN_INTERNAL_ERROR;
}

/* What the machine's own end has decided stays. */
static void
set_status(RunState *state, RunStatus status)
{
    g_mutex_lock(&state->lock);
    RunStatus from = state->status;
    gboolean change = from != status && !is_final(from);
    if (change)
        state->status = status;
    g_mutex_unlock(&state->lock);
    if (change)
        state->changed(state->user, from, status);
}

gboolean
run_state_stop(RunState *state, GError **error)
{
    gboolean ok = TRUE;

    g_mutex_lock(&state->changing);
    if (run_state_get(state) == RUN_RUNNING) {
        ok = machine_pause(state->machine, error);
        if (ok)
            set_status(state, RUN_PAUSED);
    }
    g_mutex_unlock(&state->changing);
    return ok;
}

gboolean
run_state_cont(RunState *state, GError **error)
{
    gboolean ok = TRUE;

    g_mutex_lock(&state->changing);
    RunStatus status = run_state_get(state);
    if (status == RUN_PAUSED) {
        machine_resume(state->machine);
        set_status(state, RUN_RUNNING);
    } else if (status != RUN_RUNNING) {
        g_set_error(error, QMP_ERROR, QMP_ERROR_GENERIC, "the guest cannot go on here: its run state is %s",
                    run_status_name(status));
        ok = FALSE;
    }
    g_mutex_unlock(&state->changing);
    return ok;
}

/* --- migration --- */

gboolean
run_state_begin_finish(RunState *state)
{
    g_mutex_lock(&state->changing);
    RunStatus status = run_state_get(state);
    if (status == RUN_RUNNING || status == RUN_PAUSED) {
        state->before_finish = status;
        set_status(state, RUN_FINISH_MIGRATE);
    }
    gboolean ran = state->before_finish == RUN_RUNNING;
    g_mutex_unlock(&state->changing);
    return ran;
}

void
run_state_end_finish(RunState *state, gboolean gone)
{
    g_mutex_lock(&state->changing);
    if (run_state_get(state) == RUN_FINISH_MIGRATE)
        set_status(state, gone ? RUN_POSTMIGRATE : state->before_finish);
    g_mutex_unlock(&state->changing);
}

void
run_state_await(RunState *state)
{
    set_status(state, RUN_INMIGRATE);
}

void
run_state_arrived(RunState *state, gboolean running)
{
    g_mutex_lock(&state->changing);
    set_status(state, running ? RUN_RUNNING : RUN_PAUSED);
    g_mutex_unlock(&state->changing);
}

void
run_state_machine_ended(RunState *state)
{
    set_status(state, machine_state(state->machine) == MACHINE_CRASHED ? RUN_INTERNAL_ERROR : RUN_SHUTDOWN);
}
