// SPDX-License-Identifier: MIT
/*
 * PAGEMAP_SCAN: get and write-protect of hugetlb memory with a max_pages that ends inside a huge page skips written huge pages.
 *
 * Eight huge pages are written. The caller resumes at walk_end until the end, as the documentation has it, and should be told of all eight; where
 * the limit is no multiple of 512 it is told of fewer, and what it was not told of it never will be.
 *
 *     echo 8 > /proc/sys/vm/nr_hugepages
 *     gcc -O2 -o pagemap_scan_hugetlb_max_pages pagemap_scan_hugetlb_max_pages.c && ./pagemap_scan_hugetlb_max_pages
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
#define PM_SCAN_WP_MATCHING (1 << 0)
#define PM_SCAN_CHECK_WPASYNC (1 << 1)
#endif
#ifndef UFFD_FEATURE_WP_ASYNC
#define UFFD_FEATURE_WP_UNPOPULATED (1 << 13)
#define UFFD_FEATURE_WP_ASYNC (1 << 15)
#endif

#define PAGE 4096UL
#define HUGE_PAGE (2UL << 20)
#define HUGE_PAGES 8
#define SIZE (HUGE_PAGES * HUGE_PAGE)

static char *memory;
static int uffd, pagemap;

static void
track(void)
{
    struct uffdio_api api = {.api = UFFD_API,
                             .features = UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_WP_UNPOPULATED | UFFD_FEATURE_WP_HUGETLBFS_SHMEM};

    uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
    pagemap = open("/proc/self/pagemap", O_RDONLY);
    memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_HUGETLB | MAP_POPULATE, -1, 0);
    if (memory == MAP_FAILED)
        err(2, "8 hugepages of 2 MiB");
    struct uffdio_register how = {.range = {(uintptr_t)memory, SIZE}, .mode = UFFDIO_REGISTER_MODE_WP};
    if (uffd < 0 || ioctl(uffd, UFFDIO_API, &api) || ioctl(uffd, UFFDIO_REGISTER, &how))
        err(2, "userfaultfd with WP_ASYNC on hugetlb");
}

/* Protects all, writes to each huge page, and scans with that limit to the end; returns how many 4 KiB pages were reported. */
static unsigned long
scan(unsigned long max_pages)
{
    struct uffdio_writeprotect protect = {.range = {(uintptr_t)memory, SIZE}, .mode = UFFDIO_WRITEPROTECT_MODE_WP};
    struct page_region regions[64];
    unsigned long pages = 0;
    struct pm_scan_arg arg = {
        .size = sizeof(arg),
        .flags = PM_SCAN_WP_MATCHING | PM_SCAN_CHECK_WPASYNC,
        .start = (uintptr_t)memory,
        .end = (uintptr_t)memory + SIZE,
        .vec = (uintptr_t)regions,
        .vec_len = 64,
        .max_pages = max_pages,
        .category_mask = PAGE_IS_WRITTEN,
        .return_mask = PAGE_IS_WRITTEN,
    };

    if (ioctl(uffd, UFFDIO_WRITEPROTECT, &protect))
        err(2, "UFFDIO_WRITEPROTECT");
    for (int i = 0; i < HUGE_PAGES; i++)
        memory[i * HUGE_PAGE]++;
    while (arg.start < arg.end) {
        int found = ioctl(pagemap, PAGEMAP_SCAN, &arg);
        if (found < 0)
            err(2, "PAGEMAP_SCAN");
        for (int i = 0; i < found; i++)
            pages += (regions[i].end - regions[i].start) / PAGE;
        if (arg.walk_end <= arg.start)
            errx(1, "WRONG: the walk does not get on");
        arg.start = arg.walk_end;
    }
    return pages;
}

int
main(void)
{
    static const unsigned long limits[] = {0, 512, 700, 1024, 1500};
    int wrong = 0;

    track();
    for (unsigned i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        unsigned long pages = scan(limits[i]);
        printf("max_pages %4lu: %4lu of %4lu pages reported%s\n", limits[i], pages, SIZE / PAGE,
               pages == SIZE / PAGE ? "" : "  WRONG");
        wrong |= pages != SIZE / PAGE;
    }
    return wrong;
}
