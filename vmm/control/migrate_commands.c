/* SPDX-License-Identifier: MIT */
/* The commands about migrations: arguments in, figures out, under QEMU's names and libvirt's. */
#include <libvirt/libvirt.h>
#include <machine/ram_digest.h>

#include "control/private.h"

#define NS_PER_MS 1000000

/* --- parameters --- */

typedef enum {
    BYTES,
    MILLISECONDS,
    PERCENT,
} NumberKind;

/* The numbers among the parameters, each read and written by what stands here. */
static const struct {
    const char *name;
    NumberKind kind;
    gsize offset; /* in MigrationParameters */
} numbers[] = {
    {"max-bandwidth", BYTES, G_STRUCT_OFFSET(MigrationParameters, max_bandwidth)},
    {"downtime-limit", MILLISECONDS, G_STRUCT_OFFSET(MigrationParameters, downtime_limit_ms)},
    {"cpu-throttle-initial", PERCENT, G_STRUCT_OFFSET(MigrationParameters, cpu_throttle_initial)},
    {"cpu-throttle-increment", PERCENT, G_STRUCT_OFFSET(MigrationParameters, cpu_throttle_increment)},
    {"max-cpu-throttle", PERCENT, G_STRUCT_OFFSET(MigrationParameters, max_cpu_throttle)},
};

static gint64
get_number(const MigrationParameters *parameters, guint index)
{
    gconstpointer field = G_STRUCT_MEMBER_P(parameters, numbers[index].offset);

    return numbers[index].kind == PERCENT ? *(const guint *)field : (gint64) * (const guint64 *)field;
}

/* What is not even a number of its kind; what it may be is the migration's to say. */
static gboolean
set_number(MigrationParameters *parameters, guint index, gint64 value, GError **error)
{
    gpointer field = G_STRUCT_MEMBER_P(parameters, numbers[index].offset);

    if (value < 0 || (numbers[index].kind == PERCENT && value > G_MAXINT)) {
        g_set_error(error, QMP_ERROR, QMP_ERROR_GENERIC, "%s is out of range", numbers[index].name);
        return FALSE;
    }
    if (numbers[index].kind == PERCENT)
        *(guint *)field = (guint)value;
    else
        *(guint64 *)field = (guint64)value;
    return TRUE;
}

static void
replace_string(JsonObject *arguments, const char *name, char **string)
{
    if (!json_object_has_member(arguments, name))
        return;
    g_free(*string);
    *string = g_strdup(json_object_get_string_member(arguments, name));
}

static gboolean
change_parameters(MigrateSettings *settings, gpointer user, GError **error)
{
    JsonObject *arguments = user;

    for (guint i = 0; i < G_N_ELEMENTS(numbers); i++) {
        if (json_object_has_member(arguments, numbers[i].name) &&
            !set_number(&settings->parameters, i, json_object_get_int_member(arguments, numbers[i].name), error))
            return FALSE;
    }
    replace_string(arguments, "tls-creds", &settings->tls_creds);
    replace_string(arguments, "tls-hostname", &settings->tls_hostname);
    return TRUE;
}

static JsonNode *
set_parameters(ControlServer *server, JsonObject *arguments, GError **error)
{
    return !arguments || migrate_change_settings(server->migrate, change_parameters, arguments, error) ? command_nothing() : NULL;
}

static JsonNode *
query_parameters(ControlServer *server, JsonObject *arguments, GError **error)
{
    g_auto(MigrateSettings) settings = {0};
    JsonObject *result = json_object_new();

    (void)arguments;
    (void)error;
    migrate_get_settings(server->migrate, &settings);
    for (guint i = 0; i < G_N_ELEMENTS(numbers); i++)
        json_object_set_int_member(result, numbers[i].name, get_number(&settings.parameters, i));
    json_object_set_string_member(result, "tls-creds", settings.tls_creds);
    json_object_set_string_member(result, "tls-hostname", settings.tls_hostname);
    return qmp_take_object(result);
}

/* --- capabilities --- */

static const struct {
    const char *name;
    gsize offset; /* in MigrateSettings */
} switches[] = {
    {"events", G_STRUCT_OFFSET(MigrateSettings, events)},
    {"auto-converge", G_STRUCT_OFFSET(MigrateSettings, parameters.auto_converge)},
    {"pause-before-switchover", G_STRUCT_OFFSET(MigrateSettings, parameters.pause_before_switchover)},
    {"return-path", G_STRUCT_OFFSET(MigrateSettings, return_path)},
};

