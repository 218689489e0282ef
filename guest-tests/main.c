/* SPDX-License-Identifier: MIT */
/*
 * The embedded guest in ring 3: reads what the VMM handed over (PVH start_info), fills in the mailbox, brings up the other
 * processors, runs the workload and ends the machine. A VMM that holds vCPUs at the doorbell DONE never sees that end.
 */
#include "guest.h"

#define START_INFO_MAGIC 0x336ec578
#define MEMMAP_RAM 1
#define N_EXCEPTIONS 32
#define EXCEPTIONS_WITH_CODE 0x60227d00u /* 8, 10 to 14, 17, 21, 29, 30 */
#define INTERRUPT_GATE 0x8e00
#define GATE_FOR_RING3 0x6000
#define BREAKPOINT 3

/* Xen's public ABI, start_info version 1 */
struct start_info {
    uint32_t magic;
    uint32_t version;
    uint32_t flags;
    uint32_t n_modules;
    uint64_t modules_gpa;
    uint64_t command_line_gpa;
    uint64_t rsdp_gpa;
    uint64_t memmap_gpa;
    uint32_t memmap_entries;
    uint32_t reserved;
};

struct memmap_entry {
    uint64_t gpa;
    uint64_t size;
    uint32_t type;
    uint32_t reserved;
};

struct idt_gate {
    uint16_t offset_low;
    uint16_t selector;
    uint16_t flags;
    uint16_t offset_middle;
    uint32_t offset_high;
    uint32_t reserved;
};

_Static_assert(ABI_MAILBOX_GPA + __builtin_offsetof(struct abi_mailbox, error) == 0x200008, "start.S's MAILBOX_ERROR");
_Static_assert(ABI_STACK_GPA(1) == 0x301000, "start.S's first stack");
_Static_assert(ABI_PAGE_TABLES_GPA == GUEST_PAGE_TABLES_GPA && ABI_ARENA_GPA == GUEST_PAGE_TABLES_END, "the page tables' place");
_Static_assert(ABI_RING0_STACK_GPA + ABI_PAGE_SIZE == GUEST_RING0_STACK_END, "the ring-0 stack");

static struct guest_options options;
static struct abi_arena arena;
static volatile uint32_t workload_ready;
static uint32_t others_finished; /* processors but the first that have done and told their last pass */

/* gcc makes calls of these whatever it is told */
void *memset(void *to, int value, __SIZE_TYPE__ size);
void *memcpy(void *restrict to, const void *restrict from, __SIZE_TYPE__ size);

void *
memset(void *to, int value, __SIZE_TYPE__ size)
{
    void *result = to;
    __asm__ volatile("rep stosb" : "+D"(to), "+c"(size) : "a"(value) : "memory");
    return result;
}

void *
memcpy(void *restrict to, const void *restrict from, __SIZE_TYPE__ size)
{
    void *result = to;
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size) : : "memory");
    return result;
}

void
end_machine(void)
{
    out8(0x64, 0xfe); /* the keyboard controller's reset line */
    for (uint64_t start = read_tsc(); read_tsc() - start < UINT64_C(1) << 26;)
        spin_hint();
    out8(0xcf9, 0x06); /* the chipset's */
    for (uint64_t start = read_tsc(); read_tsc() - start < UINT64_C(1) << 26;)
        spin_hint();
    memset((void *)(uintptr_t)GUEST_IDT_GPA, 0, ABI_PAGE_SIZE); /* neither: an exception without a handler, a triple fault */
    __asm__ volatile("ud2");
    __builtin_unreachable();
}

void
panic(uint64_t error)
{
    static const char *const reasons[] = {"", "command line", "memory", "processors", "exception"};

    mailbox()->magic = ABI_MAILBOX_MAGIC;
    mailbox()->error = error;
    doorbell(ABI_DOORBELL_PANIC);
    console_line(
        (const struct console_item[]){{"panic:", 0, 0}, {reasons[error], mailbox()->error_rip, error == ABI_ERROR_EXCEPTION}}, 2);
    end_machine();
}

void
exception_in_ring3(uint64_t rip)
{
    mailbox()->error_rip = rip;
    panic(ABI_ERROR_EXCEPTION);
}

static void
set_gate(uint32_t vector, uintptr_t handler, uint16_t flags)
{
    struct idt_gate *idt = (struct idt_gate *)(uintptr_t)GUEST_IDT_GPA;

    idt[vector] = (struct idt_gate){.offset_low = (uint16_t)handler,
                                    .selector = GUEST_SELECTOR_CODE64,
                                    .flags = flags,
                                    .offset_middle = (uint16_t)(handler >> 16)};
}

static void
fill_idt(void)
{
    for (uint32_t vector = 0; vector < N_EXCEPTIONS; vector++)
        set_gate(vector, (uintptr_t)(EXCEPTIONS_WITH_CODE >> vector & 1 ? exception_with_code : exception_without_code),
                 INTERRUPT_GATE);
    set_gate(BREAKPOINT, (uintptr_t)ring0_stores, INTERRUPT_GATE | GATE_FOR_RING3);
}

