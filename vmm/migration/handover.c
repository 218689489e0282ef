/* SPDX-License-Identifier: MIT */
/*
 * The hand-over, from the source's side:
 *
 *   devices finish what is in flight, the guest stops, the last collect, its pages, the saved sections, END
 *   LOADED comes                    until here anything may fail, and the guest goes on here
 *   GO is handed to the channel     from here on only the destination can say that the guest is ours still: by ERROR
 *   RUNNING comes                   done
 *
 * Between GO and an answer nobody knows who has the guest. If none comes, the guest stays paused and a person decides. A GO of which not
 * a byte was taken (channel_writes_entered) was not sent.
 */
#include <machine/section.h>
#include <machine/wire.h>
#include <migration/source_private.h>

static gboolean
told_to_go_on(MigrationSource *source)
{
    return source->go_on || !source->parameters.pause_before_switchover;
}

/* --- stopping --- */

static gboolean
stop_guest(MigrationSource *source, GError **error)
{
    throttle_end(source->throttle);
    /* a disk may hang: who cancels does not wait for it */
    if (!machine_quiesce(source->machine, source_is_cancelled, source, error))
        return FALSE;
    source->quiesced = TRUE;
    source->stopped_ns = clock_now_ns();
    if (!machine_pause(source->machine, error))
        return FALSE;
    source->paused = TRUE;
    return TRUE;
}

/* With the guest stopped, as QEMU does it: who waits for this wants to look at the guest as it will arrive. */
static gboolean
wait_for_user(MigrationSource *source, GError **error)
{
    if (!source_parameters(source).pause_before_switchover)
        return TRUE;
    statistics_set_status(&source->statistics, MIGRATION_PRE_SWITCHOVER);
    return source_wait(source, G_MAXINT64, told_to_go_on, error);
}

/* --- what is left --- */

static gboolean
send_last_pages(MigrationSource *source, GByteArray *out, GError **error)
{
    SourcePass pass;
    guint64 pending;
    gint64 waited_until = clock_now_ns();

    source_begin_pass(source, &pass);
    pass.figures.final = TRUE;
    if (!source_collect(source, &pass, &pending, error))
        return FALSE;
    gint64 collected = clock_now_ns();
    if (!source_send_pending(source, &pass, FALSE, error))
        return FALSE;
    gint64 sent = clock_now_ns();
    source_tell_pass(source, TRUE, out);
    MigrationInfo *info = statistics_lock(&source->statistics);
    info->downtime.final_harvest += collected - waited_until;
    info->downtime.final_send = sent - collected;
    info->dirty_sync_count = source->number;
    statistics_unlock(&source->statistics);
    source_end_pass(source, &pass);
    return TRUE;
}

static gboolean
save_section(MigrationSource *source, guint index, GByteArray *out, GError **error)
{
    gpointer user;
    const SectionClass *class = machine_section(source->machine, index, &user);
    g_autoptr(GByteArray) payload = g_byte_array_new();
    char name[STREAM_SECTION_HEAD - 8] = {0};

    g_strlcpy(name, class->name, sizeof name);
    wire_put_bytes(payload, name, sizeof name);
    wire_put_u32(payload, class->version);
    wire_put_u32(payload, 0);
    if (!machine_save_section(source->machine, index, payload, error))
        return FALSE;
    if (payload->len > STREAM_SECTION_HEAD + STREAM_SECTION_MAX) {
        g_set_error(error, MIGRATION_ERROR, MIGRATION_ERROR_FAILED, "“%s” is too long to be sent", class->name);
        return FALSE;
    }
    stream_append(&source->stream, out, FRAME_SECTION, payload->data, payload->len);
    return TRUE;
}

static void
append_end(MigrationSource *source, GByteArray *out)
{
    g_autoptr(GByteArray) payload = g_byte_array_new();

    wire_put_u64(payload, source->number);
    wire_put_u64(payload, source->sent.normal);
    wire_put_u64(payload, source->sent.zero);
    wire_put_u64(payload, machine_n_sections(source->machine));
    wire_put_u64(payload, source->stream.chain_out);
    stream_append(&source->stream, out, FRAME_END, payload->data, payload->len);
}

/* How long the destination took, by its own account. */
static gint64
answered_ns(const Frame *frame)
{
    WireReader reader = {.bytes = frame->payload, .left = frame->length};
    guint64 ns = wire_get_u64(&reader);

    return (gint64)MIN(ns, (guint64)G_MAXINT64);
}

