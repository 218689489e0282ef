/* SPDX-License-Identifier: MIT */
/*
 * What KVM_RUN comes back with: accesses go to the bus, a full ring to whoever harvests, and what a guest cannot survive ends
 * the machine.
 */
#include <errno.h>
#include <machine/private.h>
#include <machine/vcpu.h>
#include <string.h>

#define INSTRUCTION_TEXT (3 * 15 + 1)

static void
port_access(Vcpu *vcpu)
{
    const struct kvm_run *run = vcpu->run;
    Machine *machine = vcpu->machine;
    guint size = run->io.size;
    guint64 bytes = (guint64)size * run->io.count;

    if (size > 4 || run->io.data_offset > machine->run_size || bytes > machine->run_size - run->io.data_offset) {
        machine_crash(machine, "KVM reported a port access of vCPU %u outside its shared page", vcpu->index);
        return;
    }
    guint8 *data = (guint8 *)vcpu->run + run->io.data_offset;
    for (guint32 i = 0; i < run->io.count; i++, data += size) {
        guint64 value = 0;
        if (run->io.direction == KVM_EXIT_IO_OUT) {
            memcpy(&value, data, size);
            bus_write(machine->bus, BUS_PIO, vcpu->index, run->io.port, size, value);
        } else {
            bus_read(machine->bus, BUS_PIO, vcpu->index, run->io.port, size, &value);
            memcpy(data, &value, size);
        }
    }
}

static void
memory_access(Vcpu *vcpu)
{
    struct kvm_run *run = vcpu->run;
    guint size = MIN(run->mmio.len, (guint)sizeof run->mmio.data);
    guint64 value = 0;

    if (run->mmio.is_write) {
        memcpy(&value, run->mmio.data, size);
        bus_write(vcpu->machine->bus, BUS_MMIO, vcpu->index, run->mmio.phys_addr, size, value);
    } else {
        bus_read(vcpu->machine->bus, BUS_MMIO, vcpu->index, run->mmio.phys_addr, size, &value);
        memcpy(run->mmio.data, &value, size);
    }
}

static void
ring_full(Vcpu *vcpu)
{
    Machine *machine = vcpu->machine;
    g_autoptr(GError) error = NULL;

    if (!machine->ring_full) {
        machine_crash(machine, "vCPU %u's dirty ring is full and nobody harvests it", vcpu->index);
        return;
    }
    vcpu_park(machine, vcpu->index);
    gboolean harvested = machine->ring_full(machine->ring_full_user, vcpu->index, &error);
    vcpu_unpark(machine, vcpu->index);
    if (!harvested)
        machine_crash(machine, "vCPU %u's dirty ring is full and cannot be harvested: %s", vcpu->index,
                      error ? error->message : "no reason");
}

/* Where the vCPU is, for the reason of a crash: on its own thread. */
static guint64
instruction_pointer(Vcpu *vcpu)
{
    struct kvm_regs regs = {0};

    vcpu_get_regs(vcpu->machine, vcpu->index, &regs, NULL, NULL);
    return regs.rip;
}

static void
internal_error(Vcpu *vcpu)
{
    static const char *const kinds[] = {"", "KVM cannot emulate an instruction", "two exceptions at once",
                                        "an event was lost on delivery", "an exit that KVM does not know"};
    const struct kvm_run *run = vcpu->run;
    guint32 kind = run->internal.suberror;
    char text[INSTRUCTION_TEXT] = "";

    if (kind == KVM_INTERNAL_ERROR_EMULATION && run->internal.ndata >= 4 &&
        run->emulation_failure.flags & KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES) {
        guint n = MIN(run->emulation_failure.insn_size, (guint)sizeof run->emulation_failure.insn_bytes);
        for (guint i = 0; i < n; i++)
            g_snprintf(text + (gsize)3 * i, 4, " %02x", run->emulation_failure.insn_bytes[i]);
    }
    machine_crash(vcpu->machine, "vCPU %u: %s (internal error %u) at rip 0x%" G_GINT64_MODIFIER "x%s%s", vcpu->index,
                  kind < G_N_ELEMENTS(kinds) ? kinds[kind] : "unknown", kind, instruction_pointer(vcpu),
                  *text ? ", instruction" : "", text);
}

static void
system_event(Vcpu *vcpu)
{
    guint32 type = vcpu->run->system_event.type;

    if (type == KVM_SYSTEM_EVENT_SHUTDOWN)
        machine_shut_down(vcpu->machine, MACHINE_POWERED_OFF);
    else if (type == KVM_SYSTEM_EVENT_RESET)
        machine_shut_down(vcpu->machine, MACHINE_RESET);
    else
        machine_crash(vcpu->machine, "vCPU %u asked for system event %u", vcpu->index, type);
}

static void
run_failed(Vcpu *vcpu, int error_number)
{
    /* EAGAIN: a processor that waits for its SIPI was woken for something else */
    if (error_number == EINTR || error_number == EAGAIN)
        return;
    machine_crash(vcpu->machine, "vCPU %u: KVM_RUN failed at rip 0x%" G_GINT64_MODIFIER "x: %s%s", vcpu->index,
                  instruction_pointer(vcpu), g_strerror(error_number),
                  error_number == EFAULT
                      ? " (guest memory that the host cannot provide: no free page, or a userfaultfd in SIGBUS mode)"
                      : "");
}

void
vcpu_handle_exit(Vcpu *vcpu, int result, int error_number)
{
    Machine *machine = vcpu->machine;

    if (result < 0) {
        run_failed(vcpu, error_number);
        return;
    }
    switch (vcpu->run->exit_reason) {
    case KVM_EXIT_IO:
        port_access(vcpu);
        vcpu->needs_completion = TRUE;
        break;
    case KVM_EXIT_MMIO:
        memory_access(vcpu);
        vcpu->needs_completion = TRUE;
        break;
    case KVM_EXIT_DIRTY_RING_FULL:
        ring_full(vcpu);
        break;
    case KVM_EXIT_INTR:
        break;
    case KVM_EXIT_HLT:
        vcpu->halted = TRUE;
        break;
    case KVM_EXIT_SHUTDOWN:
        machine_crash(machine, "triple fault on vCPU %u", vcpu->index);
        break;
    case KVM_EXIT_INTERNAL_ERROR:
        internal_error(vcpu);
        break;
    case KVM_EXIT_FAIL_ENTRY:
        machine_crash(machine, "vCPU %u cannot enter the guest, hardware reason 0x%" G_GINT64_MODIFIER "x", vcpu->index,
                      (guint64)vcpu->run->fail_entry.hardware_entry_failure_reason);
        break;
    case KVM_EXIT_SYSTEM_EVENT:
        system_event(vcpu);
        break;
    default:
        machine_crash(machine, "vCPU %u left the guest for a reason that dirtylab does not know: %u", vcpu->index,
                      vcpu->run->exit_reason);
    }
}
