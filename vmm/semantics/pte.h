/* SPDX-License-Identifier: MIT */
/*
 * What every pte case does: something drops, moves or rebuilds the page tables of tracked memory, or the pages behind them, and no
 * written page may be forgotten over it. That a tracker on a file must remember what its PTEs said when they are gone stands
 * in the discussion of uffd-wp for shmem and hugetlbfs (linux-mm, 2021), for which PTE markers were made.
 *
 * Three rounds: a store before the step and one after it; the step alone; the step and then stores.
 */
#pragma once

#include "semantics/scene.h"

/** The step; what it changes in RAM it marks itself. */
typedef gboolean (*PteStep)(Scene *scene, GError **error);

gboolean pte_run(Cell *cell, PteStep step, GError **error);

/** pte_frames: of each page, 0 where it is not present or the caller may not know. */
guint64 *pte_frames(const Scene *scene);

#define PTE_REQUIRED "a page written before or after it is reported"
