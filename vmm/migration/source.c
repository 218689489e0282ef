/* SPDX-License-Identifier: MIT */
/*
 * The source's thread from the connection to the end, and the calls from outside. What happens in between is in precopy.c and
 * handover.c.
 *
 * Whatever fails before GO, the guest goes on here: it is resumed, devices too, the tracker that was active before is again. The pages
 * that were taken need not go anywhere: they were this migration's own copy (DlConsumer), and the next one begins with all of RAM.
 */
#include <machine/section.h>
#include <migration/hello.h>
#include <migration/ram_holes.h>
#include <migration/source_private.h>
#include <string.h>

#define KEEPALIVE_US (G_USEC_PER_SEC / 2)
#define LAST_WORDS_US (G_USEC_PER_SEC / 4)
#define BURST_US 20000 /* how far behind the bandwidth limit sending may be and still catch up */

/* --- what the thread looks at while it works --- */

MigrationParameters
source_parameters(MigrationSource *source)
{
    g_mutex_lock(&source->lock);
    MigrationParameters parameters = source->parameters;
    g_mutex_unlock(&source->lock);
    return parameters;
}

gint64
source_answer_deadline(const MigrationSource *source)
{
    guint limit = source->stall_limit_ms ? source->stall_limit_ms : CHANNEL_STALL_LIMIT_MS;

    return g_get_monotonic_time() + (gint64)limit * 1000;
}

gboolean
source_is_cancelled(gpointer user)
{
    MigrationSource *source = user;

    g_mutex_lock(&source->lock);
    gboolean cancelled = source->cancelled;
    g_mutex_unlock(&source->lock);
    return cancelled;
}

static gboolean
check_cancelled(MigrationSource *source, GError **error)
{
    gboolean cancelled = source_is_cancelled(source);

    if (cancelled)
        g_set_error_literal(error, MIGRATION_ERROR, MIGRATION_ERROR_CANCELLED, "the migration was cancelled");
    return !cancelled;
}

static gboolean
check_guest(MigrationSource *source, GError **error)
{
    switch (machine_state(source->machine)) {
    case MACHINE_CREATED:
    case MACHINE_STARTED:
        return TRUE;
    case MACHINE_CRASHED:
        g_set_error(error, MIGRATION_ERROR, MIGRATION_ERROR_GUEST_ENDED, "the guest crashed while it was migrated: %s",
                    machine_crash_reason(source->machine));
        return FALSE;
    case MACHINE_SHUT_DOWN:
        g_set_error(error, MIGRATION_ERROR, MIGRATION_ERROR_GUEST_ENDED, "the guest %s while it was migrated",
                    machine_end(source->machine) == MACHINE_RESET ? "asked for a reset" : "powered off");
        return FALSE;
    case MACHINE_STOPPED:
        break;
    }
    g_set_error_literal(error, MIGRATION_ERROR, MIGRATION_ERROR_GUEST_ENDED, "the guest was ended while it was migrated");
    return FALSE;
}

/* A destination says nothing before END but that it gives up. */
static gboolean
check_destination(MigrationSource *source, GError **error)
{
    Frame frame;

    return !channel_wait_readable(source->channel, 0, NULL) ||
           stream_receive(&source->stream, 0, source_answer_deadline(source), &frame, error);
}

gboolean
source_check(MigrationSource *source, GError **error)
{
    return check_cancelled(source, error) && check_guest(source, error) && check_destination(source, error);
}

static gboolean
keep_alive(MigrationSource *source, GError **error)
{
    if (g_get_monotonic_time() - source->last_frame_us < KEEPALIVE_US)
        return TRUE;
    source->last_frame_us = g_get_monotonic_time();
    return stream_send(&source->stream, FRAME_KEEPALIVE, NULL, 0, error);
}

gboolean
source_wait(MigrationSource *source, gint64 until_us, SourceCondition condition, GError **error)
{
    for (;;) {
        gint64 slice = MIN(until_us, g_get_monotonic_time() + KEEPALIVE_US);

        g_mutex_lock(&source->lock);
        gboolean met = FALSE;
        while (!source->cancelled && !(met = condition && condition(source)) &&
               g_cond_wait_until(&source->changed, &source->lock, slice))
            ;
        g_mutex_unlock(&source->lock);
        if (met || (until_us != G_MAXINT64 && g_get_monotonic_time() >= until_us))
            return check_cancelled(source, error);
        if (!source_check(source, error) || !keep_alive(source, error))
            return FALSE;
    }
}

