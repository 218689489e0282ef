/* SPDX-License-Identifier: MIT */
/*
 * dirtylab-throughput: how fast a guest's devices are, as the guest sees them. Static, for its initramfs.
 *
 *     dirtylab-throughput read|write|read-direct|write-direct DISK SIZE     from its start on; a write ends with fsync
 *     dirtylab-throughput write-back DISK SIZE                              the fsync alone: what the page cache has is written to the disk
 *     dirtylab-throughput serial TTY SIZE                                   until the last byte has left the port
 *
 * A buffered write is in good part the guest's own work, and the kernel begins with the disk when it likes and makes the writer sleep meanwhile, unless
 * the limits of dirty memory are above SIZE. With those, write-back is the device's part, the same requests each time.
 *
 * Prints `throughput: read bytes=67108864 ns=512345678`. SIZE is in bytes.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define BLOCK ((size_t)256 << 10)
#define LINE 64

static _Alignas(4096) char block[BLOCK];

static int
fail(const char *what, const char *path)
{
    fprintf(stderr, "throughput: %s: %s: %s\n", path, what, strerror(errno));
    return 1;
}

static uint64_t
now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

/* What a disk kept in the page cache is not what is measured. */
static void
drop_caches(void)
{
    int fd = open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);

    sync();
    if (fd >= 0) {
        if (write(fd, "3", 1) != 1)
            fprintf(stderr, "throughput: the page cache cannot be emptied: %s\n", strerror(errno));
        close(fd);
    }
}

static void
fill_block(void)
{
    static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz";

    for (size_t i = 0; i < BLOCK; i++)
        block[i] = alphabet[i % (sizeof alphabet - 1)];
    for (size_t i = LINE - 1; i < BLOCK; i += LINE)
        block[i] = '\n';
}

static bool
transfer(int fd, uint64_t size, bool writing)
{
    while (size) {
        size_t piece = size < BLOCK ? (size_t)size : BLOCK;
        ssize_t done = writing ? write(fd, block, piece) : read(fd, block, piece);
        if (done <= 0)
            return false;
        size -= (uint64_t)done;
    }
    return true;
}

int
main(int argc, char **argv)
{
    uint64_t size = argc == 4 ? strtoull(argv[3], NULL, 10) : 0;

    if (!size) {
        fprintf(stderr, "usage: dirtylab-throughput read|write|write-back|read-direct|write-direct|serial PATH BYTES\n");
        return 2;
    }
    const char *what = argv[1], *path = argv[2];
    bool serial = !strcmp(what, "serial"), writing = serial || !strncmp(what, "write", 5),
         direct = strstr(what, "-direct") != NULL;
    int fd = open(path, (writing ? O_WRONLY : O_RDONLY) | (direct ? O_DIRECT : 0) | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        return fail("cannot be opened", path);
    fill_block();
    if (!serial)
        drop_caches();
    uint64_t start = now_ns();
    if (!transfer(fd, size, writing))
        return fail("cannot be used", path);
    if (!strcmp(what, "write-back"))
        start = now_ns();
    if ((serial && tcdrain(fd)) || (writing && !serial && fsync(fd)))
        return fail("cannot be used", path);
    printf("throughput: %s bytes=%llu ns=%llu\n", what, (unsigned long long)size, (unsigned long long)(now_ns() - start));
    close(fd);
    return 0;
}
