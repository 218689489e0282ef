/* SPDX-License-Identifier: MIT */
/* What a vCPU says of itself: all that KVM supports, in a package of its own making. */
#pragma once

#include <glib.h>
#include <linux/kvm.h>

/**
 * cpuid_new: for KVM_SET_CPUID2; g_free() it. @apic_id is below @n_vcpus; all vCPUs are cores of one package, with one thread each.
 * Errors: FAILED.
 */
struct kvm_cpuid2 *cpuid_new(int kvm_fd, guint apic_id, guint n_vcpus, GError **error);
