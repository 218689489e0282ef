/* SPDX-License-Identifier: MIT */
/* The commands about trackers, and about how fast the guest dirties its memory. */
#include <string.h>

#include "control/private.h"

static JsonNode *
set_tracker(ControlServer *server, JsonObject *arguments, GError **error)
{
    const DlTrackerFacts *from;
    DlMoveResult moved;

    if (!tracking_set(server->tracking, json_object_get_string_member(arguments, "tracker"), &from, &moved, error))
        return NULL;
    JsonObject *result = json_object_new();
    json_object_set_string_member(result, "from", from->name);
    json_object_set_string_member(result, "kind", dl_move_kind_name(moved.kind));
    json_object_set_int_member(result, "arm-ns", moved.arm_ns);
    json_object_set_int_member(result, "release-ns", moved.release_ns);
    return qmp_take_object(result);
}

static JsonObject *
describe_tracker(ControlServer *server, guint index)
{
    const DlTrackerFacts *facts = dl_tracker_facts(index);
    const DlProbe *probe = tracking_probe(server->tracking, index);
    JsonObject *entry = json_object_new();

    json_object_set_string_member(entry, "tracker", facts->name);
    json_object_set_boolean_member(entry, "supported", probe->supported);
    json_object_set_boolean_member(entry, "active", dl_log_tracker(board_log(server->board)) == facts);
    if (probe->reason)
        json_object_set_string_member(entry, "reason", probe->reason);
    if (probe->remedy)
        json_object_set_string_member(entry, "remedy", probe->remedy);
    return entry;
}

static JsonNode *
query_trackers(ControlServer *server, JsonObject *arguments, GError **error)
{
    JsonArray *list = json_array_new();
    JsonNode *node = json_node_new(JSON_NODE_ARRAY);

    (void)arguments;
    (void)error;
    for (guint i = 0; i < dl_n_trackers(); i++)
        json_array_add_object_element(list, describe_tracker(server, i));
    json_node_take_array(node, list);
    return node;
}

/* --- calc-dirty-rate --- */

static const char *
string_or(JsonObject *arguments, const char *name, const char *otherwise)
{
    return arguments && json_object_has_member(arguments, name) ? json_object_get_string_member(arguments, name) : otherwise;
}

/* FALSE: neither `second` nor `millisecond`. */
static gboolean
unit_ms(JsonObject *arguments, gint64 *ms, GError **error)
{
    const char *unit = string_or(arguments, "calc-time-unit", "second");

    *ms = g_str_equal(unit, "second") ? 1000 : 1;
    if (g_str_equal(unit, "second") || g_str_equal(unit, "millisecond"))
        return TRUE;
    g_set_error(error, QMP_ERROR, QMP_ERROR_GENERIC, "calc-time-unit is second or millisecond, not \"%s\"", unit);
    return FALSE;
}

static gboolean
read_calc_time(JsonObject *arguments, DirtyRateRequest *request, GError **error)
{
    gint64 calc_time = json_object_get_int_member(arguments, "calc-time");
    gint64 ms;

    if (!unit_ms(arguments, &ms, error))
        return FALSE;
    if (calc_time > 0 && calc_time <= DIRTY_RATE_MAX_MS / ms && calc_time * ms >= DIRTY_RATE_MIN_MS) {
        request->calc_time_ms = calc_time * ms;
        return TRUE;
    }
    g_set_error(error, QMP_ERROR, QMP_ERROR_GENERIC, "calc-time is %d ms to %d s", DIRTY_RATE_MIN_MS, DIRTY_RATE_MAX_MS / 1000);
    return FALSE;
}

