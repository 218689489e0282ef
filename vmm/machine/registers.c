/* SPDX-License-Identifier: MIT */
#include <machine/registers.h>
#include <machine/vcpu.h>

#define HEX64 "%016" G_GINT64_MODIFIER "x"

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
    g_string_append_c(text, '\n');
}
