// SPDX-License-Identifier: MIT
/*
 * userfaultfd write-protect on shmem: a page that is loaded while it is punched loses its protection.
 *
 * A file-backed page that is write-protected stays so when its page table entry goes: a marker takes its place. Punching a page out of the file
 * keeps the marker as well, as long as nobody looks: the range is unmapped once as a whole, with markers left behind. But a load that comes after
 * that maps the page again (protected, as the marker asks), and when the page is then taken out of the file it is unmapped a second time, as
 * for a truncation, and no marker is left. The next store to the place is not reported.
 *
 * That is how it looks from outside and from reading the source; the loss itself is what this program shows.
 *
 *     gcc -O2 -pthread -o uffd_wp_punch uffd_wp_punch.c && ./uffd_wp_punch
 *
 * Protects one page, punches it while another thread loads it, and looks at the page's write-protect bit in /proc/self/pagemap (bit 57), up to
 * 200,000 times. Ends with 1 when the protection was lost, with 0 when it never was, with 2 when it cannot be tried. Needs Linux 5.19 or newer.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef UFFD_FEATURE_WP_HUGETLBFS_SHMEM
#define UFFD_FEATURE_WP_HUGETLBFS_SHMEM (1 << 12)
#endif

#define PAGE 4096UL
#define ROUNDS 200000
#define PAGEMAP_UFFD_WP (UINT64_C(1) << 57)

static atomic_int stop;

static void *
load(void *memory)
{
    while (!atomic_load_explicit(&stop, memory_order_relaxed))
        (void)*(volatile char *)memory;
    return NULL;
}

static char *
map(int file)
{
    if (file < 0 || ftruncate(file, PAGE))
        err(2, "memfd");
    char *memory = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (memory == MAP_FAILED)
        err(2, "mmap");
    memory[0] = 1;
    return memory;
}

static void
protect(int uffd, char *memory)
{
    struct uffdio_api api = {.api = UFFD_API, .features = UFFD_FEATURE_WP_HUGETLBFS_SHMEM};
    struct uffdio_register how = {.range = {(uintptr_t)memory, PAGE}, .mode = UFFDIO_REGISTER_MODE_WP};
    struct uffdio_writeprotect arm = {.range = how.range, .mode = UFFDIO_WRITEPROTECT_MODE_WP};

    if (uffd < 0 || ioctl(uffd, UFFDIO_API, &api) || ioctl(uffd, UFFDIO_REGISTER, &how) || ioctl(uffd, UFFDIO_WRITEPROTECT, &arm))
        err(2, "userfaultfd write-protect");
}

static int
is_protected(int pagemap, const char *memory)
{
    uint64_t entry;

    (void)*(volatile const char *)memory; /* there is an entry to look at: the load maps what is there now */
    if (pread(pagemap, &entry, sizeof(entry), (off_t)((uintptr_t)memory / PAGE * sizeof(entry))) != sizeof(entry))
        err(2, "/proc/self/pagemap");
    return (entry & PAGEMAP_UFFD_WP) != 0;
}

int
main(void)
{
    int file = memfd_create("punched", MFD_CLOEXEC);
    char *memory = map(file);
    int pagemap = open("/proc/self/pagemap", O_RDONLY);
    pthread_t thread;

    protect((int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY), memory);
    if (!is_protected(pagemap, memory))
        errx(2, "the page is not protected to begin with");
    if (fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE) || !is_protected(pagemap, memory))
        errx(2, "a punch alone takes the protection here");
    pthread_create(&thread, NULL, load, memory);
    int round = 0;
    int kept = 1;
    while (kept && ++round <= ROUNDS) {
        if (fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE))
            err(2, "fallocate(FALLOC_FL_PUNCH_HOLE)");
        kept = is_protected(pagemap, memory);
    }
    atomic_store(&stop, 1);
    pthread_join(thread, NULL);
    if (kept) {
        printf("protected after each of %d punches: right\n", ROUNDS);
        return 0;
    }
    printf("WRONG: not protected any more after punch %d, and nobody unprotected it\n", round);
    return 1;
}
