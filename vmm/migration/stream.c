/* SPDX-License-Identifier: MIT */
/*
 * A frame's header, little-endian:
 *
 *    0  u32 magic          12  u32 number, from 0, one more each frame    24  u64 XXH3 of bytes 0 … 23
 *    4  u16 version        16  u64 XXH3 of the payload
 *    6  u16 type
 *    8  u32 length of the payload
 *
 * The header has a checksum of its own so that a length is never believed that was damaged on the way.
 */
#include <machine/wire.h>
#include <migration/hash.h>
#include <migration/stream.h>

#define MAGIC UINT32_C(0x4d424c44) /* "DLBM" */
#define GIVE_UP_US (G_USEC_PER_SEC / 2)

typedef struct {
    const char *name;
    guint32 least, most;
} TypeFacts;

static const TypeFacts type_facts[FRAME_N_TYPES] = {
    [FRAME_HELLO] = {"HELLO", 32, 65536},
    [FRAME_WELCOME] = {"WELCOME", 8, 8},
    [FRAME_REFUSAL] = {"REFUSAL", 0, STREAM_TEXT_MAX},
    [FRAME_PAGES] = {"PAGES", 8, 16384},
    [FRAME_PASS] = {"PASS", 32, 32},
    [FRAME_KEEPALIVE] = {"KEEPALIVE", 0, 0},
    [FRAME_SECTION] = {"SECTION", STREAM_SECTION_HEAD, STREAM_SECTION_HEAD + STREAM_SECTION_MAX},
    [FRAME_END] = {"END", 40, 40},
    [FRAME_LOADED] = {"LOADED", 8, 8},
    [FRAME_GO] = {"GO", 8, 8},
    [FRAME_RUNNING] = {"RUNNING", 8, 8},
    [FRAME_ERROR] = {"ERROR", 0, STREAM_TEXT_MAX},
};

void
stream_init(Stream *stream, MigrationChannel *channel)
{
    *stream = (Stream){.channel = channel};
    for (guint i = 0; i < FRAME_N_TYPES; i++)
        stream->cap[i] = type_facts[i].most;
}

void
stream_clear(Stream *stream)
{
    g_clear_pointer(&stream->buffer, g_free);
    stream->buffer_size = 0;
}

const char *
frame_type_name(FrameType type)
{
    return (guint)type < FRAME_N_TYPES && type_facts[type].name ? type_facts[type].name : "unknown";
}

gboolean
stream_length_is_valid(FrameType type, gsize length)
{
    return length >= type_facts[type].least && length <= type_facts[type].most;
}

/* --- sending --- */

static guint64
chain(guint64 before, const guint8 head[STREAM_HEADER_BYTES])
{
    return hash_seeded(head, STREAM_HEADER_BYTES, before);
}

void
stream_head(Stream *stream, FrameType type, gconstpointer payload, gsize length, guint8 head[STREAM_HEADER_BYTES])
{
    const guint32 magic = GUINT32_TO_LE(MAGIC), size = GUINT32_TO_LE((guint32)length);
    const guint32 number = GUINT32_TO_LE(stream->number_out);
    const guint16 version = GUINT16_TO_LE(STREAM_VERSION), type_number = GUINT16_TO_LE((guint16)type);
    const guint64 payload_sum = GUINT64_TO_LE(hash_bytes(payload, length));

    g_assert(stream_length_is_valid(type, length));
    memcpy(head, &magic, 4);
    memcpy(head + 4, &version, 2);
    memcpy(head + 6, &type_number, 2);
    memcpy(head + 8, &size, 4);
    memcpy(head + 12, &number, 4);
    memcpy(head + 16, &payload_sum, 8);
    const guint64 own = GUINT64_TO_LE(hash_bytes(head, 24));
    memcpy(head + 24, &own, 8);
    stream->number_out++;
    stream->chain_out = chain(stream->chain_out, head);
}

void
stream_append(Stream *stream, GByteArray *out, FrameType type, gconstpointer payload, gsize length)
{
    guint8 head[STREAM_HEADER_BYTES];

    stream_head(stream, type, payload, length, head);
    wire_put_bytes(out, head, sizeof head);
    wire_put_bytes(out, payload, length);
}

gboolean
stream_flush(Stream *stream, GByteArray *out, GError **error)
{
    gboolean sent = channel_write_all(stream->channel, out->data, out->len, CHANNEL_NO_DEADLINE, error);

    stream->broken = stream->broken || !sent;
    g_byte_array_set_size(out, 0);
    return sent;
}

gboolean
stream_send_with(Stream *stream, FrameType type, gconstpointer payload, gsize length, struct iovec *pieces, guint n_pieces,
                 GError **error)
{
    guint8 head[STREAM_HEADER_BYTES];

    stream_head(stream, type, payload, length, head);
    pieces[0] = (struct iovec){head, sizeof head};
    pieces[1] = (struct iovec){(gpointer)payload, length};
    gboolean sent = channel_writev_all(stream->channel, pieces, n_pieces, CHANNEL_NO_DEADLINE, error);
    stream->broken = stream->broken || !sent;
    return sent;
}

gboolean
stream_send(Stream *stream, FrameType type, gconstpointer payload, gsize length, GError **error)
{
    g_autoptr(GByteArray) out = g_byte_array_new();

    stream_append(stream, out, type, payload, length);
    return stream_flush(stream, out, error);
}

void
stream_give_up(Stream *stream, gboolean refusal, const GError *why)
{
    g_autoptr(GByteArray) out = g_byte_array_new();
    gsize length = MIN(strlen(why->message), (gsize)STREAM_TEXT_MAX);

    if (stream->broken)
        return;
    stream_append(stream, out, refusal ? FRAME_REFUSAL : FRAME_ERROR, why->message, length);
    channel_write_all(stream->channel, out->data, out->len, g_get_monotonic_time() + GIVE_UP_US, NULL);
}

