/* SPDX-License-Identifier: MIT */
/*
 * RAM kinds, and memory of such a kind: a memfd and its mapping. A caller that has memory of its own needs none of this, but for
 * the kind that it names in its DlRegion.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS
#pragma GCC visibility push(default)

/**
 * DlRamKind:
 * @DL_RAM_SHMEM: memfd in 4 KiB pages, kept so with MADV_NOHUGEPAGE
 * @DL_RAM_SHMEM_THP: memfd, 2 MiB-aligned, touched, then MADV_COLLAPSE (Linux 6.1), whatever the host's THP mode
 * @DL_RAM_HUGETLB_2M: memfd with MFD_HUGETLB | MFD_HUGE_2MB
 * @DL_RAM_HUGETLB_1G: memfd with MFD_HUGETLB | MFD_HUGE_1GB
 */
typedef enum {
    DL_RAM_SHMEM,
    DL_RAM_SHMEM_THP,
    DL_RAM_HUGETLB_2M,
    DL_RAM_HUGETLB_1G,
} DlRamKind;
#define DL_N_RAM_KINDS 4

/** The name that the command line and the JSON use: `shmem`, `shmem-thp`, `hugetlb-2M`, `hugetlb-1G`. */
const char *dl_ram_kind_name(DlRamKind kind);
gboolean dl_ram_kind_from_name(const char *name, DlRamKind *kind, GError **error);
/** Bytes in a page of the backing: 4 KiB, 2 MiB, 2 MiB, 1 GiB. Sizes and addresses of the kind's mappings are multiples of it. */
guint64 dl_ram_kind_page_size(DlRamKind kind);

/**
 * DlMemory: guest-RAM-like memory. Unpopulated unless asked (shmem-thp is always touched: there is no huge page otherwise).
 * @hva: mapping, MAP_SHARED, aligned to the kind's page (at least 2 MiB)
 * @size: bytes, a multiple of the kind's page
 * @fd: the memfd; another mapping of it is the writer `alias`
 */
typedef struct {
    DlRamKind kind;
    guint8 *hva;
    guint64 size;
    int fd;
} DlMemory;

/**
 * dl_memory_new: @size in bytes; rounded up to the kind's page size.
 * Errors: INVALID (0 or overflow), RESOURCE (no memory, or a hugetlb pool too small: the message holds the command that reserves
 * what lacks), UNSUPPORTED (no such huge page size, no MADV_COLLAPSE).
 */
DlMemory *dl_memory_new(DlRamKind kind, guint64 size, GError **error);
void dl_memory_free(DlMemory *memory);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DlMemory, dl_memory_free)

/**
 * dl_memory_check_pool: whether the hugetlb pool has @size bytes free now; TRUE for kinds without one. Memory that is made in several pieces
 * is checked in one, so that the remedy names all that lacks. Errors: RESOURCE, with the command that reserves it.
 */
gboolean dl_memory_check_pool(DlRamKind kind, guint64 size, GError **error);

/** dl_memory_populate: gives every page of the range its backing and leaves its content alone (MADV_POPULATE_WRITE, 5.14). */
gboolean dl_memory_populate(DlMemory *memory, guint64 offset, guint64 size, GError **error);

/** dl_memory_collapse: MADV_COLLAPSE over a shmem-thp range, verified in smaps; a no-op for the other kinds. */
gboolean dl_memory_collapse(DlRamKind kind, gpointer hva, guint64 size, GError **error);

#pragma GCC visibility pop
G_END_DECLS
