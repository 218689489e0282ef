/* SPDX-License-Identifier: MIT */
/* System calls: openat, ioctl, close. */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <machine/error.h>
#include <machine/kvm.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define KVM_RING_ENTRY_BYTES 16 /* struct kvm_dirty_gfn */

GQuark
machine_error_quark(void)
{
    return g_quark_from_static_string("machine-error");
}

void
machine_set_errno_error(GError **error, const char *what)
{
    int saved = errno;

    g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_FAILED, "%s: %s", what, g_strerror(saved));
}

static void
set_open_error(GError **error, const char *path)
{
    switch (errno) {
    case ENOENT:
        g_set_error(
            error, MACHINE_ERROR, MACHINE_ERROR_UNSUPPORTED,
            "%s does not exist: load the module kvm_intel or kvm_amd, or switch virtualization on in the firmware, or nested "
            "virtualization on in the host",
            path);
        break;
    case EACCES:
    case EPERM:
        g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_PERMISSION,
                    "no permission to open %s: join its group (sudo usermod -aG kvm $USER, then log in again) or run as root",
                    path);
        break;
    case ENXIO:
    case ENODEV:
        g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_UNSUPPORTED,
                    "%s has no driver behind it: load the module kvm_intel or kvm_amd", path);
        break;
    default:
        machine_set_errno_error(error, path);
    }
}

int
kvm_open_path(const char *path, GError **error)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        set_open_error(error, path);
        return -1;
    }
    int version = ioctl(fd, KVM_GET_API_VERSION, 0);
    if (version == KVM_API_VERSION)
        return fd;
    if (version < 0)
        g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_UNSUPPORTED, "%s is not KVM: %s", path, g_strerror(errno));
    else
        g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_UNSUPPORTED,
                    "%s speaks version %d of the KVM API, not %d: use a newer kernel", path, version, KVM_API_VERSION);
    close(fd);
    return -1;
}

int
kvm_open(GError **error)
{
    return kvm_open_path("/dev/kvm", error);
}

int
kvm_capability(int fd, int capability)
{
    int value = ioctl(fd, KVM_CHECK_EXTENSION, (long)capability);

    return MAX(value, 0);
}

guint
kvm_max_vcpus(int kvm_fd)
{
    int max = kvm_capability(kvm_fd, KVM_CAP_MAX_VCPUS);

    /* api.rst: without it KVM_CAP_NR_VCPUS holds, without that 4 */
    if (!max)
        max = kvm_capability(kvm_fd, KVM_CAP_NR_VCPUS);
    return max ? (guint)max : 4;
}

guint32
kvm_dirty_ring_max_entries(int kvm_fd, int *capability)
{
    int which = KVM_CAP_DIRTY_LOG_RING_ACQ_REL;
    int bytes = kvm_capability(kvm_fd, which);

    if (!bytes) {
        which = KVM_CAP_DIRTY_LOG_RING;
        bytes = kvm_capability(kvm_fd, which);
    }
    if (capability)
        *capability = which;
    return (guint32)bytes / KVM_RING_ENTRY_BYTES;
}
