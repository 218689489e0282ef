/* SPDX-License-Identifier: MIT */
/*
 * Opening, registering and protecting.
 *
 * Three doors lead to a userfaultfd: the system call for CAP_SYS_PTRACE or vm.unprivileged_userfaultfd=1, /dev/userfaultfd for
 * whoever may open that (Linux 6.1), and the system call with UFFD_USER_MODE_ONLY for everybody, whose faults inside the kernel
 * are not delivered: fine when nothing is delivered at all (WP_ASYNC), useless under KVM otherwise.
 */
#include "dirtylog/uffd.h"

#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include "dirtylog/private.h"
#include "dirtylog/uapi.h"

#define PROTECT_WINDOW (UINT64_C(16) << 20)
#define AGAIN_LIMIT 1000

#define PERMISSION_REMEDY \
    "sysctl -w vm.unprivileged_userfaultfd=1, or run with CAP_SYS_PTRACE, or give this user read and write on /dev/userfaultfd"

static int
open_any(gboolean kernel_faults, GError **error)
{
    int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
    int saved_errno = errno;

    if (fd >= 0)
        return fd;
    if (saved_errno == ENOSYS) {
        dl_set_error(error, DL_ERROR_UNSUPPORTED, 0, "a kernel with CONFIG_USERFAULTFD", "this kernel has no userfaultfd");
        return -1;
    }
    if (saved_errno != EPERM) {
        dl_set_error(error, dl_error_from_errno(saved_errno), saved_errno, NULL, "userfaultfd");
        return -1;
    }

    g_auto(DlFd) device = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
    if (device >= 0) {
        fd = ioctl(device, USERFAULTFD_IOC_NEW, O_CLOEXEC | O_NONBLOCK);
        if (fd >= 0)
            return fd;
    }
    if (!kernel_faults) {
        fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
        if (fd >= 0)
            return fd;
    }
    dl_set_error(error, DL_ERROR_PERMISSION, 0, PERMISSION_REMEDY,
                 "no permission for a userfaultfd that takes faults inside the kernel, such as KVM's");
    return -1;
}

static gboolean
handshake(int fd, guint64 features, guint64 *offered)
{
    struct uffdio_api api = {.api = UFFD_API, .features = features};

    if (ioctl(fd, UFFDIO_API, &api))
        return FALSE;
    *offered = api.features;
    return TRUE;
}

static const struct {
    guint64 bit;
    const char *name;
    const char *kernel;
} feature_names[] = {
    {UFFD_FEATURE_PAGEFAULT_FLAG_WP, "UFFD_FEATURE_PAGEFAULT_FLAG_WP", "Linux 5.7"},
    {UFFD_FEATURE_WP_HUGETLBFS_SHMEM, "UFFD_FEATURE_WP_HUGETLBFS_SHMEM", "Linux 5.19"},
    {UFFD_FEATURE_WP_UNPOPULATED, "UFFD_FEATURE_WP_UNPOPULATED", "Linux 6.4"},
    {UFFD_FEATURE_WP_ASYNC, "UFFD_FEATURE_WP_ASYNC", "Linux 6.7"},
};

static void
set_feature_error(GError **error, guint64 missing)
{
    for (guint i = 0; i < G_N_ELEMENTS(feature_names); i++) {
        if (missing & feature_names[i].bit) {
            g_autofree char *remedy = g_strdup_printf("%s or newer", feature_names[i].kernel);
            dl_set_error(error, DL_ERROR_UNSUPPORTED, 0, remedy, "this kernel's userfaultfd has no %s", feature_names[i].name);
            return;
        }
    }
    dl_set_error(error, DL_ERROR_UNSUPPORTED, 0, NULL, "this kernel's userfaultfd lacks a feature");
}

int
dl_uffd_open(guint64 required, guint64 wished, gboolean kernel_faults, GError **error)
{
    guint64 offered = 0;

    /* One userfaultfd to ask: the handshake can be made only once each, and fails for a feature that is not there. */
    g_auto(DlFd) question = open_any(kernel_faults, error);
    if (question < 0)
        return -1;
    if (!handshake(question, 0, &offered)) {
        dl_set_error(error, dl_error_from_errno(errno), errno, NULL, "UFFDIO_API");
        return -1;
    }
    if (required & ~offered) {
        set_feature_error(error, required & ~offered);
        return -1;
    }

    g_auto(DlFd) fd = open_any(kernel_faults, error);
    if (fd < 0)
        return -1;
    if (!handshake(fd, required | (wished & offered), &offered)) {
        dl_set_error(error, dl_error_from_errno(errno), errno, NULL, "UFFDIO_API");
        return -1;
    }
    return dl_fd_steal(&fd);
}

