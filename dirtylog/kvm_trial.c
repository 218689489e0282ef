/* SPDX-License-Identifier: MIT */
/* The trial of KVM's trackers: a bare VM with one slot of the kind, stored to by a vCPU. */
#include "dirtylog/private.h"
#include "dirtylog/tiny_vm.h"
#include "dirtylog/trial.h"

#define SLOT_BYTES (UINT64_C(2) << 20)

static gboolean
store_as_guest(gpointer user, guint64 page, GError **error)
{
    return tiny_vm_store(user, page * DL_PAGE_SIZE, error);
}

gboolean
dl_trial_kvm(const DlTrackerClass *class, DlRamKind kind, guint32 ring_bytes, GError **error)
{
    g_autoptr(DlMemory) memory = dl_memory_new(kind, SLOT_BYTES, error);
    if (!memory)
        return FALSE;

    DlRegion region = {.size = SLOT_BYTES, .hva = memory->hva, .kind = kind};
    g_autoptr(DlLayout) layout = dl_layout_new(&region, 1, error);
    g_auto(TinyVm) vm = TINY_VM_INIT;
    if (!layout || !tiny_vm_open(&vm, layout, ring_bytes, error))
        return FALSE;
    DlHost host = tiny_vm_host(&vm);
    g_autoptr(DlLog) log = dl_log_new(layout, &host, error);
    return log && dl_trial_run(class, log, TINY_VM_OWN_PAGES, store_as_guest, &vm, error);
}
