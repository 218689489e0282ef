/* SPDX-License-Identifier: MIT */
#include "fuzz_frames.h"

#include <machine/wire.h>
#include <migration/destination.h>
#include <migration/pages.h>
#include <sys/socket.h>
#include <unistd.h>

#define WAIT_MS 60000
#define FLIP_BYTES 4

/** Sender: @normal, @zero: pages that went out so far */
typedef struct {
    Stream stream;
    GByteArray *out;
    gboolean honest;
    guint64 normal, zero;
} Sender;

void
fuzz_frames_put(GByteArray *input, FrameType type, gconstpointer payload, gsize length)
{
    g_assert_cmpuint(length, <=, G_MAXUINT16);
    wire_put_u8(input, (guint8)(type - 1));
    wire_put_u16(input, (guint16)length);
    wire_put_bytes(input, payload, length);
}

static void
store_u64(guint8 *to, guint64 value)
{
    value = GUINT64_TO_LE(value);
    memcpy(to, &value, sizeof value);
}

static void
be_honest(const Sender *sender, FrameType type, guint8 *payload)
{
    if (type != FRAME_PASS && type != FRAME_END)
        return;
    store_u64(payload + 8, sender->normal);
    store_u64(payload + 16, sender->zero);
    if (type == FRAME_END)
        store_u64(payload + 32, sender->stream.chain_out);
}

static void
follow_with_contents(Sender *sender, const guint8 *payload, gsize length)
{
    static const guint8 contents[FUZZ_CONTENTS * DL_PAGE_SIZE];
    WireReader reader = {.bytes = payload, .left = length};
    guint32 runs = wire_get_u32(&reader), pages = wire_get_u32(&reader);

    wire_put_bytes(sender->out, contents, MIN(pages, FUZZ_CONTENTS) * DL_PAGE_SIZE);
    for (; runs && reader.left && !reader.overrun; runs--) {
        wire_get_u64(&reader);
        guint32 n = wire_get_u32(&reader);
        *(wire_get_u32(&reader) == PAGES_RUN_ZERO ? &sender->zero : &sender->normal) += n;
    }
}

static void
append_frames(Sender *sender, const guint8 *input, gsize size)
{
    WireReader reader = {.bytes = input, .left = size};

    while (reader.left >= 3 && sender->out->len < FUZZ_MOST_BYTES) {
        FrameType type = 1 + wire_get_u8(&reader) % (FRAME_N_TYPES - 1);
        gsize wanted = wire_get_u16(&reader), length = MIN(wanted, reader.left);
        if (!stream_length_is_valid(type, length))
            continue;
        g_autofree guint8 *payload = g_memdup2(reader.bytes, length);
        if (sender->honest)
            be_honest(sender, type, payload);
        stream_append(&sender->stream, sender->out, type, payload, length);
        if (type == FRAME_PAGES)
            follow_with_contents(sender, payload, length);
        reader.bytes += length;
        reader.left -= length;
    }
}

GByteArray *
fuzz_frames_stream(const guint8 *input, gsize size)
{
    WireReader reader = {.bytes = input, .left = size};
    FuzzForm form = wire_get_u8(&reader) % FUZZ_N_FORMS;
    Sender sender = {.out = g_byte_array_new(), .honest = form >= FUZZ_HONEST};
    WireReader flip = {0};

    if (form == FUZZ_FLIPPED && reader.left >= FLIP_BYTES) {
        reader.left -= FLIP_BYTES;
        flip = (WireReader){.bytes = reader.bytes + reader.left, .left = FLIP_BYTES};
    }
    stream_init(&sender.stream, NULL);
    if (form == FUZZ_RAW)
        wire_put_bytes(sender.out, reader.bytes, MIN(reader.left, FUZZ_MOST_BYTES));
    else
        append_frames(&sender, reader.bytes, reader.left);
    stream_clear(&sender.stream);
    if (flip.left && sender.out->len) {
        guint32 place = wire_get_u32(&flip);
        sender.out->data[(place >> 8) % sender.out->len] ^= (guint8)place;
    }
    return sender.out;
}

/* The other side may have had enough at any byte. */
static void
send_stream(int fd, const GByteArray *stream)
{
    gssize put = 1;

    for (gsize done = 0; done < stream->len && put > 0; done += (gsize)put)
        put = send(fd, stream->data + done, stream->len - done, MSG_NOSIGNAL);
    shutdown(fd, SHUT_WR);
}

MigrationStatus
fuzz_frames_replay(Board *board, const guint8 *input, gsize size)
{
    g_autoptr(GByteArray) stream = fuzz_frames_stream(input, size);
    g_autofree char *uri = NULL;
    g_autoptr(GError) error = NULL;
    g_auto(MigrationInfo) info = {0};
    int fds[2];

    g_assert_no_errno(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds));
    uri = g_strdup_printf("fd:%d", fds[1]);
    MigrationChannel *channel = channel_connect(uri, &(ChannelOptions){0}, &error);
    g_assert_no_error(error);
    g_autoptr(MigrationDestination) destination =
        migration_destination_new(board, &(MigrationDestinationConfig){.channel = channel, .hold = TRUE}, &error);
    g_assert_no_error(error);
    send_stream(fds[0], stream);
    g_assert_true(migration_destination_wait(destination, WAIT_MS));
    migration_destination_query(destination, &info);
    close(fds[0]);
    return info.status;
}
