/* SPDX-License-Identifier: MIT */
/*
 * Dirties memory in the lab's patterns, and knows at any time what every page has to hold.
 *
 * Each thread has an arena of its own, so that no page has two writers. A page begins with its number and its generation, which every
 * visit raises; what follows is data, of which a visit changes a word. Beside the arena stands what the page was left with: the
 * generation, and a sum in which each word has an odd factor of its own, so that no change of one word leaves it as it was. A visit
 * compares the whole page with that first, and the end compares every page: a page whose last write was lost holds an older
 * generation than the one noted, and is named with its guest-physical address.
 */
#include "workload.h"

#include <assert.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "guest-tests/abi.h"

#define WORDS (ABI_PAGE_SIZE / sizeof(uint64_t))
#define SWEEP \
    4 /* a pass looks at a fourth as many pages again as it visits, all in turn: patterns come back to some pages never */

enum {
    WORD_NUMBER,
    WORD_GENERATION,
    WORD_DATA
};

struct page_state {
    uint64_t generation;
    uint64_t sum;
};

struct memory_thread {
    pthread_t thread;
    uint32_t number;
    const struct options *options;
    struct abi_workload workload; /* this thread's alone: vcpus is 1 */
    uint64_t *arena;
    struct page_state *states;
    uint64_t cursor; /* where the sweep goes on */
    uint64_t started_ns;
    atomic_uint_fast64_t passes, pages, verified, stall;
};

struct memory {
    uint32_t n_threads;
    struct memory_thread thread[];
};

static uint64_t
read_tsc(void)
{
    __builtin_ia32_lfence();
    return __builtin_ia32_rdtsc();
}

/* Only its own thread adds to a counter, so no locked instruction is needed. */
static void
add(atomic_uint_fast64_t *counter, uint64_t count)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + count, memory_order_relaxed);
}

static uint64_t
factor(uint64_t word)
{
    return (2 * word + 1) * UINT64_C(0x9e3779b97f4a7c15);
}

static uint64_t
sum_of(const uint64_t *page)
{
    uint64_t sum = 0;

    for (uint64_t i = 0; i < WORDS; i++)
        sum += page[i] * factor(i);
    return sum;
}

static uint64_t *
page_at(const struct memory_thread *thread, uint64_t page)
{
    return thread->arena + page * WORDS;
}

/* A page's number says whose it is too. */
static uint64_t
page_number(const struct memory_thread *thread, uint64_t page)
{
    return (uint64_t)(thread->number + 1) << 48 | page;
}

static void
fill(struct memory_thread *thread, uint64_t page)
{
    uint64_t *words = page_at(thread, page), number = page_number(thread, page);

    words[WORD_NUMBER] = number;
    words[WORD_GENERATION] = 1;
    for (uint64_t i = WORD_DATA; i < WORDS; i++)
        words[i] = abi_mix(thread->workload.seed + number * WORDS + i);
    thread->states[page] = (struct page_state){1, sum_of(words)};
}

/* Where a page lies in guest-physical memory: 0 when the kernel does not tell. */
static uint64_t
gpa_of(const void *address)
{
    uint64_t entry = 0;
    int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return 0;
    if (pread(fd, &entry, sizeof entry, (off_t)((uintptr_t)address / ABI_PAGE_SIZE * sizeof entry)) != sizeof entry)
        entry = 0;
    close(fd);
    return (entry & ((UINT64_C(1) << 55) - 1)) * ABI_PAGE_SIZE;
}

