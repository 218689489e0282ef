/* SPDX-License-Identifier: MIT */
/*
 * Saved state of the VM as a whole: time, interrupt controllers, PIT; and the list of what is registered for the machine itself.
 * docs/saved-state.md has the layouts.
 *
 * Time: "time" holds one moment of the source, as three clocks saw it: its host's TSC, the guest's kvmclock, and for the PIT the
 * host's monotonic clock. Loading it sets the guest's kvmclock to go on from there, and remembers how far the two hosts' TSCs are
 * apart; each vCPU then shifts its TSC offset by that. One shift for all vCPUs: how their TSCs stood to each other stays exact to
 * the cycle. The guest's clocks thus stand still from the save to the load, and never go back.
 *
 * System calls: ioctl.
 */
#include <errno.h>
#include <machine/error.h>
#include <machine/kvm.h>
#include <machine/state.h>
#include <sys/ioctl.h>
#include <time.h>
#include <x86intrin.h>

#define TSC_TOLERANCE_PPM 250 /* KVM's own: within it a guest runs unscaled */
#define N_CHIPS 3             /* PIC master, PIC slave, I/O APIC */
#define PIT_NEVER_SET 0xff    /* a channel's mode after reset */
#define NS_PER_S 1000000000

void
state_set_cut_error(GError **error)
{
    g_set_error_literal(error, MACHINE_ERROR, MACHINE_ERROR_INVALID, "its bytes do not have the layout of that version");
}

/* --- time --- */

static int
tsc_khz(const Machine *machine)
{
    return ioctl(machine->vcpus[0].fd, KVM_GET_TSC_KHZ, 0);
}

static gboolean
time_save(gpointer user, GByteArray *out, GError **error)
{
    Machine *machine = user;
    struct kvm_clock_data clock = {0};

    if (ioctl(machine->vm_fd, KVM_GET_CLOCK, &clock) < 0) {
        machine_set_errno_error(error, "KVM_GET_CLOCK");
        return FALSE;
    }
    guint64 tsc = clock.flags & KVM_CLOCK_HOST_TSC ? clock.host_tsc : __rdtsc();
    wire_put_u32(out, (guint32)MAX(tsc_khz(machine), 0));
    wire_put_u64(out, tsc);
    wire_put_u64(out, clock.clock);
    return TRUE;
}

static gboolean
check_tsc_khz(guint64 there, guint64 here, GError **error)
{
    guint64 apart = there > here ? there - here : here - there;

    if (apart * 1000000 <= here * TSC_TOLERANCE_PPM)
        return TRUE;
    g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_INVALID,
                "the guest's TSC runs at %" G_GUINT64_FORMAT " kHz and this host's at %" G_GUINT64_FORMAT
                " kHz: move it to a host of the same frequency",
                there, here);
    return FALSE;
}

static gboolean
time_load(gpointer user, guint32 version G_GNUC_UNUSED, const guint8 *bytes, gsize size, GError **error)
{
    Machine *machine = user;
    WireReader reader = {.bytes = bytes, .left = size};
    guint64 khz = wire_get_u32(&reader);
    guint64 tsc = wire_get_u64(&reader);
    struct kvm_clock_data clock = {.clock = wire_get_u64(&reader)};

    if (!wire_reader_finish(&reader)) {
        state_set_cut_error(error);
        return FALSE;
    }
    if (!check_tsc_khz(khz, (guint64)MAX(tsc_khz(machine), 0), error))
        return FALSE;
    if (clock.clock > G_MAXINT64) {
        g_set_error_literal(error, MACHINE_ERROR, MACHINE_ERROR_INVALID, "a guest's clock of over 290 years");
        return FALSE;
    }
    machine->state_sections->time.tsc_shift = (gint64)(tsc - __rdtsc());
    if (ioctl(machine->vm_fd, KVM_SET_CLOCK, &clock) == 0)
        return TRUE;
    machine_set_errno_error(error, "KVM_SET_CLOCK");
    return FALSE;
}

static const SectionClass time_section = {.name = "time", .version = 1, .max_bytes = 20, .save = time_save, .load = time_load};

/* --- interrupt controllers --- */

static gboolean
irqchip_save(gpointer user, GByteArray *out, GError **error)
{
    const Machine *machine = user;

    for (guint32 id = 0; id < N_CHIPS; id++) {
        struct kvm_irqchip chip = {.chip_id = id};
        if (ioctl(machine->vm_fd, KVM_GET_IRQCHIP, &chip) < 0) {
            machine_set_errno_error(error, "KVM_GET_IRQCHIP");
            return FALSE;
        }
        state_put(out, &chip.chip, sizeof chip.chip);
    }
    return TRUE;
}

/* The I/O APIC's registers are bit fields that KVM takes as they are; what it indexes by is checked here. */
static gboolean
check_chips(const struct kvm_irqchip *chips, GError **error)
{
    const struct kvm_ioapic_state *ioapic = &chips[KVM_IRQCHIP_IOAPIC].chip.ioapic;

    for (guint i = 0; i < 2; i++) {
        if (chips[i].chip.pic.init_state > 3 || chips[i].chip.pic.priority_add > 7) {
            g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_INVALID, "PIC %u is in a state that there is not", i);
            return FALSE;
        }
    }
    if (ioapic->base_address == 0xfec00000 && ioapic->id <= 0xff && ioapic->irr >> KVM_IOAPIC_NUM_PINS == 0)
        return TRUE;
    g_set_error_literal(error, MACHINE_ERROR, MACHINE_ERROR_INVALID,
                        "the I/O APIC is where none can be, or has pins that there are not");
    return FALSE;
}

