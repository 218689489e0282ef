/* SPDX-License-Identifier: MIT */
/* /dev/kvm: opening it with errors that say what to do, and what it can. Semantics: Documentation/virt/kvm/api.rst. */
#pragma once

#include <glib.h>

/**
 * kvm_open: a file descriptor of /dev/kvm (O_CLOEXEC) whose API version is 12.
 * Errors: UNSUPPORTED (absent, no driver behind it, another API version), PERMISSION, FAILED.
 */
int kvm_open(GError **error);
/** kvm_open_path: the same of another device node; for tests. */
int kvm_open_path(const char *path, GError **error);

/** kvm_capability: KVM_CHECK_EXTENSION on /dev/kvm or a VM; 0 when it is unknown there. */
int kvm_capability(int fd, int capability);
/** kvm_max_vcpus: KVM_CAP_MAX_VCPUS. */
guint kvm_max_vcpus(int kvm_fd);

/**
 * kvm_dirty_ring_max_entries: entries of the largest dirty ring (16 bytes each), or 0 when this KVM has none.
 * @capability: which one to enable: KVM_CAP_DIRTY_LOG_RING_ACQ_REL where there is one; may be NULL
 */
guint32 kvm_dirty_ring_max_entries(int kvm_fd, int *capability);
