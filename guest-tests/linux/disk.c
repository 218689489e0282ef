/* SPDX-License-Identifier: MIT */
/*
 * Writes a disk and reads it back. Each sector of a block says which block, sector and generation it is, and the rest of it follows
 * from these, so a block that was lost, torn, misplaced or put back in time is told from a right one, in the run that wrote it or in
 * the next: a start reads the disk first and takes over the generations that it finds. The digest of all generations lets two runs
 * be compared: the end of one has to be the start of the next.
 *
 * Rounds alternate between O_DIRECT and the guest's page cache with fsync; the disk is always read back with O_DIRECT.
 */
#include "workload.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "guest-tests/abi.h"

#define SECTOR 512
#define BLOCK 32768
#define ROUND 8 /* blocks */
#define MAGIC UINT64_C(0x6b73696474726964)

struct sector {
    uint64_t magic;
    uint64_t seed;
    uint64_t block;
    uint64_t number;
    uint64_t generation;
    uint64_t data[(SECTOR - 40) / 8];
};
_Static_assert(sizeof(struct sector) == SECTOR, "a sector");

struct disk {
    pthread_t thread;
    const struct options *options;
    int direct, cached;
    uint64_t n_blocks, known;
    uint64_t *generations; /* 0: not ours yet */
    struct sector *wanted, *found;
    atomic_uint_fast64_t blocks;
};

/* What block @block has to hold, into disk->wanted. */
static void
build_block(struct disk *disk, uint64_t block, uint64_t generation)
{
    const uint64_t seed = disk->options->seed;

    for (uint64_t i = 0; i < BLOCK / SECTOR; i++) {
        struct sector *sector = &disk->wanted[i];
        *sector = (struct sector){MAGIC, seed, block, i, generation, {0}};
        uint64_t key = abi_mix(abi_mix(seed ^ generation << 32) ^ block << 16 ^ i);
        for (uint64_t word = 0; word < sizeof sector->data / sizeof *sector->data; word++)
            sector->data[word] = key + word * UINT64_C(0x9e3779b97f4a7c15);
    }
}

static bool
transfer(struct disk *disk, uint64_t block, bool writing, bool direct)
{
    int fd = direct ? disk->direct : disk->cached;
    off_t offset = (off_t)(block * BLOCK);
    ssize_t done = writing ? pwrite(fd, disk->wanted, BLOCK, offset) : pread(fd, disk->found, BLOCK, offset);

    if (done == BLOCK)
        return true;
    report_error("disk: block %" PRIu64 " cannot be %s: %s", block, writing ? "written" : "read",
                 done < 0 ? strerror(errno) : "it is cut short");
    return false;
}

/* What was read of a block against what it has to hold; the first sector that differs is named. */
static bool
compare_block(const struct disk *disk, uint64_t block, uint64_t generation)
{
    for (uint64_t i = 0; i < BLOCK / SECTOR; i++) {
        const struct sector *found = &disk->found[i];
        if (!memcmp(found, &disk->wanted[i], SECTOR))
            continue;
        if (found->magic != MAGIC)
            report_error("disk: sector %" PRIu64 " of block %" PRIu64 " holds nothing of ours; generation %" PRIu64
                         " was written",
                         i, block, generation);
        else
            report_error("disk: sector %" PRIu64 " of block %" PRIu64 " holds block %" PRIu64 " sector %" PRIu64
                         " generation %" PRIu64 "; generation %" PRIu64 " was written",
                         i, block, found->block, found->number, found->generation, generation);
        return false;
    }
    return true;
}

/* Reads a block and compares it with what it was left with. */
static bool
verify_block(struct disk *disk, uint64_t block)
{
    uint64_t generation = disk->generations[block];

    if (!transfer(disk, block, false, true))
        return false;
    if (!generation)
        return true;
    build_block(disk, block, generation);
    return compare_block(disk, block, generation);
}

/* Whose generation is it? A block that begins as one of ours has to be whole. */
static void
take_over(struct disk *disk, uint64_t block)
{
    const struct sector *first = disk->found;

    if (!transfer(disk, block, false, true) || first->magic != MAGIC || first->seed != disk->options->seed ||
        first->block != block || first->number)
        return;
    disk->generations[block] = first->generation;
    disk->known++;
    build_block(disk, block, first->generation);
    compare_block(disk, block, first->generation);
}