static void
report_page(struct memory_thread *thread, uint64_t page)
{
    const struct page_state *state = &thread->states[page];
    const uint64_t *words = page_at(thread, page);
    uint64_t number = words[WORD_NUMBER], generation = words[WORD_GENERATION], gpa = gpa_of(words);
    char what[96];

    if (!number && !generation)
        snprintf(what, sizeof what, "is empty");
    else if (number != page_number(thread, page))
        snprintf(what, sizeof what, "holds another page, %#llx", (unsigned long long)number);
    else if (generation < state->generation)
        snprintf(what, sizeof what, "went back to generation %llu", (unsigned long long)generation);
    else if (generation > state->generation)
        snprintf(what, sizeof what, "holds generation %llu", (unsigned long long)generation);
    else
        snprintf(what, sizeof what, "holds other data, sum %#llx instead of %#llx", (unsigned long long)sum_of(words),
                 (unsigned long long)state->sum);
    report_error("memory: page %llu of thread %u at %p, guest-physical %#llx, %s; generation %llu was written last",
                 (unsigned long long)page, thread->number, (const void *)words, (unsigned long long)gpa, what,
                 (unsigned long long)state->generation);
}

/* A page that is not as it was left is reported once, and made whole. */
static void
verify(struct memory_thread *thread, uint64_t page)
{
    if (sum_of(page_at(thread, page)) == thread->states[page].sum) {
        add(&thread->verified, 1);
        return;
    }
    report_page(thread, page);
    fill(thread, page);
}

static void
store(struct memory_thread *thread, uint64_t page, uint64_t word, uint64_t value)
{
    volatile uint64_t *words = page_at(thread, page);
    struct page_state *state = &thread->states[page];
    uint64_t old = words[word];
    uint64_t start = read_tsc();

    words[word] = value; /* the page's first store since it was protected, if it was: this is what the guest waits for */
    uint64_t cycles = read_tsc() - start;
    words[WORD_GENERATION] = state->generation + 1;
    state->sum += (value - old) * factor(word) + factor(WORD_GENERATION);
    state->generation++;
    if ((int64_t)cycles > 0 && cycles > atomic_load_explicit(&thread->stall, memory_order_relaxed))
        atomic_store_explicit(&thread->stall, cycles, memory_order_relaxed);
}

static void
visit(struct memory_thread *thread, const struct abi_write *write)
{
    uint64_t word = write->offset / sizeof(uint64_t);

    if (word < WORD_DATA)
        word += WORD_DATA;
    verify(thread, write->page);
    if (thread->workload.pattern == ABI_SILENT) {
        volatile uint64_t *target = page_at(thread, write->page) + word;
        *target = *target;
    } else if (thread->workload.pattern != ABI_READ) {
        store(thread, write->page, word, write->value);
    }
    add(&thread->pages, 1);
}

static void
sleep_ns(uint64_t ns)
{
    struct timespec time = {(time_t)(ns / UINT64_C(1000000000)), (long)(ns % UINT64_C(1000000000))};

    nanosleep(&time, NULL);
}

/* Sleeps as long as this thread is ahead of its share of the rate; at most half a second, so that `stop` is seen. */
static void
keep_rate(const struct memory_thread *thread)
{
    const uint64_t second = UINT64_C(1000000000), share = thread->options->rate / thread->options->threads;

    if (!thread->options->rate)
        return;
    while (!atomic_load(&stop)) {
        double due = (double)atomic_load(&thread->pages) / (double)(share ? share : 1) * (double)second;
        double ahead = due - (double)(monotonic_ns() - thread->started_ns);
        if (ahead < 1e6)
            break;
        sleep_ns(ahead > (double)second / 2 ? second / 2 : (uint64_t)ahead);
    }
}

static void
run_pass(struct memory_thread *thread, uint64_t pass)
{
    uint64_t visits = abi_pass_writes(&thread->workload);

    for (uint64_t i = 0; i < visits && !atomic_load_explicit(&stop, memory_order_relaxed); i++) {
        struct abi_write write = abi_write_at(&thread->workload, 0, pass, i);
        visit(thread, &write);
        if (i % 64 == 63)
            keep_rate(thread);
    }
    keep_rate(thread);
    for (uint64_t i = 0; i < thread->workload.pages / SWEEP + 1 && !atomic_load_explicit(&stop, memory_order_relaxed); i++) {
        verify(thread, thread->cursor);
        thread->cursor = (thread->cursor + 1) % thread->workload.arena_pages;
    }
    if (thread->workload.pattern == ABI_IDLE)
        sleep_ns(UINT64_C(100000000));
}

