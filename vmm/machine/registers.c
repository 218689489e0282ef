/* SPDX-License-Identifier: MIT */
/* System calls: ioctl(KVM_TRANSLATE). */
#include <machine/registers.h>
#include <machine/vcpu.h>
#include <sys/ioctl.h>

#define HEX64 "%016" G_GINT64_MODIFIER "x"

#define PAGE_BYTES 4096
#define CODE_BYTES 64
#define STACK_BYTES 1024
#define BYTES_IN_LINE 64

typedef struct {
    const char *name;
    guint64 value;
} Named;

static void
print_values(const Named *values, guint n, GString *text)
{
    for (guint i = 0; i < n; i++)
        g_string_append_printf(text, "%s%-6s " HEX64, i % 4 ? "  " : "\n  ", values[i].name, values[i].value);
}

static void
print_segment(const char *name, const struct kvm_segment *segment, GString *text)
{
    g_string_append_printf(text, "\n  %-6s %04x base " HEX64 " limit %08x type %x dpl %u %s%s%s%s", name, segment->selector,
                           (guint64)segment->base, segment->limit, segment->type, segment->dpl, segment->present ? "p" : "-",
                           segment->s ? "s" : "-", segment->l ? "l" : "-", segment->db ? "d" : "-");
}

/* What lies at a linear address, as far as its page reaches; nothing where none is mapped. */
static void
print_memory(Machine *machine, guint vcpu, const char *name, guint64 address, gsize size, GString *text)
{
    struct kvm_translation translation = {.linear_address = address};
    guint8 bytes[STACK_BYTES];
    gsize in_page = PAGE_BYTES - address % PAGE_BYTES;

    size = MIN(MIN(size, sizeof bytes), in_page);
    g_string_append_printf(text, "\n  %-6s", name);
    if (ioctl(vcpu_fd(machine, vcpu), KVM_TRANSLATE, &translation) < 0 || !translation.valid ||
        !guest_ram_load(machine_ram(machine), translation.physical_address, bytes, size)) {
        g_string_append(text, " not in RAM");
        return;
    }
    for (gsize i = 0; i < size; i++)
        g_string_append_printf(text, "%s%02x", i && i % BYTES_IN_LINE == 0 ? "\n         " : " ", bytes[i]);
}

void
registers_print(Machine *machine, guint vcpu, GString *text)
{
    struct kvm_regs regs;
    struct kvm_sregs sregs;
    g_autoptr(GError) error = NULL;

    g_string_append_printf(text, "vCPU %u:", vcpu);
    if (!vcpu_get_regs(machine, vcpu, &regs, &sregs, &error)) {
        g_string_append_printf(text, " %s\n", error->message);
        return;
    }
    const Named values[] = {
        {"rip", regs.rip},       {"rflags", regs.rflags}, {"rsp", regs.rsp},  {"rbp", regs.rbp},    {"rax", regs.rax},
        {"rbx", regs.rbx},       {"rcx", regs.rcx},       {"rdx", regs.rdx},  {"rsi", regs.rsi},    {"rdi", regs.rdi},
        {"r8", regs.r8},         {"r9", regs.r9},         {"r10", regs.r10},  {"r11", regs.r11},    {"r12", regs.r12},
        {"r13", regs.r13},       {"r14", regs.r14},       {"r15", regs.r15},  {"cr0", sregs.cr0},   {"cr2", sregs.cr2},
        {"cr3", sregs.cr3},      {"cr4", sregs.cr4},      {"cr8", sregs.cr8}, {"efer", sregs.efer}, {"apic", sregs.apic_base},
        {"gdt", sregs.gdt.base}, {"idt", sregs.idt.base},
    };
    print_values(values, G_N_ELEMENTS(values), text);
    print_segment("cs", &sregs.cs, text);
    print_segment("ss", &sregs.ss, text);
    print_segment("ds", &sregs.ds, text);
    print_segment("tr", &sregs.tr, text);
    print_memory(machine, vcpu, "at rip", regs.rip, CODE_BYTES, text);
    print_memory(machine, vcpu, "at rsp", regs.rsp, STACK_BYTES, text);
    g_string_append_c(text, '\n');
}
