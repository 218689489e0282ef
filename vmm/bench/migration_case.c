/* SPDX-License-Identifier: MIT */
/* The parent of a case: starts both sides, lets them go, compares what they have. */
#include "bench/migration_case.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <math.h>
#include <unistd.h>

#include "bench/migration_roles.h"
#include "bench/stall.h"
#include "machine/ram_digest.h"

#define ANSWER_MS 60000          /* booting, digests */
#define MIGRATION_MS 900000      /* the migration itself has a limit of its own; then there is the judging */
#define PIECES_LOOKED_INTO 10000 /* of those that differ */

/* --- names --- */

static const char *const load_names[N_LOADS] = {"idle", "moderate", "heavy"};
static const char *const transport_names[N_TRANSPORTS] = {"unix", "tcp", "tls"};

static gboolean
find_name(const char *const *names, guint n_names, const char *name, guint *value)
{
    for (*value = 0; *value < n_names; (*value)++) {
        if (g_str_equal(names[*value], name))
            return TRUE;
    }
    return FALSE;
}

const char *
load_name(Load load)
{
    return load_names[load];
}

gboolean
load_from_name(const char *name, guint *load)
{
    return find_name(load_names, N_LOADS, name, load);
}

const char *
transport_name(Transport transport)
{
    return transport_names[transport];
}

gboolean
transport_from_name(const char *name, guint *transport)
{
    return find_name(transport_names, N_TRANSPORTS, name, transport);
}

gboolean
migration_case_ring(const MigrationCase *migration)
{
    gboolean ring = migration->facts->holds == DL_HOLDS_RING;

    for (guint i = 0; i < migration->n_moves; i++) {
        const DlTrackerFacts *to = dl_tracker_facts_by_name(migration->moves[i].to);
        ring = ring || (to && to->holds == DL_HOLDS_RING);
    }
    return ring;
}

/* --- where they meet --- */

typedef struct {
    const MigrationCase *migration;
    char *folder; /* of the socket or the key; NULL: none */
    char *uri, *key;
    Role *source, *destination;
} Pair;

static char *
in_folder(const Pair *pair, const char *name)
{
    return g_build_filename(pair->folder, name, NULL);
}

static gboolean
write_key(Pair *pair, GError **error)
{
    GString *line = g_string_new("bench:");
    gboolean written;

    for (guint i = 0; i < 8; i++)
        g_string_append_printf(line, "%08x", g_random_int());
    g_string_append_c(line, '\n');
    pair->key = in_folder(pair, "keys.psk");
    written = g_file_set_contents_full(pair->key, line->str, (gssize)line->len, G_FILE_SET_CONTENTS_NONE, 0600, error);
    g_string_free(line, TRUE);
    return written;
}

static gboolean
choose_meeting_place(Pair *pair, GError **error)
{
    if (pair->migration->transport == TRANSPORT_TCP) {
        pair->uri = g_strdup("tcp:127.0.0.1:0");
        return TRUE;
    }
    pair->folder = g_dir_make_tmp("dirtylab-XXXXXX", error);
    if (!pair->folder)
        return FALSE;
    if (pair->migration->transport == TRANSPORT_TLS) {
        pair->uri = g_strdup("tcp:127.0.0.1:0");
        return write_key(pair, error);
    }
    g_autofree char *path = in_folder(pair, "migration");
    pair->uri = g_strconcat("unix:", path, NULL);
    return TRUE;
}

static void
pair_clear(Pair *pair)
{
    g_clear_pointer(&pair->source, role_free);
    g_clear_pointer(&pair->destination, role_free);
    if (pair->folder) {
        g_autofree char *path = in_folder(pair, "migration");
        g_unlink(path); /* a destination that was killed has not removed it */
        if (pair->key)
            g_unlink(pair->key);
        g_rmdir(pair->folder);
    }
    g_free(pair->folder);
    g_free(pair->uri);
    g_free(pair->key);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Pair, pair_clear)

/* --- figures --- */

static double
ms_or_nan(gint64 ns)
{
    return ns < 0 ? NAN : (double)ns / 1e6;
}

static MigrationResultStatus
status_of(MigrationStatus status)
{
    return status == MIGRATION_COMPLETED   ? MIGRATION_RESULT_COMPLETED
           : status == MIGRATION_CANCELLED ? MIGRATION_RESULT_CANCELLED
                                           : MIGRATION_RESULT_FAILED;
}

