/* SPDX-License-Identifier: MIT */
/* A range is unregistered in the middle: its pages are written unhindered and unreported, and those on both sides as before. */
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>

#include "semantics/cases.h"
#include "semantics/uffd_stage.h"

#define FIRST 4
#define COUNT 4

static gboolean
run(Cell *cell, GError **error)
{
    g_autoptr(UffdStage) stage = uffd_stage_open(cell, TRUE, error);

    if (!stage || !uffd_stage_connect(stage, 0, UFFDIO_REGISTER_MODE_WP, error) || !uffd_stage_protect(stage, error))
        return FALSE;
    struct uffdio_range middle = {(guint64)(guintptr)uffd_stage_page(stage, FIRST), COUNT * stage->backing};
    uffd_stage_handle(stage);
    if (cell_step(cell) && ioctl(stage->uffd, UFFDIO_UNREGISTER, &middle))
        return cell_fail(error, "UFFDIO_UNREGISTER");
    for (guint index = 0; index < UFFD_PAGES; index++) {
        if (index < FIRST || index >= FIRST + COUNT)
            uffd_stage_store(stage, index);
        else
            *(volatile guint8 *)uffd_stage_page(stage, index) += 1; /* nobody has to see it */
    }
    uffd_stage_judge(stage);
    return TRUE;
}

const SemanticsCase case_uffd_unregister_middle = {
    .name = "uffd.unregister-middle",
    .required = "stores on both sides of a range that was unregistered are reported, and those in it pass",
    .left_out = "unregistering",
    .trackers = "uffd-wp",
    .rams = UFFD_RAMS,
    .run = run,
};
