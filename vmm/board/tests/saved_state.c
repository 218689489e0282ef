/* SPDX-License-Identifier: MIT */
/*
 * The machine's saved state: what is saved, loaded into another machine and saved again is the same, but for what time moves; and a
 * guest that is moved in the midst of its work, from machine to machine, does all of it, once.
 */
#include "guest_run.h"
#include "state_list.h"

#include <asm/kvm.h>
#include <asm/kvm_para.h>
#include <errno.h>
#include <machine/section.h>
#include <string.h>
#include <sys/ioctl.h>

#define MIB (UINT64_C(1) << 20)
#define KVMCLOCK_GPA UINT64_C(0x340001) /* ABI_KVMCLOCK_GPA(0), switched on */
#define MOVES 30
#define HOUR_NS UINT64_C(3600000000000)

/* --- what time moves --- */

/**
 * Mover: @size bytes at @offset of the section, which differ between two saves though nothing ran. docs/saved-state.md has the same
 * list.
 */
typedef struct {
    const char *section;
    gsize offset, size;
} Mover;

#define PART(type) (sizeof(guint32) + sizeof(type))
#define LAPIC_OFFSET                                                                                              \
    (PART(struct kvm_mp_state) + PART(struct kvm_vcpu_events) + PART(struct kvm_regs) + PART(struct kvm_sregs2) + \
     PART(struct kvm_debugregs) + PART(struct kvm_xcrs))
#define LAPIC_CURRENT_COUNT 0x390
#define PIT_CHANNEL(i) (sizeof(guint32) + (i) * sizeof(struct kvm_pit_channel_state))
#define PIT_AGE(i) PIT_CHANNEL(i) + G_STRUCT_OFFSET(struct kvm_pit_channel_state, count_load_time), sizeof(gint64)

static const Mover movers[] = {
    {"time", 4, 16}, /* the host's TSC, the guest's clock */
    {"vcpu-", LAPIC_OFFSET + sizeof(guint32) + LAPIC_CURRENT_COUNT, 4},
    {"vcpu-", LAPIC_OFFSET + PART(struct kvm_lapic_state), 8}, /* the TSC's offset from the host's */
    {"pit", PIT_AGE(0)},
    {"pit", PIT_AGE(1)},
    {"pit", PIT_AGE(2)},
};

static gboolean
moves_with_time(const char *section, gsize offset)
{
    for (gsize i = 0; i < G_N_ELEMENTS(movers); i++) {
        if (g_str_has_prefix(section, movers[i].section) && offset - movers[i].offset < movers[i].size)
            return TRUE;
    }
    return FALSE;
}

static void
assert_same(const StateList *a, const StateList *b)
{
    g_assert_cmpuint(a->len, ==, b->len);
    for (guint i = 0; i < a->len; i++) {
        const SavedSection *one = a->pdata[i], *other = b->pdata[i];
        g_assert_cmpstr(one->name, ==, other->name);
        g_assert_cmpuint(one->bytes->len, ==, other->bytes->len);
        for (guint at = 0; at < one->bytes->len; at++) {
            if (one->bytes->data[at] != other->bytes->data[at] && !moves_with_time(one->name, at))
                g_error("%s differs at byte %u: %02x and %02x", one->name, at, one->bytes->data[at], other->bytes->data[at]);
        }
    }
}

/* --- a state unlike a fresh machine's --- */

static void
must(int fd, unsigned long request, gpointer argument)
{
    if (ioctl(fd, request, argument) < 0)
        g_error("ioctl 0x%lx: %s", request, g_strerror(errno));
}

static void
set_msr(int fd, guint32 index, guint64 value)
{
    struct {
        struct kvm_msrs head;
        struct kvm_msr_entry entry;
    } msr = {.head.nmsrs = 1, .entry = {.index = index, .data = value}};

    g_assert_cmpint(ioctl(fd, KVM_SET_MSRS, &msr), ==, 1);
}

