/* SPDX-License-Identifier: MIT */
/* System calls: getrandom. */
#include <machine/linux64.h>
#include <machine/vcpu.h>
#include <stddef.h>
#include <sys/random.h>

#define BOOT_FLAG 0xaa55
#define HEADER_MAGIC 0x53726448 /* "HdrS" */
#define LOADER_UNDEFINED 0xff
#define ELF_VERSION 0x20f
#define ELF_COMMAND_LINE_MAX 2047 /* Linux's COMMAND_LINE_SIZE on x86, less the 0 */
#define ELF_INITRD_LAST 0x7fffffffu
#define SEED_BYTES 32

#define MAPPED (UINT64_C(4) << 30)
#define LARGE_PAGE (UINT64_C(2) << 20)
#define TABLE_ENTRIES 512
#define PAGE_DIRECTORIES (MAPPED / LARGE_PAGE / TABLE_ENTRIES)
#define PTE_PRESENT_WRITE 0x3u
#define PTE_LARGE 0x80u

#define SELECTOR_CODE 0x10 /* __BOOT_CS and __BOOT_DS of the protocol */
#define SELECTOR_DATA 0x18
#define SELECTOR_TASK 0x20
#define CR0_PG_ET_PE 0x80000011
#define CR4_PAE 0x20
#define EFER_LME_LMA 0x500

G_STATIC_ASSERT(sizeof(struct boot_params) == 4096);

/* --- what is handed over --- */

/* The kernel mixes it into its random number generator and wipes it. Without it an early boot waits for entropy. */
static gboolean
store_seed(GuestRam *ram)
{
    struct setup_data head = {.type = SETUP_RNG_SEED, .len = SEED_BYTES};
    guint8 seed[SEED_BYTES];

    if (getrandom(seed, sizeof seed, GRND_NONBLOCK) != (gssize)sizeof seed)
        head = (struct setup_data){.type = SETUP_NONE};
    return guest_ram_store(ram, LINUX64_SETUP_DATA_GPA, &head, sizeof head) &&
           (!head.len || guest_ram_store(ram, LINUX64_SETUP_DATA_GPA + sizeof head, seed, sizeof seed));
}

static gboolean
store_page_tables(GuestRam *ram)
{
    guint64 table[TABLE_ENTRIES] = {0};
    const guint64 directories = LINUX64_PAGE_TABLES_GPA + 2 * BOOT_PAGE_SIZE;

    table[0] = (LINUX64_PAGE_TABLES_GPA + BOOT_PAGE_SIZE) | PTE_PRESENT_WRITE;
    if (!guest_ram_store(ram, LINUX64_PAGE_TABLES_GPA, table, sizeof table))
        return FALSE;
    for (guint i = 0; i < PAGE_DIRECTORIES; i++)
        table[i] = (directories + i * BOOT_PAGE_SIZE) | PTE_PRESENT_WRITE;
    if (!guest_ram_store(ram, LINUX64_PAGE_TABLES_GPA + BOOT_PAGE_SIZE, table, sizeof table))
        return FALSE;
    for (guint i = 0; i < PAGE_DIRECTORIES; i++) {
        for (guint j = 0; j < TABLE_ENTRIES; j++)
            table[j] = ((guint64)i * TABLE_ENTRIES + j) * LARGE_PAGE | PTE_LARGE | PTE_PRESENT_WRITE;
        if (!guest_ram_store(ram, directories + i * BOOT_PAGE_SIZE, table, sizeof table))
            return FALSE;
    }
    return TRUE;
}

static const guint64 gdt[] = {
    0, 0, UINT64_C(0x00af9b000000ffff), UINT64_C(0x00cf93000000ffff), UINT64_C(0x00008b0000000067), 0,
};