/* --- receiving --- */

static gboolean
damaged(GError **error, const char *what)
{
    g_set_error(error, MIGRATION_ERROR, MIGRATION_ERROR_DAMAGED, "the migration stream is damaged: %s", what);
    return FALSE;
}

gboolean
stream_parse_head(const guint8 bytes[STREAM_HEADER_BYTES], FrameHead *head, GError **error)
{
    WireReader reader = {.bytes = bytes, .left = STREAM_HEADER_BYTES};
    guint32 magic = wire_get_u32(&reader);
    guint16 version = wire_get_u16(&reader), type = wire_get_u16(&reader);
    guint32 length = wire_get_u32(&reader), number = wire_get_u32(&reader);
    guint64 payload_sum = wire_get_u64(&reader);

    if (magic != MAGIC)
        return damaged(error, "these are no frames of dirtylab's migration");
    if (wire_get_u64(&reader) != hash_bytes(bytes, 24))
        return damaged(error, "a frame's header does not match its checksum");
    if (version != STREAM_VERSION) {
        g_set_error(
            error, MIGRATION_ERROR, MIGRATION_ERROR_DAMAGED,
            "the other side speaks version %u of the migration protocol, this one version %d: use the same dirtylab on both",
            version, STREAM_VERSION);
        return FALSE;
    }
    if (type >= FRAME_N_TYPES || !type_facts[type].name)
        return damaged(error, "a frame of unknown type");
    *head = (FrameHead){.type = type, .length = length, .number = number, .payload_sum = payload_sum};
    return TRUE;
}

static gboolean
check_due(const Stream *stream, const FrameHead *head, guint expected, GError **error)
{
    if (head->number != stream->number_in)
        return damaged(error, "a frame is out of order");
    if (!(expected & FRAME_BIT(head->type))) {
        g_set_error(error, MIGRATION_ERROR, MIGRATION_ERROR_DAMAGED, "the other side sent %s, which is not due now",
                    frame_type_name(head->type));
        return FALSE;
    }
    if (head->length < type_facts[head->type].least || head->length > stream->cap[head->type]) {
        g_set_error(error, MIGRATION_ERROR, MIGRATION_ERROR_DAMAGED, "a %s of %u bytes: at most %u are taken",
                    frame_type_name(head->type), head->length, stream->cap[head->type]);
        return FALSE;
    }
    return TRUE;
}

static gboolean
read_payload(Stream *stream, const FrameHead *head, GError **error)
{
    if (head->length > stream->buffer_size) {
        g_free(stream->buffer);
        stream->buffer = g_try_malloc(head->length);
        stream->buffer_size = stream->buffer ? head->length : 0;
        if (!stream->buffer) {
            g_set_error(error, MIGRATION_ERROR, MIGRATION_ERROR_FAILED, "no memory for a %s of %u bytes",
                        frame_type_name(head->type), head->length);
            return FALSE;
        }
    }
    if (head->length && !channel_read_all(stream->channel, stream->buffer, head->length, CHANNEL_NO_DEADLINE, error))
        return FALSE;
    return hash_bytes(stream->buffer, head->length) == head->payload_sum ||
           damaged(error, "a frame's payload does not match its checksum");
}

char *
stream_text(const guint8 *bytes, gsize length)
{
    char *text =
        length ? g_utf8_make_valid((const char *)bytes, (gssize)MIN(length, (gsize)STREAM_TEXT_MAX)) : g_strdup("no reason");

    for (char *at = text; *at; at++) {
        if (g_ascii_iscntrl(*at))
            *at = ' ';
    }
    return text;
}

static gboolean
peer_gave_up(const Frame *frame, GError **error)
{
    g_autofree char *text = stream_text(frame->payload, frame->length);

    if (frame->type == FRAME_REFUSAL)
        g_set_error(error, MIGRATION_ERROR, MIGRATION_ERROR_REFUSED, "the destination refuses this guest: %s", text);
    else
        g_set_error(error, MIGRATION_ERROR, MIGRATION_ERROR_PEER, "the other side gave up: %s", text);
    return FALSE;
}

static gboolean
wait_for_frame(Stream *stream, gint64 deadline, GError **error)
{
    g_autoptr(GError) local = NULL;

    if (channel_wait_readable(stream->channel, deadline, &local))
        return TRUE;
    if (g_error_matches(local, CHANNEL_ERROR, CHANNEL_ERROR_STALLED))
        g_set_error_literal(error, CHANNEL_ERROR, CHANNEL_ERROR_STALLED, "the other side has said nothing in time");
    else
        g_propagate_error(error, g_steal_pointer(&local));
    return FALSE;
}

gboolean
stream_receive(Stream *stream, guint expected, gint64 deadline, Frame *frame, GError **error)
{
    guint8 bytes[STREAM_HEADER_BYTES];
    FrameHead head;

    if (!wait_for_frame(stream, deadline, error) ||
        !channel_read_all(stream->channel, bytes, sizeof bytes, CHANNEL_NO_DEADLINE, error) ||
        !stream_parse_head(bytes, &head, error) || !check_due(stream, &head, expected | FRAME_BIT(FRAME_ERROR), error) ||
        !read_payload(stream, &head, error))
        return FALSE;
    stream->number_in++;
    stream->chain_in = chain(stream->chain_in, bytes);
    *frame = (Frame){.type = head.type, .payload = stream->buffer, .length = head.length};
    return (head.type != FRAME_ERROR && head.type != FRAME_REFUSAL) || peer_gave_up(frame, error);
}
