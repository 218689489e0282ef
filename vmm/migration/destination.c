/* SPDX-License-Identifier: MIT */
/*
 * The destination's thread: hello, RAM, sections, LOADED, GO, RUNNING.
 *
 * The guest never runs before GO. A destination that fails after its hello was accepted stops its machine for good before it says ERROR, so
 * that ERROR is a promise which the source can act on, whenever it comes: this side has not run the guest and never will.
 */
#include <machine/section.h>
#include <machine/wire.h>
#include <migration/destination.h>
#include <migration/hello.h>
#include <migration/ram_receive.h>
#include <migration/statistics.h>

#define IDLE_LIMIT_MS 60000

typedef struct {
    gboolean there;
    guint32 version;
    GBytes *bytes;
} SavedSection;

struct MigrationDestination {
    Board *board;
    Machine *machine;
    guint idle_limit_ms;
    gboolean hold;
    GThread *thread;
    GCancellable *cancel;
    ChannelListener *listener;
    MigrationChannel *channel;
    Stream stream;
    RamReceiver *receiver;
    GArray *sections; /* of SavedSection, in the machine's order */
    guint64 passes;
    gboolean loaded;
    Statistics statistics;
    gboolean paused; /* atomic */
};

static gint64
idle_deadline(const MigrationDestination *destination)
{
    return g_get_monotonic_time() + (gint64)destination->idle_limit_ms * 1000;
}

static gboolean
damaged(const char *what, GError **error)
{
    g_set_error(error, MIGRATION_ERROR, MIGRATION_ERROR_DAMAGED, "the migration stream is damaged: %s", what);
    return FALSE;
}

/* --- hello --- */

static gboolean
welcome(MigrationDestination *destination, GError **error)
{
    g_autoptr(GByteArray) payload = g_byte_array_new();

    wire_put_u32(payload, guest_ram_kind(board_ram(destination->board)));
    wire_put_u32(payload, 0);
    return stream_send(&destination->stream, FRAME_WELCOME, payload->data, payload->len, error);
}

/* The longest section that this machine could take is the longest that any peer may announce. */
static void
set_caps(MigrationDestination *destination)
{
    gsize most = 0;

    for (guint i = 0; i < machine_n_sections(destination->machine); i++) {
        gpointer user;
        most = MAX(most, machine_section(destination->machine, i, &user)->max_bytes);
    }
    destination->stream.cap[FRAME_SECTION] = STREAM_SECTION_HEAD + (guint32)MIN(most, (gsize)STREAM_SECTION_MAX);
}

/* Who has connected and says nothing keeps the next one out, if there may be one. */
static gint64
hello_deadline(const MigrationDestination *destination)
{
    gint64 deadline = idle_deadline(destination);

    if (!destination->listener || !channel_listener_has_more(destination->listener))
        return deadline;
    return MIN(deadline, g_get_monotonic_time() + G_GINT64_CONSTANT(1000) * CHANNEL_SILENCE_LIMIT_MS);
}

/* A peer comes, and what it says of its guest is taken or refused. */
static gboolean
meet(MigrationDestination *destination, GError **error)
{
    Frame frame;

    if (!destination->channel)
        destination->channel = channel_accept(destination->listener, CHANNEL_NO_DEADLINE, error);
    if (!destination->channel)
        return FALSE;
    stream_clear(&destination->stream);
    stream_init(&destination->stream, destination->channel);
    set_caps(destination);
    if (!stream_receive(&destination->stream, FRAME_BIT(FRAME_HELLO), hello_deadline(destination), &frame, error))
        return FALSE;
    return hello_check(destination->board, frame.payload, frame.length, error);
}

/* Whoever connects and comes to nothing does not keep the next one out. */
static gboolean
meet_somebody(MigrationDestination *destination, GError **error)
{
    while (!meet(destination, error)) {
        gboolean again = destination->listener && channel_listener_has_more(destination->listener) &&
                         !g_cancellable_is_cancelled(destination->cancel) &&
                         (destination->channel || g_error_matches(*error, CHANNEL_ERROR, CHANNEL_ERROR_REFUSED));
        if (destination->channel)
            stream_give_up(&destination->stream, g_error_matches(*error, MIGRATION_ERROR, MIGRATION_ERROR_REFUSED), *error);
        if (!again)
            return FALSE;
        g_message("a migration was not taken: %s", (*error)->message);
        g_clear_error(error);
        g_clear_pointer(&destination->channel, channel_free);
    }
    return TRUE;
}

/* --- RAM and sections --- */

static gboolean
take_pass(MigrationDestination *destination, const Frame *frame, GError **error)
{
    WireReader reader = {.bytes = frame->payload, .left = frame->length};
    guint64 number = wire_get_u64(&reader), normal = wire_get_u64(&reader), zero = wire_get_u64(&reader);
    MigrationInfo *info = statistics_lock(&destination->statistics);

    info->dirty_sync_count = destination->passes = number;
    info->normal_pages = ram_receiver_normal(destination->receiver);
    info->duplicate_pages = ram_receiver_zero(destination->receiver);
    info->ram_transferred = channel_bytes_read(destination->channel);
    statistics_unlock(&destination->statistics);
    if (normal == ram_receiver_normal(destination->receiver) && zero == ram_receiver_zero(destination->receiver))
        return TRUE;
    return damaged("a pass's pages do not add up", error);
}

