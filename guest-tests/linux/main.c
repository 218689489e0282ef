/* SPDX-License-Identifier: MIT */
/*
 * dirtylab-workload: starts the parts, says how they do once a second, and ends with a verdict. For a guest's initramfs: static, and
 * with nothing but a console to speak to. The lines, and the order of their fields, are what scripts read:
 *
 *     workload: start pattern=random threads=2 memory=33554432 …
 *     workload: t=12 pass=3 pages=4711 rate=391 stall-us=85 gap-ms=6 shift-ms=0 disk=24 random=512 errors=0
 *     workload: error: memory: page 17 of thread 0 at 0x7f…, guest-physical 0x…, went back to generation 4; generation 6 was written last
 *     workload: verdict=ok t=30 pass=9 pages=11800 verified=20110 disk=60 disk-digest=… random=1280 errors=0
 *
 * A line `stop` on standard input ends it; a line `clock WORD` is answered with what the clocks of each vCPU show:
 *
 *     workload: clock WORD vcpu=0 monotonic=31000000000 realtime=1700000000000000000 boottime=31000000000 tsc=93000000000
 *
 * Exit status: 0 verdict ok, 1 verdict failed, 2 what was asked for cannot be used.
 */
#include "workload.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "guest-tests/abi.h"

#define KEY "dirtylab.workload="
#define ASK_CLOCK "clock "
#define SECOND UINT64_C(1000000000)

struct parts {
    struct memory *memory;
    struct clocks *clocks;
    struct disk *disk;
    struct entropy *entropy;
};

static void
on_signal(int number)
{
    (void)number;
    atomic_store(&stop, true);
}

/* The options of the kernel's command line, or the words of ours; in a buffer of the caller's. */
static bool
gather_words(int argc, char **argv, char *words, size_t size)
{
    size_t length = 0;

    *words = 0;
    for (int i = 1; i < argc; i++) {
        int added = snprintf(words + length, size - length, "%s ", argv[i]);
        if (added < 0 || (size_t)added >= size - length)
            return false;
        length += (size_t)added;
    }
    if (argc > 1)
        return true;
    FILE *file = fopen("/proc/cmdline", "re");
    if (!file)
        return true;
    char line[4096];
    const char *found = fgets(line, sizeof line, file) ? strstr(line, KEY) : NULL;
    if (found)
        snprintf(words, size, "%.*s", (int)strcspn(found + strlen(KEY), " \n"), found + strlen(KEY));
    fclose(file);
    return true;
}

/* What is not asked for is not there; false: something that was cannot be had. */
static bool
start_parts(struct parts *parts, const struct options *options, uint32_t vcpus)
{
    if (options->disk[0] && !(parts->disk = disk_start(options)))
        return false;
    if (options->random[0] && !(parts->entropy = entropy_start(options->random)))
        return false;
    if (options->clocks && !(parts->clocks = clocks_start(vcpus)))
        return false;
    return (parts->memory = memory_start(options)) != NULL;
}

static void
obey(const char *line, uint32_t vcpus)
{
    if (!strcmp(line, "stop"))
        atomic_store(&stop, true);
    else if (!strncmp(line, ASK_CLOCK, strlen(ASK_CLOCK)))
        clocks_say(line + strlen(ASK_CLOCK), vcpus);
}

/* A second, or less when a line `stop` comes in. Standard input that ends is no reason to stop. */
static void
wait_until(uint64_t due_ns, uint32_t vcpus)
{
    static bool ended;
    static char line[64];
    static size_t length;

    while (!atomic_load(&stop)) {
        uint64_t now = monotonic_ns();
        if (now >= due_ns)
            break;
        struct pollfd input = {ended ? -1 : STDIN_FILENO, POLLIN, 0};
        if (poll(&input, 1, (int)((due_ns - now) / 1000000 + 1)) <= 0)
            continue;
        char byte;
        if (read(STDIN_FILENO, &byte, 1) != 1) {
            ended = true;
        } else if (byte == '\n' || byte == '\r') {
            line[length] = 0;
            length = 0;
            obey(line, vcpus);
        } else if (length < sizeof line - 1) {
            line[length++] = byte;
        }
    }
}