static void *
memory_main(void *data)
{
    struct memory_thread *thread = data;

    assert(thread->workload.arena_pages); /* check_options() */
    pin_to_vcpu(thread->number);
    for (uint64_t page = 0; page < thread->workload.arena_pages && !atomic_load(&stop); page++)
        fill(thread, page);
    thread->started_ns = monotonic_ns();
    for (uint64_t pass = 0; !atomic_load(&stop); pass++) {
        run_pass(thread, pass);
        add(&thread->passes, 1);
    }
    for (uint64_t page = 0; page < thread->workload.arena_pages; page++) {
        if (thread->states[page].generation)
            verify(thread, page);
    }
    return NULL;
}

/* Fills in what is thread @number's share. */
static bool
prepare(struct memory_thread *thread, uint32_t number, const struct options *options)
{
    uint64_t arena_pages = options->memory / ABI_PAGE_SIZE / options->threads;
    uint64_t pages = options->pages / options->threads;
    const int protection = PROT_READ | PROT_WRITE, flags = MAP_PRIVATE | MAP_ANONYMOUS;

    thread->number = number;
    thread->options = options;
    thread->workload = (struct abi_workload){.pattern = options->pattern,
                                             .vcpus = 1,
                                             .ring = 3,
                                             .pages = abi_clamp_pages(options->pattern, pages ? pages : 1, arena_pages),
                                             .seed = abi_mix(options->seed + number),
                                             .arena_pages = arena_pages};
    thread->arena = mmap(NULL, arena_pages * ABI_PAGE_SIZE, protection, flags, -1, 0);
    thread->states = mmap(NULL, arena_pages * sizeof *thread->states, protection, flags, -1, 0);
    return thread->arena != MAP_FAILED && thread->states != MAP_FAILED;
}

struct memory *
memory_start(const struct options *options)
{
    struct memory *memory = calloc(1, sizeof *memory + options->threads * sizeof *memory->thread);

    if (!memory)
        return NULL;
    for (uint32_t i = 0; i < options->threads; i++) {
        struct memory_thread *thread = &memory->thread[i];
        if (!prepare(thread, i, options) || pthread_create(&thread->thread, NULL, memory_main, thread)) {
            say("note: thread %u cannot have its %llu MiB", i, (unsigned long long)(options->memory / options->threads >> 20));
            break;
        }
        memory->n_threads++;
    }
    if (memory->n_threads == options->threads)
        return memory;
    atomic_store(&stop, true);
    struct memory_counters counters;
    memory_finish(memory, &counters);
    return NULL;
}

struct memory_counters
memory_read(struct memory *memory)
{
    struct memory_counters counters = {.passes = UINT64_MAX};

    for (uint32_t i = 0; i < memory->n_threads; i++) {
        struct memory_thread *thread = &memory->thread[i];
        uint64_t passes = atomic_load(&thread->passes), stall = atomic_exchange(&thread->stall, 0);
        if (passes < counters.passes)
            counters.passes = passes;
        if (stall > counters.stall)
            counters.stall = stall;
        counters.pages += atomic_load(&thread->pages);
        counters.verified += atomic_load(&thread->verified);
    }
    return counters;
}

void
memory_finish(struct memory *memory, struct memory_counters *counters)
{
    for (uint32_t i = 0; i < memory->n_threads; i++)
        pthread_join(memory->thread[i].thread, NULL);
    *counters = memory_read(memory);
    for (uint32_t i = 0; i < memory->n_threads; i++) {
        munmap(memory->thread[i].arena, memory->thread[i].workload.arena_pages * ABI_PAGE_SIZE);
        munmap(memory->thread[i].states, memory->thread[i].workload.arena_pages * sizeof(struct page_state));
    }
    free(memory);
}
