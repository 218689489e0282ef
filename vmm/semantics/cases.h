/* SPDX-License-Identifier: MIT */
/* The cases by name, one line each: declared here, listed by registry.c. */
#pragma once

#include "semantics/semantics.h"

/* clang-format off */
#define SEMANTICS_CASES(X) \
    X(writer_alias) \
    X(writer_alias_told) \
    X(writer_fork) \
    X(writer_process) \
    X(writer_pwrite) \
    X(writer_guest) \
    X(writer_guest_ring0) \
    X(writer_vmm) \
    X(writer_vmm_told) \
    X(writer_kvmclock) \
    X(writer_steal_time) \
    X(writer_o_direct) \
    X(writer_store) \
    X(writer_load) \
    X(writer_populate) \
    X(writer_read) \
    X(writer_preadv) \
    X(writer_process_vm_writev) \
    X(writer_proc_mem) \
    X(writer_recv) \
    X(writer_io_uring) \
    X(writer_pinned) \
    X(writer_pinned_told) \
    X(writer_pinned_late) \
    X(discard_madv_remove_clean) \
    X(discard_madv_remove_clean_told) \
    X(discard_madv_remove_written) \
    X(discard_madv_remove_written_told) \
    X(discard_punch_hole_clean) \
    X(discard_punch_hole_clean_told) \
    X(discard_punch_hole_written) \
    X(discard_punch_hole_written_told) \
    X(discard_truncate_clean) \
    X(discard_truncate_clean_told) \
    X(discard_truncate_written) \
    X(discard_truncate_written_told) \
    X(pte_cold) \
    X(pte_dontneed) \
    X(pte_dontneed_told) \
    X(pte_fork) \
    X(pte_migrate) \
    X(pte_compact) \
    X(pte_mlock) \
    X(pte_mprotect) \
    X(pte_pageout) \
    X(pte_pmd_sharing_before) \
    X(pte_pmd_sharing_after) \
    X(pte_remap) \
    X(pte_mremap) \
    X(pte_thp_collapse) \
    X(pte_thp_collapse_alias) \
    X(pte_thp_split) \
    X(pte_truncate_neighbour) \
    X(scan_get) \
    X(scan_get_and_protect) \
    X(scan_protect_only) \
    X(scan_inverted) \
    X(scan_any_of) \
    X(scan_present) \
    X(scan_max_pages) \
    X(scan_hugetlb_max_pages) \
    X(scan_hugetlb_partial) \
    X(scan_unpopulated) \
    X(scan_vec_len) \
    X(scan_walk_end) \
    X(scan_hole) \
    X(scan_several_vmas) \
    X(scan_unregistered) \
    X(scan_unregistered_unchecked) \
    X(scan_writer) \
    X(scan_writer_copy_first) \
    X(scan_writer_two_calls) \
    X(uffd_fork_no_event) \
    X(uffd_fork_event) \
    X(uffd_handler_killed) \
    X(uffd_modes_together) \
    X(uffd_second) \
    X(uffd_unregister_middle) \
    X(uffd_user_mode_only) \
    X(kvm_write_between) \
    X(kvm_clear_unaligned) \
    X(kvm_clear_overlap) \
    X(kvm_clear_full_mask) \
    X(kvm_initially_set) \
    X(kvm_read_fault) \
    X(kvm_ring_soft_full) \
    X(kvm_ring_overflow) \
    X(kvm_ring_ignored) \
    X(kvm_ring_wrapped) \
    X(kvm_flag_toggled) \
    X(kvm_slot_removed) \
    X(kvm_slot_moved) \
    X(kvm_slot_added)
/* clang-format on */

#define DECLARE(name) extern const SemanticsCase case_##name;
SEMANTICS_CASES(DECLARE)
#undef DECLARE