static void
print_progress(const struct parts *parts, uint64_t started_ns, uint64_t started_tsc)
{
    static uint64_t pages_before, ns_before;
    struct memory_counters memory = memory_read(parts->memory);
    struct clock_counters clocks = parts->clocks ? clocks_read(parts->clocks) : (struct clock_counters){0};
    struct disk_counters disk = parts->disk ? disk_read(parts->disk) : (struct disk_counters){0};
    uint64_t now = monotonic_ns(), elapsed = now - started_ns, since = now - (ns_before ? ns_before : started_ns);
    double us_a_cycle = (double)elapsed / 1000 / (double)(__builtin_ia32_rdtsc() - started_tsc);

    say("t=%" PRIu64 " pass=%" PRIu64 " pages=%" PRIu64 " rate=%.0f stall-us=%.0f gap-ms=%" PRIu64 " shift-ms=%" PRIu64
        " disk=%" PRIu64 " random=%" PRIu64 " errors=%" PRIu64,
        elapsed / SECOND, memory.passes, memory.pages,
        (double)(memory.pages - pages_before) * (double)SECOND / (double)(since ? since : 1), (double)memory.stall * us_a_cycle,
        clocks.gap_ns / 1000000, clocks.shift_ns / 1000000, disk.blocks, parts->entropy ? entropy_read(parts->entropy) : 0,
        errors_so_far());
    pages_before = memory.pages;
    ns_before = now;
}

/* Ends what was started, whatever that is. */
static void
finish_parts(struct parts *parts, struct memory_counters *memory, struct disk_counters *disk)
{
    atomic_store(&stop, true);
    if (parts->memory)
        memory_finish(parts->memory, memory);
    if (parts->clocks)
        clocks_finish(parts->clocks);
    if (parts->entropy)
        entropy_finish(parts->entropy);
    if (parts->disk)
        disk_finish(parts->disk, disk);
}

static int
run(const struct options *options, uint32_t vcpus)
{
    struct parts parts = {0};
    struct memory_counters memory = {0};
    struct disk_counters disk = {0};
    uint64_t started_ns = monotonic_ns(), started_tsc = __builtin_ia32_rdtsc();

    if (!start_parts(&parts, options, vcpus)) {
        finish_parts(&parts, &memory, &disk);
        say("verdict=failed errors=%" PRIu64 ": a part cannot be started", errors_so_far());
        return 2;
    }
    for (uint64_t second = 1; !atomic_load(&stop); second++) {
        wait_until(started_ns + second * SECOND, vcpus);
        print_progress(&parts, started_ns, started_tsc);
        while (started_ns + (second + 1) * SECOND < monotonic_ns())
            second++; /* after a pause: no lines in arrears */
        if ((options->time && second >= options->time) ||
            (options->passes && memory_read(parts.memory).passes >= options->passes))
            atomic_store(&stop, true);
    }
    uint64_t random_bytes = parts.entropy ? entropy_read(parts.entropy) : 0;
    finish_parts(&parts, &memory, &disk);
    uint64_t errors = errors_so_far();
    say("verdict=%s t=%" PRIu64 " pass=%" PRIu64 " pages=%" PRIu64 " verified=%" PRIu64 " disk=%" PRIu64
        " disk-digest=%016" PRIx64 " random=%" PRIu64 " errors=%" PRIu64,
        errors ? "failed" : "ok", (monotonic_ns() - started_ns) / SECOND, memory.passes, memory.pages, memory.verified,
        disk.blocks, disk.digest, random_bytes, errors);
    tcdrain(STDOUT_FILENO); /* a terminal whose session's leader ends is hung up, and what it has not sent yet is lost */
    return errors ? 1 : 0;
}

int
main(int argc, char **argv)
{
    long vcpus = sysconf(_SC_NPROCESSORS_ONLN);
    uint32_t n_vcpus = vcpus < 1 ? 1 : vcpus > ABI_MAX_VCPUS ? ABI_MAX_VCPUS : (uint32_t)vcpus;
    struct options options = default_options(n_vcpus);
    struct sigaction action = {.sa_handler = on_signal};
    char words[2048];

    if (!gather_words(argc, argv, words, sizeof words) || !parse_options(words, &options))
        return 2;
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    say("start vcpus=%u threads=%u memory=%" PRIu64 " pages=%" PRIu64 " seed=%" PRIu64 " %s", n_vcpus, options.threads,
        options.memory, options.pages, options.seed, words);
    return run(&options, n_vcpus);
}
