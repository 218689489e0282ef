/* SPDX-License-Identifier: MIT */
/*
 * libFuzzer over the whole destination, from HELLO to GO, each section's loader and the guest's start included (fuzz_frames.h has the form
 * of an input). It takes a fresh VM whenever the last one was spoilt, so it is slow; fuzz_incoming.c is the fast one.
 */
#include "fuzz_frames.h"

#include <board/tests/fuzz_board.h>

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

int
LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
    static Board *board;

    if (!board)
        board = fuzz_board_new();
    MigrationStatus status = fuzz_frames_replay(board, data, size);
    MachineState state = machine_state(board_machine(board));
    g_assert_true(status == MIGRATION_COMPLETED ? state == MACHINE_STARTED
                                                : status == MIGRATION_FAILED && state != MACHINE_STARTED);
    if (state != MACHINE_CREATED)
        g_clear_pointer(&board, board_free);
    return 0;
}
