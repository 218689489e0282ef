/* SPDX-License-Identifier: MIT */
/*
 * Memory of each RAM kind: a memfd and a shared mapping of it, aligned to its page.
 *
 * A hugetlb page that is not to be had at the first touch is a SIGBUS in the guest's or the program's hands, so it has to be had
 * before: a shared hugetlb mapping without MAP_NORESERVE reserves all its pages at mmap() and fails with ENOMEM when the pool is
 * too small. The reservation belongs to the file, so that a second mapping of it reserves nothing more.
 */
#include "dirtylog/private.h"

#include <fcntl.h>
#include <linux/memfd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

#define MIB UINT64_C(1048576)
#define HUGE_PAGE (2 * MIB)

static const struct {
    const char *name;
    guint64 page_size;
    unsigned int memfd_flags;
    const char *pool; /* in sysfs */
} kinds[DL_N_RAM_KINDS] = {
    [DL_RAM_SHMEM] = {"shmem", DL_PAGE_SIZE, 0, NULL},
    [DL_RAM_SHMEM_THP] = {"shmem-thp", HUGE_PAGE, 0, NULL},
    [DL_RAM_HUGETLB_2M] = {"hugetlb-2M", HUGE_PAGE, MFD_HUGETLB | MFD_HUGE_2MB, "/sys/kernel/mm/hugepages/hugepages-2048kB"},
    [DL_RAM_HUGETLB_1G] = {"hugetlb-1G", 1024 * MIB, MFD_HUGETLB | MFD_HUGE_1GB, "/sys/kernel/mm/hugepages/hugepages-1048576kB"},
};

const char *
dl_ram_kind_name(DlRamKind kind)
{
    g_return_val_if_fail(kind < DL_N_RAM_KINDS, NULL);
    return kinds[kind].name;
}

gboolean
dl_ram_kind_from_name(const char *name, DlRamKind *kind, GError **error)
{
    for (guint i = 0; i < DL_N_RAM_KINDS; i++) {
        if (g_strcmp0(name, kinds[i].name) == 0) {
            *kind = (DlRamKind)i;
            return TRUE;
        }
    }
    dl_set_error(error, DL_ERROR_INVALID, 0, NULL, "unknown RAM kind “%s”: it is one of shmem, shmem-thp, hugetlb-2M, hugetlb-1G",
                 name ? name : "");
    return FALSE;
}

guint64
dl_ram_kind_page_size(DlRamKind kind)
{
    g_return_val_if_fail(kind < DL_N_RAM_KINDS, DL_PAGE_SIZE);
    return kinds[kind].page_size;
}

static guint64
pool_number(DlRamKind kind, const char *name)
{
    g_autofree char *path = g_build_filename(kinds[kind].pool, name, NULL);
    guint64 value = 0;

    dl_read_number(path, &value);
    return value;
}

/* The pool's free pages, less those that others have reserved and not touched yet. */
static guint64
pool_available(DlRamKind kind)
{
    guint64 free_pages = pool_number(kind, "free_hugepages");
    guint64 reserved = pool_number(kind, "resv_hugepages");

    return free_pages > reserved ? free_pages - reserved : 0;
}

static void
set_pool_error(GError **error, DlRamKind kind, guint64 wanted)
{
    guint64 available = pool_available(kind);
    guint64 lacking = wanted > available ? wanted - available : 1;
    guint64 total = pool_number(kind, "nr_hugepages");
    g_autofree char *remedy = g_strdup_printf("echo %" G_GUINT64_FORMAT " > %s/nr_hugepages",
                                              total + MIN(lacking, G_MAXUINT64 - total), kinds[kind].pool);

    dl_set_error(error, DL_ERROR_RESOURCE, 0, remedy,
                 "the %s pool is too small: %" G_GUINT64_FORMAT " pages needed, %" G_GUINT64_FORMAT " free", kinds[kind].name,
                 wanted, available);
}

static int
open_memfd(DlRamKind kind, GError **error)
{
    int fd = memfd_create(kinds[kind].name, MFD_CLOEXEC | kinds[kind].memfd_flags);
    int saved_errno = errno;

    if (fd >= 0)
        return fd;
    if (kinds[kind].pool && (saved_errno == EINVAL || saved_errno == ENODEV || saved_errno == ENOENT))
        dl_set_error(error, DL_ERROR_UNSUPPORTED, saved_errno, NULL, "this kernel or CPU has no pages of %s", kinds[kind].name);
    else if (kinds[kind].pool && saved_errno == EPERM)
        dl_set_error(error, DL_ERROR_PERMISSION, saved_errno, "run as root, or join the group in vm.hugetlb_shm_group",
                     "hugetlb memory is refused");
    else
        dl_set_error(error, dl_error_from_errno(saved_errno), saved_errno, NULL, "memfd_create");
    return -1;
}

