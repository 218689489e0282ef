// SPDX-License-Identifier: MIT
/*
 * PAGEMAP_SCAN: a stale walk_end where vec_len is larger than 512 and more than 512 ranges are found.
 *
 * The kernel collects ranges in a buffer of up to 512, copies it out, and walks on. When the last walk comes to the end of the range, walk_end
 * should be that end; but it keeps the address at which the 512th range had filled the buffer. A caller that resumes at walk_end, as
 * the documentation has it, gets the rest a second time; one that takes walk_end for the end of what was looked at is wrong.
 *
 *     gcc -O2 -o pagemap_scan_walk_end pagemap_scan_walk_end.c && ./pagemap_scan_walk_end
 *
 * Ends with 1 when the kernel has the error, with 0 when it has not, with 2 when it cannot be tried. Needs Linux 6.7 or newer.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef PAGEMAP_SCAN
struct page_region {
    __u64 start, end, categories;
};
struct pm_scan_arg {
    __u64 size, flags, start, end, walk_end, vec, vec_len, max_pages;
    __u64 category_inverted, category_mask, category_anyof_mask, return_mask;
};
#define PAGEMAP_SCAN _IOWR('f', 16, struct pm_scan_arg)
#define PAGE_IS_WRITTEN (1 << 1)
#endif
#ifndef UFFD_FEATURE_WP_ASYNC
#define UFFD_FEATURE_WP_UNPOPULATED (1 << 13)
#define UFFD_FEATURE_WP_ASYNC (1 << 15)
#endif

#define PAGE 4096UL
#define RANGES 513
#define PAGES 8192 /* the written ones stand at the start: the walk has a long way to go after the 512th range */
#define VECTOR 1024

static char *
track(void)
{
    int uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
    struct uffdio_api api = {.api = UFFD_API, .features = UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_WP_UNPOPULATED};
    char *memory = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    struct uffdio_register how = {.range = {(uintptr_t)memory, PAGES * PAGE}, .mode = UFFDIO_REGISTER_MODE_WP};
    struct uffdio_writeprotect protect = {.range = how.range, .mode = UFFDIO_WRITEPROTECT_MODE_WP};

    if (uffd < 0 || memory == MAP_FAILED || ioctl(uffd, UFFDIO_API, &api) || madvise(memory, PAGES * PAGE, MADV_NOHUGEPAGE) ||
        ioctl(uffd, UFFDIO_REGISTER, &how) || ioctl(uffd, UFFDIO_WRITEPROTECT, &protect))
        err(2, "userfaultfd with WP_ASYNC");
    return memory;
}

int
main(void)
{
    static struct page_region regions[VECTOR];
    int pagemap = open("/proc/self/pagemap", O_RDONLY);
    char *memory = track();

    for (unsigned long i = 0; i < RANGES; i++)
        memory[2 * i * PAGE] = 1;

    struct pm_scan_arg arg = {
        .size = sizeof(arg),
        .start = (uintptr_t)memory,
        .end = (uintptr_t)memory + PAGES * PAGE,
        .vec = (uintptr_t)regions,
        .vec_len = VECTOR,
        .category_mask = PAGE_IS_WRITTEN,
        .return_mask = PAGE_IS_WRITTEN,
    };
    int found = ioctl(pagemap, PAGEMAP_SCAN, &arg);
    if (found < 0)
        err(2, "PAGEMAP_SCAN");

    unsigned long last = (regions[found - 1].end - arg.start) / PAGE;
    unsigned long walked = (arg.walk_end - arg.start) / PAGE;
    printf("%d ranges of %d, the last one ends at page %lu; walk_end is page %lu, and should be %d\n", found, RANGES, last,
           walked, PAGES);
    if (found == RANGES && walked == PAGES) {
        puts("right");
        return 0;
    }
    puts(walked < last ? "WRONG: walk_end lies before what was reported" : "WRONG: walk_end is not the end");
    return 1;
}
