/* SPDX-License-Identifier: MIT */
/* The same with WP_ASYNC: no handler has to be waited for, so a fault inside the kernel is no trouble. This is what an unprivileged VMM can have. */
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "dirtylog/private.h"
#include "dirtylog/uffd.h"
#include "semantics/cases.h"
#include "semantics/scan.h"

#define PAGES 12

/* scan_open() has registered with a userfaultfd of the full kind, perhaps: here it has to be the other. */
static gboolean
register_user_only(Scan *scan, GError **error)
{
    struct uffdio_api api = {.api = UFFD_API,
                             .features = UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_WP_HUGETLBFS_SHMEM |
                                         UFFD_FEATURE_WP_UNPOPULATED | UFFD_FEATURE_WP_ASYNC};

    dl_fd_clear(&scan->uffd);
    scan->uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
    if (scan->uffd < 0)
        return cell_fail(error, "userfaultfd");
    return (ioctl(scan->uffd, UFFDIO_API, &api) == 0 || cell_fail(error, "UFFDIO_API")) &&
           dl_uffd_register(scan->uffd, scan->layout, error) && dl_uffd_protect_all(scan->uffd, scan->layout, TRUE, error);
}

static gboolean
run(Cell *cell, GError **error)
{
    g_autoptr(Scan) scan = scan_open(cell, PAGES, error);
    DlFd zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    gssize got = 0;

    if (!scan || !register_user_only(scan, error))
        return FALSE;
    scan_store(scan, scan->backing);
    scan_store(scan, 3 * scan->backing);
    /* Written by the kernel: the page's content changes to zero. */
    if (cell_step(cell))
        got = read(zero, scan->memory->hva + 5 * scan->backing * DL_PAGE_SIZE, 64);
    dl_fd_clear(&zero);
    if (got < 0)
        return cell_fail(error, "read(2) into a protected page");
    scan_mark(scan, 5 * scan->backing);
    if (!scan_get(scan, TRUE, error))
        return FALSE;
    scan_judge(scan);
    return TRUE;
}

const SemanticsCase case_uffd_user_mode_async = {
    .name = "uffd.user-mode-async",
    .required = "a system call that writes to a protected page succeeds and is reported, under UFFD_USER_MODE_ONLY too",
    .left_out = "the system call",
    .trackers = "pagemap-scan",
    .rams = SCAN_RAMS,
    .run = run,
};
