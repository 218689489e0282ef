/* SPDX-License-Identifier: MIT */
/* The source: the guest writes before the migration begins, through all of it, and is judged when it is over. */
#include <migration/source.h>

#include "bench/migration_roles.h"
#include "bench/stall.h"

#define WARM_UP_US 100000
#define DEFAULT_LIMIT_MS 60000
#define LOOK_MS 20
#define GRACE_US (INT64_C(30) * G_USEC_PER_SEC) /* for a cancel to take effect */

typedef struct {
    const RolePlan *plan;
    int control;
    Stage *stage;
    PassJudge *judge;
    MigrationSource *source;
    struct abi_histogram stalls_before;
    guint64 stood_at; /* the sum of positions when the migration was over */
} SourceRole;

/* --- events, on the migration's thread --- */

static void
on_reported(gpointer user, const MigrationPass *pass, const DlBitmap *pages)
{
    pass_judge_ended(((SourceRole *)user)->judge, pass->tracker, pages, pass->final);
}

/* --- before --- */

/* Every vCPU is in its stride before anything is measured. */
static gboolean
warm_up(Stage *stage, GError **error)
{
    doorbell_open(stage->doorbell);
    g_usleep(WARM_UP_US);
    for (guint vcpu = 0; vcpu < stage->config.vcpus && stage->workload.pages; vcpu++) {
        while (!stage_progress(stage, vcpu)->position) {
            if (!stage_check_alive(stage, error))
                return FALSE;
            g_usleep(1000);
        }
    }
    return TRUE;
}

static gboolean
begin_stalls(SourceRole *role, GError **error)
{
    GuestRam *ram = board_ram(role->stage->board);

    if (!machine_pause(role->stage->machine, error))
        return FALSE;
    stall_read(ram, role->stage->config.vcpus, &role->stalls_before);
    stall_clear_max(ram, role->stage->config.vcpus);
    machine_resume(role->stage->machine);
    return TRUE;
}

static gboolean
set_up(SourceRole *role, GError **error)
{
    role->stage = role_stage(role->plan, FALSE, error);
    if (!role->stage || !stage_boot(role->stage, error) || !warm_up(role->stage, error))
        return FALSE;
    role->judge = pass_judge_new(role->stage, role->plan->migration->with_replica, error);
    return role->judge != NULL;
}

/* --- the migration --- */

static gboolean
start(SourceRole *role, const char *uri, GError **error)
{
    const MigrationCase *migration = role->plan->migration;
    MigrationSourceConfig config = {
        .uri = uri,
        .tls_creds = role->plan->tls_creds,
        .tracker = migration->facts->name,
        .moves = migration->moves,
        .n_moves = migration->n_moves,
        .events = {.reported = on_reported, .user = role},
    };

    migration_parameters_init(&config.parameters);
    config.parameters.max_bandwidth = migration->bandwidth;
    config.parameters.downtime_limit_ms = migration->downtime_limit_ms;
    config.parameters.auto_converge = migration->auto_converge;
    if (!begin_stalls(role, error))
        return FALSE;
    pass_judge_begin(role->judge);
    role->source = migration_source_new(role->stage->board, &config, error);
    return role->source != NULL;
}

/* Until it is over, of itself or because the parent is gone or the time is up. Returns whether it was the time. */
static gboolean
wait_for_end(SourceRole *role, GError **error)
{
    guint limit_ms = role->plan->migration->limit_ms ? role->plan->migration->limit_ms : DEFAULT_LIMIT_MS;
    gint64 deadline = g_get_monotonic_time() + limit_ms * INT64_C(1000);
    gboolean cancelled = FALSE;

    while (!migration_source_wait(role->source, LOOK_MS)) {
        gint64 now = g_get_monotonic_time();

        if (!cancelled && (now > deadline || control_poll(role->control, 0)))
            cancelled = migration_source_cancel(role->source);
        if (now > deadline + GRACE_US) {
            g_set_error(error, ROLE_ERROR, ROLE_ERROR_FAILED, "the migration has not ended %u s after its cancel",
                        (guint)(GRACE_US / G_USEC_PER_SEC));
            return FALSE;
        }
    }
    return TRUE;
}

static guint32
tracker_index(const char *name)
{
    for (guint i = 0; i < dl_n_trackers(); i++) {
        if (g_strcmp0(name, dl_tracker_facts(i)->name) == 0)
            return i;
    }
    return 0;
}