static gboolean
register_region(int uffd, const DlRegion *region, GError **error)
{
    struct uffdio_register registration = {
        .range = {(guint64)(guintptr)region->hva, dl_region_span(region)},
        .mode = UFFDIO_REGISTER_MODE_WP,
    };

    if (ioctl(uffd, UFFDIO_REGISTER, &registration)) {
        int saved_errno = errno;
        if (saved_errno == EBUSY)
            dl_set_error(error, DL_ERROR_UNSUPPORTED, saved_errno, "release what holds it first",
                         "the memory is registered with another userfaultfd, and the kernel allows one a range");
        else if (saved_errno == EINVAL)
            dl_set_error(error, DL_ERROR_UNSUPPORTED, saved_errno, NULL, "this kernel cannot write-protect %s with userfaultfd",
                         dl_ram_kind_name(region->kind));
        else
            dl_set_error(error, dl_error_from_errno(saved_errno), saved_errno, NULL, "UFFDIO_REGISTER");
        return FALSE;
    }
    if (!(registration.ioctls & ((guint64)1 << _UFFDIO_WRITEPROTECT))) {
        dl_set_error(error, DL_ERROR_UNSUPPORTED, 0, NULL, "this kernel cannot write-protect %s with userfaultfd",
                     dl_ram_kind_name(region->kind));
        return FALSE;
    }
    return TRUE;
}

gboolean
dl_uffd_register(int uffd, const DlLayout *layout, GError **error)
{
    for (guint i = 0; i < dl_layout_n_regions(layout); i++) {
        if (!register_region(uffd, dl_layout_region(layout, i), error)) {
            dl_uffd_unregister(uffd, layout);
            return FALSE;
        }
    }
    return TRUE;
}

void
dl_uffd_unregister(int uffd, const DlLayout *layout)
{
    for (guint i = 0; i < dl_layout_n_regions(layout); i++) {
        const DlRegion *region = dl_layout_region(layout, i);
        struct uffdio_range range = {(guint64)(guintptr)region->hva, dl_region_span(region)};

        /* A region that was never registered, or is unmapped by now, is no harm; closing the fd takes care of the rest. */
        if (ioctl(uffd, UFFDIO_UNREGISTER, &range))
            g_debug("UFFDIO_UNREGISTER: %s", g_strerror(errno));
    }
}

gboolean
dl_uffd_protect(int uffd, guint64 start, guint64 size, gboolean on, GError **error)
{
    struct uffdio_writeprotect protect = {
        .range = {start, size},
        .mode = on ? UFFDIO_WRITEPROTECT_MODE_WP : 0,
    };

    /* EAGAIN: the mapping is being changed (fork, mremap) and the kernel backs off. */
    for (guint tries = 0; ioctl(uffd, UFFDIO_WRITEPROTECT, &protect); tries++) {
        if ((errno != EAGAIN && errno != EINTR) || tries == AGAIN_LIMIT) {
            dl_set_error(error, dl_error_from_errno(errno), errno, NULL, "UFFDIO_WRITEPROTECT");
            return FALSE;
        }
        g_thread_yield();
    }
    return TRUE;
}

gboolean
dl_uffd_protect_all(int uffd, const DlLayout *layout, gboolean on, GError **error)
{
    for (guint i = 0; i < dl_layout_n_regions(layout); i++) {
        const DlRegion *region = dl_layout_region(layout, i);
        guint64 start = (guint64)(guintptr)region->hva;
        guint64 end = start + dl_region_span(region);
        guint64 step = MAX(PROTECT_WINDOW, dl_ram_kind_page_size(region->kind));

        for (; start < end; start += step) {
            if (!dl_uffd_protect(uffd, start, MIN(step, end - start), on, error))
                return FALSE;
        }
    }
    return TRUE;
}

void
dl_uffd_mend(const DlLayout *layout)
{
    for (guint i = 0; i < dl_layout_n_regions(layout); i++) {
        const DlRegion *region = dl_layout_region(layout, i);
        g_autoptr(GError) error = NULL;

        if (!dl_memory_collapse(region->kind, region->hva, region->size, &error))
            g_info("huge pages not restored: %s", error->message);
    }
}

gboolean
dl_uffd_next_piece(const DlBitmap *open_pages, guint64 from, guint64 end, const DlPieceLimits *limits, DlPageRange *piece)
{
    DlPageRange run;

    if (!dl_bitmap_next_run(open_pages, from, end, &run))
        return FALSE;
    guint64 limit = MIN(end, run.first + limits->window);
    guint64 last = MIN(run.first + run.count, limit);
    piece->first = run.first;
    while (last < limit && dl_bitmap_next_run(open_pages, last, MIN(limit, last + limits->gap), &run))
        last = run.first + run.count;
    piece->count = last - piece->first;
    return TRUE;
}