static gboolean
set_switch(MigrateSettings *settings, JsonNode *element, GError **error)
{
    JsonObject *entry = JSON_NODE_HOLDS_OBJECT(element) ? json_node_get_object(element) : NULL;
    JsonNode *name = entry ? json_object_get_member(entry, "capability") : NULL;
    JsonNode *on = entry ? json_object_get_member(entry, "state") : NULL;

    if (!name || json_node_get_value_type(name) != G_TYPE_STRING || !on || json_node_get_value_type(on) != G_TYPE_BOOLEAN ||
        json_object_get_size(entry) != 2) {
        g_set_error(error, QMP_ERROR, QMP_ERROR_GENERIC,
                    "each of the capabilities is {\"capability\": a string, \"state\": true or false}");
        return FALSE;
    }
    for (guint i = 0; i < G_N_ELEMENTS(switches); i++) {
        if (g_str_equal(json_node_get_string(name), switches[i].name)) {
            G_STRUCT_MEMBER(gboolean, settings, switches[i].offset) = json_node_get_boolean(on);
            return TRUE;
        }
    }
    g_set_error(error, QMP_ERROR, QMP_ERROR_GENERIC, "there is no capability \"%s\": see query-migrate-capabilities",
                json_node_get_string(name));
    return FALSE;
}

static gboolean
change_capabilities(MigrateSettings *settings, gpointer user, GError **error)
{
    JsonArray *list = user;

    for (guint i = 0; i < json_array_get_length(list); i++) {
        if (!set_switch(settings, json_array_get_element(list, i), error))
            return FALSE;
    }
    return TRUE;
}

static JsonNode *
set_capabilities(ControlServer *server, JsonObject *arguments, GError **error)
{
    JsonArray *list = json_object_get_array_member(arguments, "capabilities");

    return migrate_change_settings(server->migrate, change_capabilities, list, error) ? command_nothing() : NULL;
}

static JsonNode *
take_array(JsonArray *array)
{
    JsonNode *node = json_node_new(JSON_NODE_ARRAY);

    json_node_take_array(node, array);
    return node;
}

static JsonNode *
query_capabilities(ControlServer *server, JsonObject *arguments, GError **error)
{
    g_auto(MigrateSettings) settings = {0};
    JsonArray *list = json_array_new();

    (void)arguments;
    (void)error;
    migrate_get_settings(server->migrate, &settings);
    for (guint i = 0; i < G_N_ELEMENTS(switches); i++) {
        JsonObject *entry = json_object_new();
        json_object_set_string_member(entry, "capability", switches[i].name);
        json_object_set_boolean_member(entry, "state", G_STRUCT_MEMBER(gboolean, &settings, switches[i].offset));
        json_array_add_object_element(list, entry);
    }
    return take_array(list);
}

/* --- going and coming --- */

static gboolean
read_move(JsonNode *element, MigrationMove *move, GError **error)
{
    JsonObject *entry = JSON_NODE_HOLDS_OBJECT(element) ? json_node_get_object(element) : NULL;
    JsonNode *from = entry ? json_object_get_member(entry, "from") : NULL;
    JsonNode *to = entry ? json_object_get_member(entry, "to") : NULL;
    JsonNode *pass = entry ? json_object_get_member(entry, "pass") : NULL;

    if (!to || json_node_get_value_type(to) != G_TYPE_STRING || !pass || json_node_get_value_type(pass) != G_TYPE_INT64 ||
        json_node_get_int(pass) < 1 || (from && json_node_get_value_type(from) != G_TYPE_STRING)) {
        g_set_error(error, QMP_ERROR, QMP_ERROR_GENERIC,
                    "each of x-dirtylab-moves is {\"from\": a tracker, \"to\": a tracker, \"pass\": a number from 1}");
        return FALSE;
    }
    *move = (MigrationMove){.from = from ? json_node_get_string(from) : NULL,
                            .to = json_node_get_string(to),
                            .pass = (guint64)json_node_get_int(pass)};
    return TRUE;
}

