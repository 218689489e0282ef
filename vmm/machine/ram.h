/* SPDX-License-Identifier: MIT */
/*
 * Guest RAM: up to 3 GiB from gpa 0, the rest from 4 GiB up, one DlMemory and one memslot each; and the one path by which the
 * VMM itself stores to it: guest_ram_store() and guest_ram_preadv() note what they wrote with the DlLog that is attached.
 */
#pragma once

#include <dirtylog/dirtylog.h>
#include <stdint.h>

#define GUEST_RAM_HOLE_START (UINT64_C(3) << 30)
#define GUEST_RAM_HOLE_END (UINT64_C(4) << 30)

typedef struct GuestRam GuestRam;

/**
 * guest_ram_new: @bytes of RAM, a multiple of 4 KiB and of the kind's page, not 0.
 * @populate: give every page its backing at once
 * Errors: INVALID (size), RESOURCE (larger than this host: MemTotal, and MemAvailable for what is touched at once), and DL_ERROR.
 */
GuestRam *guest_ram_new(DlRamKind kind, guint64 bytes, gboolean populate, GError **error);
/**
 * guest_ram_check_host: whether guest_ram_new() could succeed now, without making anything, and @besides bytes more could be had that the
 * caller is going to touch. Errors: as guest_ram_new().
 */
gboolean guest_ram_check_host(DlRamKind kind, guint64 bytes, gboolean populate, guint64 besides, GError **error);
/** guest_ram_free: after the machine that uses it and the log that is attached. */
void guest_ram_free(GuestRam *ram);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(GuestRam, guest_ram_free)

guint64 guest_ram_size(const GuestRam *ram); /* bytes */
DlRamKind guest_ram_kind(const GuestRam *ram);
DlLayout *guest_ram_layout(const GuestRam *ram); /* owned by @ram */
/** guest_ram_memory: what backs region @region of the layout (the same index); its fd is what the writer `alias` maps. */
const DlMemory *guest_ram_memory(const GuestRam *ram, guint region);

/**
 * guest_ram_attach_log: from now on stores are noted with @log; NULL detaches. The caller sees to it that no store is under way.
 */
void guest_ram_attach_log(GuestRam *ram, DlLog *log);

/**
 * guest_ram_store: copies @size bytes to @gpa and notes them. FALSE, and nothing is touched, when [@gpa, @gpa + @size) is not
 * wholly inside one region of RAM (any values may be given). A caller that is no vCPU thread does this inside a gate that it
 * registered with machine_add_pausable(): a noted store must be noted before its writer counts as stopped.
 */
gboolean guest_ram_store(GuestRam *ram, guint64 gpa, gconstpointer data, gsize size);
/** guest_ram_load: copies from guest RAM; FALSE, and @data untouched, as above. */
gboolean guest_ram_load(const GuestRam *ram, guint64 gpa, gpointer data, gsize size);

/**
 * guest_ram_publish16: a 16-bit store of @value at @gpa, which is even, that is seen after every store before it (release), noted as the
 * others are: an index of a ring that a vCPU reads meanwhile.
 */
gboolean guest_ram_publish16(GuestRam *ram, guint64 gpa, guint16 value);

/**
 * GuestRamGuard: asked under the log's harvest lock, right before RAM changes; it must not wait for whoever may wait for that lock.
 * @enter: FALSE: not now, nothing is discarded
 */
typedef struct {
    gboolean (*enter)(gpointer user);
    void (*leave)(gpointer user);
    gpointer user;
} GuestRamGuard;

/**
 * guest_ram_discard: gives the backing of [@gpa, @gpa + @size) back to the host and tells the log; it reads as zeroes from then on.
 * Multiples of the kind's page, inside one region. @guard may be NULL. Not to be called inside a machine gate. FALSE without an @error:
 * @guard did not want it now. Errors: INVALID, FAILED.
 */
gboolean guest_ram_discard(GuestRam *ram, guint64 gpa, guint64 size, const GuestRamGuard *guard, GError **error);

/** GuestRamPiece: @size bytes of RAM at @gpa. */
typedef struct {
    guint64 gpa;
    gsize size;
} GuestRamPiece;

#define GUEST_RAM_MAX_PIECES 256

/**
 * guest_ram_preadv: preadv(2) from @fd at @offset into guest RAM, noting what arrived; all pieces when the call fails half-way.
 * Returns the bytes read, short at the file's end, or -1. Errors: INVALID (a piece outside RAM, too many pieces), FAILED.
 */
gssize guest_ram_preadv(GuestRam *ram, int fd, const GuestRamPiece *pieces, guint n_pieces, gint64 offset, GError **error);
/** guest_ram_pwritev: the other direction, pwritev(2) from guest RAM; nothing is stored to RAM and nothing noted. */
gssize guest_ram_pwritev(const GuestRam *ram, int fd, const GuestRamPiece *pieces, guint n_pieces, gint64 offset, GError **error);