static void
take_iteration(const IterationReport *report, MigrationResult *result)
{
    MigrationIteration iteration = {.tracker = g_strdup(dl_tracker_facts(report->tracker)->name),
                                    .harvest_ns = MAX(report->harvest_ns, 0),
                                    .send_ns = MAX(report->send_ns, 0),
                                    .host_cpu_ns = MAX(report->host_cpu_ns, 0),
                                    .sent_pages = report->sent_pages,
                                    .judged = report->verdict.judged,
                                    .written_pages = report->verdict.written_pages,
                                    .reported_pages = report->verdict.reported_pages,
                                    .missed_pages = report->verdict.missed_pages};

    memcpy(iteration.extra, report->verdict.extra, sizeof iteration.extra);
    if (g_strcmp0(iteration.tracker, result->tracker) != 0) {
        g_free(result->moved_to);
        result->moved_to = g_strdup(iteration.tracker);
    }
    g_array_append_val(result->iterations, iteration);
}

static void
take_report(const SourceReport *report, double ns_per_cycle, MigrationResult *result)
{
    const gint64 parts[N_DOWNTIME_PARTS] = {
        [DOWNTIME_FINAL_HARVEST] = report->downtime.final_harvest, [DOWNTIME_FINAL_SEND] = report->downtime.final_send,
        [DOWNTIME_STATE_SAVE] = report->downtime.state_save,       [DOWNTIME_STATE_SEND] = report->downtime.state_send,
        [DOWNTIME_STATE_LOAD] = report->downtime.state_load,       [DOWNTIME_RESUME] = report->downtime.resume,
    };

    result->status = status_of(report->status);
    result->reason = *report->reason ? g_utf8_make_valid(report->reason, -1) : NULL;
    if (result->status == MIGRATION_RESULT_CANCELLED && !result->reason)
        result->reason = g_strdup("it did not come to an end in time");
    result->total_time_ms = ms_or_nan(report->total_ns);
    result->setup_time_ms = ms_or_nan(report->setup_ns);
    result->downtime_ms = ms_or_nan(report->downtime_ns);
    for (guint part = 0; part < N_DOWNTIME_PARTS; part++)
        result->downtime_ns[part] = parts[part] < 0 ? NAN : (double)parts[part];
    result->transferred_bytes = report->transferred_bytes;
    result->normal_pages = report->normal_pages;
    result->duplicate_pages = report->duplicate_pages;
    result->dirty_pages_rate = report->dirty_pages_rate;
    result->throttle_percent = report->throttle_percent;
    result->ring_overflows = report->ring_overflows;
    stall_result(&report->stalls, ns_per_cycle, &result->stall);
}

static gboolean
take_reports(const GByteArray *message, double ns_per_cycle, MigrationResult *result, GError **error)
{
    SourceReport report;
    gsize at = sizeof report;

    if (message->len < sizeof report || (message->len - sizeof report) % sizeof(IterationReport)) {
        g_set_error_literal(error, ROLE_ERROR, ROLE_ERROR_FAILED, "the source's report cannot be understood");
        return FALSE;
    }
    memcpy(&report, message->data, sizeof report);
    take_report(&report, ns_per_cycle, result);
    for (; at < message->len; at += sizeof(IterationReport)) {
        IterationReport iteration;
        memcpy(&iteration, message->data + at, sizeof iteration);
        take_iteration(&iteration, result);
    }
    return TRUE;
}

/* --- comparing --- */

static GByteArray *
ask_digests(const Pair *pair, Role *role, guint32 type, guint64 piece, GError **error)
{
    gsize size = type == MESSAGE_PAGES ? sizeof piece : 0;

    if (!role_send(role, type, &piece, size, error))
        return NULL;
    return role_receive(role, type, ANSWER_MS, pair->migration->cancelled, error);
}

/* Sets @different to which of the 64-bit digests differ, or returns FALSE. */
static gboolean
compare_digests(const Pair *pair, guint32 type, guint64 piece, GArray *different, GError **error)
{
    g_autoptr(GByteArray) source = NULL, destination = NULL;

    source = ask_digests(pair, pair->source, type, piece, error);
    destination = source ? ask_digests(pair, pair->destination, type, piece, error) : NULL;
    if (!destination)
        return FALSE;
    if (source->len != destination->len || !source->len) {
        g_set_error_literal(error, ROLE_ERROR, ROLE_ERROR_FAILED, "the two sides have RAM of different sizes");
        return FALSE;
    }
    for (guint64 i = 0; i < source->len / sizeof(guint64); i++) {
        if (memcmp(source->data + i * sizeof i, destination->data + i * sizeof i, sizeof i) != 0)
            g_array_append_val(different, i);
    }
    return TRUE;
}