static JsonNode *
migrate(ControlServer *server, JsonObject *arguments, GError **error)
{
    JsonArray *list = json_object_has_member(arguments, "x-dirtylab-moves")
                          ? json_object_get_array_member(arguments, "x-dirtylab-moves")
                          : NULL;
    guint n_moves = list ? json_array_get_length(list) : 0;
    g_autofree MigrationMove *moves = g_new0(MigrationMove, n_moves);

    for (guint i = 0; i < n_moves; i++) {
        if (!read_move(json_array_get_element(list, i), &moves[i], error))
            return NULL;
    }
    return migrate_start(server->migrate, json_object_get_string_member(arguments, "uri"), moves, n_moves, error)
               ? command_nothing()
               : NULL;
}

static JsonNode *
incoming(ControlServer *server, JsonObject *arguments, GError **error)
{
    return migrate_listen(server->migrate, json_object_get_string_member(arguments, "uri"), error) ? command_nothing() : NULL;
}

static JsonNode *
cancel(ControlServer *server, JsonObject *arguments, GError **error)
{
    (void)arguments;
    return migrate_cancel(server->migrate, error) ? command_nothing() : NULL;
}

static JsonNode *
go_on(ControlServer *server, JsonObject *arguments, GError **error)
{
    const char *state = json_object_get_string_member(arguments, "state");

    if (!g_str_equal(state, migration_status_name(MIGRATION_PRE_SWITCHOVER))) {
        g_set_error(error, QMP_ERROR, QMP_ERROR_GENERIC, "a migration can be told to go on in pre-switchover, not in \"%s\"",
                    state);
        return NULL;
    }
    return migrate_continue(server->migrate, error) ? command_nothing() : NULL;
}

static JsonNode *
resolve(ControlServer *server, JsonObject *arguments, GError **error)
{
    return migrate_resolve(server->migrate, json_object_get_boolean_member(arguments, "run"), error) ? command_nothing() : NULL;
}

/* --- query-migrate --- */

static JsonObject *
describe_ram(const MigrationInfo *info)
{
    JsonObject *ram = json_object_new();

    json_object_set_int_member(ram, "transferred", (gint64)info->ram_transferred);
    json_object_set_int_member(ram, "remaining", (gint64)info->ram_remaining);
    json_object_set_int_member(ram, "total", (gint64)info->ram_total);
    json_object_set_int_member(ram, "duplicate", (gint64)info->duplicate_pages);
    json_object_set_int_member(ram, "normal", (gint64)info->normal_pages);
    json_object_set_int_member(ram, "normal-bytes", (gint64)(info->normal_pages * DL_PAGE_SIZE));
    json_object_set_int_member(ram, "precopy-bytes", (gint64)info->precopy_bytes);
    json_object_set_int_member(ram, "downtime-bytes", (gint64)info->downtime_bytes);
    json_object_set_int_member(ram, "page-size", (gint64)DL_PAGE_SIZE);
    json_object_set_int_member(ram, "dirty-sync-count", (gint64)info->dirty_sync_count);
    json_object_set_int_member(ram, "dirty-pages-rate", (gint64)info->dirty_pages_rate);
    json_object_set_int_member(ram, "pages-per-second", (gint64)info->pages_per_second);
    json_object_set_double_member(ram, "mbps", info->bandwidth * 8 / 1e6);
    return ram;
}

static JsonObject *
describe_downtime(const MigrationDowntime *downtime)
{
    JsonObject *parts = json_object_new();

    json_object_set_int_member(parts, "final-harvest", downtime->final_harvest);
    json_object_set_int_member(parts, "final-send", downtime->final_send);
    json_object_set_int_member(parts, "state-save", downtime->state_save);
    json_object_set_int_member(parts, "state-send", downtime->state_send);
    json_object_set_int_member(parts, "state-load", downtime->state_load);
    json_object_set_int_member(parts, "resume", downtime->resume);
    return parts;
}

