/* SPDX-License-Identifier: MIT */
/*
 * What the embedded guest and the VMM agree on: where things lie in guest RAM, the order in which the guest writes, the histogram
 * of its stores, and the doorbell. Freestanding: compiled into the guest and into the host's oracle, which computes the same order.
 *
 * Every vCPU runs passes. Before each pass it rings the doorbell (READY) and goes on when the `out` instruction completes: dirtylab
 * holds it there until the pass may begin; under a VMM that knows no such port it goes on at once.
 */
#pragma once

#include <stdint.h>

/* --- guest-physical layout, the same under every VMM --- */

#define ABI_PAGE_SIZE UINT64_C(4096)
#define ABI_MAX_VCPUS 64
#define ABI_TRAMPOLINE_GPA UINT64_C(0x8000)                                 /* where application processors start, in real mode */
#define ABI_IMAGE_GPA UINT64_C(0x100000)                                    /* code, data, bss: up to the mailbox */
#define ABI_MAILBOX_GPA UINT64_C(0x200000)                                  /* struct abi_mailbox, one page */
#define ABI_VCPU_GPA(vcpu) (UINT64_C(0x201000) + UINT64_C(0x2000) * (vcpu)) /* struct abi_vcpu, then struct abi_histogram */
#define ABI_HISTOGRAM_GPA(vcpu) (ABI_VCPU_GPA(vcpu) + ABI_PAGE_SIZE)
#define ABI_RING0_LIST_GPA(vcpu) (UINT64_C(0x2a0000) + ABI_PAGE_SIZE * (vcpu)) /* ring=0: the addresses of the stores to come */
#define ABI_RING0_STACK_GPA UINT64_C(0x1ff000)                                 /* exceptions' frames, all vCPUs': one page */
#define ABI_STACK_GPA(vcpu) (UINT64_C(0x300000) + ABI_PAGE_SIZE * (vcpu))      /* one page each, grows down from its end */
#define ABI_KVMCLOCK_GPA(vcpu) (UINT64_C(0x340000) + ABI_PAGE_SIZE * (vcpu))   /* used by the writer `kvm` only */
#define ABI_PAGE_TABLES_GPA \
    UINT64_C(0x380000)                   /* PML4, PDPT, page directories: A and D bits set from the start, user-accessible */
#define ABI_ARENA_GPA UINT64_C(0x400000) /* the workload's arena: all RAM from here on */

/* --- the doorbell: a 32-bit `out` --- */

#define ABI_DOORBELL_PORT 0xd7a
#define ABI_DOORBELL_READY 1 /* this vCPU has finished every pass so far and asks for the next */
#define ABI_DOORBELL_DONE 2  /* this vCPU has finished its last pass */
#define ABI_DOORBELL_PANIC 3 /* abi_mailbox.error says why */

/* --- the arena --- */

#define ABI_MAX_RANGES 4

/** RAM of the arena, ascending, 4 KiB-aligned: below and above the hole at 3 GiB. Arena pages are numbered through them. */
struct abi_arena {
    uint64_t n_ranges;
    struct {
        uint64_t gpa;
        uint64_t pages;
    } range[ABI_MAX_RANGES];
};

static inline uint64_t
abi_arena_pages(const struct abi_arena *arena)
{
    uint64_t pages = 0;
    for (uint64_t i = 0; i < arena->n_ranges; i++)
        pages += arena->range[i].pages;
    return pages;
}

/** abi_arena_add: adds what of [@gpa, @gpa + @size) lies in the arena; the caller goes through RAM in ascending order. */
static inline void
abi_arena_add(struct abi_arena *arena, uint64_t gpa, uint64_t size)
{
    uint64_t end = gpa + size;
    if (gpa < ABI_ARENA_GPA)
        gpa = ABI_ARENA_GPA;
    gpa = (gpa + ABI_PAGE_SIZE - 1) & ~(ABI_PAGE_SIZE - 1);
    end &= ~(ABI_PAGE_SIZE - 1);
    if (end <= gpa || arena->n_ranges == ABI_MAX_RANGES)
        return;
    arena->range[arena->n_ranges].gpa = gpa;
    arena->range[arena->n_ranges].pages = (end - gpa) / ABI_PAGE_SIZE;
    arena->n_ranges++;
}

/** abi_arena_gpa: where arena page @page lies; @page < abi_arena_pages(). */
static inline uint64_t
abi_arena_gpa(const struct abi_arena *arena, uint64_t page)
{
    uint64_t i = 0;
    while (i + 1 < arena->n_ranges && page >= arena->range[i].pages)
        page -= arena->range[i++].pages;
    return arena->range[i].gpa + page * ABI_PAGE_SIZE;
}

