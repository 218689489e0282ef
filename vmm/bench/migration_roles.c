/* SPDX-License-Identifier: MIT */
/* What both sides have in common: the VM, and telling what is in its RAM. */
#include "bench/migration_roles.h"

#include "machine/ram_digest.h"

static guint64
pace_cycles(const RolePlan *plan)
{
    double seconds = (double)plan->migration->vcpus / LOAD_MODERATE_PAGES_PER_SECOND;

    return plan->migration->load == LOAD_MODERATE ? (guint64)(seconds * 1e9 / plan->ns_per_cycle) : 0;
}

Stage *
role_stage(const RolePlan *plan, gboolean destination, GError **error)
{
    const MigrationCase *migration = plan->migration;
    const StageConfig config = {
        .facts = migration_case_ring(migration) ? dl_tracker_facts_by_name("kvm-ring") : migration->facts,
        .ram = migration->ram,
        .memory_bytes = migration->memory_bytes,
        .vcpus = migration->vcpus,
        .writer = WRITER_GUEST,
        .pattern = migration->load == LOAD_IDLE ? ABI_IDLE : migration->pattern,
        .pages = migration->load == LOAD_IDLE ? 0 : migration->pages,
        .seed = migration->seed,
        .pace_cycles = pace_cycles(plan),
        .unpopulated = destination,
    };

    return stage_new(&config, error);
}

static gboolean
answer_pieces(int control, const GuestRam *ram, GError **error)
{
    guint64 count = ram_digest_n_pieces(ram);
    g_autofree guint64 *digests = g_new(guint64, count);

    ram_digest_pieces(ram, 0, count, digests);
    return control_send(control, MESSAGE_DIGESTS, digests, count * sizeof *digests, error);
}

gboolean
role_answer_digests(int control, const Stage *stage, guint32 type, const GByteArray *message, GError **error)
{
    const GuestRam *ram = board_ram(stage->board);
    guint64 piece, digests[RAM_DIGEST_PIECE_PAGES];

    if (type == MESSAGE_DIGESTS)
        return answer_pieces(control, ram, error);
    if (type == MESSAGE_PAGES && message->len == sizeof piece) {
        memcpy(&piece, message->data, sizeof piece);
        if (piece < ram_digest_n_pieces(ram)) {
            guint n = ram_digest_pages(ram, piece, digests);
            return control_send(control, MESSAGE_PAGES, digests, n * sizeof *digests, error);
        }
    }
    g_set_error(error, ROLE_ERROR, ROLE_ERROR_FAILED, "message %u cannot be answered here", type);
    return FALSE;
}
