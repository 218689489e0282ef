/* SPDX-License-Identifier: MIT */
/*
 * A VM as small as can be, to try KVM's trackers with real guest stores: for the probe, and for the library's tests.
 */
#pragma once

#include <linux/kvm.h>

#include "dirtylog/tracker_class.h"

/* Pages at the start of the first region that hold code and tables; what nested paging writes there is nobody's store. */
#define TINY_VM_OWN_PAGES 16
/* Where no region may be: the guest stores there to leave. */
#define TINY_VM_EXIT_GPA 0x30000000

typedef struct {
    int kvm;
    int vm;
    int vcpu;
    guint32 ring_bytes;
    DlLayout *layout;
    struct kvm_run *run;
    gsize run_bytes;
} TinyVm;
#define TINY_VM_INIT                    \
    {                                   \
        .kvm = -1, .vm = -1, .vcpu = -1 \
    }

/** tiny_vm_open: a slot a region, below 5 GiB, the first at gpa 0 and TINY_VM_OWN_PAGES or longer. @ring_bytes 0: bitmaps. */
gboolean tiny_vm_open(TinyVm *vm, DlLayout *layout, guint32 ring_bytes, GError **error);
void tiny_vm_close(TinyVm *vm);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(TinyVm, tiny_vm_close)

/** tiny_vm_host: the table for a log; the VM outlives the log. */
DlHost tiny_vm_host(TinyVm *vm);

/** tiny_vm_store: the vCPU stores one byte to @gpa, on the calling thread. */
gboolean tiny_vm_store(TinyVm *vm, guint64 gpa, GError **error);