/* --- the workload --- */

enum abi_pattern {
    ABI_SEQUENTIAL, /* ascending, each pass where the last one ended */
    ABI_RANDOM,     /* distinct pages in a random order, others in each pass */
    ABI_HOTSPOT,    /* 90 % of the writes to 10 % of the pages, the same pages in each pass */
    ABI_STRIDE,     /* one 4 KiB page in each 2 MiB */
    ABI_SILENT,     /* random; stores the value that is already there */
    ABI_READ,       /* random; loads only */
    ABI_IDLE,       /* touches no page: spins in ring 3 until abi_mailbox.stop */
};
#define ABI_N_PATTERNS 7
/* by enum abi_pattern */
#define ABI_PATTERN_NAMES                                                     \
    {                                                                         \
        "sequential", "random", "hotspot", "stride", "silent", "read", "idle" \
    }

/**
 * The workload, from the command line: `pattern=random pages=6553 passes=5 seed=1 vcpus=2 ring=3 pace=0`.
 * @pages: distinct pages a pass, all vCPUs together; at most the arena's (stride: at most one in each 2 MiB)
 * @passes: 0 is without end
 * @pace: TSC cycles from one write of a vCPU to its next, at least; 0: none (ring=0 knows no pace)
 * @ring: 3, or 0 for stores from ring 0
 */
struct abi_workload {
    uint32_t pattern;
    uint32_t vcpus;
    uint32_t ring;
    uint32_t reserved;
    uint64_t pages;
    uint64_t passes;
    uint64_t seed;
    uint64_t arena_pages;
    uint64_t pace;
};

/** One write: a 64-bit store of @value to byte @offset (a multiple of 8) of arena page @page. */
struct abi_write {
    uint64_t page;
    uint64_t offset;
    uint64_t value;
};