/* Address space that is aligned to @alignment, with nothing behind it yet. */
static guint8 *
reserve_aligned(guint64 size, guint64 alignment, GError **error)
{
    guint8 *base = mmap(NULL, size + alignment, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (base == MAP_FAILED) {
        dl_set_error(error, DL_ERROR_RESOURCE, errno, "ask for less memory",
                     "no address space for %" G_GUINT64_FORMAT " bytes of RAM", size);
        return NULL;
    }

    guint8 *aligned = (guint8 *)dl_round_up((guint64)(guintptr)base, alignment);
    if (aligned > base)
        munmap(base, (gsize)(aligned - base));
    munmap(aligned + size, (gsize)(base + size + alignment - (aligned + size)));
    return aligned;
}

static gboolean
map_memory(DlMemory *memory, GError **error)
{
    guint64 page_size = kinds[memory->kind].page_size;
    guint64 alignment = MAX(page_size, HUGE_PAGE);
    guint8 *hva = reserve_aligned(memory->size, alignment, error);

    if (!hva)
        return FALSE;
    if (mmap(hva, memory->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, memory->fd, 0) == MAP_FAILED) {
        int saved_errno = errno;
        munmap(hva, memory->size);
        if (kinds[memory->kind].pool && saved_errno == ENOMEM)
            set_pool_error(error, memory->kind, memory->size / page_size);
        else
            dl_set_error(error, dl_error_from_errno(saved_errno), saved_errno, NULL, "mapping %" G_GUINT64_FORMAT " bytes of %s",
                         memory->size, kinds[memory->kind].name);
        return FALSE;
    }
    memory->hva = hva;
    return TRUE;
}

gboolean
dl_memory_check_pool(DlRamKind kind, guint64 size, GError **error)
{
    g_return_val_if_fail(kind < DL_N_RAM_KINDS, FALSE);
    guint64 page_size = kinds[kind].page_size;
    guint64 wanted = size / page_size + (size % page_size != 0);

    if (!kinds[kind].pool || wanted <= pool_available(kind) + pool_number(kind, "nr_overcommit_hugepages"))
        return TRUE;
    set_pool_error(error, kind, wanted);
    return FALSE;
}

static gboolean
give_file_its_size(DlMemory *memory, GError **error)
{
    if (!dl_memory_check_pool(memory->kind, memory->size, error))
        return FALSE;
    if (ftruncate(memory->fd, (off_t)memory->size) == 0)
        return TRUE;

    int saved_errno = errno;
    DlError code = saved_errno == EFBIG || saved_errno == EINVAL ? DL_ERROR_INVALID : dl_error_from_errno(saved_errno);
    dl_set_error(error, code, saved_errno, NULL, "a memfd of %" G_GUINT64_FORMAT " bytes", memory->size);
    return FALSE;
}

/* Whether huge pages are to stay away (shmem) or to be made (shmem-thp). */
static gboolean
settle_page_size(DlMemory *memory, GError **error)
{
    if (memory->kind == DL_RAM_SHMEM) {
        /* EINVAL: a kernel without THP, which has nothing to keep away. */
        if (madvise(memory->hva, memory->size, MADV_NOHUGEPAGE) && errno != EINVAL) {
            dl_set_error(error, DL_ERROR_FAILED, errno, NULL, "madvise MADV_NOHUGEPAGE");
            return FALSE;
        }
        return TRUE;
    }
    if (memory->kind == DL_RAM_SHMEM_THP)
        return dl_memory_populate(memory, 0, memory->size, error) &&
               dl_memory_collapse(memory->kind, memory->hva, memory->size, error);
    return TRUE;
}

DlMemory *
dl_memory_new(DlRamKind kind, guint64 size, GError **error)
{
    g_return_val_if_fail(kind < DL_N_RAM_KINDS, NULL);
    guint64 page_size = kinds[kind].page_size;

    if (size == 0 || size > (guint64)G_MAXINT64 - 2 * MAX(page_size, HUGE_PAGE)) {
        dl_set_error(error, DL_ERROR_INVALID, 0, NULL, "%" G_GUINT64_FORMAT " bytes is no size for RAM", size);
        return NULL;
    }

    g_autoptr(DlMemory) memory = g_new0(DlMemory, 1);
    memory->kind = kind;
    memory->size = dl_round_up(size, page_size);
    memory->fd = open_memfd(kind, error);
    if (memory->fd < 0 || !give_file_its_size(memory, error) || !map_memory(memory, error) || !settle_page_size(memory, error))
        return NULL;
    return g_steal_pointer(&memory);
}

void
dl_memory_free(DlMemory *memory)
{
    if (!memory)
        return;
    if (memory->hva)
        munmap(memory->hva, memory->size);
    if (memory->fd >= 0)
        close(memory->fd);
    g_free(memory);
}

gboolean
dl_memory_populate(DlMemory *memory, guint64 offset, guint64 size, GError **error)
{
    if (offset > memory->size || size > memory->size - offset) {
        dl_set_error(error, DL_ERROR_INVALID, 0, NULL, "populating outside the memory");
        return FALSE;
    }

    guint64 start = dl_round_down(offset, DL_PAGE_SIZE);
    guint64 end = dl_round_up(offset + size, DL_PAGE_SIZE);
    while (madvise(memory->hva + start, end - start, MADV_POPULATE_WRITE)) {
        int saved_errno = errno;
        if (saved_errno == EINTR || saved_errno == EAGAIN)
            continue;
        DlError code = saved_errno == EFAULT || saved_errno == ENOMEM ? DL_ERROR_RESOURCE : dl_error_from_errno(saved_errno);
        if (saved_errno == EINVAL)
            code = DL_ERROR_UNSUPPORTED;
        dl_set_error(error, code, saved_errno, NULL, "madvise MADV_POPULATE_WRITE of %s", kinds[memory->kind].name);
        return FALSE;
    }
    return TRUE;
}

/* Bytes of [start, end) that smaps shows as mapped by huge pages. A mapping that sticks out of the range is counted up to it. */
static guint64
huge_mapped_bytes(guint64 start, guint64 end)
{
    FILE *smaps = fopen("/proc/self/smaps", "re");
    char *line = NULL;
    gsize room = 0;
    guint64 overlap = 0;
    guint64 total = 0;

    if (!smaps)
        return 0;
    while (getline(&line, &room, smaps) > 0) {
        char *rest;
        guint64 low = g_ascii_strtoull(line, &rest, 16);
        if (rest != line && *rest == '-') { /* a mapping's first line: LOW-HIGH, in hexadecimal */
            guint64 high = g_ascii_strtoull(rest + 1, NULL, 16);
            overlap = MIN(high, end) > MAX(low, start) ? MIN(high, end) - MAX(low, start) : 0;
        } else if (overlap && g_str_has_prefix(line, "ShmemPmdMapped:")) {
            total += MIN(g_ascii_strtoull(line + strlen("ShmemPmdMapped:"), NULL, 10) * 1024, overlap);
        }
    }
    free(line);
    fclose(smaps);
    return total;
}

gboolean
dl_memory_collapse(DlRamKind kind, gpointer hva, guint64 size, GError **error)
{
    guint64 start = (guint64)(guintptr)hva;
    guint tries = 0;

    if (kind != DL_RAM_SHMEM_THP)
        return TRUE;
    start = dl_round_up(start, HUGE_PAGE);
    guint64 end = dl_round_down((guint64)(guintptr)hva + size, HUGE_PAGE);
    if (end <= start)
        return TRUE;

    /* EAGAIN and EBUSY are passing: a page under I/O, pinned, or isolated by somebody else. */
    while (madvise((gpointer)start, end - start, MADV_COLLAPSE)) {
        int saved_errno = errno;
        if ((saved_errno == EAGAIN || saved_errno == EBUSY || saved_errno == EINTR) && ++tries < 20) {
            g_usleep(1000 << MIN(tries, 6));
            continue;
        }
        if (saved_errno == EINVAL)
            dl_set_error(error, DL_ERROR_UNSUPPORTED, saved_errno,
                         "a kernel of 6.1 or newer with CONFIG_TRANSPARENT_HUGEPAGE, and "
                         "not “deny” in /sys/kernel/mm/transparent_hugepage/shmem_enabled",
                         "this kernel cannot collapse shmem into huge pages");
        else
            dl_set_error(error, DL_ERROR_RESOURCE, saved_errno, "free some memory: echo 1 > /proc/sys/vm/compact_memory",
                         "no huge pages for shmem-thp");
        return FALSE;
    }

    guint64 huge = huge_mapped_bytes(start, end);
    if (huge == end - start)
        return TRUE;
    dl_set_error(error, DL_ERROR_RESOURCE, 0, "free some memory: echo 1 > /proc/sys/vm/compact_memory",
                 "only %" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT " bytes of shmem-thp came to be huge pages", huge,
                 end - start);
    return FALSE;
}
