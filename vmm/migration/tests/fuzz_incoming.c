/* SPDX-License-Identifier: MIT */
/*
 * libFuzzer over what a destination reads: frames, HELLO, PAGES. The first byte says how the rest is taken: as the stream itself, or as
 * a list of frames (type, two bytes of length, payload) that get genuine headers, which gets past the checksums; behind a PAGES
 * frame as many contents follow as it asks for, up to CONTENTS. Then the stream ends.
 */
#include <board/board.h>
#include <machine/wire.h>
#include <migration/hello.h>
#include <migration/ram_receive.h>

#define MEMORY (UINT64_C(8) << 20)
#define CONTENTS 4
#define MOST_BYTES 100000 /* fits the socket's buffer: nobody reads while this is written */

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

static void
append_frames(Stream *stream, GByteArray *out, const guint8 *data, gsize size)
{
    static const guint8 contents[CONTENTS * DL_PAGE_SIZE];
    WireReader reader = {.bytes = data, .left = size};

    while (reader.left >= 3 && out->len < MOST_BYTES) {
        FrameType type = 1 + wire_get_u8(&reader) % (FRAME_N_TYPES - 1);
        gsize wanted = wire_get_u16(&reader), length = MIN(wanted, reader.left);
        if (!stream_length_is_valid(type, length))
            continue;
        stream_append(stream, out, type, reader.bytes, length);
        if (type == FRAME_PAGES) {
            WireReader head = {.bytes = reader.bytes + 4, .left = 4};
            guint32 pages = wire_get_u32(&head);
            wire_put_bytes(out, contents, MIN(pages, CONTENTS) * DL_PAGE_SIZE);
        }
        reader.bytes += length;
        reader.left -= length;
    }
}

static void
read_stream(Stream *stream, Board *board)
{
    g_autoptr(RamReceiver) receiver = ram_receiver_new(board_ram(board), board_log(board), stream);
    g_autoptr(GError) error = NULL;
    Frame frame;

    while (stream_receive(stream, ~0u, g_get_monotonic_time() + G_USEC_PER_SEC, &frame, &error)) {
        if (frame.type == FRAME_HELLO)
            hello_check(board, frame.payload, frame.length, NULL);
        if (frame.type == FRAME_PAGES && !ram_receiver_take(receiver, &frame, &error))
            break;
    }
    g_assert_nonnull(error);
    ram_receiver_finish(receiver, NULL);
}

int
LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
    static Board *board; /* never started; its RAM's content is of no account */
    const BoardConfig config = {.memory_bytes = MEMORY, .vcpus = 1};
    const ChannelOptions options = {.stall_limit_ms = 1000};
    g_autoptr(GError) error = NULL;
    g_autoptr(GByteArray) out = g_byte_array_new();
    MigrationChannel *ends[2];
    Stream sender, receiver;

    if (!board)
        board = board_new(&config, &error);
    g_assert_no_error(error);
    g_assert_true(channel_new_pair(&options, ends, &error));
    stream_init(&sender, ends[0]);
    stream_init(&receiver, ends[1]);
    if (size && data[0] % 4)
        append_frames(&sender, out, data + 1, size - 1);
    else if (size)
        wire_put_bytes(out, data + 1, MIN(size - 1, MOST_BYTES));
    stream_flush(&sender, out, NULL);
    channel_free(ends[0]);
    read_stream(&receiver, board);
    stream_clear(&receiver);
    channel_free(ends[1]);
    return 0;
}