static void
disturb_lapic(int fd)
{
    struct kvm_lapic_state lapic;

    must(fd, KVM_GET_LAPIC, &lapic);
    *(guint32 *)(gpointer)&lapic.regs[0xf0] = 0x1ff;    /* spurious vector, switched on */
    *(guint32 *)(gpointer)&lapic.regs[0x80] = 0x20;     /* task priority */
    *(guint32 *)(gpointer)&lapic.regs[0x220] = 1u << 5; /* vector 0x45 waits */
    *(guint32 *)(gpointer)&lapic.regs[0x320] = 0x10031; /* timer: masked */
    must(fd, KVM_SET_LAPIC, &lapic);
}

/* Something in every part of a vCPU that is nothing's default. */
static void
disturb_vcpu(int fd, guint vcpu)
{
    struct kvm_regs regs;
    struct kvm_sregs2 sregs;
    struct kvm_debugregs debug;
    struct kvm_vcpu_events events;
    struct kvm_xcrs xcrs;
    struct kvm_mp_state mp_state = {vcpu ? KVM_MP_STATE_HALTED : KVM_MP_STATE_RUNNABLE};
    g_autofree guint8 *xsave = g_malloc0(65536);

    must(fd, KVM_GET_REGS, &regs);
    regs.r15 = 0x1122334455667788 + vcpu;
    regs.rax = 0xdeadbeef;
    must(fd, KVM_SET_REGS, &regs);
    must(fd, KVM_GET_SREGS2, &sregs);
    sregs.cr2 = 0x7fff12345000;
    sregs.fs.base = 0x555500001000;
    must(fd, KVM_SET_SREGS2, &sregs);
    must(fd, KVM_GET_DEBUGREGS, &debug);
    debug.db[1] = 0x401000;
    must(fd, KVM_SET_DEBUGREGS, &debug);
    must(fd, KVM_GET_XCRS, &xcrs);
    xcrs.xcrs[0].value |= 2; /* SSE */
    must(fd, KVM_SET_XCRS, &xcrs);
    must(fd, KVM_GET_XSAVE2, xsave);
    memset(xsave + 160, 0x5a + (int)vcpu, 256); /* xmm0 and so on */
    xsave[512] |= 3;                            /* which the header says are in use */
    must(fd, KVM_SET_XSAVE, xsave);
    disturb_lapic(fd);
    set_msr(fd, 0x174, 0x10 + vcpu);                    /* SYSENTER_CS */
    set_msr(fd, 0xc0000102, 0xffff888000001000);        /* KERNEL_GS_BASE */
    set_msr(fd, 0x277, 0x0007040600070407);             /* PAT */
    set_msr(fd, MSR_KVM_SYSTEM_TIME_NEW, KVMCLOCK_GPA); /* the VMM may not, a guest may */
    must(fd, KVM_GET_VCPU_EVENTS, &events);
    events.nmi.masked = 1;
    must(fd, KVM_SET_VCPU_EVENTS, &events);
    must(fd, KVM_SET_MP_STATE, &mp_state);
}

static void
disturb_vm(int fd)
{
    struct kvm_irqchip chip = {.chip_id = KVM_IRQCHIP_IOAPIC};
    struct kvm_pit_state2 pit;
    struct kvm_clock_data clock = {.clock = HOUR_NS};

    must(fd, KVM_GET_IRQCHIP, &chip);
    chip.chip.ioapic.redirtbl[17].fields.vector = 0x51;
    chip.chip.ioapic.redirtbl[17].fields.mask = 1;
    must(fd, KVM_SET_IRQCHIP, &chip);
    chip.chip_id = KVM_IRQCHIP_PIC_SLAVE;
    must(fd, KVM_GET_IRQCHIP, &chip);
    chip.chip.pic.irq_base = 0x70;
    chip.chip.pic.imr = 0xef;
    must(fd, KVM_SET_IRQCHIP, &chip);
    must(fd, KVM_GET_PIT2, &pit);
    pit.channels[2].mode = 3;
    pit.channels[2].count = 1193;
    must(fd, KVM_SET_PIT2, &pit);
    must(fd, KVM_SET_CLOCK, &clock);
}