static JsonArray *
describe_passes(const GArray *passes)
{
    JsonArray *list = json_array_new();

    for (guint i = 0; passes && i < passes->len; i++) {
        const MigrationPass *pass = &g_array_index(passes, MigrationPass, i);
        JsonObject *entry = json_object_new();
        json_object_set_int_member(entry, "pass", (gint64)pass->number);
        json_object_set_string_member(entry, "tracker", pass->tracker);
        json_object_set_int_member(entry, "harvest-ns", pass->harvest_ns);
        json_object_set_int_member(entry, "send-ns", pass->send_ns);
        json_object_set_int_member(entry, "reported-pages", (gint64)pass->reported_pages);
        json_object_set_int_member(entry, "normal-pages", (gint64)pass->normal_pages);
        json_object_set_int_member(entry, "zero-pages", (gint64)pass->zero_pages);
        json_object_set_int_member(entry, "transferred-bytes", (gint64)pass->transferred_bytes);
        json_object_set_int_member(entry, "host-cpu-ns", pass->host_cpu_ns);
        json_object_set_int_member(entry, "throttle-percent", pass->throttle_percent);
        json_array_add_object_element(list, entry);
    }
    return list;
}

/* @ns: negative while it is unknown. */
static void
set_ms(JsonObject *object, const char *name, gint64 ns)
{
    if (ns >= 0)
        json_object_set_int_member(object, name, ns / NS_PER_MS);
}

static void
describe_times(JsonObject *result, const MigrationInfo *info)
{
    set_ms(result, "total-time", info->total_ns);
    set_ms(result, "setup-time", info->setup_ns);
    if (info->status == MIGRATION_COMPLETED)
        set_ms(result, "downtime", info->downtime_ns);
    else
        set_ms(result, "expected-downtime", info->expected_downtime_ns);
    if (info->throttle_percent)
        json_object_set_int_member(result, "cpu-throttle-percentage", info->throttle_percent);
}

static JsonNode *
query_migrate(ControlServer *server, JsonObject *arguments, GError **error)
{
    g_auto(MigrationInfo) info = {0};
    JsonObject *result = json_object_new();
    gboolean any = migrate_query(server->migrate, &info, NULL);

    (void)error;
    json_object_set_string_member(result, "status", migration_status_name(any ? info.status : MIGRATION_NONE));
    if (!any)
        return qmp_take_object(result);
    describe_times(result, &info);
    if (info.error)
        json_object_set_string_member(result, "error-desc", info.error);
    json_object_set_object_member(result, "ram", describe_ram(&info));
    if (info.handover_unresolved)
        json_object_set_string_member(result, "x-dirtylab-handover", "unresolved");
    if (info.tracker)
        json_object_set_string_member(result, "x-dirtylab-tracker", info.tracker);
    if (info.downtime_ns >= 0) {
        json_object_set_int_member(result, "x-dirtylab-downtime-ns", info.downtime_ns);
        json_object_set_object_member(result, "x-dirtylab-downtime-breakdown-ns", describe_downtime(&info.downtime));
    }
    if (arguments && json_object_has_member(arguments, "x-dirtylab-passes") &&
        json_object_get_boolean_member(arguments, "x-dirtylab-passes"))
        json_object_set_array_member(result, "x-dirtylab-passes", describe_passes(info.passes));
    return qmp_take_object(result);
}

/* --- x-dirtylab-query-job: libvirt's typed parameters --- */

static void
add_parameter(JsonArray *list, const char *field, const char *type, JsonNode *value)
{
    JsonObject *entry = json_object_new();

    json_object_set_string_member(entry, "field", field);
    json_object_set_string_member(entry, "type", type);
    json_object_set_member(entry, "value", value);
    json_array_add_object_element(list, entry);
}

static void
add_ullong(JsonArray *list, const char *field, gint64 value)
{
    if (value >= 0)
        add_parameter(list, field, "ullong", json_node_init_int(json_node_alloc(), value));
}

static gint64
ms_or_unknown(gint64 ns)
{
    return ns < 0 ? -1 : ns / NS_PER_MS;
}

