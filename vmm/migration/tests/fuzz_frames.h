/* SPDX-License-Identifier: MIT */
/*
 * What the fuzzers of the incoming side and their seeds agree on: an input's first byte says how the rest is taken.
 *
 * FUZZ_RAW is the stream itself, which comes no further than the checksums. All others are lists of frames (type, two bytes of length,
 * payload) that get genuine headers; behind a PAGES frame as many contents follow as it asks for, up to FUZZ_CONTENTS, pages of zeroes. Of a
 * FUZZ_HONEST one PASS and END tell what really went before them, as a mutated one else never would; of a FUZZ_FLIPPED one the last
 * four bytes say which byte of that stream is changed.
 */
#pragma once

#include <board/board.h>
#include <migration/migration.h>
#include <migration/stream.h>

#define FUZZ_CONTENTS 9u        /* more than the shortest run that ram_receive.c populates */
#define FUZZ_MOST_BYTES 100000u /* fits a socket's buffer: who reads may not have begun */

typedef enum {
    FUZZ_RAW,
    FUZZ_FRAMES,
    FUZZ_HONEST,
    FUZZ_FLIPPED,
    FUZZ_N_FORMS
} FuzzForm;

/** fuzz_frames_put: one frame to the end of an input that is no FUZZ_RAW. */
void fuzz_frames_put(GByteArray *input, FrameType type, gconstpointer payload, gsize length);
/** fuzz_frames_stream: what an input means. */
GByteArray *fuzz_frames_stream(const guint8 *input, gsize size);
/**
 * fuzz_frames_replay: a destination on @board, which was never started, is sent all of an input and then the end of the stream. A
 * guest that comes to run is held. Returns how it ended.
 */
MigrationStatus fuzz_frames_replay(Board *board, const guint8 *input, gsize size);
