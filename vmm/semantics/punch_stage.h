/* SPDX-License-Identifier: MIT */
/*
 * The stage of the punch cases: a manager takes N backing pages away from a file by punching them, while others fault and write in the same
 * place. What it punched has to be free afterwards, or it has given away memory that it has not got (the race of hugetlbfs's hole punch,
 * linux-mm 2015). What is left in the hole is asked of three that should agree: the file, mincore() and, for hugetlb, the pool.
 */
#pragma once

#include "semantics/semantics.h"

#define PUNCH_PAGES 16
#define PUNCH_FAULTERS 2

/**
 * PunchStage:
 * @slowest_fault_ns: the longest time that one store of a faulter took
 * @pool_free: pages of the pool that were free when all of the stage's were there
 */
typedef struct {
    DlMemory *memory;
    guint64 backing;
    GThread *faulters[PUNCH_FAULTERS];
    gint stop;
    gint64 slowest_fault_ns[PUNCH_FAULTERS];
    guint64 pool_free;
} PunchStage;

/**
 * PunchLeft: backing pages that are in the hole after all, and who says so; adds up over rounds.
 * @file: fstat()'s st_blocks
 * @resident: mincore() of the manager's mapping: the page cache on shmem, its own page table on hugetlb
 * @pool: what the hugetlb pool lacks; others who use the pool meanwhile show in it
 */
typedef struct {
    guint64 file, resident, pool;
} PunchLeft;

PunchStage *punch_stage_open(const Cell *cell, GError **error);
void punch_stage_free(PunchStage *stage);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PunchStage, punch_stage_free)

/** punch_stage_start: threads that store to all pages without end; they end with the stage. */
void punch_stage_start(PunchStage *stage);
void punch_stage_stop(PunchStage *stage);
/** punch_stage_punch: all pages. Returns how long it took in ns, or -1 with an error. */
gint64 punch_stage_punch(const PunchStage *stage, GError **error);
/** punch_stage_left: what is there now is added to @all. Returns what the file says. */
guint64 punch_stage_left(const PunchStage *stage, PunchLeft *all);
/** punch_stage_judge: counts and says what of @punched pages was @left. */
void punch_stage_judge(Cell *cell, guint64 punched, const PunchLeft *left);