static uint64_t
block_of_round(const struct disk *disk, uint64_t round, uint64_t i)
{
    return abi_permute(i, disk->n_blocks, abi_mix(disk->options->seed + round));
}

static void
write_round(struct disk *disk, uint64_t round, uint64_t blocks)
{
    bool direct = round % 2 == 0;

    for (uint64_t i = 0; i < blocks; i++) {
        uint64_t block = block_of_round(disk, round, i);
        if (!verify_block(disk, block))
            return;
        build_block(disk, block, disk->generations[block] + 1);
        if (!transfer(disk, block, true, direct))
            return;
        disk->generations[block]++;
    }
    if (fsync(direct ? disk->direct : disk->cached))
        report_error("disk: fsync: %s", strerror(errno));
}

static void *
disk_main(void *data)
{
    struct disk *disk = data;
    const uint64_t blocks = disk->n_blocks < ROUND ? disk->n_blocks : ROUND;
    const struct timespec pause = {0, 10000000};

    for (uint64_t round = 0; !atomic_load(&stop); round++) {
        if (!disk->options->disk_read_only)
            write_round(disk, round, blocks);
        uint64_t errors = errors_so_far();
        for (uint64_t i = 0; i < blocks; i++) {
            if (verify_block(disk, block_of_round(disk, round, i)))
                atomic_fetch_add(&disk->blocks, 1);
        }
        if (errors_so_far() > errors)
            break; /* a disk that is broken is not asked again without end */
        nanosleep(&pause, NULL);
    }
    return NULL;
}

static void
disk_free(struct disk *disk)
{
    if (disk->direct >= 0)
        close(disk->direct);
    if (disk->cached >= 0)
        close(disk->cached);
    free(disk->generations);
    free(disk->wanted);
    free(disk->found);
    free(disk);
}

static bool
open_disk(struct disk *disk)
{
    const struct options *options = disk->options;
    const int flags = (options->disk_read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC;
    void *buffers[2] = {NULL, NULL};

    disk->direct = open(options->disk, flags | O_DIRECT);
    disk->cached = open(options->disk, flags);
    off_t size = disk->cached < 0 ? -1 : lseek(disk->cached, 0, SEEK_END);
    if (disk->direct < 0 || size < 0) {
        say("note: %s cannot be used: %s", options->disk, strerror(errno));
        return false;
    }
    uint64_t used = options->disk_size && options->disk_size < (uint64_t)size ? options->disk_size : (uint64_t)size;
    disk->n_blocks = used / BLOCK;
    if (!disk->n_blocks) {
        say("note: %s is smaller than %d bytes", options->disk, BLOCK);
        return false;
    }
    disk->generations = calloc(disk->n_blocks, sizeof *disk->generations);
    for (int i = 0; i < 2; i++) {
        if (posix_memalign(&buffers[i], ABI_PAGE_SIZE, BLOCK))
            buffers[i] = NULL;
    }
    disk->wanted = buffers[0];
    disk->found = buffers[1];
    return disk->generations && disk->wanted && disk->found;
}

struct disk *
disk_start(const struct options *options)
{
    struct disk *disk = calloc(1, sizeof *disk);

    if (!disk)
        return NULL;
    disk->options = options;
    disk->direct = disk->cached = -1;
    if (open_disk(disk)) {
        for (uint64_t block = 0; block < disk->n_blocks && !errors_so_far(); block++)
            take_over(disk, block);
        struct disk_counters counters = disk_read(disk);
        say("disk=%s blocks=%" PRIu64 " known=%" PRIu64 " disk-digest=%016" PRIx64, options->disk, counters.n_blocks,
            counters.known, counters.digest);
        if (!pthread_create(&disk->thread, NULL, disk_main, disk))
            return disk;
    }
    disk_free(disk);
    return NULL;
}

struct disk_counters
disk_read(struct disk *disk)
{
    struct disk_counters counters = {.blocks = atomic_load(&disk->blocks), .known = disk->known, .n_blocks = disk->n_blocks};

    for (uint64_t block = 0; block < disk->n_blocks; block++)
        counters.digest += abi_mix(block << 40 ^ disk->generations[block]);
    return counters;
}

void
disk_finish(struct disk *disk, struct disk_counters *counters)
{
    pthread_join(disk->thread, NULL);
    if (!errors_so_far()) {
        for (uint64_t block = 0; block < disk->n_blocks; block++)
            verify_block(disk, block);
    }
    *counters = disk_read(disk);
    disk_free(disk);
}
