/* SPDX-License-Identifier: MIT */
/* A second userfaultfd wants a range that one has already: it gets EBUSY, so two trackers on userfaultfd cannot overlap. */
#include <errno.h>

#include "dirtylog/uffd.h"
#include "semantics/cases.h"
#include "semantics/uffd_stage.h"

static gboolean
run(Cell *cell, GError **error)
{
    g_autoptr(UffdStage) stage = uffd_stage_open(cell, TRUE, error);

    if (!stage)
        return FALSE;
    if (cell_step(cell)) {
        int first = dl_uffd_open(UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_WP_HUGETLBFS_SHMEM, 0, TRUE, error);
        if (first < 0)
            return FALSE;
        if (!uffd_stage_register(stage, first, UFFDIO_REGISTER_MODE_WP))
            return cell_fail(error, "UFFDIO_REGISTER");
    }
    stage->uffd = dl_uffd_open(UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_WP_HUGETLBFS_SHMEM, 0, TRUE, error);
    if (stage->uffd < 0)
        return FALSE;
    if (!uffd_stage_register(stage, stage->uffd, UFFDIO_REGISTER_MODE_WP)) {
        cell_refused(cell, "UFFDIO_REGISTER: %s", g_strerror(errno));
        return FALSE;
    }
    if (!uffd_stage_protect(stage, error))
        return FALSE;
    uffd_stage_handle(stage);
    uffd_stage_store(stage, 1);
    uffd_stage_judge(stage);
    return TRUE;
}

const SemanticsCase case_uffd_second = {
    .name = "uffd.second",
    .required = "a second userfaultfd on a range is refused, so that none of the two is blind unawares",
    .left_out = "the first one",
    .trackers = "uffd-wp",
    .rams = UFFD_RAMS,
    .run = run,
};
