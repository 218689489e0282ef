/* SPDX-License-Identifier: MIT */
/*
 * io_uring reads into guest RAM. Into plain memory it faults as any system call does. Into a fixed buffer it writes to pages that were
 * pinned when the buffer was registered, and no page table has a part in it: no tracker that goes by a page table can see it,
 * and the same holds for a VFIO device's DMA.
 */
#include <unistd.h>

#include "semantics/cases.h"
#include "semantics/uring.h"
#include "semantics/writer.h"

#define BYTES 64

enum {
    PLAIN,
    PINNED,
    PINNED_TOLD,
    PINNED_LATE,
};

/* What a writer has no argument for. One case runs in a process. */
typedef struct {
    Uring *ring;
    int source;
} Reads;
static Reads reads;

static gboolean
read_into(Scene *scene, guint place, GError **error)
{
    int variant = scene->cell->about->variant;
    guint8 *to = scene_address(scene, place) + 512;

    if (!uring_read(reads.ring, reads.source, to, BYTES, variant != PLAIN, error))
        return FALSE;
    if (variant == PINNED_TOLD)
        return dl_log_note_written(scene->log, (guint64)(to - scene->memory->hva), BYTES);
    return TRUE;
}

/*
 * Registered under an armed tracker, the buffer's pages fault for writing then, and are reported then: a harvest later they are not. Kernels
 * on which pinning does not wait for a handler refuse to register.
 */
static gboolean
run_late(Scene *scene, GError **error)
{
    g_autoptr(GError) refusal = NULL;

    if (!scene_arm(scene, error))
        return FALSE;
    if (!cell_step(scene->cell))
        return scene_harvest(scene, error);
    if (!uring_register(reads.ring, scene->memory->hva, scene->memory->size, &refusal)) {
        cell_refused(scene->cell, "%s", refusal->message);
        return FALSE;
    }
    if (!scene_skip(scene, error))
        return FALSE;
    cell_say(scene->cell, "%" G_GUINT64_FORMAT " pages reported when the buffer was registered", dl_bitmap_count(scene->found));
    if (!read_into(scene, 0, error))
        return FALSE;
    scene_mark(scene, 0);
    return scene_harvest(scene, error);
}

static gboolean
run(Cell *cell, GError **error)
{
    g_autoptr(Scene) scene = writer_open(cell, error);
    g_autoptr(Uring) ring = scene ? uring_new(error) : NULL;
    int variant = cell->about->variant;

    reads.ring = ring;
    reads.source = ring ? writer_source(error) : -1;
    if (reads.source < 0)
        return FALSE;
    if (variant == PINNED_LATE)
        return run_late(scene, error);
    if (variant != PLAIN && !uring_register(ring, scene->memory->hva, scene->memory->size, error))
        return FALSE;
    return writer_run_on(scene, read_into, error);
}

#define FINDING                                                                                                                             \
    "Pages pinned for writing (io_uring's fixed buffers, VFIO) are written past every page table: no tracker on page tables reports it. A " \
    "VMM reports what such I/O wrote itself (dl_log_note_written)."

const SemanticsCase case_writer_io_uring = {
    .name = "writer.io-uring",
    .required = WRITER_REQUIRED,
    .left_out = "the read",
    .trackers = ALL_TRACKERS,
    .kvm_rams = "shmem",
    .run = run,
    .variant = PLAIN,
};
const SemanticsCase case_writer_pinned = {
    .name = "writer.pinned",
    .required = WRITER_REQUIRED,
    .left_out = "the read",
    .finding = FINDING,
    .trackers = ALL_TRACKERS,
    .kvm_rams = "shmem",
    .run = run,
    .variant = PINNED,
};
const SemanticsCase case_writer_pinned_told = {
    .name = "writer.pinned-told",
    .required = WRITER_REQUIRED,
    .left_out = "the read",
    .trackers = ALL_TRACKERS,
    .kvm_rams = "shmem",
    .run = run,
    .variant = PINNED_TOLD,
};
const SemanticsCase case_writer_pinned_late = {
    .name = "writer.pinned-late",
    .required = "what is written through pins taken after arming is reported",
    .left_out = "registering and reading",
    .finding = FINDING,
    .run = run,
    .variant = PINNED_LATE,
};
