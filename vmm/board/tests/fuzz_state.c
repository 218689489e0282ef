/* SPDX-License-Identifier: MIT */
/*
 * libFuzzer over the loaders of the machine's own sections: vCPUs, interrupt controllers, PIT, clocks. The input says which section, how
 * long it is and what of a good one is written over, so that it gets past lengths. Nothing runs afterwards: what KVM takes is KVM's to
 * bear.
 *
 * For longer than the test does: build-fuzz/vmm/board/tests/fuzz-state -max_total_time=3600 -max_len=512 CORPUS-FOLDER
 */
#include <board/board.h>
#include <machine/wire.h>

#include "state_list.h"

#define MIB (UINT64_C(1) << 20)

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

typedef struct {
    Board *board;
    StateList *good;
} World;

static World *
world_new(void)
{
    const BoardConfig config = {.memory_bytes = 8 * MIB, .vcpus = 2, .stock = TRUE, .rng = TRUE, .balloon = TRUE};
    World *world = g_new0(World, 1);
    g_autoptr(GError) error = NULL;

    world->board = board_new(&config, &error);
    if (!world->board)
        g_error("%s", error->message);
    world->good = state_list_save(board_machine(world->board));
    return world;
}

/* Section, version, bytes cut off or added, then patches: offset, length, bytes. */
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
    gint change = (gint8)wire_get_u8(&reader);
    gsize length = (gsize)MAX((gint)section->bytes->len + change, 0);
    g_autofree guint8 *bytes = g_malloc0(length + 1);
    memcpy(bytes, section->bytes->data, MIN(length, section->bytes->len));
    while (!reader.overrun && reader.left && length) {
        gsize at = wire_get_u16(&reader) % length;
        gsize n = wire_get_u8(&reader);
        wire_get_bytes(&reader, bytes + at, MIN(n, MIN(reader.left, length - at)));
    }
    machine_load_section(board_machine(world->board), section->name, version, bytes, length, &error);
    return 0;
}
