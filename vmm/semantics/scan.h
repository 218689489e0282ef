/* SPDX-License-Identifier: MIT */
/*
 * The stage of the scan cases: memory under a userfaultfd in WP_ASYNC mode, protected all over, and the bare ioctl. What must hold
 * comes from Documentation/admin-guide/mm/pagemap.rst and from the tests that came with the call (selftests/mm/pagemap_ioctl.c):
 * the page ranges that it returns, what it protects, and walk_end, from which a caller resumes.
 */
#pragma once

#include "dirtylog/uapi.h"
#include "semantics/semantics.h"

/**
 * Scan:
 * @must: 4 KiB pages stored to since scan_judge(), @found: reported since
 * @duplicates: pages reported more than once in one scan_all()
 * @backing: pages of a backing page
 * @gap_first, @gap_end: backing pages that a case has unmapped; none: 0, 0
 */
typedef struct {
    Cell *cell;
    DlMemory *memory;
    DlLayout *layout;
    int uffd, pagemap;
    guint64 pages, backing, gap_first, gap_end;
    DlBitmap *must, *allowed, *found;
    guint64 duplicates;
} Scan;

/** scan_open: @backing_pages pages of the cell's RAM kind, populated, registered and protected. */
Scan *scan_open(Cell *cell, guint64 backing_pages, GError **error);
void scan_free(Scan *scan);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Scan, scan_free)

/** scan_store: stores one byte to the page, which has to be reported. scan_mark: it has to be, whoever wrote it. */
void scan_store(Scan *scan, guint64 page);
void scan_mark(Scan *scan, guint64 page);
/** scan_store_every: to every @step-th backing page from @first on; returns how many ranges that makes where no two are neighbours. */
guint64 scan_store_every(Scan *scan, guint64 first, guint64 step);

/** scan_arg: the whole memory, get what is written. The vector is the caller's. */
struct pm_scan_arg scan_arg(const Scan *scan, guint64 flags, struct page_region *vector, guint64 length);
/** scan_ask_inverted: for what is written and, by an inverted category, not the zero page. */
void scan_ask_inverted(struct pm_scan_arg *arg);
/** scan_ask_any_of: for what is written, or the zero page. */
void scan_ask_any_of(struct pm_scan_arg *arg);
/** scan_once: one call; what it reports goes to @found. Returns the number of ranges, or -1 with errno. */
int scan_once(Scan *scan, struct pm_scan_arg *arg);
/** scan_all: calls until walk_end is the end, each from where the one before stopped. */
gboolean scan_all(Scan *scan, struct pm_scan_arg arg, GError **error);
/** scan_get: a plain scan of all, with or without protecting. */
gboolean scan_get(Scan *scan, gboolean protect, GError **error);

/** scan_judge: what was found against what had to be; both are empty afterwards. */
void scan_judge(Scan *scan);

#define SCAN_RAMS "shmem,hugetlb-2M"
#define SCAN_REQUIRED "every page written is reported, and once"
#define SCAN_VECTOR 512