static gboolean
read_sample_pages(JsonObject *arguments, DirtyRateRequest *request, GError **error)
{
    request->sample_pages = DIRTY_RATE_SAMPLES;
    if (!json_object_has_member(arguments, "sample-pages"))
        return TRUE;
    gint64 pages = json_object_get_int_member(arguments, "sample-pages");
    if (request->facts) {
        g_set_error(error, QMP_ERROR, QMP_ERROR_GENERIC, "sample-pages goes with mode page-sampling only");
        return FALSE;
    }
    if (pages < DIRTY_RATE_MIN_SAMPLES || pages > DIRTY_RATE_MAX_SAMPLES) {
        g_set_error(error, QMP_ERROR, QMP_ERROR_GENERIC, "sample-pages is %d to %d, for each GiB", DIRTY_RATE_MIN_SAMPLES,
                    DIRTY_RATE_MAX_SAMPLES);
        return FALSE;
    }
    request->sample_pages = (guint)pages;
    return TRUE;
}

static JsonNode *
calc_dirty_rate(ControlServer *server, JsonObject *arguments, GError **error)
{
    const char *mode = string_or(arguments, "mode", "page-sampling");
    DirtyRateRequest request = {0};

    return read_calc_time(arguments, &request, error) && dirty_rate_mode(server->dirty_rate, mode, &request, error) &&
                   read_sample_pages(arguments, &request, error) && dirty_rate_start(server->dirty_rate, &request, error)
               ? command_nothing()
               : NULL;
}

static JsonArray *
describe_vcpu_rates(const DirtyRateReport *report)
{
    JsonArray *rates = json_array_new();

    for (guint i = 0; i < report->n_vcpus; i++) {
        JsonObject *entry = json_object_new();
        json_object_set_int_member(entry, "id", i);
        json_object_set_int_member(entry, "dirty-rate", report->vcpu_rates[i]);
        json_array_add_object_element(rates, entry);
    }
    return rates;
}

static JsonNode *
query_dirty_rate(ControlServer *server, JsonObject *arguments, GError **error)
{
    static const char *const names[] = {"unstarted", "measuring", "measured"};
    g_auto(DirtyRateReport) report = {0};
    gint64 ms;

    if (!unit_ms(arguments, &ms, error))
        return NULL;
    dirty_rate_report(server->dirty_rate, &report);
    JsonObject *result = json_object_new();
    json_object_set_string_member(result, "status", names[report.status]);
    json_object_set_int_member(result, "start-time", report.start_s);
    json_object_set_int_member(result, "calc-time", report.request.calc_time_ms / ms);
    json_object_set_string_member(result, "calc-time-unit", ms == 1 ? "millisecond" : "second");
    json_object_set_int_member(result, "sample-pages", report.request.sample_pages);
    json_object_set_string_member(result, "mode", report.request.mode);
    if (report.status == DIRTY_RATE_MEASURED) {
        json_object_set_int_member(result, "dirty-rate", report.rate);
        json_object_set_int_member(result, "x-dirtylab-pages", (gint64)report.pages);
        json_object_set_int_member(result, "x-dirtylab-interval-ns", report.interval_ns);
    }
    if (report.vcpu_rates)
        json_object_set_array_member(result, "vcpu-dirty-rate", describe_vcpu_rates(&report));
    if (report.failure)
        json_object_set_string_member(result, "x-dirtylab-error", report.failure);
    return qmp_take_object(result);
}

static const Argument set_arguments[] = {{"tracker", ARGUMENT_STRING, FALSE}, {0}};
static const Argument calc_arguments[] = {{"calc-time", ARGUMENT_INT, FALSE},
                                          {"calc-time-unit", ARGUMENT_STRING, TRUE},
                                          {"sample-pages", ARGUMENT_INT, TRUE},
                                          {"mode", ARGUMENT_STRING, TRUE},
                                          {0}};
static const Argument query_arguments[] = {{"calc-time-unit", ARGUMENT_STRING, TRUE}, {0}};

const Command tracker_commands[] = {
    {"x-dirtylab-set-tracker", set_tracker, TRUE, set_arguments},
    {"x-dirtylab-query-trackers", query_trackers, TRUE, NULL},
    {"calc-dirty-rate", calc_dirty_rate, TRUE, calc_arguments},
    {"query-dirty-rate", query_dirty_rate, FALSE, query_arguments},
    {0},
};
