/* SPDX-License-Identifier: MIT */
/* Reads random bytes from a device, a few at a time, and has no two reads alike. */
#include "workload.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CHUNK 64

struct entropy {
    pthread_t thread;
    int fd;
    const char *path;
    atomic_uint_fast64_t bytes;
};

static void *
entropy_main(void *data)
{
    struct entropy *entropy = data;
    const struct timespec pause = {0, 50000000};
    uint8_t before[CHUNK] = {0}, now[CHUNK];

    while (!atomic_load(&stop)) {
        ssize_t got = read(entropy->fd, now, sizeof now);
        if (got <= 0) {
            report_error("random: %s cannot be read: %s", entropy->path, got ? strerror(errno) : "it has ended");
            break;
        }
        /* 8 bytes that come twice, or zeros at the first read, are no accident */
        if (got >= 8 && !memcmp(before, now, 8))
            report_error("random: %s gave the same bytes again", entropy->path);
        memcpy(before, now, sizeof before);
        atomic_fetch_add(&entropy->bytes, (uint64_t)got);
        nanosleep(&pause, NULL);
    }
    return NULL;
}

struct entropy *
entropy_start(const char *path)
{
    struct entropy *entropy = calloc(1, sizeof *entropy);

    if (!entropy)
        return NULL;
    entropy->path = path;
    entropy->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (entropy->fd >= 0 && !pthread_create(&entropy->thread, NULL, entropy_main, entropy))
        return entropy;
    say("note: %s cannot be opened: %s", path, strerror(errno));
    if (entropy->fd >= 0)
        close(entropy->fd);
    free(entropy);
    return NULL;
}

uint64_t
entropy_read(struct entropy *entropy)
{
    return atomic_load(&entropy->bytes);
}

void
entropy_finish(struct entropy *entropy)
{
    pthread_join(entropy->thread, NULL);
    close(entropy->fd);
    free(entropy);
}
