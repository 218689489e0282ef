/* SPDX-License-Identifier: MIT */
/* A punch under constant faults comes to its end, and no store in the hole waits for long. */
#include "dirtylog/private.h"
#include "semantics/cases.h"
#include "semantics/punch_stage.h"

#define LASTS_NS (G_GINT64_CONSTANT(200) * 1000 * 1000)
#define LIMIT_NS (G_GINT64_CONSTANT(1000) * 1000 * 1000)

static gboolean
run(Cell *cell, GError **error)
{
    g_autoptr(PunchStage) stage = punch_stage_open(cell, error);
    gint64 limit = cell_step(cell) ? LIMIT_NS : 1; /* the control cannot be kept */
    gint64 slowest = 0;
    guint64 rounds = 0, late = 0;

    if (!stage)
        return FALSE;
    punch_stage_start(stage);
    for (gint64 end = dl_now_ns() + LASTS_NS; dl_now_ns() < end; rounds++) {
        gint64 took = punch_stage_punch(stage, error);
        if (took < 0)
            return FALSE;
        slowest = MAX(slowest, took);
        late += took > limit;
    }
    punch_stage_stop(stage);
    cell_count(cell, rounds, rounds - late, late, 0);
    cell_say(cell, "%" G_GUINT64_FORMAT " punches, the slowest %.3f ms; the slowest store %.3f ms", rounds, (double)slowest / 1e6,
             (double)MAX(stage->slowest_fault_ns[0], stage->slowest_fault_ns[1]) / 1e6);
    return TRUE;
}

const SemanticsCase case_punch_bounded = {
    .name = "punch.bounded",
    .required = "a punch ends within a second, whatever faults in the hole",
    .left_out = "a limit that can be kept (1 ns instead)",
    .trackers = "-",
    .rams = "shmem,hugetlb-2M",
    .run = run,
};