static gboolean
compare_ram(const Pair *pair, MigrationResult *result, GError **error)
{
    g_autoptr(GArray) pieces = g_array_new(FALSE, FALSE, sizeof(guint64)), pages = g_array_new(FALSE, FALSE, sizeof(guint64));

    if (!compare_digests(pair, MESSAGE_DIGESTS, 0, pieces, error))
        return FALSE;
    for (guint i = 0; i < pieces->len && i < PIECES_LOOKED_INTO; i++) {
        if (!compare_digests(pair, MESSAGE_PAGES, g_array_index(pieces, guint64, i), pages, error))
            return FALSE;
    }
    result->ram_compared = TRUE;
    result->verified = !pieces->len;
    result->mismatched_pages = pages->len;
    return TRUE;
}

/* --- the whole --- */

static gboolean
start_roles(Pair *pair, RolePlan *plan, GError **error)
{
    const volatile gint *cancelled = pair->migration->cancelled;
    g_autoptr(GByteArray) address = NULL, ready = NULL;

    pair->destination = role_start("destination", destination_role, plan, error);
    pair->source = pair->destination ? role_start("source", source_role, plan, error) : NULL;
    if (!pair->source)
        return FALSE;
    address = role_receive(pair->destination, MESSAGE_READY, ANSWER_MS, cancelled, error);
    ready = address ? role_receive(pair->source, MESSAGE_READY, ANSWER_MS, cancelled, error) : NULL;
    return ready && role_send(pair->source, MESSAGE_START, address->data, address->len, error);
}

/* The destination's word counts too: a guest that it does not have has not been moved. */
static gboolean
take_destination(const Pair *pair, GError **error)
{
    DestinationReport report;
    g_autoptr(GByteArray) message = role_receive(pair->destination, MESSAGE_REPORT, ANSWER_MS, pair->migration->cancelled, error);

    if (!message)
        return FALSE;
    if (message->len != sizeof report) {
        g_set_error_literal(error, ROLE_ERROR, ROLE_ERROR_FAILED, "the destination's report cannot be understood");
        return FALSE;
    }
    memcpy(&report, message->data, sizeof report);
    if (report.status == MIGRATION_COMPLETED)
        return TRUE;
    g_set_error(error, ROLE_ERROR, ROLE_ERROR_FAILED, "the destination has not taken the guest: %.*s", REASON_BYTES,
                *report.reason ? report.reason : migration_status_name(report.status));
    return FALSE;
}

static gboolean
see_it_go_on(const Pair *pair, GError **error)
{
    g_autoptr(GByteArray) gone_on = NULL, still = NULL;

    if (!role_send(pair->destination, MESSAGE_GO_ON, NULL, 0, error))
        return FALSE;
    gone_on = role_receive(pair->destination, MESSAGE_GO_ON, ANSWER_MS, pair->migration->cancelled, error);
    if (!gone_on || !role_send(pair->source, MESSAGE_STILL, NULL, 0, error))
        return FALSE;
    still = role_receive(pair->source, MESSAGE_STILL, ANSWER_MS, pair->migration->cancelled, error);
    return still != NULL;
}

/* After `completed` the guest has to be there, whole and alive; an error from here on is a failed migration with figures. */
static gboolean
check_guest(const Pair *pair, MigrationResult *result, GError **error)
{
    g_autoptr(GError) problem = NULL;

    if (take_destination(pair, &problem) && compare_ram(pair, result, &problem) && see_it_go_on(pair, &problem))
        return TRUE;
    if (g_error_matches(problem, ROLE_ERROR, ROLE_ERROR_CANCELLED)) {
        g_propagate_error(error, g_steal_pointer(&problem));
        return FALSE;
    }
    result->status = MIGRATION_RESULT_FAILED;
    g_free(result->reason);
    result->reason = g_strdup(problem->message);
    return TRUE;
}

gboolean
migration_case_run(const MigrationCase *migration, double ns_per_cycle, MigrationResult *result, GError **error)
{
    g_auto(Pair) pair = {.migration = migration};
    g_autoptr(GByteArray) report = NULL;

    if (!choose_meeting_place(&pair, error))
        return FALSE;
    RolePlan plan = {migration, ns_per_cycle, pair.uri, pair.key ? pair.folder : NULL};
    if (!start_roles(&pair, &plan, error))
        return FALSE;
    report = role_receive(pair.source, MESSAGE_REPORT, MIGRATION_MS, migration->cancelled, error);
    if (!report || !take_reports(report, ns_per_cycle, result, error))
        return FALSE;
    return result->status != MIGRATION_RESULT_COMPLETED || check_guest(&pair, result, error);
}
