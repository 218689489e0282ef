/* SPDX-License-Identifier: MIT */
/*
 * libFuzzer over the loader of every section: vCPUs, interrupt controllers, PIT, clocks, each device. The input says which section, how
 * long it is and what of a good one is written over, so that it gets past lengths. Nothing runs afterwards: what KVM takes is KVM's to
 * bear. migration/tests/record_seeds.c has seeds from a guest that ran.
 *
 * For longer than the test does: build-fuzz/vmm/board/tests/fuzz-state -max_total_time=3600 -max_len=512 CORPUS-FOLDER
 */
#include <machine/wire.h>

#include "fuzz_board.h"
#include "state_list.h"

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

typedef struct {
    Board *board;
    StateList *good;
} World;

static World *
world_new(void)
{
    World *world = g_new0(World, 1);

    world->board = fuzz_board_new();
    world->good = state_list_save(board_machine(world->board));
    return world;
}

/* What the input makes of a section: all of it, as it came from a guest that ran, or patches: offset, length, bytes. */
static guint8 *
make_bytes(const GByteArray *good, guint8 change, WireReader *reader, gsize *length)
{
    gboolean whole = change == FUZZ_BOARD_WHOLE;

    *length = whole ? reader->left : (gsize)MAX((gint)good->len + (gint8)change, 0);
    guint8 *bytes = g_malloc0(MAX(*length, 1)); /* exactly so much, so that a read beyond is seen */
    if (whole)
        wire_get_bytes(reader, bytes, *length);
    else
        memcpy(bytes, good->data, MIN(*length, good->len));
    while (!reader->overrun && reader->left && *length) {
        gsize at = wire_get_u16(reader) % *length;
        gsize n = wire_get_u8(reader);
        wire_get_bytes(reader, bytes + at, MIN(n, MIN(reader->left, *length - at)));
    }
    return bytes;
}

/* Section, version, bytes cut off or added or FUZZ_BOARD_WHOLE, then as above. */
int
LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
    static World *world;
    WireReader reader = {.bytes = data, .left = size};
    g_autoptr(GError) error = NULL;

    if (!world)
        world = world_new();
    const SavedSection *section = world->good->pdata[wire_get_u8(&reader) % world->good->len];
    guint32 version = section->version + (wire_get_u8(&reader) == G_MAXUINT8);
    guint8 change = wire_get_u8(&reader);
    gsize length;
    g_autofree guint8 *bytes = make_bytes(section->bytes, change, &reader, &length);
    machine_load_section(board_machine(world->board), section->name, version, bytes, length, &error);
    return 0;
}
