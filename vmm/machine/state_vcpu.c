/* SPDX-License-Identifier: MIT */
/*
 * Saved state of one vCPU. docs/saved-state.md has the layout.
 *
 * The order matters on both sides, because reading and writing have effects (arch/x86/kvm/x86.c):
 *
 *   reading   KVM_GET_MP_STATE lets a pending INIT or SIPI take effect, so it comes first; KVM_GET_VCPU_EVENTS may fold the payload
 *             of a pending exception into CR2 or DR6, so it comes before registers.
 *   writing   the system registers (they hold the APIC base and EFER, which others are checked against) before registers and
 *             MSRs; XCR0 before what XSAVE has by it; the TSC and the local APIC before the deadline among the MSRs; events when all
 *             that they interrupt is there; MP state at the end.
 *
 * CPUID is set when the vCPU is made, and both sides compare it before any state moves.
 *
 * System calls: ioctl.
 */
#include <errno.h>
#include <machine/error.h>
#include <machine/kvm.h>
#include <machine/state.h>
#include <sys/ioctl.h>

#define XSAVE_MIN_BYTES 4096
#define XSAVE_MAX_BYTES 32768
#define NESTED_BYTES 16384
#define NO_VMXON (~UINT64_C(0))

/** VcpuImage: all of a vCPU. @xsave: @xsave_bytes, at least the XSAVE_MIN_BYTES that there always are; @msrs: of struct kvm_msr_entry */
typedef struct {
    struct kvm_mp_state mp_state;
    struct kvm_vcpu_events events;
    struct kvm_regs regs;
    struct kvm_sregs2 sregs;
    struct kvm_debugregs debugregs;
    struct kvm_xcrs xcrs;
    struct kvm_lapic_state lapic;
    guint64 tsc_offset;
    guint32 xsave_bytes;
    guint8 *xsave;
    GArray *msrs;
} VcpuImage;

static void
image_clear(VcpuImage *image)
{
    g_clear_pointer(&image->xsave, g_free);
    g_clear_pointer(&image->msrs, g_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VcpuImage, image_clear)

/* The ioctls whose argument is one structure, in the order of reading and in that of writing. */
#define WITH_NAME(request) request, #request

typedef struct {
    unsigned long request;
    const char *name;
    gpointer argument;
} Step;

static gboolean
do_steps(int fd, const Step *steps, guint n, GError **error)
{
    for (guint i = 0; i < n; i++) {
        if (ioctl(fd, steps[i].request, steps[i].argument) < 0) {
            machine_set_errno_error(error, steps[i].name);
            return FALSE;
        }
    }
    return TRUE;
}

static struct kvm_device_attr
tsc_attribute(guint64 *offset)
{
    return (struct kvm_device_attr){.group = KVM_VCPU_TSC_CTRL, .attr = KVM_VCPU_TSC_OFFSET, .addr = (guintptr)offset};
}

/* What KVM_SET_XSAVE reads and KVM_GET_XSAVE2 writes here. */
static guint32
xsave_size(const Machine *machine)
{
    return (guint32)MAX(kvm_capability(machine->vm_fd, KVM_CAP_XSAVE2), XSAVE_MIN_BYTES);
}

/* --- saving --- */

/* A guest that runs guests of its own right now has state that dirtylab does not carry. */
static gboolean
check_not_nested(const Vcpu *vcpu, GError **error)
{
    g_autofree struct kvm_nested_state *nested = g_malloc0(NESTED_BYTES);

    nested->size = NESTED_BYTES;
    if (!kvm_capability(vcpu->machine->vm_fd, KVM_CAP_NESTED_STATE) || ioctl(vcpu->fd, KVM_GET_NESTED_STATE, nested) < 0)
        return TRUE; /* then there are no guests in guests */
    gboolean vmx_on = nested->format == KVM_STATE_NESTED_FORMAT_VMX && nested->hdr.vmx.vmxon_pa != NO_VMXON;
    gboolean gif_clear = nested->format == KVM_STATE_NESTED_FORMAT_SVM && !(nested->flags & KVM_STATE_NESTED_GIF_SET);
    if (!vmx_on && !gif_clear && !(nested->flags & (KVM_STATE_NESTED_GUEST_MODE | KVM_STATE_NESTED_RUN_PENDING)))
        return TRUE;
    g_set_error_literal(error, MACHINE_ERROR, MACHINE_ERROR_UNSUPPORTED,
                        "the guest runs guests of its own, whose state dirtylab cannot save: end them first");
    return FALSE;
}

static gboolean
read_image(const Vcpu *vcpu, VcpuImage *image, GError **error)
{
    struct kvm_device_attr tsc = tsc_attribute(&image->tsc_offset);

    image->xsave_bytes = xsave_size(vcpu->machine);
    image->xsave = g_malloc0(image->xsave_bytes);
    image->msrs = g_array_new(FALSE, FALSE, sizeof(struct kvm_msr_entry));
    const Step steps[] = {
        {WITH_NAME(KVM_GET_MP_STATE), &image->mp_state},
        {WITH_NAME(KVM_GET_VCPU_EVENTS), &image->events},
        {WITH_NAME(KVM_GET_REGS), &image->regs},
        {WITH_NAME(KVM_GET_SREGS2), &image->sregs},
        {WITH_NAME(KVM_GET_DEBUGREGS), &image->debugregs},
        {WITH_NAME(KVM_GET_XCRS), &image->xcrs},
        {WITH_NAME(KVM_GET_XSAVE2), image->xsave},
        {WITH_NAME(KVM_GET_LAPIC), &image->lapic},
        {WITH_NAME(KVM_GET_DEVICE_ATTR), &tsc},
    };
    return do_steps(vcpu->fd, steps, G_N_ELEMENTS(steps), error) && state_msrs_save(vcpu, image->msrs, error);
}

gboolean
state_vcpu_save(gpointer user, GByteArray *out, GError **error)
{
    const VcpuSection *section = user;
    g_auto(VcpuImage) image = {0};

    if (!check_not_nested(section->vcpu, error) || !read_image(section->vcpu, &image, error))
        return FALSE;
    state_put(out, &image.mp_state, sizeof image.mp_state);
    state_put(out, &image.events, sizeof image.events);
    state_put(out, &image.regs, sizeof image.regs);
    state_put(out, &image.sregs, sizeof image.sregs);
    state_put(out, &image.debugregs, sizeof image.debugregs);
    state_put(out, &image.xcrs, sizeof image.xcrs);
    state_put(out, &image.lapic, sizeof image.lapic);
    wire_put_u64(out, image.tsc_offset);
    state_put(out, image.xsave, image.xsave_bytes);
    wire_put_u32(out, image.msrs->len);
    for (guint i = 0; i < image.msrs->len; i++) {
        const struct kvm_msr_entry *entry = &g_array_index(image.msrs, struct kvm_msr_entry, i);
        wire_put_u32(out, entry->index);
        wire_put_u64(out, entry->data);
    }
    return TRUE;
}

/* --- loading --- */

/* What a host with a smaller XSAVE area lacks would be lost. */
static gboolean
parse_xsave(VcpuImage *image, WireReader *reader, guint32 here, GError **error)
{
    guint32 there = wire_get_u32(reader);

    if (there < XSAVE_MIN_BYTES || there > XSAVE_MAX_BYTES) {
        state_set_cut_error(error);
        return FALSE;
    }
    if (there > here) {
        g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_INVALID,
                    "the vCPU has %u bytes of XSAVE state, and a guest of this host %u", there, here);
        return FALSE;
    }
    image->xsave_bytes = here;
    image->xsave = g_malloc0(here);
    wire_get_bytes(reader, image->xsave, there);
    return TRUE;
}

