/* SPDX-License-Identifier: MIT */
/* What the kvm cases share: guest programs, and the bare ioctls on the slot of a scene. */
#pragma once

#include "semantics/scene.h"

/** Programs of the guest, which the cases' scenes carry beside the tiny VM's own. */
typedef enum {
    KVM_PROGRAM_STORE, /* a byte to each of @count pages from @gpa on */
    KVM_PROGRAM_LOAD,  /* a byte from each */
} KvmProgram;

/**
 * kvm_run: runs the program to its end. What the ring reports as full is handed to the log, unless @ignore_full, when it ends there;
 * @full_exits counts both. Nothing is marked.
 */
gboolean kvm_run(Scene *scene, KvmProgram program, guint64 page, guint64 count, gboolean ignore_full, guint *full_exits,
                 GError **error);

/** kvm_enter_ring0: the vCPU runs in ring 0 from here on. */
gboolean kvm_enter_ring0(const Scene *scene, GError **error);

/** kvm_set_slot: the scene's one slot, anew; @size 0 removes it. */
gboolean kvm_set_slot(const Scene *scene, guint64 gpa, guint64 size, gboolean logging, GError **error);

/** kvm_manual: KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 with these flags. */
gboolean kvm_manual(const Scene *scene, guint64 flags, GError **error);
/** kvm_get: KVM_GET_DIRTY_LOG of the slot into @bits, which has the layout's size. */
gboolean kvm_get(const Scene *scene, DlBitmap *bits, GError **error);
/** kvm_clear: KVM_CLEAR_DIRTY_LOG of a range of the slot, with the bits of it in @bits; FALSE with errno. */
gboolean kvm_clear(const Scene *scene, guint32 first, guint32 count, DlBitmap *bits);
/** kvm_judge: what a get reports, less the VM's own pages, against what is marked. */
gboolean kvm_judge(Scene *scene, GError **error);