static GuestRun *
new_run(guint vcpus, const char *line)
{
    GuestRun *run = guest_run_new((BoardConfig){.memory_bytes = 16 * MIB, .vcpus = vcpus, .stock = TRUE}, line);

    run->free_running = TRUE;
    return run;
}

/* What was set arrives in a machine that had none of it, the clock too. */
static void
test_every_part_arrives(void)
{
    g_autoptr(GuestRun) a = new_run(2, "vcpus=2"), b = new_run(2, "vcpus=2");
    Machine *from = board_machine(a->board), *to = board_machine(b->board);
    struct kvm_clock_data clock = {0};

    for (guint vcpu = 0; vcpu < 2; vcpu++)
        disturb_vcpu(vcpu_fd(from, vcpu), vcpu);
    disturb_vm(machine_vm_fd(from));
    g_autoptr(StateList) saved = state_list_save(from), fresh = state_list_save(to);
    for (guint i = 0; i < 4; i++) { /* irqchip, PIT and vCPUs: there is something to lose */
        const SavedSection *one = saved->pdata[i + 1], *other = fresh->pdata[i + 1];
        g_assert_true(one->bytes->len != other->bytes->len || memcmp(one->bytes->data, other->bytes->data, one->bytes->len) != 0);
    }
    state_list_load(saved, to);
    g_autoptr(StateList) again = state_list_save(to);
    assert_same(saved, again);
    must(machine_vm_fd(to), KVM_GET_CLOCK, &clock);
    g_assert_cmpuint(clock.clock, >=, HOUR_NS);
    g_assert_cmpuint(clock.clock, <, 2 * HOUR_NS);
}

/* Read by KVM's own calls, so that a part that is neither saved nor loaded shows. */
static void
assert_same_vcpu(int a, int b)
{
    static const struct {
        unsigned long request;
        gsize size;
    } parts[] = {
        {KVM_GET_REGS, sizeof(struct kvm_regs)},         {KVM_GET_SREGS2, sizeof(struct kvm_sregs2)},
        {KVM_GET_SREGS, sizeof(struct kvm_sregs)},       {KVM_GET_DEBUGREGS, sizeof(struct kvm_debugregs)},
        {KVM_GET_XCRS, sizeof(struct kvm_xcrs)},         {KVM_GET_XSAVE, sizeof(struct kvm_xsave)},
        {KVM_GET_FPU, sizeof(struct kvm_fpu)},           {KVM_GET_VCPU_EVENTS, sizeof(struct kvm_vcpu_events)},
        {KVM_GET_MP_STATE, sizeof(struct kvm_mp_state)},
    };
    guint8 one[8192], other[8192];

    for (gsize i = 0; i < G_N_ELEMENTS(parts); i++) {
        memset(one, 0, sizeof one);
        memset(other, 0, sizeof other);
        must(a, parts[i].request, one);
        must(b, parts[i].request, other);
        g_assert_true(memcmp(one, other, parts[i].size) == 0);
    }
}

static void
test_kvm_agrees(void)
{
    g_autoptr(GuestRun) a = new_run(1, ""), b = new_run(1, "");
    Machine *from = board_machine(a->board), *to = board_machine(b->board);

    disturb_vcpu(vcpu_fd(from, 0), 0);
    disturb_vm(machine_vm_fd(from));
    g_autoptr(StateList) saved = state_list_save(from);
    state_list_load(saved, to);
    assert_same_vcpu(vcpu_fd(from, 0), vcpu_fd(to, 0));
}

/* --- a guest that is moved while it works --- */

static void
copy_ram(const GuestRun *from, const GuestRun *to)
{
    DlLayout *a = guest_ram_layout(board_ram(from->board)), *b = guest_ram_layout(board_ram(to->board));

    for (guint i = 0; i < dl_layout_n_regions(a); i++)
        memcpy(dl_layout_region(b, i)->hva, dl_layout_region(a, i)->hva, dl_layout_region(a, i)->size);
}

