/* SPDX-License-Identifier: MIT */
/* The memory is written past the tracked mapping: by a second mapping, a forked child's, another process's, or by the file itself. */
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "semantics/cases.h"
#include "semantics/writer.h"

enum {
    ALIAS,
    FORK,
    PROCESS,
    PWRITE,
    TOLD = 8, /* and the log is told */
};

static gboolean
store_at(guint8 *address)
{
    *(volatile guint8 *)(address + 300) += 1;
    return TRUE;
}

static gboolean
store_by_alias(const Scene *scene, guint place, GError **error)
{
    guint8 *alias = mmap(NULL, scene->memory->size, PROT_READ | PROT_WRITE, MAP_SHARED, scene->memory->fd, 0);

    if (alias == MAP_FAILED)
        return cell_fail(error, "mapping the memory a second time");
    store_at(alias + scene_page(scene, place) * DL_PAGE_SIZE);
    munmap(alias, scene->memory->size);
    return TRUE;
}

static gboolean
store_by_child(const Scene *scene, guint place, gboolean own_mapping, GError **error)
{
    int status = 0;
    pid_t child = fork();

    if (child == 0)
        _exit(own_mapping ? !store_by_alias(scene, place, NULL) : !store_at(scene_address(scene, place)));
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
        return cell_fail(error, "a child process");
    return TRUE;
}

static gboolean
store_past(Scene *scene, guint place, GError **error)
{
    off_t offset = (off_t)(scene_page(scene, place) * DL_PAGE_SIZE);

    switch (scene->cell->about->variant & ~TOLD) {
    case ALIAS:
        return store_by_alias(scene, place, error);
    case FORK:
        return store_by_child(scene, place, FALSE, error);
    case PROCESS:
        return store_by_child(scene, place, TRUE, error);
    default:
        return pwrite(scene->memory->fd, "dirty", 5, offset) == 5 || cell_fail(error, "pwrite");
    }
}

static gboolean
store(Scene *scene, guint place, GError **error)
{
    if (!store_past(scene, place, error))
        return FALSE;
    return !(scene->cell->about->variant & TOLD) ||
           dl_log_note_written(scene->log, scene_page(scene, place) * DL_PAGE_SIZE, DL_PAGE_SIZE);
}

static gboolean
run(Cell *cell, GError **error)
{
    return writer_run(cell, store, error);
}

#define FINDING                                                                                                                          \
    "Writes past the tracked mapping are invisible to every tracker on page tables: whoever makes them (a vhost-user process, a second " \
    "mapping, pwrite on the memfd) has to report them (dl_log_note_written)."

const SemanticsCase case_writer_alias = {
    .name = "writer.alias",
    .required = WRITER_REQUIRED,
    .left_out = "the store",
    .finding = FINDING,
    .trackers = ALL_TRACKERS,
    .kvm_rams = "shmem",
    .run = run,
    .variant = ALIAS,
};
const SemanticsCase case_writer_alias_told = {
    .name = "writer.alias-told",
    .required = WRITER_REQUIRED,
    .left_out = "the store",
    .trackers = ALL_TRACKERS,
    .kvm_rams = "shmem",
    .run = run,
    .variant = ALIAS | TOLD,
};
const SemanticsCase case_writer_fork = {
    .name = "writer.fork",
    .required = WRITER_REQUIRED,
    .left_out = "the store",
    .finding = FINDING,
    .trackers = ALL_TRACKERS,
    .kvm_rams = "shmem",
    .run = run,
    .variant = FORK,
};
const SemanticsCase case_writer_process = {
    .name = "writer.process",
    .required = WRITER_REQUIRED,
    .left_out = "the store",
    .finding = FINDING,
    .trackers = ALL_TRACKERS,
    .kvm_rams = "shmem",
    .run = run,
    .variant = PROCESS,
};
const SemanticsCase case_writer_pwrite = {
    .name = "writer.pwrite",
    .required = WRITER_REQUIRED,
    .left_out = "the pwrite",
    .finding = FINDING,
    .trackers = ALL_TRACKERS,
    .rams = "shmem,shmem-thp",
    .kvm_rams = "shmem",
    .run = run,
    .variant = PWRITE,
};
