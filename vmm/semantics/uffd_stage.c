/* SPDX-License-Identifier: MIT */
/* The stage of the uffd cases. */
#include "semantics/uffd_stage.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "dirtylog/private.h"
#include "dirtylog/uffd.h"

#define POLL_MS 20

UffdStage *
uffd_stage_open(Cell *cell, gboolean populated, GError **error)
{
    g_autoptr(UffdStage) stage = g_new0(UffdStage, 1);

    stage->cell = cell;
    stage->uffd = stage->forked_uffd = -1;
    stage->backing = dl_ram_kind_page_size(cell->ram);
    stage->memory = dl_memory_new(cell->ram, stage->backing * UFFD_PAGES, error);
    if (!stage->memory)
        return NULL;
    if (populated)
        memset(stage->memory->hva, 1, stage->memory->size);
    if (posix_memalign((void **)&stage->blank, stage->backing, stage->backing))
        return NULL;
    memset(stage->blank, 2, stage->backing);
    stage->must = dl_bitmap_new(stage->memory->size / DL_PAGE_SIZE);
    stage->allowed = dl_bitmap_new(stage->memory->size / DL_PAGE_SIZE);
    stage->found = dl_bitmap_new(stage->memory->size / DL_PAGE_SIZE);
    return g_steal_pointer(&stage);
}

static void
end_handler(UffdStage *stage)
{
    g_atomic_int_set(&stage->stop, 1);
    if (stage->handler)
        g_thread_join(stage->handler);
    stage->handler = NULL;
}

void
uffd_stage_free(UffdStage *stage)
{
    end_handler(stage);
    dl_fd_clear(&stage->uffd);
    dl_fd_clear(&stage->forked_uffd);
    g_clear_pointer(&stage->memory, dl_memory_free);
    g_clear_pointer(&stage->must, dl_bitmap_free);
    g_clear_pointer(&stage->allowed, dl_bitmap_free);
    g_clear_pointer(&stage->found, dl_bitmap_free);
    free(stage->blank);
    g_free(stage);
}

gboolean
uffd_stage_register(const UffdStage *stage, int uffd, guint64 mode)
{
    struct uffdio_register how = {.range = {(guint64)(guintptr)stage->memory->hva, stage->memory->size}, .mode = mode};

    return ioctl(uffd, UFFDIO_REGISTER, &how) == 0;
}

gboolean
uffd_stage_connect(UffdStage *stage, guint64 features, guint64 mode, GError **error)
{
    stage->uffd = dl_uffd_open(UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_WP_HUGETLBFS_SHMEM | features,
                               UFFD_FEATURE_WP_UNPOPULATED, TRUE, error);
    return stage->uffd >= 0 && (uffd_stage_register(stage, stage->uffd, mode) || cell_fail(error, "UFFDIO_REGISTER"));
}

gboolean
uffd_stage_protect(const UffdStage *stage, GError **error)
{
    return dl_uffd_protect(stage->uffd, (guint64)(guintptr)stage->memory->hva, stage->memory->size, TRUE, error);
}

guint8 *
uffd_stage_page(const UffdStage *stage, guint index)
{
    return stage->memory->hva + index * stage->backing;
}

void
uffd_stage_mark(UffdStage *stage, guint index)
{
    guint64 pages = stage->backing / DL_PAGE_SIZE;

    dl_bitmap_set(stage->must, index * pages);
    dl_bitmap_set_range(stage->allowed, (DlPageRange){index * pages, pages});
}

void
uffd_stage_store(UffdStage *stage, guint index)
{
    *(volatile guint8 *)uffd_stage_page(stage, index) += 1;
    uffd_stage_mark(stage, index);
}

static void
resolve_write(UffdStage *stage, int uffd, guint64 address)
{
    guint64 first = (address - (guint64)(guintptr)stage->memory->hva) / DL_PAGE_SIZE;

    /* Noted before the writer goes on. */
    dl_bitmap_set_range(stage->found, (DlPageRange){first, stage->backing / DL_PAGE_SIZE});
    dl_uffd_protect(uffd, address, stage->backing, FALSE, NULL);
}

static void
resolve_absence(UffdStage *stage, int uffd, guint64 address, gboolean minor)
{
    if (minor) {
        struct uffdio_continue go_on = {.range = {address, stage->backing},
                                        .mode = stage->fill_protected ? UFFDIO_CONTINUE_MODE_WP : 0};
        stage->minor += ioctl(uffd, UFFDIO_CONTINUE, &go_on) == 0;
    } else {
        struct uffdio_copy copy = {.dst = address,
                                   .src = (guint64)(guintptr)stage->blank,
                                   .len = stage->backing,
                                   .mode = stage->fill_protected ? UFFDIO_COPY_MODE_WP : 0};
        stage->missing += ioctl(uffd, UFFDIO_COPY, &copy) == 0;
    }
}

static void
handle_message(UffdStage *stage, int uffd)
{
    struct uffd_msg message;

    if (read(uffd, &message, sizeof(message)) != (gssize)sizeof(message))
        return;
    if (message.event == UFFD_EVENT_FORK)
        stage->forked_uffd = (int)message.arg.fork.ufd;
    if (message.event != UFFD_EVENT_PAGEFAULT)
        return;
    guint64 address = message.arg.pagefault.address / stage->backing * stage->backing;
    if (message.arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_WP)
        resolve_write(stage, uffd, address);
    else
        resolve_absence(stage, uffd, address, (message.arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_MINOR) != 0);
}

static gpointer
handle(gpointer user)
{
    UffdStage *stage = user;

    g_atomic_int_set(&stage->running, 1);
    while (!g_atomic_int_get(&stage->stop)) {
        struct pollfd fds[] = {{stage->uffd, POLLIN, 0}, {stage->forked_uffd, POLLIN, 0}};

        if (poll(fds, G_N_ELEMENTS(fds), POLL_MS) <= 0)
            continue;
        for (guint i = 0; i < G_N_ELEMENTS(fds); i++)
            if (fds[i].revents & POLLIN)
                handle_message(stage, fds[i].fd);
    }
    return NULL;
}

void
uffd_stage_handle(UffdStage *stage)
{
    stage->handler = g_thread_new("handler", handle, stage);
    /* fork() holds the allocator's locks while it waits for the handler to read its event: a handler that still starts would wait for them. */
    while (!g_atomic_int_get(&stage->running))
        g_thread_yield();
}

void
uffd_stage_judge(UffdStage *stage)
{
    end_handler(stage);
    cell_judge(stage->cell, stage->must, stage->allowed, stage->found);
}