static gboolean
store_boot_params(GuestRam *ram, const BootSource *source, const struct setup_header *header, guint64 initrd)
{
    struct boot_params params = {.hdr = *header, .acpi_rsdp_addr = source->rsdp_gpa};
    BootMemory map[BOOT_MEMORY_MAX];
    guint n = boot_memory_map(ram, map);

    params.hdr.type_of_loader = LOADER_UNDEFINED;
    params.hdr.ramdisk_image = (guint32)initrd;
    params.hdr.ramdisk_size = initrd ? (guint32)source->initrd_size : 0;
    params.hdr.cmd_line_ptr = (guint32)LINUX64_COMMAND_LINE_GPA;
    params.hdr.setup_data = LINUX64_SETUP_DATA_GPA;
    params.e820_entries = (guint8)n;
    for (guint i = 0; i < n; i++)
        params.e820_table[i] = (struct boot_e820_entry){.addr = map[i].gpa, .size = map[i].size, .type = map[i].type};
    return guest_ram_store(ram, LINUX64_BOOT_PARAMS_GPA, &params, sizeof params);
}

gboolean
linux64_hand_over(GuestRam *ram, const BootSource *source, const struct setup_header *header, guint64 kernel_end, GError **error)
{
    guint64 initrd;

    if (!boot_place_initrd(ram, source, kernel_end, header->initrd_addr_max, &initrd, error) ||
        !boot_store_command_line(ram, source, LINUX64_COMMAND_LINE_GPA, MIN(header->cmdline_size, LINUX64_COMMAND_LINE_MAX),
                                 error))
        return FALSE;
    if (store_seed(ram) && store_page_tables(ram) && guest_ram_store(ram, LINUX64_GDT_GPA, gdt, sizeof gdt) &&
        store_boot_params(ram, source, header, initrd))
        return TRUE;
    g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_RESOURCE, "the guest has no RAM for boot_params: give it more memory");
    return FALSE;
}

gboolean
linux64_load_elf(GuestRam *ram, const ElfImage *elf, const BootSource *source, guint64 *entry, GError **error)
{
    const struct setup_header header = {.boot_flag = BOOT_FLAG,
                                        .header = HEADER_MAGIC,
                                        .version = ELF_VERSION,
                                        .loadflags = LOADED_HIGH,
                                        .initrd_addr_max = ELF_INITRD_LAST,
                                        .cmdline_size = ELF_COMMAND_LINE_MAX};
    guint64 end;

    if (!elf->wide)
        return image_refuse(error, "it is a 32-bit kernel without a PVH entry: a 64-bit one is needed");
    if (elf->entry >= MAPPED || !elf_image_loads(elf, elf->entry))
        return image_refuse(error, "its entry point lies in none of its segments below 4 GiB");
    *entry = elf->entry;
    return elf_image_load(elf, ram, BOOT_HIGH_MEMORY, &end, error) && linux64_hand_over(ram, source, &header, end, error);
}

/* --- the vCPU --- */

gboolean
linux64_start_vcpu(Machine *machine, guint64 entry, GError **error)
{
    struct kvm_regs regs = {.rip = entry, .rsi = LINUX64_BOOT_PARAMS_GPA, .rflags = 2};
    struct kvm_sregs sregs;
    struct kvm_segment code = {.limit = 0xffffffff, .selector = SELECTOR_CODE, .type = 0xb, .present = 1, .s = 1, .l = 1, .g = 1};
    struct kvm_segment data = {
        .limit = 0xffffffff, .selector = SELECTOR_DATA, .type = 0x3, .present = 1, .s = 1, .db = 1, .g = 1};
    struct kvm_segment task = {.limit = 0x67, .selector = SELECTOR_TASK, .type = 0xb, .present = 1};

    if (!vcpu_get_regs(machine, 0, NULL, &sregs, error))
        return FALSE;
    sregs.cs = code;
    sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
    sregs.tr = task;
    sregs.gdt = (struct kvm_dtable){.base = LINUX64_GDT_GPA, .limit = sizeof gdt - 1};
    sregs.idt = (struct kvm_dtable){0};
    sregs.cr3 = LINUX64_PAGE_TABLES_GPA;
    sregs.cr4 = CR4_PAE;
    sregs.efer = EFER_LME_LMA;
    sregs.cr0 = CR0_PG_ET_PE;
    return vcpu_set_regs(machine, 0, &regs, &sregs, error);
}
