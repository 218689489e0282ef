/* SPDX-License-Identifier: MIT */
/* Missing, minor and write-protect on one range: post-copy and dirty tracking together. What is filled in write-protected must fault on a write. */
#include <sys/mman.h>

#include "semantics/cases.h"
#include "semantics/uffd_stage.h"

#define HOLE 1
#define IN_FILE 2

/* Through another mapping: the page is in the file, and the tracked mapping has no PTE for it. */
static gboolean
put_in_file(const UffdStage *stage, GError **error)
{
    guint8 *alias = mmap(NULL, stage->memory->size, PROT_READ | PROT_WRITE, MAP_SHARED, stage->memory->fd, 0);

    if (alias == MAP_FAILED)
        return cell_fail(error, "mapping the memory a second time");
    *(volatile guint8 *)(alias + IN_FILE * stage->backing) = 7;
    munmap(alias, stage->memory->size);
    return TRUE;
}

static gboolean
run(Cell *cell, GError **error)
{
    g_autoptr(UffdStage) stage = uffd_stage_open(cell, FALSE, error);
    guint64 features = UFFD_FEATURE_MISSING_SHMEM | UFFD_FEATURE_MISSING_HUGETLBFS | UFFD_FEATURE_MINOR_SHMEM |
                       UFFD_FEATURE_MINOR_HUGETLBFS | UFFD_FEATURE_WP_UNPOPULATED;

    if (!stage || !put_in_file(stage, error) ||
        !uffd_stage_connect(stage, features, UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_WP | UFFDIO_REGISTER_MODE_MINOR,
                            error))
        return FALSE;
    stage->fill_protected = cell_step(cell);
    uffd_stage_handle(stage);
    for (guint index = HOLE; index <= IN_FILE; index++) {
        volatile guint8 seen = *uffd_stage_page(stage, index);
        (void)seen;
        uffd_stage_store(stage, index);
    }
    uffd_stage_judge(stage);
    cell_say(cell, "%d missing and %d minor faults", stage->missing, stage->minor);
    return TRUE;
}

const SemanticsCase case_uffd_modes_together = {
    .name = "uffd.modes-together",
    .required = "a page that was filled in write-protected, after a missing or a minor fault, is reported when it is written",
    .left_out = "filling in write-protected",
    .trackers = "uffd-wp",
    .rams = UFFD_RAMS,
    .run = run,
};
