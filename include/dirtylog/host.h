/* SPDX-License-Identifier: MIT */
/*
 * What the library needs of the program whose memory it tracks. A program without KVM passes a zeroed table with vm_fd -1: the
 * trackers that stand on KVM are then not to be had, and those that need paused writers (soft-dirty) say so unless pause and
 * resume are given. A program whose only writer is the thread that calls the library may give two that do nothing: it vouches
 * for that.
 *
 * The lock order is: the log's harvest lock, then whatever these functions take. They are called with the harvest lock held, so a
 * vCPU that waits in dl_log_ring_full() must count as stopped for pause() and kick().
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/**
 * DlHost:
 * @vm_fd: the KVM VM, or -1
 * @n_vcpus: vCPUs that exist; their number is fixed before dl_log_new()
 * @vcpu_fd: KVM vCPU fd
 * @dirty_ring_bytes: size of each vCPU's dirty ring as given to KVM_ENABLE_CAP, or 0 when the VM was made with bitmaps
 * @set_logging: switches KVM_MEM_LOG_DIRTY_PAGES of one slot. Only the machine calls KVM_SET_USER_MEMORY_REGION
 * @kick: makes every vCPU leave the guest once and returns when each has: what the CPU buffers (PML) is flushed then. vCPUs go on
 * @pause: stops every writer of the covered memory, vCPUs and devices, and returns when they stand; calls nest, and a vCPU's
 *         thread may call it from dl_log_ring_full() and is not waited for then
 * @resume: undoes one pause
 * @user: first argument of all of them
 */
typedef struct {
    int vm_fd;
    guint n_vcpus;
    int (*vcpu_fd)(gpointer user, guint vcpu);
    guint32 dirty_ring_bytes;
    gboolean (*set_logging)(gpointer user, guint32 slot, gboolean on, GError **error);
    void (*kick)(gpointer user);
    gboolean (*pause)(gpointer user, GError **error);
    void (*resume)(gpointer user);
    gpointer user;
} DlHost;

G_END_DECLS