static void
add_iterations(SourceRole *role, const MigrationInfo *info, GByteArray *out)
{
    g_autoptr(GArray) verdicts = role->plan->migration->with_write_list ? pass_judge_finish(role->judge) : NULL;

    for (guint i = 0; info->passes && i < info->passes->len; i++) {
        const MigrationPass *pass = &g_array_index(info->passes, MigrationPass, i);
        IterationReport report = {.harvest_ns = pass->harvest_ns,
                                  .send_ns = pass->send_ns,
                                  .host_cpu_ns = pass->host_cpu_ns,
                                  .sent_pages = pass->normal_pages + pass->zero_pages,
                                  .tracker = tracker_index(pass->tracker)};

        if (verdicts && i < verdicts->len)
            report.verdict = g_array_index(verdicts, PassVerdict, i);
        g_byte_array_append(out, (const guint8 *)&report, sizeof report);
    }
}

static guint
worst_throttle(const MigrationInfo *info)
{
    guint worst = info->throttle_percent;

    for (guint i = 0; info->passes && i < info->passes->len; i++)
        worst = MAX(worst, g_array_index(info->passes, MigrationPass, i).throttle_percent);
    return worst;
}

static void
fill_report(SourceRole *role, const MigrationInfo *info, SourceReport *report)
{
    *report = (SourceReport){.status = info->status,
                             .total_ns = info->total_ns,
                             .setup_ns = info->setup_ns,
                             .downtime_ns = info->downtime_ns,
                             .downtime = info->downtime,
                             .transferred_bytes = info->ram_transferred,
                             .normal_pages = info->normal_pages,
                             .duplicate_pages = info->duplicate_pages,
                             .dirty_pages_rate = info->dirty_pages_rate,
                             .throttle_percent = worst_throttle(info),
                             .ring_overflows = pass_judge_ring_overflows(role->judge)};
    if (info->error)
        g_strlcpy(report->reason, info->error, sizeof report->reason);
    stall_read(board_ram(role->stage->board), role->stage->config.vcpus, &report->stalls);
    stall_since(&report->stalls, &role->stalls_before);
}

static gboolean
migrate(SourceRole *role, const char *uri, GError **error)
{
    g_autoptr(GByteArray) out = g_byte_array_new();
    g_auto(MigrationInfo) info = {0};
    SourceReport report;

    if (!start(role, uri, error) || !wait_for_end(role, error))
        return FALSE;
    migration_source_query(role->source, &info);
    fill_report(role, &info, &report);
    role->stood_at = stage_read_positions(role->stage);
    g_byte_array_append(out, (const guint8 *)&report, sizeof report);
    add_iterations(role, &info, out);
    return control_send(role->control, MESSAGE_REPORT, out->data, out->len, error);
}

/* --- afterwards --- */

static gboolean
answer_still(SourceRole *role, GError **error)
{
    if (stage_read_positions(role->stage) == role->stood_at)
        return control_send(role->control, MESSAGE_STILL, NULL, 0, error);
    g_set_error_literal(error, ROLE_ERROR, ROLE_ERROR_FAILED, "the guest went on here though it was given away");
    return FALSE;
}

static gboolean
answer(SourceRole *role, GError **error)
{
    guint32 type = 0;
    g_autoptr(GByteArray) message = control_receive(role->control, &type, error);

    if (!message)
        return FALSE;
    if (type == MESSAGE_START) {
        g_byte_array_append(message, (const guint8 *)"", 1);
        return migrate(role, (const char *)message->data, error);
    }
    if (type == MESSAGE_STILL)
        return answer_still(role, error);
    return role_answer_digests(role->control, role->stage, type, message, error);
}

gboolean
source_role(int control, gpointer user, GError **error)
{
    SourceRole role = {.plan = user, .control = control};
    gboolean ready = set_up(&role, error) && control_send(control, MESSAGE_READY, NULL, 0, error);

    while (ready && answer(&role, error)) {}
    g_clear_pointer(&role.source, migration_source_free);
    if (role.stage)
        stage_stop(role.stage);
    g_clear_pointer(&role.judge, pass_judge_free);
    g_clear_pointer(&role.stage, stage_free);
    return !error || !*error;
}