static gboolean
bandwidth_changed(MigrationSource *source)
{
    return source->parameters.max_bandwidth != source->paced_by;
}

gboolean
source_pace(gpointer user, guint64 bytes, GError **error)
{
    MigrationSource *source = user;
    guint64 limit = source_parameters(source).max_bandwidth;
    MigrationInfo *info = statistics_lock(&source->statistics);

    info->ram_transferred += bytes;
    if (source->stopped_ns)
        info->downtime_bytes += bytes;
    else
        info->precopy_bytes += bytes;
    statistics_unlock(&source->statistics);
    source->last_frame_us = g_get_monotonic_time();
    if (!limit || source->stopped_ns)
        return TRUE;
    source->due_us =
        MAX(source->due_us, source->last_frame_us - BURST_US) + (gint64)((double)bytes * G_USEC_PER_SEC / (double)limit);
    source->paced_by = limit;
    if (source->due_us > source->last_frame_us && !source_wait(source, source->due_us, bandwidth_changed, error))
        return FALSE;
    source->due_us = MIN(source->due_us, g_get_monotonic_time()); /* under another limit the old debt is none */
    return TRUE;
}

/* --- from the beginning to the end --- */

static gboolean
connect_to_destination(MigrationSource *source, GError **error)
{
    const ChannelOptions options = {.tls_creds = source->tls_creds,
                                    .tls_hostname = source->tls_hostname,
                                    .stall_limit_ms = source->stall_limit_ms,
                                    .cancel = source->cancel};

    if (!source->channel)
        source->channel = channel_connect(source->uri, &options, error);
    if (!source->channel)
        return FALSE;
    stream_init(&source->stream, source->channel);
    source->sender = ram_sender_new(board_ram(source->board), &source->stream, source_pace, source);
    return TRUE;
}

static gboolean
say_hello(MigrationSource *source, GError **error)
{
    guint64 present;
    Frame frame;

    if (!ram_allocated(board_ram(source->board), &present, error))
        return FALSE;
    g_autoptr(GByteArray) hello = hello_encode(source->board, present);
    return stream_send(&source->stream, FRAME_HELLO, hello->data, hello->len, error) &&
           stream_receive(&source->stream, FRAME_BIT(FRAME_WELCOME) | FRAME_BIT(FRAME_REFUSAL), source_answer_deadline(source),
                          &frame, error);
}

static gboolean
migrate(MigrationSource *source, GError **error)
{
    statistics_set_status(&source->statistics, MIGRATION_SETUP);
    if (!connect_to_destination(source, error) || !source_check(source, error) || !say_hello(source, error) ||
        !source_start_tracking(source, error))
        return FALSE;
    statistics_set_status(&source->statistics, MIGRATION_ACTIVE);
    return source_precopy(source, error) && source_hand_over(source, error);
}

/* A destination that closed the connection has perhaps said why. */
static void
find_out_why(MigrationSource *source, GError **error)
{
    g_autoptr(GError) said = NULL;
    Frame frame;

    if (!source->channel || (*error)->domain != CHANNEL_ERROR || (*error)->code == CHANNEL_ERROR_CANCELLED)
        return;
    if (stream_receive(&source->stream, 0, g_get_monotonic_time() + LAST_WORDS_US, &frame, &said) ||
        !g_error_matches(said, MIGRATION_ERROR, MIGRATION_ERROR_PEER))
        return;
    g_clear_error(error);
    *error = g_steal_pointer(&said);
}

static void
restore_tracker(MigrationSource *source)
{
    g_autoptr(GError) error = NULL;

    if (!source->consumer)
        return;
    dl_log_unsubscribe(source->log, source->consumer);
    source->consumer = NULL;
    if (source->keep_tracker || !g_str_equal(source->tracker_before, "none"))
        return;
    if (!dl_log_move(source->log, "none", NULL, NULL, &error))
        g_warning("the tracker of the migration stays active: %s", error->message);
}

