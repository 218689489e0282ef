// SPDX-License-Identifier: MIT
/*
 * KVM dirty ring: entries are lost where the kernel emulates guest stores in a batch.
 *
 * One vCPU in ring 0 stores one byte to each of 3000 pages; its dirty ring has 1024 entries. Whenever KVM_RUN ends, all entries are harvested and
 * reset. Every page that was stored to has to appear. Where stores are emulated many at a time without a look at the ring in between (a KVM
 * without hardware virtualization does that for ring 0), the ring's index runs past its end: entries overwrite others, or are dropped, and
 * no KVM_EXIT_DIRTY_RING_FULL came before it. The kernel warns of it once in its log.
 *
 *     gcc -O2 -o kvm_dirty_ring_overflow kvm_dirty_ring_overflow.c && ./kvm_dirty_ring_overflow
 *
 * Ends with 1 when pages are lost, with 0 when none is, with 2 when it cannot be tried.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef KVM_CAP_DIRTY_LOG_RING_ACQ_REL
#define KVM_CAP_DIRTY_LOG_RING_ACQ_REL 223
#endif

#define PAGE 4096UL
#define RAM (32UL << 20)
#define CODE 0x1000UL
#define PML4 0x2000UL
#define PDPT 0x3000UL
#define PD 0x4000UL
#define EXIT_GPA 0x30000000UL
#define FIRST 512UL
#define STORED 3000UL
#define ENTRIES 1024U

static int kvm, vm, vcpu;
static char *ram;
static struct kvm_run *run;
static struct kvm_dirty_gfn *ring;
static uint32_t position;
static char seen[RAM / PAGE];

static void
call(int fd, unsigned long request, void *argument, const char *name)
{
    if (ioctl(fd, request, argument) < 0)
        err(2, "%s", name);
}

static void
make_vm(void)
{
    struct kvm_enable_cap cap = {.cap = KVM_CAP_DIRTY_LOG_RING_ACQ_REL, .args = {ENTRIES * sizeof(struct kvm_dirty_gfn)}};
    struct kvm_userspace_memory_region slot = {.flags = KVM_MEM_LOG_DIRTY_PAGES, .memory_size = RAM};

    kvm = open("/dev/kvm", O_RDWR);
    vm = kvm < 0 ? -1 : ioctl(kvm, KVM_CREATE_VM, 0);
    if (vm < 0)
        err(2, "/dev/kvm");
    if (ioctl(vm, KVM_ENABLE_CAP, &cap)) {
        cap.cap = KVM_CAP_DIRTY_LOG_RING;
        call(vm, KVM_ENABLE_CAP, &cap, "a dirty ring");
    }
    ram = mmap(NULL, RAM, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    slot.userspace_addr = (uintptr_t)ram;
    call(vm, KVM_SET_USER_MEMORY_REGION, &slot, "KVM_SET_USER_MEMORY_REGION");
    call(vm, KVM_SET_TSS_ADDR, (void *)0xfffbd000UL, "KVM_SET_TSS_ADDR");
}

/* The first GiB mapped onto itself, with accessed and dirty bits set; the program stores, and then leaves by an MMIO. */
static void
load_guest(void)
{
    static const unsigned char code[] = {0x88, 0x07,                                /* 1: mov %al,(%rdi) */
                                         0x48, 0x81, 0xc7, 0x00, 0x10, 0x00, 0x00,  /* add $0x1000,%rdi */
                                         0x48, 0xff, 0xc9, 0x75, 0xf2,              /* dec %rcx; jnz 1b */
                                         0x88, 0x04, 0x25, 0x00, 0x00, 0x00, 0x30}; /* mov %al,EXIT_GPA */

    memcpy(ram + CODE, code, sizeof(code));
    *(uint64_t *)(ram + PML4) = PDPT | 0x67;
    *(uint64_t *)(ram + PDPT) = PD | 0x67;
    for (uint64_t i = 0; i < 512; i++)
        ((uint64_t *)(ram + PD))[i] = i << 21 | 0xe7;
}

static void
make_vcpu(void)
{
    struct kvm_cpuid2 *cpuid = calloc(1, sizeof(*cpuid) + 256 * sizeof(struct kvm_cpuid_entry2));
    struct kvm_segment code = {.limit = ~0U, .selector = 0x8, .type = 11, .present = 1, .s = 1, .l = 1, .g = 1};
    struct kvm_segment data = {.limit = ~0U, .selector = 0x10, .type = 3, .present = 1, .s = 1, .db = 1, .g = 1};
    struct kvm_regs regs = {.rip = CODE, .rdi = FIRST * PAGE, .rcx = STORED, .rflags = 2};
    struct kvm_sregs sregs;

    vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
    run = mmap(NULL, (size_t)ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
    ring =
        mmap(NULL, ENTRIES * sizeof(*ring), PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, (off_t)(KVM_DIRTY_LOG_PAGE_OFFSET * PAGE));
    if (vcpu < 0 || run == MAP_FAILED || ring == MAP_FAILED || !cpuid)
        err(2, "a vCPU");
    cpuid->nent = 256;
    call(kvm, KVM_GET_SUPPORTED_CPUID, cpuid, "KVM_GET_SUPPORTED_CPUID");
    call(vcpu, KVM_SET_CPUID2, cpuid, "KVM_SET_CPUID2");
    call(vcpu, KVM_GET_SREGS, &sregs, "KVM_GET_SREGS");
    sregs.cr3 = PML4;
    sregs.cr4 = 0x20;
    sregs.cr0 = 0x80050033;
    sregs.efer = 0x500;
    sregs.cs = code;
    sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
    call(vcpu, KVM_SET_SREGS, &sregs, "KVM_SET_SREGS");
    call(vcpu, KVM_SET_REGS, &regs, "KVM_SET_REGS");
    free(cpuid);
}

/* Every entry that is dirty, from where we stand; then all are given back. */
static unsigned
harvest(void)
{
    unsigned count = 0;

    while (__atomic_load_n(&ring[position % ENTRIES].flags, __ATOMIC_ACQUIRE) & KVM_DIRTY_GFN_F_DIRTY) {
        struct kvm_dirty_gfn *entry = &ring[position++ % ENTRIES];
        if (entry->offset < RAM / PAGE)
            seen[entry->offset] = 1;
        __atomic_store_n(&entry->flags, KVM_DIRTY_GFN_F_RESET, __ATOMIC_RELEASE);
        count++;
    }
    while (ioctl(vm, KVM_RESET_DIRTY_RINGS, 0) > 0)
        ;
    return count;
}

int
main(void)
{
    unsigned exits = 0, harvested = 0;
    unsigned long lost = 0;

    make_vm();
    load_guest();
    make_vcpu();
    for (unsigned runs = 0; runs < 10000; runs++) {
        call(vcpu, KVM_RUN, NULL, "KVM_RUN");
        harvested += harvest();
        if (run->exit_reason != KVM_EXIT_DIRTY_RING_FULL)
            break;
        exits++;
    }
    if (run->exit_reason == KVM_EXIT_DIRTY_RING_FULL)
        puts("KVM_RUN ends with KVM_EXIT_DIRTY_RING_FULL for ever, though the ring holds no entry at our position");
    else if (run->exit_reason != KVM_EXIT_MMIO)
        errx(2, "the guest left by exit %u", run->exit_reason);
    for (unsigned long page = FIRST; page < FIRST + STORED; page++)
        lost += !seen[page];
    printf("%lu pages stored to, a ring of %u entries, %u exits for a full ring, %u entries harvested, %lu pages lost\n", STORED,
           ENTRIES, exits, harvested, lost);
    return lost > 0;
}
