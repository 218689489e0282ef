/* SPDX-License-Identifier: MIT */
/* Interrupt lines, irqfds, ioeventfds. System calls: ioctl. */
#include <linux/kvm.h>
#include <machine/error.h>
#include <machine/interrupts.h>
#include <machine/private.h>
#include <sys/ioctl.h>

void
machine_set_interrupt(Machine *machine, guint gsi, gboolean level)
{
    struct kvm_irq_level line = {.irq = gsi, .level = level ? 1 : 0};

    g_return_if_fail(gsi < MACHINE_N_GSIS);
    if (ioctl(machine->vm_fd, KVM_IRQ_LINE, &line) < 0)
        g_warning("interrupt line %u cannot be set: %s", gsi, g_strerror(errno));
}

gboolean
machine_bind_interrupt(Machine *machine, guint gsi, int event, GError **error)
{
    struct kvm_irqfd bind = {.fd = (guint32)event, .gsi = gsi};

    if (gsi >= MACHINE_N_GSIS) {
        g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_INVALID, "there is no interrupt line %u", gsi);
        return FALSE;
    }
    if (ioctl(machine->vm_fd, KVM_IRQFD, &bind) == 0)
        return TRUE;
    machine_set_errno_error(error, "KVM_IRQFD");
    return FALSE;
}

gboolean
machine_bind_doorbell(Machine *machine, guint64 gpa, guint size, guint64 match, int event, GError **error)
{
    struct kvm_ioeventfd bind = {
        .datamatch = match, .addr = gpa, .len = size, .fd = event, .flags = KVM_IOEVENTFD_FLAG_DATAMATCH};

    if (ioctl(machine->vm_fd, KVM_IOEVENTFD, &bind) == 0)
        return TRUE;
    machine_set_errno_error(error, "KVM_IOEVENTFD");
    return FALSE;
}
