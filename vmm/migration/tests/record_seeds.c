/* SPDX-License-Identifier: MIT */
/*
 * Seeds for the fuzzers from a migration of this build: a guest that writes, with every device, is given away by the source itself to this
 * program, which plays the destination and writes down each frame. `record-seeds FOLDER` makes in FOLDER
 *
 *   incoming/  the whole stream, and its beginning, as fuzz_frames.h has it: of PAGES a few runs with few contents
 *   state/     every section, as fuzz_state.c takes it
 *
 * and ends with an error unless a destination takes that whole stream and the guest, so that seeds do not rot unseen.
 */
#include "fuzz_frames.h"

#include <board/tests/fuzz_board.h>
#include <board/tests/guest_run.h>
#include <glib/gstdio.h>
#include <machine/section.h>
#include <machine/wire.h>
#include <migration/hash.h>
#include <migration/pages.h>
#include <migration/source.h>

#define WAIT_MS 60000
#define SETTLE 600    /* writes */
#define MOST_PAGES 2u /* frames */
#define MOST_RUNS 16u
#define MOST_CONTENTS FUZZ_CONTENTS

typedef struct {
    const char *folder;
    Machine *machine;
    Stream stream;
    GByteArray *whole;
    guint n_pages;
    guint n_sections;
} Recorder;

static void
write_seed(const char *folder, const char *kind, const char *name, const GByteArray *bytes)
{
    g_autofree char *path = g_build_filename(folder, kind, name, NULL);
    g_autoptr(GError) error = NULL;

    g_file_set_contents(path, (const char *)bytes->data, (gssize)bytes->len, &error);
    g_assert_no_error(error);
}

static void
must_send(Recorder *recorder, FrameType type)
{
    g_autoptr(GError) error = NULL;

    stream_send(&recorder->stream, type, &(guint64){0}, sizeof(guint64), &error);
    g_assert_no_error(error);
}

/* The first runs, of which only a few pages have content, and that is zeroes. */
static void
record_pages(Recorder *recorder, const Frame *frame)
{
    static guint8 contents[PAGES_MAX_CONTENTS * DL_PAGE_SIZE];
    g_autoptr(GByteArray) payload = g_byte_array_new();
    g_autoptr(GError) error = NULL;
    WireReader reader = {.bytes = frame->payload, .left = frame->length};
    guint32 runs = wire_get_u32(&reader), n_contents = wire_get_u32(&reader), kept = 0, n_runs = 0;

    g_assert_cmpuint(n_contents, <=, PAGES_MAX_CONTENTS);
    if (n_contents)
        channel_read_all(recorder->stream.channel, contents, n_contents * DL_PAGE_SIZE, CHANNEL_NO_DEADLINE, &error);
    g_assert_no_error(error);
    if (recorder->n_pages++ >= MOST_PAGES)
        return;
    memset(contents, 0, sizeof contents);
    wire_put_u64(payload, 0);
    for (runs = MIN(runs, MOST_RUNS); runs; runs--) {
        guint64 gpa = wire_get_u64(&reader);
        guint32 pages = wire_get_u32(&reader), kind = wire_get_u32(&reader);
        if (kind == PAGES_RUN_CONTENT)
            kept += pages = MIN(pages, MOST_CONTENTS - kept);
        if (!pages)
            continue;
        wire_put_u64(payload, gpa);
        wire_put_u32(payload, pages);
        wire_put_u32(payload, kind);
        n_runs++;
    }
    for (guint32 i = 0; i < kept; i++)
        wire_put_u64(payload, hash_bytes(contents, DL_PAGE_SIZE));
    n_runs = GUINT32_TO_LE(n_runs);
    kept = GUINT32_TO_LE(kept);
    memcpy(payload->data, &n_runs, sizeof n_runs);
    memcpy(payload->data + sizeof n_runs, &kept, sizeof kept);
    fuzz_frames_put(recorder->whole, FRAME_PAGES, payload->data, payload->len);
}

