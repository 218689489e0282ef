/* SPDX-License-Identifier: MIT */
/*
 * Pieces become a huge page again, by MADV_COLLAPSE through the tracked mapping or through another one of the same file, or by khugepaged
 * itself: the tracked mapping's page table may be dropped over it, and its record of writes must not.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dirtylog/private.h"
#include "semantics/cases.h"
#include "semantics/pte_split.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#define HUGE_BYTES (UINT64_C(2) << 20)
#define SHMEM_ENABLED "/sys/kernel/mm/transparent_hugepage/shmem_enabled"
#define HUGE_FLAG 22 /* KPF_THP */
#define KHUGEPAGED_WAIT_S 4

enum {
    HERE,
    ALIAS,
    KHUGEPAGED,
    KHUGEPAGED_ALIAS,
};

static guint8 *
map_aligned(const Scene *scene)
{
    gsize size = scene->memory->size;
    guint8 *room = mmap(NULL, size + HUGE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (room == MAP_FAILED)
        return NULL;
    guint8 *start = (guint8 *)(((guintptr)room + HUGE_BYTES - 1) / HUGE_BYTES * HUGE_BYTES);
    return mmap(start, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, scene->memory->fd, 0);
}

/*
 * How many of the pages that the split took apart are huge again: the kernel's counters are of all processes. Looked up through the
 * tracked mapping, by loads.
 */
static guint64
huge_pages(const Scene *scene)
{
    DlFd flags = open("/proc/kpageflags", O_RDONLY | O_CLOEXEC);
    guint64 step = HUGE_BYTES / DL_PAGE_SIZE, count = 0;

    for (guint64 page = 0; page < scene->pages; page += step) {
        volatile guint8 seen = scene->memory->hva[page * DL_PAGE_SIZE];
        (void)seen;
    }
    g_autofree guint64 *frames = pte_frames(scene);
    for (guint64 page = 0; page < scene->pages; page += step) {
        guint64 bits = 0;
        off_t offset = (off_t)(frames[page] * sizeof(bits));
        if (flags >= 0 && frames[page] && pread(flags, &bits, sizeof(bits), offset) == (gssize)sizeof(bits))
            count += bits >> HUGE_FLAG & 1;
    }
    dl_fd_clear(&flags);
    return count;
}

static gboolean
collapse(Scene *scene, guint8 *address, GError **error)
{
    if (madvise(address, scene->memory->size, MADV_COLLAPSE))
        cell_say(scene->cell, "MADV_COLLAPSE: %s", strerror(errno));
    guint64 huge = huge_pages(scene);
    if (!huge)
        return cell_unsupported(error, "no huge page after MADV_COLLAPSE, or page flags are not shown to this user");
    cell_say(scene->cell, "%" G_GUINT64_FORMAT " huge again", huge);
    return TRUE;
}

static gboolean
step_here(Scene *scene, GError **error)
{
    if (!pte_split(scene, error))
        return FALSE;
    return collapse(scene, scene->memory->hva, error);
}

static gboolean
step_alias(Scene *scene, GError **error)
{
    if (!pte_split(scene, error))
        return FALSE;
    guint8 *alias = map_aligned(scene);
    if (!alias || alias == MAP_FAILED)
        return cell_fail(error, "mapping the memory a second time");
    madvise(alias, scene->memory->size, MADV_HUGEPAGE);
    gboolean collapsed = collapse(scene, alias, error);
    munmap(alias, scene->memory->size);
    return collapsed;
}

/* The thread is the kernel's and comes when it likes: how often, the host's settings say. */
static gboolean
step_khugepaged(Scene *scene, GError **error)
{
    g_autofree char *enabled = NULL;

    if (!g_file_get_contents(SHMEM_ENABLED, &enabled, NULL, NULL) || strstr(enabled, "[never]") || strstr(enabled, "[deny]"))
        return cell_unsupported(error, "khugepaged leaves shmem alone here; try: echo advise > " SHMEM_ENABLED);
    if (!pte_split(scene, error))
        return FALSE;
    gboolean other = scene->cell->about->variant == KHUGEPAGED_ALIAS;
    guint8 *through = other ? map_aligned(scene) : scene->memory->hva;
    if (!through || through == MAP_FAILED)
        return cell_fail(error, "mapping the memory a second time");
    if (madvise(scene->memory->hva, scene->memory->size, other ? MADV_NOHUGEPAGE : MADV_HUGEPAGE) ||
        madvise(through, scene->memory->size, MADV_HUGEPAGE))
        return cell_fail(error, "MADV_HUGEPAGE");
    for (gint64 end = g_get_monotonic_time() + KHUGEPAGED_WAIT_S * G_TIME_SPAN_SECOND; !huge_pages(scene);) {
        if (g_get_monotonic_time() > end)
            return cell_unsupported(
                error, "khugepaged did not come within %d s; its pace is khugepaged/scan_sleep_millisecs and pages_to_scan",
                KHUGEPAGED_WAIT_S);
        g_usleep(5000);
    }
    if (other)
        munmap(through, scene->memory->size);
    return TRUE;
}

static gboolean
run(Cell *cell, GError **error)
{
    static const PteStep steps[] = {
        [HERE] = step_here, [ALIAS] = step_alias, [KHUGEPAGED] = step_khugepaged, [KHUGEPAGED_ALIAS] = step_khugepaged};

    return pte_run(cell, steps[cell->about->variant], error);
}

#define ALIAS_LOST                                                                                                            \
    "A collapse through another mapping of the file drops the tracked mapping's record of writes: keep khugepaged away from " \
    "the memfd (MADV_NOHUGEPAGE in every process that maps it)."

const SemanticsCase case_pte_thp_collapse = {
    .name = "pte.thp-collapse",
    .required = PTE_REQUIRED,
    .left_out = "the collapse",
    .rams = "shmem-thp",
    .run = run,
    .variant = HERE,
};
const SemanticsCase case_pte_thp_khugepaged = {
    .name = "pte.thp-khugepaged",
    .required = PTE_REQUIRED,
    .left_out = "khugepaged",
    .rams = "shmem-thp",
    .run = run,
    .variant = KHUGEPAGED,
};
const SemanticsCase case_pte_thp_collapse_alias = {
    .name = "pte.thp-collapse-alias",
    .required = PTE_REQUIRED,
    .left_out = "the collapse",
    .finding = ALIAS_LOST,
    .rams = "shmem-thp",
    .run = run,
    .variant = ALIAS,
};
const SemanticsCase case_pte_thp_khugepaged_alias = {
    .name = "pte.thp-khugepaged-alias",
    .required = PTE_REQUIRED,
    .left_out = "khugepaged",
    .finding = ALIAS_LOST,
    .rams = "shmem-thp",
    .run = run,
    .variant = KHUGEPAGED_ALIAS,
};
