/* SPDX-License-Identifier: MIT */
/* The cases by name, one line each: declared here, listed by registry.c. */
#pragma once

#include "semantics/semantics.h"

/* clang-format off */
#define SEMANTICS_CASES(X) \
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
    X(pte_remap) \
    X(pte_mremap) \
    X(pte_thp_collapse) \
    X(pte_thp_collapse_alias) \
    X(pte_thp_split) \
    X(pte_truncate_neighbour)
/* clang-format on */

#define DECLARE(name) extern const SemanticsCase case_##name;
SEMANTICS_CASES(DECLARE)
#undef DECLARE
