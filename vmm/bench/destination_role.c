/* SPDX-License-Identifier: MIT */
/* The destination: takes the guest, holds it until its RAM has been compared, and then sees that it goes on where it was. */
#include <migration/destination.h>

#include "bench/migration_roles.h"

#define GO_ON_LIMIT_US (INT64_C(60) * G_USEC_PER_SEC)
#define GO_ON_PASSES 3 /* that an idle vCPU makes once it is told to stop idling */
#define WRITES_LOOKED_AT 256

typedef struct {
    const RolePlan *plan;
    int control;
    Stage *stage;
    MigrationDestination *destination;
} DestinationRole;

static gboolean
set_up(DestinationRole *role, GError **error)
{
    const MigrationDestinationConfig config = {.uri = role->plan->uri, .tls_creds = role->plan->tls_creds, .hold = TRUE};

    role->stage = role_stage(role->plan, TRUE, error);
    if (!role->stage)
        return FALSE;
    doorbell_open(role->stage->doorbell);
    role->destination = migration_destination_new(role->stage->board, &config, error);
    if (!role->destination)
        return FALSE;
    const char *uri = migration_destination_uri(role->destination);
    return control_send(role->control, MESSAGE_READY, uri, strlen(uri), error);
}

static gboolean
report(DestinationRole *role, GError **error)
{
    g_auto(MigrationInfo) info = {0};

    while (!migration_destination_wait(role->destination, 50)) {
        if (control_poll(role->control, 0))
            return FALSE; /* nobody wants to know any more */
    }
    migration_destination_query(role->destination, &info);
    DestinationReport out = {.status = info.status};
    if (info.error)
        g_strlcpy(out.reason, info.error, sizeof out.reason);
    return control_send(role->control, MESSAGE_REPORT, &out, sizeof out, error);
}

/* --- going on --- */

static guint64
progress_of(const DestinationRole *role, guint vcpu)
{
    const volatile struct abi_vcpu *progress = stage_progress(role->stage, vcpu);

    return role->plan->migration->load == LOAD_IDLE ? progress->passes : progress->position;
}

static gboolean
wait_for_progress(DestinationRole *role, guint vcpu, guint64 before, GError **error)
{
    gint64 start = g_get_monotonic_time();

    while (progress_of(role, vcpu) < before + GO_ON_PASSES) {
        if (!stage_check_alive(role->stage, error))
            return FALSE;
        if (g_get_monotonic_time() - start > GO_ON_LIMIT_US) {
            g_set_error(error, ROLE_ERROR, ROLE_ERROR_FAILED, "vCPU %u does not go on here", vcpu);
            return FALSE;
        }
        g_usleep(500);
    }
    return TRUE;
}

/* The last writes, here and before the migration, have left their values. */
static gboolean
check_words(DestinationRole *role, GError **error)
{
    Stage *stage = role->stage;

    if (!machine_pause(stage->machine, error))
        return FALSE;
    stage_read_positions(stage);
    guint64 wrong = write_list_wrong_words(stage->list, stage->positions, WRITES_LOOKED_AT);
    machine_resume(stage->machine);
    if (!wrong)
        return TRUE;
    g_set_error(error, ROLE_ERROR, ROLE_ERROR_FAILED, "%" G_GUINT64_FORMAT " of the guest's last writes are not in its RAM",
                wrong);
    return FALSE;
}

static gboolean
go_on(DestinationRole *role, GError **error)
{
    const guint64 stop = 1;
    guint n_vcpus = role->plan->migration->vcpus;
    g_autofree guint64 *before = g_new(guint64, n_vcpus);

    if (!migration_destination_is_paused(role->destination)) {
        g_set_error_literal(error, ROLE_ERROR, ROLE_ERROR_FAILED, "the guest was not held");
        return FALSE;
    }
    for (guint vcpu = 0; vcpu < n_vcpus; vcpu++)
        before[vcpu] = progress_of(role, vcpu);
    if (role->plan->migration->load == LOAD_IDLE)
        guest_ram_store(board_ram(role->stage->board), ABI_MAILBOX_GPA + offsetof(struct abi_mailbox, stop), &stop, sizeof stop);
    machine_resume(role->stage->machine);
    for (guint vcpu = 0; vcpu < n_vcpus; vcpu++) {
        if (!wait_for_progress(role, vcpu, before[vcpu], error))
            return FALSE;
    }
    return check_words(role, error) && control_send(role->control, MESSAGE_GO_ON, NULL, 0, error);
}

static gboolean
answer(DestinationRole *role, GError **error)
{
    guint32 type = 0;
    g_autoptr(GByteArray) message = control_receive(role->control, &type, error);

    if (!message)
        return FALSE;
    if (type == MESSAGE_GO_ON)
        return go_on(role, error);
    return role_answer_digests(role->control, role->stage, type, message, error);
}

gboolean
destination_role(int control, gpointer user, GError **error)
{
    DestinationRole role = {.plan = user, .control = control};
    gboolean ready = set_up(&role, error) && report(&role, error);

    while (ready && answer(&role, error)) {}
    g_clear_pointer(&role.destination, migration_destination_free);
    g_clear_pointer(&role.stage, stage_free);
    return !error || !*error;
}
