/* SPDX-License-Identifier: MIT */
/* The workload's options: words `key=value`, the same on its own command line and behind dirtylab.workload= on the kernel's. */
#include "workload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guest-tests/abi.h"

static const char *const pattern_names[ABI_N_PATTERNS] = ABI_PATTERN_NAMES;

static const char usage[] =
    "dirtylab-workload [KEY=VALUE]...    without words: those of dirtylab.workload= on the kernel's command line\n"
    "  pattern=random     sequential, random, hotspot, stride, silent, read or idle, as in dirtylab bench\n"
    "  memory=32M         that the threads share out among them\n"
    "  pages=N            visited in a pass by all threads together; a tenth of the memory\n"
    "  threads=N          pinned one to a vCPU; as many as there are vCPUs\n"
    "  rate=0             pages visited a second, all threads together; 0: as many as can be\n"
    "  seed=1\n"
    "  passes=0 time=0    end after so many passes or seconds; 0: never (a line `stop` on standard input ends it too)\n"
    "  clocks=1           watch the clocks of each vCPU\n"
    "  disk=PATH          write it, sync, and read it back; what it holds of an earlier run is verified first\n"
    "  disk-size=16M      of the disk that are used; 0: all\n"
    "  disk-read-only=0   1: only verify\n"
    "  random=PATH        read random bytes from it, such as /dev/hwrng\n";

struct options
default_options(uint32_t vcpus)
{
    return (struct options){.pattern = ABI_RANDOM,
                            .threads = vcpus,
                            .memory = UINT64_C(32) << 20,
                            .seed = 1,
                            .clocks = true,
                            .disk_size = UINT64_C(16) << 20};
}

/* A decimal number, with K, M or G behind it where sizes are meant. */
static bool
parse_number(const char *text, bool size, uint64_t *number)
{
    static const char units[] = "KMG";
    char *end;

    if (*text < '0' || *text > '9')
        return false;
    *number = strtoull(text, &end, 10);
    const char *unit = *end ? strchr(units, *end) : NULL;
    if (size && unit && !end[1]) {
        unsigned shift = 10 * (unsigned)(unit - units + 1);
        if (*number > UINT64_MAX >> shift)
            return false;
        *number <<= shift;
        return true;
    }
    return !*end;
}

static bool
parse_pattern(const char *text, uint32_t *pattern)
{
    for (uint32_t i = 0; i < ABI_N_PATTERNS; i++) {
        if (!strcmp(text, pattern_names[i])) {
            *pattern = i;
            return true;
        }
    }
    return false;
}

static bool
parse_path(const char *text, char *path, size_t size)
{
    return *text && (size_t)snprintf(path, size, "%s", text) < size;
}

static bool
parse_flag(const char *text, bool *flag)
{
    *flag = !strcmp(text, "1");
    return *flag || !strcmp(text, "0");
}

static bool
set_option(const char *key, const char *value, struct options *options)
{
    const struct {
        const char *key;
        uint64_t *number;
        bool size;
    } numbers[] = {{"memory", &options->memory, true},      {"pages", &options->pages, false},   {"rate", &options->rate, false},
                   {"seed", &options->seed, false},         {"passes", &options->passes, false}, {"time", &options->time, false},
                   {"disk-size", &options->disk_size, true}};
    uint64_t threads;

    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        if (!strcmp(key, numbers[i].key))
            return parse_number(value, numbers[i].size, numbers[i].number);
    }
    if (!strcmp(key, "threads")) {
        if (!parse_number(value, false, &threads) || threads < 1 || threads > ABI_MAX_VCPUS)
            return false;
        options->threads = (uint32_t)threads;
        return true;
    }
    return (!strcmp(key, "pattern") && parse_pattern(value, &options->pattern)) ||
           (!strcmp(key, "disk") && parse_path(value, options->disk, sizeof options->disk)) ||
           (!strcmp(key, "random") && parse_path(value, options->random, sizeof options->random)) ||
           (!strcmp(key, "clocks") && parse_flag(value, &options->clocks)) ||
           (!strcmp(key, "disk-read-only") && parse_flag(value, &options->disk_read_only));
}

/* memory_start() divides by these. */
static bool
check_options(struct options *options)
{
    uint64_t pages = options->memory / ABI_PAGE_SIZE;

    if (pages < options->threads || options->memory > UINT64_C(1) << 44) {
        fprintf(stderr, "workload: memory is too little for %u threads, or more than 16 TiB\n", options->threads);
        return false;
    }
    if (!options->pages)
        options->pages = pages < 10 ? 1 : pages / 10;
    return true;
}

bool
parse_options(const char *text, struct options *options)
{
    char *copy = strdup(text), *rest = copy, *word;

    while (copy && (word = strsep(&rest, " ,\n"))) {
        char *value = strchr(word, '=');
        if (!*word)
            continue;
        if (value)
            *value++ = 0;
        if (!value || !set_option(word, value, options)) {
            fprintf(stderr, "workload: %s=%s cannot be used\n%s", word, value ? value : "", usage);
            free(copy);
            return false;
        }
    }
    free(copy);
    return copy && check_options(options);
}
