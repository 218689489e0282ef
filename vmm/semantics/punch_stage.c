/* SPDX-License-Identifier: MIT */
/* The stage of the punch cases. */
#include "semantics/punch_stage.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "dirtylog/private.h"

#define BLOCK_BYTES 512

/* 0 where there is no such pool. */
static guint64
free_in_pool(guint64 backing)
{
    g_autofree char *path =
        g_strdup_printf("/sys/kernel/mm/hugepages/hugepages-%" G_GUINT64_FORMAT "kB/free_hugepages", backing / 1024);
    g_autofree char *text = NULL;

    return g_file_get_contents(path, &text, NULL, NULL) ? g_ascii_strtoull(text, NULL, 10) : 0;
}

PunchStage *
punch_stage_open(const Cell *cell, GError **error)
{
    g_autoptr(PunchStage) stage = g_new0(PunchStage, 1);

    stage->backing = dl_ram_kind_page_size(cell->ram);
    stage->memory = dl_memory_new(cell->ram, stage->backing * PUNCH_PAGES, error);
    if (!stage->memory)
        return NULL;
    for (guint i = 0; i < PUNCH_PAGES; i++)
        stage->memory->hva[i * stage->backing] = 1;
    stage->pool_free = free_in_pool(stage->backing);
    return g_steal_pointer(&stage);
}

void
punch_stage_free(PunchStage *stage)
{
    punch_stage_stop(stage);
    g_clear_pointer(&stage->memory, dl_memory_free);
    g_free(stage);
}

typedef struct {
    PunchStage *stage;
    guint index;
} Faulter;

static gpointer
fault(gpointer user)
{
    g_autofree Faulter *faulter = user;
    PunchStage *stage = faulter->stage;

    for (guint64 turn = faulter->index; !g_atomic_int_get(&stage->stop); turn++) {
        gint64 begin = dl_now_ns();
        *(volatile guint8 *)(stage->memory->hva + turn % PUNCH_PAGES * stage->backing) = (guint8)turn;
        gint64 took = dl_now_ns() - begin;
        stage->slowest_fault_ns[faulter->index] = MAX(stage->slowest_fault_ns[faulter->index], took);
    }
    return NULL;
}

void
punch_stage_start(PunchStage *stage)
{
    g_atomic_int_set(&stage->stop, 0);
    for (guint i = 0; i < PUNCH_FAULTERS; i++) {
        Faulter *faulter = g_new(Faulter, 1);
        *faulter = (Faulter){stage, i};
        stage->faulters[i] = g_thread_new("faulter", fault, faulter);
    }
}

void
punch_stage_stop(PunchStage *stage)
{
    g_atomic_int_set(&stage->stop, 1);
    for (guint i = 0; i < PUNCH_FAULTERS; i++) {
        if (stage->faulters[i])
            g_thread_join(stage->faulters[i]);
        stage->faulters[i] = NULL;
    }
}

gint64
punch_stage_punch(const PunchStage *stage, GError **error)
{
    gint64 begin = dl_now_ns();

    if (fallocate(stage->memory->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)stage->memory->size)) {
        cell_fail(error, "fallocate(FALLOC_FL_PUNCH_HOLE)");
        return -1;
    }
    return dl_now_ns() - begin;
}

static guint64
resident_pages(const PunchStage *stage)
{
    gsize n = stage->memory->size / DL_PAGE_SIZE;
    g_autofree guint8 *resident = g_malloc0(n);
    guint64 found = 0;

    if (mincore(stage->memory->hva, stage->memory->size, resident))
        return 0;
    for (gsize page = 0; page < n; page += stage->backing / DL_PAGE_SIZE)
        found += resident[page] & 1;
    return found;
}

guint64
punch_stage_left(const PunchStage *stage, PunchLeft *all)
{
    struct stat status = {0};

    fstat(stage->memory->fd, &status);
    guint64 file = (guint64)status.st_blocks * BLOCK_BYTES / stage->backing;
    guint64 now_free = free_in_pool(stage->backing);
    guint64 freed = now_free - MIN(stage->pool_free, now_free);
    all->file += file;
    all->resident += resident_pages(stage);
    all->pool += stage->backing > DL_PAGE_SIZE ? PUNCH_PAGES - MIN(freed, PUNCH_PAGES) : 0;
    return file;
}

void
punch_stage_judge(Cell *cell, guint64 punched, const PunchLeft *left)
{
    cell_count(cell, punched, punched - left->file, left->file, 0);
    cell_say(cell, "of %" G_GUINT64_FORMAT " pages punched %" G_GUINT64_FORMAT " were there again (by mincore %" G_GUINT64_FORMAT,
             punched, left->file, left->resident);
    if (cell->ram == DL_RAM_SHMEM)
        g_string_append_c(cell->said, ')');
    else
        g_string_append_printf(cell->said, ", by the pool %" G_GUINT64_FORMAT ")", left->pool);
}
