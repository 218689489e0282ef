/* SPDX-License-Identifier: MIT */
#include <machine/error.h>
#include <machine/pvh.h>
#include <machine/vcpu.h>

#define XEN_ELFNOTE_PHYS32_ENTRY 18

#define START_INFO_MAGIC 0x336ec578
#define START_INFO_VERSION 1
#define INITRD_LAST UINT64_C(0x7fffffff) /* as Linux's own header says of every x86 kernel */

#define CR0_PE_ET 0x11

typedef struct {
    guint32 magic;
    guint32 version;
    guint32 flags;
    guint32 n_modules;
    guint64 modules_gpa;
    guint64 command_line_gpa;
    guint64 rsdp_gpa;
    guint64 memmap_gpa;
    guint32 memmap_entries;
    guint32 reserved;
} StartInfo;

typedef struct {
    guint64 gpa;
    guint64 size;
    guint64 command_line_gpa;
    guint64 reserved;
} Module;

typedef struct {
    guint64 gpa;
    guint64 size;
    guint32 type;
    guint32 reserved;
} MemmapEntry;

G_STATIC_ASSERT(sizeof(StartInfo) == 56 && sizeof(Module) == 32 && sizeof(MemmapEntry) == 24);

static gboolean
find_entry(const ElfImage *elf, guint32 *entry)
{
    return elf_image_find_note(elf, "Xen", XEN_ELFNOTE_PHYS32_ENTRY, entry, sizeof *entry);
}

gboolean
pvh_has_entry(const ElfImage *elf)
{
    guint32 entry;

    return find_entry(elf, &entry);
}

static gboolean
store_start_info(GuestRam *ram, const BootSource *source, guint64 initrd, GError **error)
{
    BootMemory map[BOOT_MEMORY_MAX];
    MemmapEntry memmap[BOOT_MEMORY_MAX] = {0};
    guint n = boot_memory_map(ram, map);
    Module module = {.gpa = initrd, .size = source->initrd_size};
    StartInfo info = {.magic = START_INFO_MAGIC,
                      .version = START_INFO_VERSION,
                      .n_modules = initrd ? 1 : 0,
                      .modules_gpa = initrd ? PVH_MODULES_GPA : 0,
                      .command_line_gpa = PVH_COMMAND_LINE_GPA,
                      .rsdp_gpa = source->rsdp_gpa,
                      .memmap_gpa = PVH_MEMMAP_GPA,
                      .memmap_entries = n};

    for (guint i = 0; i < n; i++)
        memmap[i] = (MemmapEntry){.gpa = map[i].gpa, .size = map[i].size, .type = map[i].type};
    if (guest_ram_store(ram, PVH_START_INFO_GPA, &info, sizeof info) &&
        guest_ram_store(ram, PVH_MEMMAP_GPA, memmap, n * sizeof *memmap) &&
        (!initrd || guest_ram_store(ram, PVH_MODULES_GPA, &module, sizeof module)))
        return TRUE;
    g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_RESOURCE, "the guest has no RAM for start_info: give it more memory");
    return FALSE;
}

gboolean
pvh_load(GuestRam *ram, const ElfImage *elf, const BootSource *source, guint64 *entry, GError **error)
{
    guint32 noted;
    guint64 end, initrd;

    if (!find_entry(elf, &noted))
        return image_refuse(error, "it has no XEN_ELFNOTE_PHYS32_ENTRY note (Linux: build with CONFIG_PVH=y)");
    if (!elf_image_loads(elf, noted))
        return image_refuse(error, "its entry point lies in none of its segments");
    *entry = noted;
    return elf_image_load(elf, ram, PVH_KERNEL_MIN_GPA, &end, error) &&
           boot_place_initrd(ram, source, MAX(end, BOOT_HIGH_MEMORY), INITRD_LAST, &initrd, error) &&
           store_start_info(ram, source, initrd, error) &&
           boot_store_command_line(ram, source, PVH_COMMAND_LINE_GPA, PVH_COMMAND_LINE_MAX, error);
}

gboolean
pvh_start_vcpu(Machine *machine, guint32 entry, GError **error)
{
    struct kvm_regs regs = {.rip = entry, .rbx = PVH_START_INFO_GPA, .rflags = 2};
    struct kvm_sregs sregs;
    struct kvm_segment code = {.limit = 0xffffffff, .selector = 0x08, .type = 0xb, .present = 1, .s = 1, .db = 1, .g = 1};
    struct kvm_segment data = {.limit = 0xffffffff, .selector = 0x10, .type = 0x3, .present = 1, .s = 1, .db = 1, .g = 1};
    struct kvm_segment task = {.limit = 0x67, .selector = 0x18, .type = 0xb, .present = 1};

    if (!vcpu_get_regs(machine, 0, NULL, &sregs, error))
        return FALSE;
    sregs.cs = code;
    sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
    sregs.tr = task;
    sregs.cr0 = CR0_PE_ET;
    sregs.cr4 = 0;
    sregs.efer = 0;
    return vcpu_set_regs(machine, 0, &regs, &sregs, error);
}