/* The guest goes on on a board of its own; the old one stays paused for good. */
static GuestRun *
move(GuestRun *from, guint vcpus)
{
    GuestRun *to = new_run(vcpus, "nobody reads this");
    g_autoptr(GError) error = NULL;

    g_assert_true(machine_quiesce(board_machine(from->board), NULL, NULL, &error));
    g_assert_true(machine_pause(board_machine(from->board), &error));
    g_autoptr(StateList) saved = state_list_save(board_machine(from->board));
    copy_ram(from, to);
    state_list_load(saved, board_machine(to->board));
    g_autoptr(StateList) again = state_list_save(board_machine(to->board));
    assert_same(saved, again);
    guest_run_inherit(to, from);
    guest_run_start(to);
    return to;
}

/* Each byte of output was one exit: one that was lost or made twice at a move shows. */
static void
check_serial(const GuestRun *run, guint vcpus, guint passes)
{
    g_auto(GStrv) lines = g_strsplit(run->serial->str, "\r\n", -1);
    guint next[ABI_MAX_VCPUS] = {0}, n;

    g_assert_cmpstr(lines[0], ==, "dirtylab-guest: ready");
    for (n = 1; lines[n] && g_str_has_prefix(lines[n], "dirtylab-guest: vcpu "); n++) {
        guint vcpu = (guint)(lines[n][strlen("dirtylab-guest: vcpu ")] - '0');
        g_assert_cmpuint(vcpu, <, vcpus);
        g_autofree char *expected = g_strdup_printf("dirtylab-guest: vcpu %u pass %u writes ", vcpu, ++next[vcpu]);
        g_assert_true(g_str_has_prefix(lines[n], expected));
    }
    g_assert_cmpuint(n, ==, 1 + vcpus * passes);
    g_assert_true(g_str_has_prefix(lines[n], "dirtylab-guest: done, writes "));
}

typedef struct {
    const char *pattern;
    guint vcpus, ring, pages, passes;
} Work;

/* By address, what vCPU @vcpu stored there last. */
static GHashTable *
last_stores(const struct abi_mailbox *mailbox, guint vcpu)
{
    GHashTable *last = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_free);

    for (guint64 pass = 0; pass < mailbox->workload.passes; pass++) {
        for (guint64 i = 0; i < abi_vcpu_writes(&mailbox->workload, vcpu); i++) {
            struct abi_write write = abi_write_at(&mailbox->workload, vcpu, pass, i);
            guint64 gpa = abi_arena_gpa(&mailbox->arena, write.page) + write.offset;
            g_hash_table_insert(last, g_memdup2(&gpa, sizeof gpa), g_memdup2(&write.value, sizeof write.value));
        }
    }
    return last;
}

/* vCPUs do not wait for each other: where several stored to an address, any of their last stores may be the last of all. */
static void
check_arena(GuestRun *run, guint vcpus)
{
    struct abi_mailbox mailbox = guest_run_mailbox(run);
    GHashTable *last[ABI_MAX_VCPUS];
    gpointer key, stored;

    for (guint vcpu = 0; vcpu < vcpus; vcpu++)
        last[vcpu] = last_stores(&mailbox, vcpu);
    for (guint vcpu = 0; vcpu < vcpus; vcpu++) {
        GHashTableIter iter;
        g_hash_table_iter_init(&iter, last[vcpu]);
        while (g_hash_table_iter_next(&iter, &key, NULL)) {
            guint64 value;
            guint found = 0;
            g_assert_true(guest_ram_load(board_ram(run->board), *(guint64 *)key, &value, sizeof value));
            while (found < vcpus && (!(stored = g_hash_table_lookup(last[found], key)) || *(guint64 *)stored != value))
                found++;
            g_assert_cmpuint(found, <, vcpus);
        }
    }
    for (guint vcpu = 0; vcpu < vcpus; vcpu++)
        g_hash_table_unref(last[vcpu]);
}

static gboolean
is_finished(GuestRun *run, guint vcpus)
{
    g_mutex_lock(&run->lock);
    gboolean finished = run->done >= vcpus || run->stopping;
    g_mutex_unlock(&run->lock);
    return finished;
}