static gboolean
take_section(MigrationDestination *destination, const Frame *frame, GError **error)
{
    WireReader reader = {.bytes = frame->payload, .left = frame->length};
    char name[STREAM_SECTION_HEAD - 8];

    wire_get_bytes(&reader, name, sizeof name);
    name[sizeof name - 1] = '\0';
    guint32 version = wire_get_u32(&reader);
    wire_get_u32(&reader);
    for (guint i = 0; i < destination->sections->len; i++) {
        gpointer user;
        const SectionClass *class = machine_section(destination->machine, i, &user);
        SavedSection *saved = &g_array_index(destination->sections, SavedSection, i);
        if (!g_str_equal(class->name, name))
            continue;
        if (saved->there || !version || version > class->version || reader.left > class->max_bytes)
            return damaged("a section is there twice, too new or too long", error);
        *saved = (SavedSection){TRUE, version, g_bytes_new(reader.bytes, reader.left)};
        return TRUE;
    }
    return damaged("a section that the hello did not name", error);
}

static gboolean
check_end(MigrationDestination *destination, const Frame *frame, guint64 chain, GError **error)
{
    WireReader reader = {.bytes = frame->payload, .left = frame->length};
    guint64 passes = wire_get_u64(&reader), normal = wire_get_u64(&reader), zero = wire_get_u64(&reader);
    guint64 sections = wire_get_u64(&reader);
    gboolean all = passes == destination->passes && sections == destination->sections->len;

    for (guint i = 0; i < destination->sections->len; i++)
        all = all && g_array_index(destination->sections, SavedSection, i).there;
    if (!all || normal != ram_receiver_normal(destination->receiver) || zero != ram_receiver_zero(destination->receiver) ||
        wire_get_u64(&reader) != chain)
        return damaged("what came is not what was sent", error);
    return ram_receiver_finish(destination->receiver, error);
}

static gboolean
receive_guest(MigrationDestination *destination, GError **error)
{
    const guint expected = FRAME_BIT(FRAME_PAGES) | FRAME_BIT(FRAME_PASS) | FRAME_BIT(FRAME_KEEPALIVE) |
                           FRAME_BIT(FRAME_SECTION) | FRAME_BIT(FRAME_END);

    for (;;) {
        guint64 chain = destination->stream.chain_in;
        Frame frame;
        gboolean taken = TRUE;

        if (!stream_receive(&destination->stream, expected, idle_deadline(destination), &frame, error))
            return FALSE;
        if (frame.type == FRAME_END)
            return check_end(destination, &frame, chain, error);
        if (frame.type == FRAME_PAGES)
            taken = ram_receiver_take(destination->receiver, &frame, error);
        else if (frame.type == FRAME_PASS)
            taken = take_pass(destination, &frame, error);
        else if (frame.type == FRAME_SECTION)
            taken = take_section(destination, &frame, error);
        if (!taken)
            return FALSE;
    }
}

static gboolean
load_sections(MigrationDestination *destination, GError **error)
{
    for (guint i = 0; i < destination->sections->len; i++) {
        gpointer user;
        const SectionClass *class = machine_section(destination->machine, i, &user);
        const SavedSection *saved = &g_array_index(destination->sections, SavedSection, i);
        gsize size;
        const guint8 *bytes = g_bytes_get_data(saved->bytes, &size);
        if (!machine_load_section(destination->machine, class->name, saved->version, bytes, size, error))
            return FALSE;
    }
    return TRUE;
}

/* --- the hand-over --- */

static gboolean
answer(MigrationDestination *destination, FrameType type, gint64 took_ns, GError **error)
{
    g_autoptr(GByteArray) payload = g_byte_array_new();

    wire_put_u64(payload, (guint64)took_ns);
    return stream_send(&destination->stream, type, payload->data, payload->len, error);
}

static gboolean
wait_for_go(MigrationDestination *destination, gboolean *run, GError **error)
{
    Frame frame;

    do {
        if (!stream_receive(&destination->stream, FRAME_BIT(FRAME_GO) | FRAME_BIT(FRAME_KEEPALIVE), idle_deadline(destination),
                            &frame, error))
            return FALSE;
    } while (frame.type != FRAME_GO);
    WireReader reader = {.bytes = frame.payload, .left = frame.length};
    *run = wire_get_u32(&reader) && !destination->hold;
    return TRUE;
}

static gboolean
start_guest(MigrationDestination *destination, gboolean run, GError **error)
{
    if (!run && !machine_pause(destination->machine, error))
        return FALSE;
    __atomic_store_n(&destination->paused, !run, __ATOMIC_SEQ_CST);
    return board_start(destination->board, error);
}