/* Page directories after the static ones, accessed and dirty from the start like those. 0: there is no room for that much RAM. */
static int
map_up_to(uint64_t end)
{
    uint64_t *pdpt = (uint64_t *)(uintptr_t)(GUEST_PAGE_TABLES_GPA + 0x1000);

    for (uint64_t gigabyte = GUEST_STATIC_DIRECTORIES; gigabyte << 30 < end; gigabyte++) {
        uint64_t directory_gpa = GUEST_PAGE_TABLES_GPA + 0x2000 + ABI_PAGE_SIZE * gigabyte;
        uint64_t *directory = (uint64_t *)(uintptr_t)directory_gpa;
        if (gigabyte >= 512 || directory_gpa + ABI_PAGE_SIZE > GUEST_PAGE_TABLES_END)
            return 0;
        for (uint64_t i = 0; i < 512; i++)
            directory[i] = (gigabyte << 30) + (i << 21) + 0xe7;
        *(volatile uint64_t *)&pdpt[gigabyte] = directory_gpa + 0x27;
    }
    return 1;
}

static int
read_memory_map(const struct start_info *info)
{
    const struct memmap_entry *entries = (const struct memmap_entry *)(uintptr_t)info->memmap_gpa;
    uint64_t end = 0;

    if (info->magic != START_INFO_MAGIC || info->version < 1)
        return 0;
    for (uint32_t i = 0; i < info->memmap_entries; i++) {
        if (entries[i].type != MEMMAP_RAM || entries[i].gpa + entries[i].size < entries[i].gpa)
            continue;
        if (arena.n_ranges == ABI_MAX_RANGES)
            return 0;
        abi_arena_add(&arena, entries[i].gpa, entries[i].size);
        end = entries[i].gpa + entries[i].size;
    }
    return arena.n_ranges && map_up_to(end);
}

static void
set_up(const struct start_info *info)
{
    volatile struct abi_mailbox *box = mailbox();

    fill_idt();
    box->error = ABI_OK;
    box->error_rip = 0;
    if (!read_memory_map(info))
        panic(ABI_ERROR_MEMORY);
    const char *text = info->command_line_gpa ? (const char *)(uintptr_t)info->command_line_gpa : "";
    if (!parse_command_line(text, abi_arena_pages(&arena), &options))
        panic(ABI_ERROR_COMMAND_LINE);
    for (uint32_t vcpu = 0; vcpu < options.workload.vcpus; vcpu++)
        memset((void *)(uintptr_t)ABI_VCPU_GPA(vcpu), 0, 2 * ABI_PAGE_SIZE);
    memcpy((void *)&box->workload, &options.workload, sizeof options.workload);
    memcpy((void *)&box->arena, &arena, sizeof arena);
    box->magic = ABI_MAILBOX_MAGIC;
    if (!start_processors(options.workload.vcpus))
        panic(ABI_ERROR_VCPUS);
    if (!options.quiet)
        console_line((const struct console_item[]){{"ready", 0, 0}}, 1);
}

/* vCPU 0 tells the end of all. */
static void
tell_done(void)
{
    uint64_t writes = 0;

    while (__atomic_load_n(&others_finished, __ATOMIC_ACQUIRE) != options.workload.vcpus - 1)
        spin_hint();
    for (uint32_t vcpu = 0; vcpu < options.workload.vcpus; vcpu++)
        writes += ((volatile struct abi_vcpu *)(uintptr_t)ABI_VCPU_GPA(vcpu))->position;
    if (!options.quiet)
        console_line((const struct console_item[]){{"done, writes", writes, 1}}, 1);
}

/*
 * What the processor reads by itself at the first exception is read here, before any log is on: a read fault may install a writable entry,
 * which KVM then reports.
 */
static void
touch_tables(void)
{
    (void)*(const volatile uint8_t *)(uintptr_t)GUEST_TSS_GPA;
    (void)*(const volatile uint8_t *)(uintptr_t)GUEST_IDT_GPA;
    (void)*(const volatile uint8_t *)(uintptr_t)GUEST_GDT_GPA;
}

void
guest_main(uint32_t vcpu, uint32_t start_info_gpa)
{
    if (vcpu) {
        processor_is_up(vcpu);
        while (!workload_ready)
            spin_hint();
    } else {
        set_up((const struct start_info *)(uintptr_t)start_info_gpa);
        workload_ready = 1;
    }
    touch_tables();
    run_passes(&options, &arena, vcpu);
    if (vcpu)
        __atomic_fetch_add(&others_finished, 1, __ATOMIC_RELEASE);
    else
        tell_done();
    doorbell(ABI_DOORBELL_DONE);
    if (!vcpu)
        end_machine();
    for (;;)
        spin_hint();
}