static void
record_section(Recorder *recorder, const Frame *frame)
{
    const char *name = (const char *)frame->payload;
    g_autoptr(GByteArray) seed = g_byte_array_new();
    gpointer user;

    g_assert_true(memchr(name, '\0', STREAM_SECTION_HEAD) != NULL);
    for (guint i = 0; i < machine_n_sections(recorder->machine); i++) {
        if (!g_str_equal(machine_section(recorder->machine, i, &user)->name, name))
            continue;
        wire_put_u8(seed, (guint8)i);
        wire_put_u8(seed, 0);
        wire_put_u8(seed, FUZZ_BOARD_WHOLE);
        wire_put_bytes(seed, frame->payload + STREAM_SECTION_HEAD, frame->length - STREAM_SECTION_HEAD);
        write_seed(recorder->folder, "state", name, seed);
        recorder->n_sections++;
    }
}

/* As a destination, until the guest would be here. */
static void
record(Recorder *recorder)
{
    g_autoptr(GError) error = NULL;
    Frame frame = {0};

    while (frame.type != FRAME_GO) {
        stream_receive(&recorder->stream, ~0u, g_get_monotonic_time() + G_GINT64_CONSTANT(1000) * WAIT_MS, &frame, &error);
        g_assert_no_error(error);
        if (frame.type == FRAME_PAGES)
            record_pages(recorder, &frame);
        else
            fuzz_frames_put(recorder->whole, frame.type, frame.payload, frame.length);
        if (frame.type == FRAME_SECTION)
            record_section(recorder, &frame);
        if (frame.type == FRAME_PASS)
            write_seed(recorder->folder, "incoming", "ram", recorder->whole);
        if (frame.type == FRAME_HELLO)
            must_send(recorder, FRAME_WELCOME);
        if (frame.type == FRAME_END)
            must_send(recorder, FRAME_LOADED);
    }
    must_send(recorder, FRAME_RUNNING);
    write_seed(recorder->folder, "incoming", "whole", recorder->whole);
}

static void
migrate(Recorder *recorder, Board *board)
{
    MigrationChannel *ends[2];
    g_autoptr(GError) error = NULL;

    g_assert_true(channel_new_pair(&(ChannelOptions){0}, ends, &error));
    MigrationSourceConfig config = {.channel = ends[0]};
    migration_parameters_init(&config.parameters);
    g_autoptr(MigrationSource) source = migration_source_new(board, &config, &error);
    g_assert_no_error(error);
    stream_init(&recorder->stream, ends[1]);
    record(recorder);
    g_assert_true(migration_source_wait(source, WAIT_MS));
    g_auto(MigrationInfo) info = {0};
    migration_source_query(source, &info);
    g_assert_cmpint(info.status, ==, MIGRATION_COMPLETED);
    stream_clear(&recorder->stream);
    channel_free(ends[1]);
}

int
main(int argc, char **argv)
{
    g_assert_cmpint(argc, ==, 2);
    g_autofree char *incoming = g_build_filename(argv[1], "incoming", NULL);
    g_autofree char *state = g_build_filename(argv[1], "state", NULL);
    g_autoptr(GuestRun) run = guest_run_new(fuzz_board_config(), "pattern=random pages=300 passes=0 vcpus=2 quiet");
    g_autoptr(GByteArray) whole = g_byte_array_new();
    Recorder recorder = {.folder = argv[1], .machine = board_machine(run->board), .whole = whole};

    g_assert_no_errno(g_mkdir_with_parents(incoming, 0755));
    g_assert_no_errno(g_mkdir_with_parents(state, 0755));
    wire_put_u8(whole, FUZZ_HONEST);
    run->free_running = TRUE;
    guest_run_start(run);
    guest_run_wait_for_writes(run, SETTLE);
    migrate(&recorder, run->board);
    g_assert_cmpuint(recorder.n_pages, >, 0);
    g_assert_cmpuint(recorder.n_sections, ==, machine_n_sections(recorder.machine));

    Board *board = fuzz_board_new();
    g_assert_cmpint(fuzz_frames_replay(board, whole->data, whole->len), ==, MIGRATION_COMPLETED);
    board_free(board);
    return 0;
}