/* From GO on the guest is here, whether the source hears of it or not. */
static gboolean
take_over(MigrationDestination *destination, GError **error)
{
    gboolean run;

    if (!wait_for_go(destination, &run, error))
        return FALSE;
    gint64 start = clock_now_ns();
    if (!start_guest(destination, run, error))
        return FALSE;
    g_autoptr(GError) unheard = NULL;
    if (!answer(destination, FRAME_RUNNING, clock_now_ns() - start, &unheard))
        g_message("the guest is here, but the source has not heard of it: %s", unheard->message);
    return TRUE;
}

/* --- from the beginning to the end --- */

static gboolean
take_guest(MigrationDestination *destination, GError **error)
{
    if (!welcome(destination, error))
        return FALSE;
    statistics_set_status(&destination->statistics, MIGRATION_ACTIVE);
    destination->receiver = ram_receiver_new(board_ram(destination->board), board_log(destination->board), &destination->stream);
    if (!receive_guest(destination, error))
        return FALSE;
    gint64 start = clock_now_ns();
    return load_sections(destination, error) && answer(destination, FRAME_LOADED, clock_now_ns() - start, error) &&
           take_over(destination, error);
}

static gpointer
destination_thread(gpointer user)
{
    MigrationDestination *destination = user;
    g_autoptr(GError) error = NULL;
    gboolean met, done;

    statistics_set_status(&destination->statistics, MIGRATION_SETUP);
    met = meet_somebody(destination, &error);
    done = met && take_guest(destination, &error);
    if (met && !done) {
        machine_stop(destination->machine);
        stream_give_up(&destination->stream, FALSE, error);
    }
    statistics_end(&destination->statistics, done ? MIGRATION_COMPLETED : MIGRATION_FAILED, error);
    g_clear_pointer(&destination->channel, channel_free);
    g_clear_pointer(&destination->listener, channel_listener_free);
    return NULL;
}

/* --- from outside --- */

static void
clear_section(gpointer pointer)
{
    g_clear_pointer(&((SavedSection *)pointer)->bytes, g_bytes_unref);
}

static void
free_destination(MigrationDestination *destination)
{
    g_clear_pointer(&destination->channel, channel_free);
    g_clear_pointer(&destination->listener, channel_listener_free);
    stream_clear(&destination->stream);
    g_clear_pointer(&destination->receiver, ram_receiver_free);
    g_array_unref(destination->sections);
    g_clear_object(&destination->cancel);
    statistics_clear(&destination->statistics);
    g_free(destination);
}

static gboolean
take_config(MigrationDestination *destination, const MigrationDestinationConfig *config, GError **error)
{
    const ChannelOptions options = {
        .tls_creds = config->tls_creds, .stall_limit_ms = config->stall_limit_ms, .cancel = destination->cancel};

    if (!config->uri == !config->channel) {
        g_set_error_literal(error, MIGRATION_ERROR, MIGRATION_ERROR_INVALID, "a migration needs a URI, or a channel");
        return FALSE;
    }
    destination->idle_limit_ms = config->idle_limit_ms ? config->idle_limit_ms : IDLE_LIMIT_MS;
    destination->hold = config->hold;
    if (config->uri) {
        destination->listener = channel_listen(config->uri, &options, error);
        return destination->listener != NULL;
    }
    destination->channel = config->channel;
    return TRUE;
}

MigrationDestination *
migration_destination_new(Board *board, const MigrationDestinationConfig *config, GError **error)
{
    MigrationDestination *destination = g_new0(MigrationDestination, 1);

    statistics_init(&destination->statistics, &config->events);
    destination->board = board;
    destination->machine = board_machine(board);
    destination->cancel = config->cancel ? g_object_ref(config->cancel) : g_cancellable_new();
    destination->sections = g_array_new(FALSE, TRUE, sizeof(SavedSection));
    g_array_set_clear_func(destination->sections, clear_section);
    g_array_set_size(destination->sections, machine_n_sections(destination->machine));
    destination->statistics.info.ram_total = guest_ram_size(board_ram(board));
    if (!take_config(destination, config, error)) {
        free_destination(destination);
        return NULL;
    }
    destination->thread = g_thread_new("incoming", destination_thread, destination);
    return destination;
}

void
migration_destination_free(MigrationDestination *destination)
{
    g_cancellable_cancel(destination->cancel);
    g_thread_join(destination->thread);
    free_destination(destination);
}

const char *
migration_destination_uri(const MigrationDestination *destination)
{
    return destination->listener ? channel_listener_uri(destination->listener) : NULL;
}

void
migration_destination_query(MigrationDestination *destination, MigrationInfo *info)
{
    statistics_query(&destination->statistics, info);
}

gboolean
migration_destination_wait(MigrationDestination *destination, gint64 timeout_ms)
{
    return statistics_wait(&destination->statistics, timeout_ms);
}

gboolean
migration_destination_is_paused(MigrationDestination *destination)
{
    return __atomic_load_n(&destination->paused, __ATOMIC_SEQ_CST);
}