static void
add_memory(JsonArray *list, const MigrationInfo *info)
{
    add_ullong(list, VIR_DOMAIN_JOB_DATA_TOTAL, (gint64)info->ram_total);
    add_ullong(list, VIR_DOMAIN_JOB_DATA_PROCESSED, (gint64)info->ram_transferred);
    add_ullong(list, VIR_DOMAIN_JOB_DATA_REMAINING, (gint64)info->ram_remaining);
    add_ullong(list, VIR_DOMAIN_JOB_MEMORY_TOTAL, (gint64)info->ram_total);
    add_ullong(list, VIR_DOMAIN_JOB_MEMORY_PROCESSED, (gint64)info->ram_transferred);
    add_ullong(list, VIR_DOMAIN_JOB_MEMORY_REMAINING, (gint64)info->ram_remaining);
    add_ullong(list, VIR_DOMAIN_JOB_MEMORY_CONSTANT, (gint64)info->duplicate_pages);
    add_ullong(list, VIR_DOMAIN_JOB_MEMORY_NORMAL, (gint64)info->normal_pages);
    add_ullong(list, VIR_DOMAIN_JOB_MEMORY_NORMAL_BYTES, (gint64)(info->normal_pages * DL_PAGE_SIZE));
    add_ullong(list, VIR_DOMAIN_JOB_MEMORY_BPS, (gint64)info->bandwidth);
    add_ullong(list, VIR_DOMAIN_JOB_MEMORY_DIRTY_RATE, (gint64)info->dirty_pages_rate);
    add_ullong(list, VIR_DOMAIN_JOB_MEMORY_ITERATION, (gint64)info->dirty_sync_count);
    add_ullong(list, VIR_DOMAIN_JOB_MEMORY_PAGE_SIZE, (gint64)DL_PAGE_SIZE);
}

static int
job_type(const MigrationInfo *info)
{
    switch (info->status) {
    case MIGRATION_COMPLETED:
        return VIR_DOMAIN_JOB_COMPLETED;
    case MIGRATION_FAILED:
        return VIR_DOMAIN_JOB_FAILED;
    case MIGRATION_CANCELLED:
        return VIR_DOMAIN_JOB_CANCELLED;
    default:
        return VIR_DOMAIN_JOB_UNBOUNDED;
    }
}

static void
add_outcome(JsonArray *list, const MigrationInfo *info)
{
    if (info->throttle_percent)
        add_parameter(list, VIR_DOMAIN_JOB_AUTO_CONVERGE_THROTTLE, "int",
                      json_node_init_int(json_node_alloc(), info->throttle_percent));
    if (migration_status_is_final(info->status))
        add_parameter(list, VIR_DOMAIN_JOB_SUCCESS, "boolean",
                      json_node_init_boolean(json_node_alloc(), info->status == MIGRATION_COMPLETED));
    if (info->error)
        add_parameter(list, VIR_DOMAIN_JOB_ERRMSG, "string", json_node_init_string(json_node_alloc(), info->error));
}

static JsonNode *
query_job(ControlServer *server, JsonObject *arguments, GError **error)
{
    g_auto(MigrationInfo) info = {0};
    JsonObject *result = json_object_new();
    JsonArray *list = json_array_new();
    gboolean comes = FALSE;
    gboolean any = migrate_query(server->migrate, &info, &comes);

    (void)arguments;
    (void)error;
    json_object_set_int_member(result, "type", any ? job_type(&info) : VIR_DOMAIN_JOB_NONE);
    if (any) {
        add_parameter(list, VIR_DOMAIN_JOB_OPERATION, "int",
                      json_node_init_int(json_node_alloc(),
                                         comes ? VIR_DOMAIN_JOB_OPERATION_MIGRATION_IN : VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT));
        add_ullong(list, VIR_DOMAIN_JOB_TIME_ELAPSED, ms_or_unknown(info.total_ns));
        add_ullong(list, VIR_DOMAIN_JOB_SETUP_TIME, ms_or_unknown(info.setup_ns));
        add_ullong(list, VIR_DOMAIN_JOB_DOWNTIME,
                   ms_or_unknown(info.status == MIGRATION_COMPLETED ? info.downtime_ns : info.expected_downtime_ns));
        add_memory(list, &info);
        add_outcome(list, &info);
    }
    json_object_set_array_member(result, "parameters", list);
    return qmp_take_object(result);
}

/* --- x-dirtylab-ram-digest --- */