static void
let_guest_go_on(MigrationSource *source)
{
    if (source->paused)
        machine_resume(source->machine);
    if (source->quiesced)
        machine_unquiesce(source->machine);
    source->paused = source->quiesced = FALSE;
}

static void
end_in_failure(MigrationSource *source, GError *why)
{
    gboolean unresolved = g_error_matches(why, MIGRATION_ERROR, MIGRATION_ERROR_UNRESOLVED);
    gboolean cancelled = !check_cancelled(source, NULL) && !unresolved;

    if (!unresolved)
        let_guest_go_on(source);
    restore_tracker(source);
    if (source->channel && !unresolved && why->domain != CHANNEL_ERROR)
        stream_give_up(&source->stream, FALSE, why);
    g_mutex_lock(&source->lock);
    source->unresolved = unresolved;
    g_mutex_unlock(&source->lock);
    statistics_lock(&source->statistics)->handover_unresolved = unresolved;
    statistics_unlock(&source->statistics);
    statistics_end(&source->statistics, cancelled ? MIGRATION_CANCELLED : MIGRATION_FAILED, why);
}

static gpointer
source_thread(gpointer user)
{
    MigrationSource *source = user;
    g_autoptr(GError) error = NULL;
    gboolean done = migrate(source, &error);

    g_clear_pointer(&source->throttle, throttle_free);
    if (done) {
        restore_tracker(source);
        statistics_end(&source->statistics, MIGRATION_COMPLETED, NULL);
    } else {
        find_out_why(source, &error);
        end_in_failure(source, error);
    }
    g_clear_pointer(&source->channel, channel_free);
    return NULL;
}

/* --- from outside --- */

static gboolean
check_name(const char *name, GError **error)
{
    if (!name || (dl_tracker_facts_by_name(name) && !g_str_equal(name, "none")))
        return TRUE;
    g_set_error(error, MIGRATION_ERROR, MIGRATION_ERROR_INVALID, "“%s” is no tracker to migrate with", name);
    return FALSE;
}

static const char *
static_name(const char *name)
{
    return name ? dl_tracker_facts_by_name(name)->name : NULL;
}

static gboolean
take_config(MigrationSource *source, const MigrationSourceConfig *config, GError **error)
{
    if (!config->uri == !config->channel) {
        g_set_error_literal(error, MIGRATION_ERROR, MIGRATION_ERROR_INVALID, "a migration needs a URI, or a channel");
        return FALSE;
    }
    if (!migration_parameters_check(&config->parameters, error) || !check_name(config->tracker, error) ||
        (config->uri && !channel_check_uri(config->uri, error)))
        return FALSE;
    source->tracker = static_name(config->tracker);
    source->keep_tracker = config->keep_tracker;
    for (guint i = 0; i < config->n_moves; i++) {
        const MigrationMove *wanted = &config->moves[i];
        if (!check_name(wanted->from, error) || !check_name(wanted->to, error))
            return FALSE;
        Move move = {static_name(wanted->from), static_name(wanted->to), wanted->pass};
        g_array_append_val(source->moves, move);
    }
    source->parameters = config->parameters;
    source->uri = g_strdup(config->uri);
    source->tls_creds = g_strdup(config->tls_creds);
    source->tls_hostname = g_strdup(config->tls_hostname);
    source->stall_limit_ms = config->stall_limit_ms;
    source->guest_runs = config->guest_runs;
    source->guest_runs_user = config->guest_runs_user;
    return TRUE;
}

static void
free_source(MigrationSource *source)
{
    g_clear_pointer(&source->channel, channel_free);
    stream_clear(&source->stream);
    g_clear_pointer(&source->sender, ram_sender_free);
    g_clear_pointer(&source->taken, dl_bitmap_free);
    g_clear_pointer(&source->reported, dl_bitmap_free);
    g_array_unref(source->moves);
    g_clear_object(&source->cancel);
    g_free(source->uri);
    g_free(source->tls_creds);
    g_free(source->tls_hostname);
    statistics_clear(&source->statistics);
    g_mutex_clear(&source->lock);
    g_cond_clear(&source->changed);
    g_free(source);
}

