/* SPDX-License-Identifier: MIT */
/*
 * Pages drawn at random, and whether their content changes: how calc-dirty-rate's mode `page-sampling` does without a tracker. Pages are read
 * through the memfd: reading a hole through the mapping would fill it, with a whole huge page at worst.
 */
#pragma once

#include <machine/ram.h>

typedef struct PageSample PageSample;

/** page_sample_new: draws @per_gib pages a GiB of RAM, at least one, and takes their digests. Errors: MACHINE_ERROR_FAILED. */
PageSample *page_sample_new(GuestRam *ram, guint per_gib, GError **error);
void page_sample_free(PageSample *sample);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PageSample, page_sample_free)

guint page_sample_size(const PageSample *sample); /* pages */
/** page_sample_changed: how many of them differ now. */
gboolean page_sample_changed(PageSample *sample, guint *changed, GError **error);
