/* SPDX-License-Identifier: MIT */
#include <migration/migration.h>

#define DEFAULT_BANDWIDTH (UINT64_C(128) << 20)
#define DEFAULT_DOWNTIME_MS 300
#define MAX_DOWNTIME_MS 2000000 /* QEMU's */

G_DEFINE_QUARK(migration-error, migration_error);

const char *
migration_status_name(MigrationStatus status)
{
    static const char *const names[] = {
        [MIGRATION_NONE] = "none",           [MIGRATION_SETUP] = "setup",
        [MIGRATION_ACTIVE] = "active",       [MIGRATION_PRE_SWITCHOVER] = "pre-switchover",
        [MIGRATION_DEVICE] = "device",       [MIGRATION_COMPLETED] = "completed",
        [MIGRATION_FAILED] = "failed",       [MIGRATION_CANCELLING] = "cancelling",
        [MIGRATION_CANCELLED] = "cancelled",
    };

    return names[status];
}

gboolean
migration_status_is_final(MigrationStatus status)
{
    return status == MIGRATION_COMPLETED || status == MIGRATION_FAILED || status == MIGRATION_CANCELLED;
}

void
migration_parameters_init(MigrationParameters *parameters)
{
    *parameters = (MigrationParameters){.max_bandwidth = DEFAULT_BANDWIDTH,
                                        .downtime_limit_ms = DEFAULT_DOWNTIME_MS,
                                        .cpu_throttle_initial = 20,
                                        .cpu_throttle_increment = 10,
                                        .max_cpu_throttle = 99};
}

static gboolean
check_percent(const char *name, guint value, GError **error)
{
    if (value >= 1 && value <= 99)
        return TRUE;
    g_set_error(error, MIGRATION_ERROR, MIGRATION_ERROR_INVALID, "%s is %u: it is a percentage from 1 to 99", name, value);
    return FALSE;
}

gboolean
migration_parameters_check(const MigrationParameters *parameters, GError **error)
{
    if (parameters->downtime_limit_ms > MAX_DOWNTIME_MS) {
        g_set_error(error, MIGRATION_ERROR, MIGRATION_ERROR_INVALID,
                    "downtime-limit is %" G_GUINT64_FORMAT ": it is at most %d milliseconds", parameters->downtime_limit_ms,
                    MAX_DOWNTIME_MS);
        return FALSE;
    }
    if (parameters->max_bandwidth > G_MAXINT64) {
        g_set_error_literal(error, MIGRATION_ERROR, MIGRATION_ERROR_INVALID,
                            "max-bandwidth is out of range: bytes a second, 0 for no limit");
        return FALSE;
    }
    return check_percent("cpu-throttle-initial", parameters->cpu_throttle_initial, error) &&
           check_percent("cpu-throttle-increment", parameters->cpu_throttle_increment, error) &&
           check_percent("max-cpu-throttle", parameters->max_cpu_throttle, error);
}
