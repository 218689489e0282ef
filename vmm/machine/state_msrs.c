/* SPDX-License-Identifier: MIT */
/*
 * The MSRs that are saved: KVM_GET_MSR_INDEX_LIST, and what it does not name though it is the guest's: the MTRRs, TSC_AUX and PAT
 * where they are missing.
 *
 * Left out: the TSC (the vCPU's section has its offset), and Hyper-V's: dirtylab's guests are not shown them in CPUID, so KVM
 * refuses them to the guest; that a VMM reads one makes KVM set up state for it.
 *
 * System calls: ioctl.
 */
#include <errno.h>
#include <machine/error.h>
#include <machine/state.h>
#include <sys/ioctl.h>

#define MSR_TSC 0x10
#define MSR_MTRR_FIRST 0x200
#define MSR_MTRR_LAST 0x20f
#define MSR_MTRR_DEF_TYPE 0x2ff
#define MSR_TSC_DEADLINE 0x6e0
#define MSR_TSC_AUX 0xc0000103
#define MSR_HYPERV_FIRST 0x40000000
#define MSR_HYPERV_LAST 0x400001ff

static const guint32 by_name[] = {
    0x250,       0x258, 0x259, 0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e, 0x26f, /* the fixed MTRRs */
    0x277,                                                                             /* PAT */
    MSR_TSC_AUX,
};

static void
add_once(GArray *indices, guint32 index)
{
    for (guint i = 0; i < indices->len; i++) {
        if (g_array_index(indices, guint32, i) == index)
            return;
    }
    g_array_append_val(indices, index);
}

/* The deadline comes last: it is in cycles, and takes a local APIC. */
static GArray *
list_indices(const Vcpu *vcpu, GError **error)
{
    g_autofree struct kvm_msr_list *list = g_malloc0(sizeof *list + STATE_MAX_MSRS * sizeof list->indices[0]);
    GArray *indices = g_array_new(FALSE, FALSE, sizeof(guint32));

    list->nmsrs = STATE_MAX_MSRS / 2;
    if (ioctl(vcpu->machine->kvm_fd, KVM_GET_MSR_INDEX_LIST, list) < 0) {
        machine_set_errno_error(error, "KVM_GET_MSR_INDEX_LIST");
        g_array_unref(indices);
        return NULL;
    }
    for (guint i = 0; i < list->nmsrs; i++) {
        guint32 index = list->indices[i];
        if (index != MSR_TSC && index != MSR_TSC_DEADLINE && (index < MSR_HYPERV_FIRST || index > MSR_HYPERV_LAST))
            add_once(indices, index);
    }
    for (guint i = 0; i < G_N_ELEMENTS(by_name); i++)
        add_once(indices, by_name[i]);
    for (guint32 index = MSR_MTRR_FIRST; index <= MSR_MTRR_LAST; index++)
        add_once(indices, index);
    add_once(indices, MSR_MTRR_DEF_TYPE); /* after the ranges that it switches on */
    add_once(indices, MSR_TSC_DEADLINE);
    return indices;
}

typedef struct {
    struct kvm_msrs head;
    struct kvm_msr_entry entry;
} OneMsr;

/* FALSE: this KVM does not have it. */
static gboolean
read_msr(const Vcpu *vcpu, guint32 index, guint64 *value)
{
    OneMsr msr = {.head.nmsrs = 1, .entry.index = index};

    if (ioctl(vcpu->fd, KVM_GET_MSRS, &msr) != 1)
        return FALSE;
    *value = msr.entry.data;
    return TRUE;
}

/* KVM stops at the first that it cannot read; those before it are read all the same, so as few calls as there are gaps. */
gboolean
state_msrs_save(const Vcpu *vcpu, GArray *array, GError **error)
{
    g_autoptr(GArray) indices = list_indices(vcpu, error);
    g_autofree struct kvm_msrs *msrs = g_malloc0(sizeof *msrs + STATE_MAX_MSRS * sizeof msrs->entries[0]);

    if (!indices)
        return FALSE;
    for (guint next = 0; next < indices->len;) {
        msrs->nmsrs = indices->len - next;
        for (guint i = 0; i < msrs->nmsrs; i++)
            msrs->entries[i] = (struct kvm_msr_entry){.index = g_array_index(indices, guint32, next + i)};
        int got = ioctl(vcpu->fd, KVM_GET_MSRS, msrs);
        if (got < 0) {
            machine_set_errno_error(error, "KVM_GET_MSRS");
            return FALSE;
        }
        g_array_append_vals(array, msrs->entries, (guint)got);
        next += (guint)got + 1;
    }
    return TRUE;
}

gboolean
state_msrs_check(const Vcpu *vcpu, const struct kvm_msr_entry *entries, guint n, GError **error)
{
    g_autoptr(GArray) indices = list_indices(vcpu, error);

    if (!indices)
        return FALSE;
    for (guint i = 0; i < n; i++) {
        guint known = 0;
        while (known < indices->len && g_array_index(indices, guint32, known) != entries[i].index)
            known++;
        if (known == indices->len && entries[i].data) {
            g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_INVALID, "this host's KVM does not have MSR 0x%x", entries[i].index);
            return FALSE;
        }
    }
    return TRUE;
}

gboolean
state_msrs_load(const Vcpu *vcpu, const struct kvm_msr_entry *entries, guint n, GError **error)
{
    g_autofree struct kvm_msrs *msrs = g_malloc0(sizeof *msrs + STATE_MAX_MSRS * sizeof msrs->entries[0]);

    g_return_val_if_fail(n <= STATE_MAX_MSRS, FALSE);
    for (guint next = 0; next < n;) {
        msrs->nmsrs = n - next;
        for (guint i = 0; i < msrs->nmsrs; i++)
            msrs->entries[i] = entries[next + i];
        int set = ioctl(vcpu->fd, KVM_SET_MSRS, msrs);
        if (set < 0) {
            machine_set_errno_error(error, "KVM_SET_MSRS");
            return FALSE;
        }
        next += (guint)set;
        if (next == n)
            break;
        /* It stops at the first that it cannot write: what it has already, or does not have and is 0, is as it should be. */
        guint64 here = 0;
        gboolean has = read_msr(vcpu, entries[next].index, &here);
        if (here != entries[next].data) {
            g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_INVALID,
                        "MSR 0x%x cannot be 0x%" G_GINT64_MODIFIER "x on this host%s", entries[next].index,
                        (guint64)entries[next].data, has ? "" : ": its KVM does not have it");
            return FALSE;
        }
        next++;
    }
    return TRUE;
}