static gboolean
send_state(MigrationSource *source, GByteArray *out, GError **error)
{
    gint64 start = clock_now_ns();
    Frame frame;

    for (guint i = 0; i < machine_n_sections(source->machine); i++) {
        if (!save_section(source, i, out, error))
            return FALSE;
    }
    append_end(source, out);
    gint64 saved = clock_now_ns();
    guint64 bytes = out->len;
    if (!stream_flush(&source->stream, out, error) || !source_pace(source, bytes, error) ||
        !stream_receive(&source->stream, FRAME_BIT(FRAME_LOADED), source_answer_deadline(source), &frame, error))
        return FALSE;
    gint64 load_ns = answered_ns(&frame);
    MigrationInfo *info = statistics_lock(&source->statistics);
    info->downtime.state_save = saved - start;
    info->downtime.state_load = load_ns;
    info->downtime.state_send = MAX(clock_now_ns() - saved - load_ns, 0);
    statistics_unlock(&source->statistics);
    return TRUE;
}

/* --- GO --- */

/* Last chance for a cancel. */
static gboolean
commit(MigrationSource *source, GError **error)
{
    if (!source_check(source, error))
        return FALSE;
    g_mutex_lock(&source->lock);
    source->committed = !source->cancelled;
    gboolean committed = source->committed;
    g_mutex_unlock(&source->lock);
    if (!committed)
        g_set_error_literal(error, MIGRATION_ERROR, MIGRATION_ERROR_CANCELLED, "the migration was cancelled");
    return committed;
}

static void
take_back(MigrationSource *source)
{
    g_mutex_lock(&source->lock);
    source->committed = FALSE;
    g_mutex_unlock(&source->lock);
}

static gboolean
send_go(MigrationSource *source, gboolean *may_have_gone, GError **error)
{
    guint64 entered = channel_writes_entered(source->channel);
    g_autoptr(GByteArray) payload = g_byte_array_new();

    wire_put_u32(payload, !source->guest_runs || source->guest_runs(source->guest_runs_user));
    wire_put_u32(payload, 0);
    gboolean sent = stream_send(&source->stream, FRAME_GO, payload->data, payload->len, error);
    *may_have_gone = channel_writes_entered(source->channel) != entered;
    return sent;
}

static gboolean
unresolved(GError **error)
{
    g_autofree char *why = g_strdup((*error)->message);

    g_clear_error(error);
    g_set_error(error, MIGRATION_ERROR, MIGRATION_ERROR_UNRESOLVED,
                "the guest was handed over and no answer came (%s): it stays paused here until you have looked whether it runs "
                "there, and said so with x-dirtylab-resolve-handover",
                why);
    return FALSE;
}

static gboolean
go(MigrationSource *source, GError **error)
{
    gboolean may_have_gone;
    Frame frame;

    if (!commit(source, error))
        return FALSE;
    gboolean sent = send_go(source, &may_have_gone, error);
    if (!may_have_gone) {
        take_back(source);
        return FALSE;
    }
    g_autoptr(GError) why = NULL;
    if (!stream_receive(&source->stream, FRAME_BIT(FRAME_RUNNING), source_answer_deadline(source), &frame, &why)) {
        g_clear_error(error);
        g_propagate_error(error, g_steal_pointer(&why));
        if (!g_error_matches(*error, MIGRATION_ERROR, MIGRATION_ERROR_PEER))
            return unresolved(error);
        take_back(source); /* the destination promises never to run it */
        return FALSE;
    }
    if (!sent)
        g_clear_error(error);
    gint64 resume_ns = answered_ns(&frame);
    MigrationInfo *info = statistics_lock(&source->statistics);
    info->downtime.resume = resume_ns;
    info->downtime_ns = clock_now_ns() - source->stopped_ns;
    statistics_unlock(&source->statistics);
    return TRUE;
}

gboolean
source_hand_over(MigrationSource *source, GError **error)
{
    g_autoptr(GByteArray) out = g_byte_array_new();

    if (!stop_guest(source, error) || !source_check(source, error))
        return FALSE;
    statistics_lock(&source->statistics)->downtime.final_harvest = clock_now_ns() - source->stopped_ns;
    statistics_unlock(&source->statistics);
    if (!wait_for_user(source, error))
        return FALSE;
    statistics_set_status(&source->statistics, MIGRATION_DEVICE);
    return send_last_pages(source, out, error) && send_state(source, out, error) && go(source, error);
}
