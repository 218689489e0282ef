/* SPDX-License-Identifier: MIT */
/* The registry of cases, in the order in which the matrix shows them. */
#include "semantics/cases.h"

#define ADDRESS(name) &case_##name,
static const SemanticsCase *const cases[] = {SEMANTICS_CASES(ADDRESS)};
#undef ADDRESS

guint
semantics_n_cases(void)
{
    return G_N_ELEMENTS(cases);
}

const SemanticsCase *
semantics_case(guint index)
{
    return cases[index];
}
