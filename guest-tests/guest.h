/* SPDX-License-Identifier: MIT */
/*
 * Private to the embedded guest: fixed addresses that abi.h leaves open, selectors, and the few functions that its files share.
 * Included by the assembler too.
 */
#pragma once

/*
 * The last pages of the image hold what the CPU reads by physical address: constants, so that the assembler can build
 * descriptors.
 */
#define GUEST_GDT_GPA 0x1fc000
#define GUEST_TSS_GPA 0x1fd000
#define GUEST_IDT_GPA 0x1fe000
#define GUEST_RING0_STACK_END 0x200000

#define GUEST_RING0_LIST_ENTRIES 512 /* a page of addresses */

#define GUEST_PAGE_TABLES_GPA 0x380000
#define GUEST_PAGE_TABLES_END 0x400000
#define GUEST_STATIC_DIRECTORIES 4 /* page directories in the image: the first 4 GiB */

#define GUEST_SELECTOR_CODE64 0x08
#define GUEST_SELECTOR_DATA 0x10
#define GUEST_SELECTOR_USER_DATA 0x1b
#define GUEST_SELECTOR_USER_CODE 0x23
#define GUEST_SELECTOR_CODE32 0x28
#define GUEST_SELECTOR_TSS(vcpu) (0x30 + 16 * (vcpu))

#define GUEST_RFLAGS 0x3002 /* interrupts stay off, ring 3 may use ports */

/*
 * Ports below this are ring 3's, by the TSS's bitmap: serial port, resets, doorbell. The TSS's last byte: header, bitmap, a
 * byte of ones.
 */
#define GUEST_IO_PORTS 0xd80
#define GUEST_TSS_LIMIT (0x68 + GUEST_IO_PORTS / 8)

#ifndef __ASSEMBLER__

#include "abi.h"

/** Where the CPU that comes up next finds what is its own; start.S knows the offsets. vCPU 0's values are the initial ones. */
struct guest_start_block {
    uint64_t stack_end;
    uint32_t vcpu;
    uint16_t tss_selector;
    uint16_t reserved;
};
extern volatile struct guest_start_block guest_start_block;

/** What the command line asks for besides the workload. */
struct guest_options {
    struct abi_workload workload;
    int serial; /* a line for each pass */
    int touch;  /* store a 0 to each page of the arena before the first pass, so that the VMM has mapped them all */
    int quiet;  /* no line at all */
};

/**
 * parse_command_line: fills in @options, defaults included (pages: a tenth of @arena_pages). 0: an unknown key or a value that
 * does not parse.
 */
int parse_command_line(const char *text, uint64_t arena_pages, struct guest_options *options);

/** console_*: the first serial port; each takes the port for a whole line of @n pairs. */
struct console_item {
    const char *text;
    uint64_t number;
    int has_number;
};
void console_line(const struct console_item *items, uint32_t n_items);

/** start_processors: brings up vCPUs 1 … @vcpus - 1 by INIT and SIPI. 0: one did not come. */
int start_processors(uint32_t vcpus);
void processor_is_up(uint32_t vcpu);

/** run_passes: the workload of one vCPU, from its first doorbell to its last pass. */
void run_passes(const struct guest_options *options, const struct abi_arena *arena, uint32_t vcpu);

/** end_machine: resets it, so that a VMM told not to reboot ends. */
_Noreturn void end_machine(void);
/** panic: says so in the mailbox, by the doorbell and on the serial port. */
_Noreturn void panic(uint64_t error);
_Noreturn void guest_main(uint32_t vcpu, uint32_t start_info_gpa);
_Noreturn void exception_in_ring3(uint64_t rip);

/* start.S */
extern const char trampoline_start[], trampoline_end[];
extern const char exception_with_code[], exception_without_code[], ring0_stores[];
enum ring0_loop {
    RING0_STORE,
    RING0_SILENT,
    RING0_READ
};
void ring0_writes(enum ring0_loop loop, uint64_t count, const uint64_t *addresses, volatile uint64_t *position, uint64_t value,
                  uint64_t value_step);

static inline volatile struct abi_mailbox *
mailbox(void)
{
    return (volatile struct abi_mailbox *)ABI_MAILBOX_GPA;
}

static inline void
doorbell(uint32_t what)
{
    __asm__ volatile("outl %0, %1" : : "a"(what), "Nd"((uint16_t)ABI_DOORBELL_PORT) : "memory");
}

static inline void
out8(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline uint8_t
in8(uint16_t port)
{
    uint8_t value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port) : "memory");
    return value;
}

static inline uint64_t
read_tsc(void)
{
    uint32_t low, high;
    __asm__ volatile("lfence\n\trdtsc" : "=a"(low), "=d"(high) : : "memory");
    return (uint64_t)high << 32 | low;
}

static inline void
spin_hint(void)
{
    __asm__ volatile("pause" : : : "memory");
}

#endif
