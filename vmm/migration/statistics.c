/* SPDX-License-Identifier: MIT */
/* System calls: clock_gettime, getrusage. Reads /proc/self/stat. */
#include <migration/statistics.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define GUEST_TIME_FIELD 43 /* proc(5), from 1 */

gint64
clock_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * G_GINT64_CONSTANT(1000000000) + now.tv_nsec;
}

gint64
clock_host_cpu_ns(void)
{
    struct rusage usage;
    g_autofree char *stat = NULL;
    gint64 guest_ticks = 0;

    if (g_file_get_contents("/proc/self/stat", &stat, NULL, NULL)) {
        const char *after_name = strrchr(stat, ')');
        g_auto(GStrv) fields = g_strsplit(after_name ? after_name + 2 : "", " ", -1); /* from the third */
        if (g_strv_length(fields) > GUEST_TIME_FIELD - 3)
            guest_ticks = g_ascii_strtoll(fields[GUEST_TIME_FIELD - 3], NULL, 10);
    }
    getrusage(RUSAGE_SELF, &usage);
    return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * G_GINT64_CONSTANT(1000000000) +
           (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000 - guest_ticks * (1000000000 / sysconf(_SC_CLK_TCK));
}

void
migration_info_clear(MigrationInfo *info)
{
    g_clear_pointer(&info->error, g_free);
    g_clear_pointer(&info->passes, g_array_unref);
}

void
statistics_init(Statistics *statistics, const MigrationEvents *events)
{
    *statistics = (Statistics){.events = *events, .started_ns = clock_now_ns()};
    g_mutex_init(&statistics->lock);
    g_cond_init(&statistics->changed);
    statistics->info = (MigrationInfo){.total_ns = -1,
                                       .setup_ns = -1,
                                       .downtime_ns = -1,
                                       .expected_downtime_ns = -1,
                                       .downtime = {-1, -1, -1, -1, -1, -1},
                                       .passes = g_array_new(FALSE, FALSE, sizeof(MigrationPass))};
}

void
statistics_clear(Statistics *statistics)
{
    migration_info_clear(&statistics->info);
    g_mutex_clear(&statistics->lock);
    g_cond_clear(&statistics->changed);
}

MigrationInfo *
statistics_lock(Statistics *statistics)
{
    g_mutex_lock(&statistics->lock);
    return &statistics->info;
}

void
statistics_unlock(Statistics *statistics)
{
    g_mutex_unlock(&statistics->lock);
}

/* --- status --- */

/* A cancel comes from another thread, and the end may overtake it here. */
static void
set_status(Statistics *statistics, MigrationStatus status, const GError *why)
{
    g_mutex_lock(&statistics->lock);
    MigrationStatus before = statistics->info.status;
    gboolean change = before != status && !migration_status_is_final(before) &&
                      (before != MIGRATION_CANCELLING || migration_status_is_final(status));
    if (change) {
        if (migration_status_is_final(status))
            statistics->info.total_ns = clock_now_ns() - statistics->started_ns;
        if (status == MIGRATION_ACTIVE)
            statistics->info.setup_ns = clock_now_ns() - statistics->started_ns;
        if (why) {
            g_free(statistics->info.error);
            statistics->info.error = g_strdup(why->message);
        }
        statistics->info.status = status;
    }
    g_mutex_unlock(&statistics->lock);
    if (!change)
        return;
    gboolean overtaken = !migration_status_is_final(status) && migration_status_is_final(statistics_status(statistics));
    if (statistics->events.status && !overtaken)
        statistics->events.status(statistics->events.user, status);
    g_mutex_lock(&statistics->lock);
    statistics->ended = statistics->ended || migration_status_is_final(status);
    g_cond_broadcast(&statistics->changed);
    g_mutex_unlock(&statistics->lock);
}

void
statistics_set_status(Statistics *statistics, MigrationStatus status)
{
    set_status(statistics, status, NULL);
}

void
statistics_end(Statistics *statistics, MigrationStatus status, const GError *why)
{
    set_status(statistics, status, why);
}

MigrationStatus
statistics_status(Statistics *statistics)
{
    g_mutex_lock(&statistics->lock);
    MigrationStatus status = statistics->info.status;
    g_mutex_unlock(&statistics->lock);
    return status;
}

gboolean
statistics_wait(Statistics *statistics, gint64 timeout_ms)
{
    gint64 deadline = g_get_monotonic_time() + timeout_ms * 1000;
    gboolean in_time = TRUE;

    g_mutex_lock(&statistics->lock);
    while (!statistics->ended && in_time) {
        if (timeout_ms < 0)
            g_cond_wait(&statistics->changed, &statistics->lock);
        else
            in_time = g_cond_wait_until(&statistics->changed, &statistics->lock, deadline);
    }
    gboolean ended = statistics->ended;
    g_mutex_unlock(&statistics->lock);
    return ended;
}

/* --- passes --- */

void
statistics_begin_pass(Statistics *statistics, guint64 number)
{
    g_mutex_lock(&statistics->lock);
    statistics->info.dirty_sync_count = number;
    g_mutex_unlock(&statistics->lock);
    if (statistics->events.pass)
        statistics->events.pass(statistics->events.user, number);
}

void
statistics_end_pass(Statistics *statistics, const MigrationPass *pass, const DlBitmap *reported)
{
    double seconds = (double)MAX(pass->send_ns, 1) / 1e9;

    g_mutex_lock(&statistics->lock);
    if (statistics->info.passes->len == 2 * MIGRATION_PASSES_KEPT)
        g_array_remove_index(statistics->info.passes, MIGRATION_PASSES_KEPT);
    g_array_append_vals(statistics->info.passes, pass, 1);
    statistics->info.pages_per_second = (double)(pass->normal_pages + pass->zero_pages) / seconds;
    g_mutex_unlock(&statistics->lock);
    if (statistics->events.reported)
        statistics->events.reported(statistics->events.user, pass, reported);
}

void
statistics_query(Statistics *statistics, MigrationInfo *info)
{
    g_mutex_lock(&statistics->lock);
    *info = statistics->info;
    info->error = g_strdup(statistics->info.error);
    info->passes = g_array_copy(statistics->info.passes);
    if (info->total_ns < 0 && info->status != MIGRATION_NONE)
        info->total_ns = clock_now_ns() - statistics->started_ns;
    g_mutex_unlock(&statistics->lock);
}