static gboolean
parse_msrs(VcpuImage *image, WireReader *reader, GError **error)
{
    guint32 n = wire_get_u32(reader);

    image->msrs = g_array_new(FALSE, FALSE, sizeof(struct kvm_msr_entry));
    for (guint i = 0; i < MIN(n, STATE_MAX_MSRS); i++) {
        struct kvm_msr_entry entry = {.index = wire_get_u32(reader)};
        entry.data = wire_get_u64(reader);
        g_array_append_val(image->msrs, entry);
    }
    if (n <= STATE_MAX_MSRS && wire_reader_finish(reader))
        return TRUE;
    state_set_cut_error(error);
    return FALSE;
}

static gboolean
parse_image(VcpuImage *image, WireReader *reader, const Machine *machine, GError **error)
{
    gboolean whole =
        state_get(reader, &image->mp_state, sizeof image->mp_state) && state_get(reader, &image->events, sizeof image->events) &&
        state_get(reader, &image->regs, sizeof image->regs) && state_get(reader, &image->sregs, sizeof image->sregs) &&
        state_get(reader, &image->debugregs, sizeof image->debugregs) && state_get(reader, &image->xcrs, sizeof image->xcrs) &&
        state_get(reader, &image->lapic, sizeof image->lapic);

    image->tsc_offset = wire_get_u64(reader);
    if (whole && !reader->overrun)
        return parse_xsave(image, reader, xsave_size(machine), error) && parse_msrs(image, reader, error);
    state_set_cut_error(error);
    return FALSE;
}

static gboolean
write_image(const Vcpu *vcpu, VcpuImage *image, GError **error)
{
    guint64 offset = image->tsc_offset + (guint64)vcpu->machine->state_sections->time.tsc_shift;
    struct kvm_device_attr tsc = tsc_attribute(&offset);
    const Step first[] = {
        {WITH_NAME(KVM_SET_SREGS2), &image->sregs},        {WITH_NAME(KVM_SET_REGS), &image->regs},
        {WITH_NAME(KVM_SET_DEBUGREGS), &image->debugregs}, {WITH_NAME(KVM_SET_XCRS), &image->xcrs},
        {WITH_NAME(KVM_SET_XSAVE), image->xsave},          {WITH_NAME(KVM_SET_DEVICE_ATTR), &tsc},
        {WITH_NAME(KVM_SET_LAPIC), &image->lapic},
    };
    const Step last[] = {
        {WITH_NAME(KVM_SET_VCPU_EVENTS), &image->events},
        {WITH_NAME(KVM_SET_MP_STATE), &image->mp_state},
    };

    if (!do_steps(vcpu->fd, first, G_N_ELEMENTS(first), error) ||
        !state_msrs_load(vcpu, (struct kvm_msr_entry *)image->msrs->data, image->msrs->len, error) ||
        !do_steps(vcpu->fd, last, G_N_ELEMENTS(last), error))
        return FALSE;
    /* Tells the guest's watchdogs that it stood still; EINVAL when it has no kvmclock, and that is well too. */
    (void)ioctl(vcpu->fd, KVM_KVMCLOCK_CTRL, 0);
    return TRUE;
}

gboolean
state_vcpu_load(gpointer user, guint32 version G_GNUC_UNUSED, const guint8 *bytes, gsize size, GError **error)
{
    const VcpuSection *section = user;
    const Vcpu *vcpu = section->vcpu;
    WireReader reader = {.bytes = bytes, .left = size};
    g_auto(VcpuImage) image = {0};

    return parse_image(&image, &reader, vcpu->machine, error) &&
           state_msrs_check(vcpu, (struct kvm_msr_entry *)image.msrs->data, image.msrs->len, error) &&
           write_image(vcpu, &image, error);
}
