/* SPDX-License-Identifier: MIT */
/*
 * userfaultfd in write-protect mode, as both trackers on it need it. All ranges are addresses in this process; hugetlb ranges are
 * multiples of its page.
 */
#pragma once

#include <dirtylog/dirtylog.h>

/**
 * dl_uffd_open: a non-blocking userfaultfd with all of @required features and those of @wished that the kernel has.
 * @kernel_faults: must resolve faults taken inside the kernel (system calls, KVM); else UFFD_USER_MODE_ONLY will do where the
 * full one is not permitted.
 * Errors: PERMISSION, UNSUPPORTED (names what lacks).
 */
int dl_uffd_open(guint64 required, guint64 wished, gboolean kernel_faults, GError **error);

/** dl_uffd_register: every region of the layout, in write-protect mode. Nothing is protected yet. */
gboolean dl_uffd_register(int uffd, const DlLayout *layout, GError **error);
/** Unregisters all; waiting writers are woken, what is protected becomes writable. */
void dl_uffd_unregister(int uffd, const DlLayout *layout);

/** dl_uffd_protect: protects, or unprotects and wakes, one range. */
gboolean dl_uffd_protect(int uffd, guint64 start, guint64 size, gboolean on, GError **error);
/** The whole layout, a window at a time: a vCPU that faults in a range waits while that range is being invalidated. */
gboolean dl_uffd_protect_all(int uffd, const DlLayout *layout, gboolean on, GError **error);

/**
 * dl_uffd_mend: after release, what protecting has split is collapsed again (shmem-thp). Never fails: it is for speed only.
 */
void dl_uffd_mend(const DlLayout *layout);

/** How far a piece may reach: at most @window pages, over gaps of less than @gap pages between two open ones. */
typedef struct {
    guint64 window;
    guint64 gap;
} DlPieceLimits;

/**
 * dl_uffd_next_piece: the next piece of [@from, @end) that one call protects, from an open page on to the last open page within the
 * limits. The pages in its gaps are protected once more, which costs less than a call for each side of them. FALSE: none is open.
 */
gboolean dl_uffd_next_piece(const DlBitmap *open_pages, guint64 from, guint64 end, const DlPieceLimits *limits,
                            DlPageRange *piece);