/* splitmix64's finaliser: a bijection of 64 bits that mixes well */
static inline uint64_t
abi_mix(uint64_t x)
{
    x ^= x >> 30;
    x *= UINT64_C(0xbf58476d1ce4e5b9);
    x ^= x >> 27;
    x *= UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

/** abi_permute: the @index-th of a keyed permutation of 0 … @size - 1. A Feistel network over the next even power of two; what falls outside walks on. */
static inline uint64_t
abi_permute(uint64_t index, uint64_t size, uint64_t key)
{
    uint32_t half = 1;
    while ((UINT64_C(1) << (2 * half)) < size)
        half++;
    const uint64_t mask = (UINT64_C(1) << half) - 1;
    do {
        uint64_t left = index >> half, right = index & mask;
        for (uint32_t round = 0; round < 4; round++) {
            uint64_t next = left ^ (((right + round + 1) * (key | 1) * UINT64_C(0x9e3779b97f4a7c15) + (key >> 32)) >> 29 & mask);
            left = right;
            right = next;
        }
        index = left << half | right;
    } while (index >= size);
    return index;
}

static inline uint64_t
abi_hot_pages(const struct abi_workload *workload)
{
    return workload->pages < 10 ? 1 : workload->pages / 10;
}

/** abi_clamp_pages: what of the @pages asked for the pattern can have distinct; 0 for idle. */
static inline uint64_t
abi_clamp_pages(uint32_t pattern, uint64_t pages, uint64_t arena_pages)
{
    uint64_t most = pattern == ABI_STRIDE ? arena_pages / 512 : arena_pages;
    return pattern == ABI_IDLE ? 0 : pages < most ? pages : most;
}

/** abi_pass_writes: writes (or loads) a pass, all vCPUs together. */
static inline uint64_t
abi_pass_writes(const struct abi_workload *workload)
{
    uint64_t cold = workload->pages - abi_hot_pages(workload);
    if (workload->pattern != ABI_HOTSPOT || !workload->pages)
        return workload->pages;
    return cold ? 10 * cold : 10;
}

/** abi_vcpu_writes: how many of them vCPU @vcpu does: it takes every vcpus-th, from its own number on. */
static inline uint64_t
abi_vcpu_writes(const struct abi_workload *workload, uint32_t vcpu)
{
    uint64_t writes = abi_pass_writes(workload);
    return writes <= vcpu ? 0 : (writes - vcpu + workload->vcpus - 1) / workload->vcpus;
}

/**
 * abi_write_at: the @index-th write of @vcpu in @pass (from 0). Values are never 0 and never repeat; they carry the pass
 * in their upper half. For silent and read only the page and offset count.
 */
static inline struct abi_write
abi_write_at(const struct abi_workload *workload, uint32_t vcpu, uint64_t pass, uint64_t index)
{
    const uint64_t nth = index * workload->vcpus + vcpu;
    const uint64_t pass_key = abi_mix(workload->seed + (pass + 1) * UINT64_C(0x9e3779b97f4a7c15));
    const uint64_t salt = abi_mix(pass_key ^ nth);
    struct abi_write write = {.offset = salt % 512 * 8, .value = (pass + 1) << 32 | (nth + 1)};

    switch (workload->pattern) {
    case ABI_SEQUENTIAL:
        write.page = (pass * workload->pages + nth) % workload->arena_pages;
        break;
    case ABI_HOTSPOT: {
        uint64_t hot = abi_hot_pages(workload), cold = workload->pages - hot;
        uint64_t member = cold && nth % 10 == 9 ? hot + nth / 10 : (nth / 10 * 9 + nth % 10) % hot;
        write.page = abi_permute(member, workload->arena_pages, abi_mix(workload->seed));
        break;
    }
    case ABI_STRIDE:
        write.page = nth * 512 + salt / 512 % 512;
        break;
    default:
        write.page = abi_permute(nth, workload->arena_pages, pass_key);
    }
    return write;
}

/* --- the histogram of store times, in TSC cycles: 8 linear steps in each power of two --- */

#define ABI_HISTOGRAM_BUCKETS 400

struct abi_histogram {
    uint64_t count[ABI_HISTOGRAM_BUCKETS];
    uint64_t total_cycles;
    uint64_t max_cycles;
};

static inline uint32_t
abi_histogram_bucket(uint64_t cycles)
{
    if (cycles < 16)
        return (uint32_t)cycles;
    uint32_t exponent = 63 - (uint32_t)__builtin_clzll(cycles);
    uint32_t bucket = 16 + (exponent - 4) * 8 + (uint32_t)(cycles >> (exponent - 3) & 7);
    return bucket < ABI_HISTOGRAM_BUCKETS ? bucket : ABI_HISTOGRAM_BUCKETS - 1;
}

/** abi_histogram_floor: the least number of cycles that falls into @bucket. */
static inline uint64_t
abi_histogram_floor(uint32_t bucket)
{
    if (bucket < 16)
        return bucket;
    return (UINT64_C(8) + (bucket - 16) % 8) << ((bucket - 16) / 8 + 1);
}

/* --- the mailbox --- */

#define ABI_MAILBOX_MAGIC UINT64_C(0x62616c7974726964) /* "dirtylab", little-endian */

enum abi_error {
    ABI_OK,
    ABI_ERROR_COMMAND_LINE, /* the command line does not parse */
    ABI_ERROR_MEMORY,       /* no arena: RAM ends below ABI_ARENA_GPA, or there are more ranges than fit */
    ABI_ERROR_VCPUS,        /* an application processor did not come up */
    ABI_ERROR_EXCEPTION,    /* the guest took a fault that it should not have; error_rip says where */
};

/** The guest fills in all but @stop before the first doorbell. */
struct abi_mailbox {
    uint64_t magic;
    uint64_t error; /* enum abi_error */
    uint64_t error_rip;
    uint64_t stop; /* the VMM stores 1: idle vCPUs finish their pass */
    struct abi_workload workload;
    struct abi_arena arena;
};

/**
 * A vCPU's progress. It stores @position after each write of the workload: at a stop, write number @position (from 0, through
 * all passes) may be in flight, stored or not; all before it are stored, none after it.
 */
struct abi_vcpu {
    uint64_t position;
    uint64_t passes;      /* finished */
    uint64_t busy_cycles; /* TSC cycles between a pass's first and last instruction, summed over the finished passes */
};

_Static_assert(sizeof(struct abi_mailbox) <= ABI_PAGE_SIZE, "the mailbox is one page");
_Static_assert(sizeof(struct abi_vcpu) <= ABI_PAGE_SIZE, "a vCPU's progress is one page");
_Static_assert(sizeof(struct abi_histogram) <= ABI_PAGE_SIZE, "a histogram is one page");
_Static_assert(ABI_VCPU_GPA(ABI_MAX_VCPUS) <= ABI_RING0_LIST_GPA(0), "progress pages end below the lists");
_Static_assert(ABI_RING0_LIST_GPA(ABI_MAX_VCPUS) <= ABI_STACK_GPA(0), "the lists end below the stacks");
