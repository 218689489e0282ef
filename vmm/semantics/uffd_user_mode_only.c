/* SPDX-License-Identifier: MIT */
/* A userfaultfd for user faults only: a system call that writes to a protected page cannot wait for the handler, and fails. */
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "semantics/cases.h"
#include "semantics/uffd_stage.h"

static gboolean
connect_user_only(UffdStage *stage, GError **error)
{
    struct uffdio_api api = {.api = UFFD_API, .features = UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_WP_HUGETLBFS_SHMEM};

    stage->uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
    if (stage->uffd < 0)
        return cell_unsupported(error, "no userfaultfd: %s", g_strerror(errno));
    if (ioctl(stage->uffd, UFFDIO_API, &api))
        return cell_unsupported(error, "no write-protection of shared memory by userfaultfd: %s", g_strerror(errno));
    return uffd_stage_register(stage, stage->uffd, UFFDIO_REGISTER_MODE_WP) || cell_fail(error, "UFFDIO_REGISTER");
}

static gboolean
run(Cell *cell, GError **error)
{
    g_autoptr(UffdStage) stage = uffd_stage_open(cell, TRUE, error);
    int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);

    if (!stage || zero < 0)
        return FALSE;
    if (!(cell_step(cell) ? connect_user_only(stage, error) : uffd_stage_connect(stage, 0, UFFDIO_REGISTER_MODE_WP, error)) ||
        !uffd_stage_protect(stage, error))
        return FALSE;
    uffd_stage_handle(stage);
    uffd_stage_store(stage, 1);
    gssize got = read(zero, uffd_stage_page(stage, 3), 64);
    close(zero);
    if (got < 0) {
        cell_refused(cell, "read(2) into a protected page fails: %s", g_strerror(errno));
        cell_find(
            cell,
            "With UFFD_USER_MODE_ONLY, system calls and KVM that write to a protected page fail with EFAULT: synchronous uffd-wp under "
            "KVM needs a full userfaultfd.");
        return FALSE;
    }
    uffd_stage_mark(stage, 3);
    uffd_stage_judge(stage);
    return TRUE;
}

const SemanticsCase case_uffd_user_mode_only = {
    .name = "uffd.user-mode-only",
    .required = "a system call that writes to a protected page is reported, or fails",
    .left_out = "UFFD_USER_MODE_ONLY",
    .trackers = "uffd-wp",
    .rams = UFFD_RAMS,
    .run = run,
};
