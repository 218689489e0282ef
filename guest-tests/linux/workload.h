/* SPDX-License-Identifier: MIT */
/*
 * The Linux-side workload: what a real guest's migration is judged by. Each part runs in threads of its own, checks what it did before
 * against what it finds, and reports a difference as an error; main.c starts them, prints a line a second and a verdict at the end.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** What the command line asks for; see usage in options.c. */
struct options {
    uint32_t pattern; /* enum abi_pattern */
    uint32_t threads;
    uint64_t memory; /* bytes, all threads together */
    uint64_t pages;  /* visited in a pass, all threads together */
    uint64_t rate;   /* pages visited a second, all threads together; 0: as many as can be */
    uint64_t seed;
    uint64_t passes; /* 0: without end */
    uint64_t time;   /* seconds; 0: without end */
    bool clocks;
    bool disk_read_only;
    uint64_t disk_size; /* bytes of it that are used; 0: all */
    char disk[64];      /* a block device or a file; empty: none */
    char random[64];    /* a device to read random bytes from; empty: none */
};

/**
 * parse_options: words `key=value`, separated by spaces or commas, into @options, which hold the defaults already. False: prints
 * what is wrong.
 */
bool parse_options(const char *text, struct options *options);
/** default_options: a thread for each of @vcpus. */
struct options default_options(uint32_t vcpus);

/* --- report.c --- */

/** say: one line on standard output behind "workload: ", whole whatever other threads say. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/** report_error: counts, and says so until there were too many to print. */
void report_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
uint64_t errors_so_far(void);

/** stop: set once, when the workload is to end; every thread looks at it at least twice a second. */
extern atomic_bool stop;

uint64_t monotonic_ns(void);
/** pin_to_vcpu: the calling thread runs there from now on; numbers beyond the last vCPU begin again. */
void pin_to_vcpu(uint32_t vcpu);

/* --- the parts --- */

/* Each *_start() takes what it needs of @options, which outlive it, and returns NULL after printing why it cannot. *_finish() waits
 * for the threads after `stop`, makes the last checks and frees. Counters may be read at any time in between. */

struct memory;
struct memory_counters {
    uint64_t passes;   /* finished by every thread */
    uint64_t pages;    /* visits so far */
    uint64_t verified; /* pages found as they were left */
    uint64_t stall;    /* TSC cycles: the longest store since the counters were last read */
};
struct memory *memory_start(const struct options *options);
struct memory_counters memory_read(struct memory *memory);
/** memory_finish: the last look at every page; @counters: the final ones. */
void memory_finish(struct memory *memory, struct memory_counters *counters);

struct clocks;
struct clock_counters {
    uint64_t gap_ns;   /* CLOCK_MONOTONIC: the longest time between two looks since the counters were last read */
    uint64_t shift_ns; /* CLOCK_REALTIME against CLOCK_MONOTONIC: the biggest change between two looks since the start */
};
struct clocks *clocks_start(uint32_t vcpus);
struct clock_counters clocks_read(struct clocks *clocks);
/** clocks_say: a line for each vCPU, on which the calling thread then was: what its clocks show. @question: whose answer it is */
void clocks_say(const char *question, uint32_t vcpus);
void clocks_finish(struct clocks *clocks);

struct disk;
struct disk_counters {
    uint64_t blocks;   /* written (or, read only, read) and found as they should be */
    uint64_t digest;   /* of what block holds which generation; valid before the start's first write and after the finish */
    uint64_t known;    /* blocks that the workload had written before this start */
    uint64_t n_blocks; /* of the disk */
};
struct disk *disk_start(const struct options *options);
struct disk_counters disk_read(struct disk *disk);
/** disk_finish: @counters: the final ones. */
void disk_finish(struct disk *disk, struct disk_counters *counters);

struct entropy;
struct entropy *entropy_start(const char *path);
/** entropy_read: bytes so far. */
uint64_t entropy_read(struct entropy *entropy);
void entropy_finish(struct entropy *entropy);