MigrationSource *
migration_source_new(Board *board, const MigrationSourceConfig *config, GError **error)
{
    MigrationSource *source = g_new0(MigrationSource, 1);

    g_mutex_init(&source->lock);
    g_cond_init(&source->changed);
    statistics_init(&source->statistics, &config->events);
    source->board = board;
    source->machine = board_machine(board);
    source->log = board_log(board);
    source->layout = guest_ram_layout(board_ram(board));
    source->moves = g_array_new(FALSE, FALSE, sizeof(Move));
    source->cancel = config->cancel ? g_object_ref(config->cancel) : g_cancellable_new();
    if (!take_config(source, config, error)) {
        free_source(source);
        return NULL;
    }
    source->channel = config->channel;
    source->taken = dl_bitmap_new(dl_layout_n_bits(source->layout));
    source->reported = dl_bitmap_new(dl_layout_n_bits(source->layout));
    source->throttle = throttle_new(source->machine);
    source->statistics.info.ram_total = guest_ram_size(board_ram(board));
    source->thread = g_thread_new("migration", source_thread, source);
    return source;
}

void
migration_source_free(MigrationSource *source)
{
    migration_source_cancel(source);
    g_thread_join(source->thread);
    free_source(source);
}

void
migration_source_query(MigrationSource *source, MigrationInfo *info)
{
    statistics_query(&source->statistics, info);
    info->tracker = dl_log_tracker(source->log)->name;
}

gboolean
migration_source_wait(MigrationSource *source, gint64 timeout_ms)
{
    return statistics_wait(&source->statistics, timeout_ms);
}

gboolean
migration_source_set_parameters(MigrationSource *source, const MigrationParameters *parameters, GError **error)
{
    if (!migration_parameters_check(parameters, error))
        return FALSE;
    g_mutex_lock(&source->lock);
    source->parameters = *parameters;
    g_cond_broadcast(&source->changed);
    g_mutex_unlock(&source->lock);
    return TRUE;
}

gboolean
migration_source_cancel(MigrationSource *source)
{
    if (migration_status_is_final(statistics_status(&source->statistics)))
        return FALSE;
    g_mutex_lock(&source->lock);
    gboolean in_time = !source->committed;
    gboolean first = in_time && !source->cancelled;
    source->cancelled = source->cancelled || in_time;
    g_cond_broadcast(&source->changed);
    g_mutex_unlock(&source->lock);
    if (first) {
        statistics_set_status(&source->statistics, MIGRATION_CANCELLING);
        g_cancellable_cancel(source->cancel);
    }
    return in_time;
}

gboolean
migration_source_continue(MigrationSource *source, GError **error)
{
    gboolean there = statistics_status(&source->statistics) == MIGRATION_PRE_SWITCHOVER;

    if (!there) {
        g_set_error_literal(error, MIGRATION_ERROR, MIGRATION_ERROR_INVALID, "the migration is not in pre-switchover");
        return FALSE;
    }
    g_mutex_lock(&source->lock);
    source->go_on = TRUE;
    g_cond_broadcast(&source->changed);
    g_mutex_unlock(&source->lock);
    return TRUE;
}

gboolean
migration_source_move_tracker(MigrationSource *source, const char *name, GError **error)
{
    MigrationStatus status = statistics_status(&source->statistics);

    if (status != MIGRATION_ACTIVE && status != MIGRATION_PRE_SWITCHOVER) {
        g_set_error_literal(error, MIGRATION_ERROR, MIGRATION_ERROR_INVALID, "no migration is tracking this guest now");
        return FALSE;
    }
    return check_name(name, error) && dl_log_move(source->log, name, NULL, NULL, error);
}

gboolean
migration_source_resolve(MigrationSource *source, gboolean run, GError **error)
{
    g_mutex_lock(&source->lock);
    gboolean unresolved = source->unresolved && statistics_status(&source->statistics) == MIGRATION_FAILED;
    source->unresolved = source->unresolved && !unresolved;
    g_mutex_unlock(&source->lock);
    if (!unresolved) {
        g_set_error_literal(error, MIGRATION_ERROR, MIGRATION_ERROR_INVALID, "there is no hand-over to resolve");
        return FALSE;
    }
    if (run)
        let_guest_go_on(source);
    statistics_lock(&source->statistics)->handover_unresolved = FALSE;
    statistics_unlock(&source->statistics);
    return TRUE;
}
