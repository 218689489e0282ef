/* SPDX-License-Identifier: MIT */
/*
 * Whether the guest runs, and why not: the run states of query-status, and the one pause of the machine that a client's `stop`
 * stands for. Any thread may ask and change; changes exclude each other.
 */
#pragma once

#include <machine/machine.h>

/** RunStatus: QEMU's names are run_status_name()'s. */
typedef enum {
    RUN_RUNNING,
    RUN_PAUSED,
    RUN_INMIGRATE,
    RUN_FINISH_MIGRATE,
    RUN_POSTMIGRATE,
    RUN_SHUTDOWN,
    RUN_INTERNAL_ERROR,
} RunStatus;
const char *run_status_name(RunStatus status);

typedef struct RunState RunState;

/** Called after each change, in the order of the changes, with no lock that run_state_get() takes. */
typedef void (*RunStateChanged)(gpointer user, RunStatus from, RunStatus to);

RunState *run_state_new(Machine *machine, RunStateChanged changed, gpointer user);
void run_state_free(RunState *state);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(RunState, run_state_free)

/** run_state_get: never waits for a change that is under way. */
RunStatus run_state_get(RunState *state);

/** run_state_stop: the guest stands when it returns; nothing to do when it stood already. Errors: those of machine_pause(). */
gboolean run_state_stop(RunState *state, GError **error);
/** run_state_cont: undoes run_state_stop(). Errors: QMP_ERROR_GENERIC where the guest is not to run again. */
gboolean run_state_cont(RunState *state, GError **error);

/* --- migration --- */

/** run_state_begin_finish: a migration has stopped the guest for the last time. Whether it ran until then; may be asked again. */
gboolean run_state_begin_finish(RunState *state);
/** run_state_end_finish: the guest is gone; or it is here as it was before run_state_begin_finish(), if that was called. */
void run_state_end_finish(RunState *state, gboolean gone);
/** run_state_await: the guest is to come from elsewhere. */
void run_state_await(RunState *state);
/** run_state_arrived: it runs, or stands because of one machine_pause(). */
void run_state_arrived(RunState *state, gboolean running);

/** run_state_machine_ended: the machine crashed, shut down or was stopped. Never waits. */
void run_state_machine_ended(RunState *state);