/* Not by the clock: a guest on a loaded host is to be moved in the midst of its work too. FALSE: it has finished. */
static gboolean
wait_for_progress(GuestRun *run, const Work *work, guint64 position)
{
    while (!is_finished(run, work->vcpus)) {
        if (guest_run_progress(run, 0).position >= position)
            return TRUE;
        g_usleep(100);
    }
    return FALSE;
}

static void
test_moved_under_load(gconstpointer data)
{
    const Work *work = data;
    g_autofree char *line = g_strdup_printf("pattern=%s pages=%u passes=%u vcpus=%u ring=%u serial=1 seed=7", work->pattern,
                                            work->pages, work->passes, work->vcpus, work->ring);
    g_autoptr(GuestRun) run = new_run(work->vcpus, line);
    guint moves = 0;

    guest_run_start(run);
    /* the first ones catch processors that are not up yet; the mailbox, and what it says of the work, may not be there */
    for (guint64 position = 0; moves < MOVES && wait_for_progress(run, work, position); moves++) {
        g_usleep((gulong)g_test_rand_int_range(0, 500));
        GuestRun *next = move(run, work->vcpus);
        guest_run_free(run);
        run = next;
        if (moves > MOVES / 5)
            position += (guint64)work->pages * work->passes / work->vcpus / MOVES;
    }
    g_test_message("%u moves", moves);
    g_assert_cmpstr(machine_crash_reason(board_machine(run->board)), ==, NULL);
    g_assert_cmpuint(moves, >=, MOVES / 5);
    guest_run_wait(run, work->vcpus);
    for (guint vcpu = 0; vcpu < work->vcpus; vcpu++) {
        struct abi_mailbox mailbox = guest_run_mailbox(run);
        struct abi_vcpu progress = guest_run_progress(run, vcpu);
        g_assert_cmpuint(mailbox.error, ==, ABI_OK);
        g_assert_cmpuint(progress.passes, ==, work->passes);
        g_assert_cmpuint(progress.position, ==, work->passes * abi_vcpu_writes(&mailbox.workload, vcpu));
    }
    check_arena(run, work->vcpus);
    check_serial(run, work->vcpus, work->passes);
}

/* Saving has no effect on who is saved: it goes on as if nothing had been. */
static void
test_saving_leaves_no_trace(void)
{
    g_autoptr(GuestRun) run = new_run(2, "pattern=random pages=300 passes=100 vcpus=2 serial=1");
    Machine *machine = board_machine(run->board);
    g_autoptr(GError) error = NULL;

    guest_run_start(run);
    for (guint i = 0; i < 50; i++) {
        g_assert_true(machine_quiesce(machine, NULL, NULL, &error));
        g_assert_true(machine_pause(machine, &error));
        g_autoptr(StateList) saved = state_list_save(machine), again = state_list_save(machine);
        assert_same(saved, again);
        machine_resume(machine);
        machine_unquiesce(machine);
        g_usleep(1000);
    }
    guest_run_wait(run, 2);
    g_assert_cmpstr(machine_crash_reason(machine), ==, NULL);
    check_arena(run, 2);
    check_serial(run, 2, 100);
}

int
main(int argc, char **argv)
{
    static const Work works[] = {
        {"random", 1, 3, 500, 150}, {"random", 2, 3, 500, 100}, {"sequential", 3, 3, 300, 60}, {"random", 2, 0, 3000, 60}};

    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/saved-state/every-part-arrives", test_every_part_arrives);
    g_test_add_func("/saved-state/kvm-agrees", test_kvm_agrees);
    g_test_add_func("/saved-state/saving-leaves-no-trace", test_saving_leaves_no_trace);
    for (gsize i = 0; i < G_N_ELEMENTS(works); i++) {
        g_autofree char *path =
            g_strdup_printf("/saved-state/moved-under-load/%s-ring%u-%uvcpu", works[i].pattern, works[i].ring, works[i].vcpus);
        g_test_add_data_func(path, &works[i], test_moved_under_load);
    }
    return g_test_run();
}
