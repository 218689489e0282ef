/* SPDX-License-Identifier: MIT */
#include <asm/bootparam.h>
#include <elf.h>
#include <machine/tests/kernels.h>
#include <stddef.h>
#include <string.h>

#define SETUP_BYTES 1024
#define ENTRY_64 0x200
#define XEN_ELFNOTE_PHYS32_ENTRY 18

GByteArray *
kernel_bzimage(const guint8 *code, gsize size, guint64 gpa)
{
    GByteArray *image = g_byte_array_new();
    gsize code_bytes = (ENTRY_64 + size + 15) & ~(gsize)15;
    struct setup_header header = {.setup_sects = SETUP_BYTES / 512 - 1,
                                  .syssize = (guint32)(code_bytes / 16),
                                  .boot_flag = 0xaa55,
                                  .jump = 0x66eb, /* the header ends 0x66 bytes behind its magic */
                                  .header = 0x53726448,
                                  .version = 0x20f,
                                  .loadflags = LOADED_HIGH,
                                  .initrd_addr_max = 0x7fffffff,
                                  .kernel_alignment = 0x200000,
                                  .relocatable_kernel = 1,
                                  .xloadflags = XLF_KERNEL_64,
                                  .cmdline_size = 255,
                                  .pref_address = gpa,
                                  .init_size = KERNEL_INIT_BYTES};

    g_byte_array_set_size(image, (guint)(SETUP_BYTES + code_bytes));
    memset(image->data, 0, image->len);
    memcpy(image->data + offsetof(struct boot_params, hdr), &header, sizeof header);
    memcpy(image->data + SETUP_BYTES + ENTRY_64, code, size);
    return image;
}

GByteArray *
kernel_elf(const guint8 *code, gsize size, guint64 gpa, gboolean pvh)
{
    struct {
        Elf64_Ehdr elf;
        Elf64_Phdr load, note;
        Elf64_Nhdr note_head;
        char owner[4];
        guint32 entry;
    } head = {
        .elf = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
                .e_type = ET_EXEC,
                .e_machine = EM_X86_64,
                .e_version = EV_CURRENT,
                .e_entry = gpa,
                .e_phoff = sizeof(Elf64_Ehdr),
                .e_ehsize = sizeof(Elf64_Ehdr),
                .e_phentsize = sizeof(Elf64_Phdr),
                .e_phnum = pvh ? 2 : 1},
        .load = {.p_type = PT_LOAD, .p_offset = sizeof head, .p_paddr = gpa, .p_filesz = size, .p_memsz = 2 * size},
        .note = {.p_type = PT_NOTE, .p_offset = 64 + 2 * sizeof(Elf64_Phdr), .p_filesz = sizeof(Elf64_Nhdr) + 8, .p_align = 4},
        .note_head = {.n_namesz = 4, .n_descsz = 4, .n_type = XEN_ELFNOTE_PHYS32_ENTRY},
        .owner = "Xen",
        .entry = (guint32)gpa};
    GByteArray *image = g_byte_array_new();

    g_byte_array_append(image, (const guint8 *)&head, sizeof head);
    return g_byte_array_append(image, code, (guint)size);
}
