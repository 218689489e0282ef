/* SPDX-License-Identifier: MIT */
/*
 * libFuzzer over what a destination reads before it has anything to load: frames, HELLO, PAGES (fuzz_frames.h has the form of an input).
 * Then the stream ends. One board for all inputs, and no thread: many times as fast as fuzz_destination.c.
 */
#include "fuzz_frames.h"

#include <board/tests/fuzz_board.h>
#include <migration/hello.h>
#include <migration/ram_receive.h>

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

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
    const ChannelOptions options = {.stall_limit_ms = 1000};
    g_autoptr(GError) error = NULL;
    g_autoptr(GByteArray) bytes = fuzz_frames_stream(data, size);
    MigrationChannel *ends[2];
    Stream sender, receiver;

    if (!board)
        board = fuzz_board_new();
    g_assert_true(channel_new_pair(&options, ends, &error));
    stream_init(&sender, ends[0]);
    stream_init(&receiver, ends[1]);
    stream_flush(&sender, bytes, NULL);
    channel_free(ends[0]);
    read_stream(&receiver, board);
    stream_clear(&receiver);
    channel_free(ends[1]);
    return 0;
}