static gboolean
irqchip_load(gpointer user, guint32 version G_GNUC_UNUSED, const guint8 *bytes, gsize size, GError **error)
{
    const Machine *machine = user;
    WireReader reader = {.bytes = bytes, .left = size};
    struct kvm_irqchip chips[N_CHIPS] = {0};

    for (guint32 id = 0; id < N_CHIPS; id++) {
        chips[id].chip_id = id;
        state_get(&reader, &chips[id].chip, sizeof chips[id].chip);
    }
    if (!wire_reader_finish(&reader)) {
        state_set_cut_error(error);
        return FALSE;
    }
    if (!check_chips(chips, error))
        return FALSE;
    for (guint32 id = 0; id < N_CHIPS; id++) {
        if (ioctl(machine->vm_fd, KVM_SET_IRQCHIP, &chips[id]) < 0) {
            machine_set_errno_error(error, "KVM_SET_IRQCHIP");
            return FALSE;
        }
    }
    return TRUE;
}

static const SectionClass irqchip_section = {.name = "irqchip",
                                             .version = 1,
                                             .max_bytes = N_CHIPS * (sizeof(guint32) + sizeof(((struct kvm_irqchip *)0)->chip)),
                                             .save = irqchip_save,
                                             .load = irqchip_load};

/* --- PIT --- */

static gint64
monotonic_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * NS_PER_S + now.tv_nsec;
}

/* When a channel was loaded is a time of the host's monotonic clock: what crosses over is how long ago that was. */
static gboolean
pit_save(gpointer user, GByteArray *out, GError **error)
{
    const Machine *machine = user;
    struct kvm_pit_state2 pit = {0};

    if (ioctl(machine->vm_fd, KVM_GET_PIT2, &pit) < 0) {
        machine_set_errno_error(error, "KVM_GET_PIT2");
        return FALSE;
    }
    for (guint i = 0; i < G_N_ELEMENTS(pit.channels); i++)
        pit.channels[i].count_load_time = monotonic_ns() - pit.channels[i].count_load_time;
    state_put(out, &pit, sizeof pit);
    return TRUE;
}

static gboolean
pit_load(gpointer user, guint32 version G_GNUC_UNUSED, const guint8 *bytes, gsize size, GError **error)
{
    const Machine *machine = user;
    WireReader reader = {.bytes = bytes, .left = size};
    struct kvm_pit_state2 pit;

    state_get(&reader, &pit, sizeof pit);
    if (!wire_reader_finish(&reader)) {
        state_set_cut_error(error);
        return FALSE;
    }
    for (guint i = 0; i < G_N_ELEMENTS(pit.channels); i++) {
        struct kvm_pit_channel_state *channel = &pit.channels[i];
        gint64 age = channel->count_load_time;
        if (channel->count > 0x10000 || (channel->mode > 5 && channel->mode != PIT_NEVER_SET) || channel->read_state > 4 ||
            channel->write_state > 4) {
            g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_INVALID, "channel %u is in a state that there is not", i);
            return FALSE;
        }
        /* an age that no host has: as if it had just been loaded */
        channel->count_load_time = monotonic_ns() - (age >= 0 && age <= monotonic_ns() ? age : 0);
    }
    if (ioctl(machine->vm_fd, KVM_SET_PIT2, &pit) == 0)
        return TRUE;
    machine_set_errno_error(error, "KVM_SET_PIT2");
    return FALSE;
}

static const SectionClass pit_section = {.name = "pit",
                                         .version = 1,
                                         .max_bytes = sizeof(guint32) + sizeof(struct kvm_pit_state2),
                                         .save = pit_save,
                                         .load = pit_load};

/* --- the list --- */

void
state_add_sections(Machine *machine)
{
    StateSections *sections = g_new0(StateSections, 1);

    machine->state_sections = sections;
    machine_add_section(machine, &time_section, machine);
    /* before the vCPUs: an I/O APIC that is loaded may deliver at once, and a local APIC that is loaded knows what was delivered */
    machine_add_section(machine, &irqchip_section, machine);
    if (machine->has_pit)
        machine_add_section(machine, &pit_section, machine);
    sections->vcpus = g_new0(VcpuSection, machine->n_vcpus);
    for (guint i = 0; i < machine->n_vcpus; i++) {
        VcpuSection *section = &sections->vcpus[i];
        section->vcpu = &machine->vcpus[i];
        g_snprintf(section->name, sizeof section->name, "vcpu-%u", i);
        section->class = (SectionClass){.name = section->name,
                                        .version = STATE_VCPU_VERSION,
                                        .max_bytes = STATE_VCPU_MAX_BYTES,
                                        .save = state_vcpu_save,
                                        .load = state_vcpu_load};
        machine_add_section(machine, &section->class, section);
    }
}

void
state_free_sections(StateSections *sections)
{
    if (!sections)
        return;
    g_free(sections->vcpus);
    g_free(sections);
}
