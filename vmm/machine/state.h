/* SPDX-License-Identifier: MIT */
/* What state_vm.c, state_vcpu.c and state_msrs.c share: the machine's own saved sections. */
#pragma once

#include <machine/private.h>
#include <machine/section.h>
#include <machine/wire.h>

/**
 * StateTime: how a moment at the source and a moment here belong together; from the section "time", which is loaded before the
 * vCPUs.
 * @tsc_shift: to be added to the source's TSC offsets: what the source's host had counted at its moment, less what this one had at
 * ours. 0 until a section was loaded
 */
typedef struct {
    gint64 tsc_shift;
} StateTime;

/** VcpuSection: a section "vcpu-N". */
typedef struct {
    Vcpu *vcpu;
    char name[SECTION_NAME_MAX + 1];
    SectionClass class;
} VcpuSection;

struct StateSections {
    StateTime time;
    VcpuSection *vcpus;
};

/* --- state_vcpu.c --- */

#define STATE_VCPU_VERSION 1
#define STATE_VCPU_MAX_BYTES 65536

gboolean state_vcpu_save(gpointer user, GByteArray *out, GError **error);
gboolean state_vcpu_load(gpointer user, guint32 version, const guint8 *bytes, gsize size, GError **error);

/* --- state_msrs.c --- */

#define STATE_MAX_MSRS 1024

/**
 * state_msrs_save: every MSR that has state of the guest: KVM's list, and those that it lacks by name; as many as can be read. Not the
 * TSC itself. @array: of struct kvm_msr_entry
 */
gboolean state_msrs_save(const Vcpu *vcpu, GArray *array, GError **error);
/** state_msrs_check: whether this KVM has them all. Changes nothing. Errors: INVALID, names the MSR */
gboolean state_msrs_check(const Vcpu *vcpu, const struct kvm_msr_entry *entries, guint n, GError **error);
/** state_msrs_load: one that cannot be written is right when it has that value. Errors: INVALID, names the MSR */
gboolean state_msrs_load(const Vcpu *vcpu, const struct kvm_msr_entry *entries, guint n, GError **error);

/* --- all --- */

/** state_put, state_get: a structure of KVM's with its size before it; FALSE: the reader has none of that size next. */
static inline void
state_put(GByteArray *out, gconstpointer structure, gsize size)
{
    wire_put_u32(out, (guint32)size);
    wire_put_bytes(out, structure, size);
}

static inline gboolean
state_get(WireReader *reader, gpointer structure, gsize size)
{
    if (wire_get_u32(reader) != size)
        reader->overrun = TRUE;
    wire_get_bytes(reader, structure, size);
    return !reader->overrun;
}

/** state_set_cut_error: the bytes are no section of this version. */
void state_set_cut_error(GError **error);
