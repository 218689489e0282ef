/* SPDX-License-Identifier: MIT */
/*
 * The stage of the uffd cases: memory of the cell's RAM kind, one userfaultfd, and a handler thread that resolves what comes and notes
 * each write-protect fault as a report. What must hold comes from Documentation/admin-guide/mm/userfaultfd.rst.
 */
#pragma once

#include "dirtylog/uapi.h"
#include "semantics/semantics.h"

#define UFFD_PAGES 12
#define UFFD_RAMS "shmem,hugetlb-2M"

/**
 * UffdStage:
 * @backing: bytes of a backing page; the cases count in backing pages
 * @fill_protected: the handler maps what was missing write-protected
 * @missing, @minor: faults of these kinds that were resolved
 */
typedef struct {
    Cell *cell;
    DlMemory *memory;
    int uffd, forked_uffd;
    guint64 backing;
    gboolean fill_protected;
    DlBitmap *must, *allowed, *found;
    gint missing, minor, running, stop;
    GThread *handler;
    guint8 *blank;
} UffdStage;

/** uffd_stage_open: memory; populated if asked. No userfaultfd yet. */
UffdStage *uffd_stage_open(Cell *cell, gboolean populated, GError **error);
void uffd_stage_free(UffdStage *stage);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(UffdStage, uffd_stage_free)

/** uffd_stage_connect: opens the userfaultfd with these features beside those for write-protection, registers all in @mode. */
gboolean uffd_stage_connect(UffdStage *stage, guint64 features, guint64 mode, GError **error);
gboolean uffd_stage_register(const UffdStage *stage, int uffd, guint64 mode); /* FALSE with errno */
gboolean uffd_stage_protect(const UffdStage *stage, GError **error);
void uffd_stage_handle(UffdStage *stage); /* starts the handler */

guint8 *uffd_stage_page(const UffdStage *stage, guint index);
/** uffd_stage_mark: the page's first 4 KiB have to be reported. */
void uffd_stage_mark(UffdStage *stage, guint index);
void uffd_stage_store(UffdStage *stage, guint index); /* and marks */
/** uffd_stage_judge: ends the handler first. */
void uffd_stage_judge(UffdStage *stage);