static JsonNode *
digest_of(ControlServer *server, gint64 piece)
{
    const GuestRam *ram = board_ram(server->board);
    guint64 n = piece < 0 ? ram_digest_n_pieces(ram) : RAM_DIGEST_PIECE_PAGES;
    g_autofree guint64 *digests = g_new0(guint64, n);
    JsonObject *result = json_object_new();
    JsonArray *list = json_array_new();

    if (piece < 0)
        ram_digest_pieces(ram, 0, n, digests);
    else
        n = ram_digest_pages(ram, (guint64)piece, digests);
    for (guint64 i = 0; i < n; i++) {
        char text[17]; /* a JSON integer has a sign */
        g_snprintf(text, sizeof text, "%016" G_GINT64_MODIFIER "x", digests[i]);
        json_array_add_string_element(list, text);
    }
    json_object_set_int_member(result, "unit-bytes", (gint64)(piece < 0 ? RAM_DIGEST_PIECE_PAGES * DL_PAGE_SIZE : DL_PAGE_SIZE));
    json_object_set_array_member(result, "digests", list);
    return qmp_take_object(result);
}

static JsonNode *
ram_digest(ControlServer *server, JsonObject *arguments, GError **error)
{
    gboolean one = arguments && json_object_has_member(arguments, "piece");
    gint64 piece = one ? json_object_get_int_member(arguments, "piece") : -1;
    RunStatus status = run_state_get(server->run_state);

    if (one && (piece < 0 || (guint64)piece >= ram_digest_n_pieces(board_ram(server->board)))) {
        g_set_error(error, QMP_ERROR, QMP_ERROR_GENERIC, "this guest's RAM has no piece %" G_GINT64_FORMAT, piece);
        return NULL;
    }
    if (status == RUN_RUNNING) {
        g_set_error(error, QMP_ERROR, QMP_ERROR_GENERIC, "the guest runs: stop it first");
        return NULL;
    }
    if (!machine_pause(server->machine, error)) /* a cont that comes now waits for its effect */
        return NULL;
    JsonNode *result = digest_of(server, piece);
    machine_resume(server->machine);
    return result;
}

/* --- the table --- */

static const Argument parameters_arguments[] = {
    {"max-bandwidth", ARGUMENT_INT, TRUE},        {"downtime-limit", ARGUMENT_INT, TRUE},
    {"cpu-throttle-initial", ARGUMENT_INT, TRUE}, {"cpu-throttle-increment", ARGUMENT_INT, TRUE},
    {"max-cpu-throttle", ARGUMENT_INT, TRUE},     {"tls-creds", ARGUMENT_STRING, TRUE},
    {"tls-hostname", ARGUMENT_STRING, TRUE},      {0}};
static const Argument capabilities_arguments[] = {{"capabilities", ARGUMENT_ARRAY, FALSE}, {0}};
static const Argument migrate_arguments[] = {{"uri", ARGUMENT_STRING, FALSE},
                                             {"detach", ARGUMENT_BOOL, TRUE}, /* QEMU ignores it too */
                                             {"x-dirtylab-moves", ARGUMENT_ARRAY, TRUE},
                                             {0}};
static const Argument incoming_arguments[] = {{"uri", ARGUMENT_STRING, FALSE}, {0}};
static const Argument continue_arguments[] = {{"state", ARGUMENT_STRING, FALSE}, {0}};
static const Argument resolve_arguments[] = {{"run", ARGUMENT_BOOL, FALSE}, {0}};
static const Argument query_arguments[] = {{"x-dirtylab-passes", ARGUMENT_BOOL, TRUE}, {0}};
static const Argument digest_arguments[] = {{"piece", ARGUMENT_INT, TRUE}, {0}};

const Command migrate_commands[] = {
    {"migrate", migrate, TRUE, migrate_arguments},
    {"migrate-incoming", incoming, TRUE, incoming_arguments},
    {"migrate_cancel", cancel, TRUE, NULL},
    {"migrate-continue", go_on, TRUE, continue_arguments},
    {"query-migrate", query_migrate, FALSE, query_arguments},
    {"migrate-set-parameters", set_parameters, TRUE, parameters_arguments},
    {"query-migrate-parameters", query_parameters, FALSE, NULL},
    {"migrate-set-capabilities", set_capabilities, TRUE, capabilities_arguments},
    {"query-migrate-capabilities", query_capabilities, FALSE, NULL},
    {"x-dirtylab-query-job", query_job, FALSE, NULL},
    {"x-dirtylab-ram-digest", ram_digest, TRUE, digest_arguments},
    {"x-dirtylab-resolve-handover", resolve, TRUE, resolve_arguments},
    {0},
};
