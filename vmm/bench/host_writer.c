/* SPDX-License-Identifier: MIT */
/*
 * Host-side writers. Each store happens inside a machine gate, position and all, so that a pause finds every write either done and
 * counted or not begun. KVM needs no gate: its clock page carries a version that it raises by two at each write, and that is the
 * position.
 */
#include "bench/host_writer.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "machine/error.h"
#include "machine/gate.h"
#include "machine/vcpu.h"

typedef gboolean (*StoreFunc)(HostWriter *writer, guint64 gpa, guint64 value, GError **error);

struct HostWriter {
    Writer kind;
    Board *board;
    struct abi_workload workload;
    struct abi_arena arena;
    StoreFunc store;
    MachineGate *gate;
    int file;          /* vmm-syscall: the file that is read from */
    guint8 **aliases;  /* alias: a second mapping of each region */
    guint32 *versions; /* kvm: each clock's version before the first pass */

    GThread *thread;
    GMutex lock;
    GCond changed;
    guint64 released;
    guint64 finished;
    guint64 position;
    gboolean stopping;
    GError *error;
};

/* --- the four ways of writing --- */

static gboolean
store_vmm(HostWriter *writer, guint64 gpa, guint64 value, GError **error)
{
    if (guest_ram_store(board_ram(writer->board), gpa, &value, sizeof value))
        return TRUE;
    g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_FAILED, "the store path refused gpa 0x%" G_GINT64_MODIFIER "x", gpa);
    return FALSE;
}

static gboolean
store_syscall(HostWriter *writer, guint64 gpa, guint64 value, GError **error)
{
    struct iovec into = {dl_layout_hva_of_gpa(guest_ram_layout(board_ram(writer->board)), gpa, sizeof value), sizeof value};

    if (pwrite(writer->file, &value, sizeof value, 0) == sizeof value && preadv(writer->file, &into, 1, 0) == sizeof value)
        return TRUE;
    machine_set_errno_error(error, "preadv into guest RAM");
    return FALSE;
}

static gboolean
store_alias(HostWriter *writer, guint64 gpa, guint64 value, GError **error G_GNUC_UNUSED)
{
    DlLayout *layout = guest_ram_layout(board_ram(writer->board));
    guint region = 0;
    DlPageRange page;

    g_assert(dl_layout_pages_of_gpa(layout, gpa, sizeof value, &page));
    g_assert(dl_layout_region_of_page(layout, page.first, &region));
    *(volatile guint64 *)(writer->aliases[region] + (gpa - dl_layout_region(layout, region)->gpa)) = value;
    return TRUE;
}

static guint32
clock_version(HostWriter *writer, guint vcpu)
{
    guint32 version = 0;

    guest_ram_load(board_ram(writer->board), ABI_KVMCLOCK_GPA(vcpu), &version, sizeof version);
    return version;
}

/* Asks for a write of each vCPU's clock and waits until KVM has made it, which it does when the vCPU enters the guest. */
static gboolean
touch_clocks(HostWriter *writer, GError **error)
{
    Machine *machine = board_machine(writer->board);
    gboolean touched = TRUE;

    if (!machine_pause(machine, error))
        return FALSE;
    for (guint vcpu = 0; vcpu < writer->workload.vcpus && touched; vcpu++) {
        if (!writer->position)
            writer->versions[vcpu] = clock_version(writer, vcpu);
        touched = vcpu_touch_kvmclock(machine, vcpu, error);
    }
    writer->position++;
    machine_resume(machine);
    for (guint vcpu = 0; vcpu < writer->workload.vcpus && touched; vcpu++) {
        while (host_writer_position(writer, vcpu) < writer->position && machine_state(machine) == MACHINE_STARTED)
            g_usleep(50);
    }
    return touched;
}

/* --- the thread --- */

static gboolean
store_next(HostWriter *writer, guint64 pass, guint64 index, GError **error)
{
    struct abi_write write = abi_write_at(&writer->workload, 0, pass, index);
    guint64 gpa = abi_arena_gpa(&writer->arena, write.page) + write.offset;
    guint64 value = write.value;
    gboolean stored;

    if (!machine_gate_enter(writer->gate)) {
        g_set_error_literal(error, MACHINE_ERROR, MACHINE_ERROR_FAILED, "the machine has stopped");
        return FALSE;
    }
    if (writer->workload.pattern == ABI_SILENT)
        guest_ram_load(board_ram(writer->board), gpa, &value, sizeof value);
    stored = writer->store(writer, gpa, value, error);
    if (stored)
        __atomic_store_n(&writer->position, writer->position + 1, __ATOMIC_RELEASE);
    machine_gate_leave(writer->gate);
    return stored;
}

static gboolean
run_pass(HostWriter *writer, guint64 pass, GError **error)
{
    if (writer->kind == WRITER_KVM)
        return touch_clocks(writer, error);
    for (guint64 i = 0; i < abi_pass_writes(&writer->workload); i++) {
        if (!store_next(writer, pass, i, error))
            return FALSE;
    }
    return TRUE;
}

static gpointer
writer_thread(gpointer user)
{
    HostWriter *writer = user;

    g_mutex_lock(&writer->lock);
    while (!writer->stopping && !writer->error) {
        GError *error = NULL;
        guint64 pass = writer->finished;

        if (pass == writer->released) {
            g_cond_wait(&writer->changed, &writer->lock);
            continue;
        }
        g_mutex_unlock(&writer->lock);
        run_pass(writer, pass, &error);
        g_mutex_lock(&writer->lock);
        writer->error = error;
        writer->finished++;
    }
    g_mutex_unlock(&writer->lock);
    return NULL;
}

/* --- making and ending one --- */

static gboolean
map_aliases(HostWriter *writer, GError **error)
{
    GuestRam *ram = board_ram(writer->board);
    DlLayout *layout = guest_ram_layout(ram);

    writer->aliases = g_new0(guint8 *, dl_layout_n_regions(layout));
    for (guint i = 0; i < dl_layout_n_regions(layout); i++) {
        const DlMemory *memory = guest_ram_memory(ram, i);
        guint8 *alias = mmap(NULL, memory->size, PROT_READ | PROT_WRITE, MAP_SHARED, memory->fd, 0);

        if (alias == MAP_FAILED) {
            machine_set_errno_error(error, "a second mapping of guest RAM");
            return FALSE;
        }
        writer->aliases[i] = alias;
    }
    return TRUE;
}

static void
unmap_aliases(HostWriter *writer)
{
    DlLayout *layout = guest_ram_layout(board_ram(writer->board));

    for (guint i = 0; writer->aliases && i < dl_layout_n_regions(layout); i++) {
        if (writer->aliases[i])
            munmap(writer->aliases[i], dl_layout_region(layout, i)->size);
    }
    g_free(writer->aliases);
}

static gboolean
prepare(HostWriter *writer, GError **error)
{
    switch (writer->kind) {
    case WRITER_VMM:
        writer->store = store_vmm;
        return TRUE;
    case WRITER_VMM_SYSCALL:
        writer->store = store_syscall;
        writer->file = memfd_create("dirtylab-source", MFD_CLOEXEC);
        if (writer->file < 0)
            machine_set_errno_error(error, "memfd_create");
        return writer->file >= 0;
    case WRITER_ALIAS:
        writer->store = store_alias;
        return map_aliases(writer, error);
    case WRITER_KVM:
        writer->versions = g_new0(guint32, writer->workload.vcpus);
        for (guint vcpu = 0; vcpu < writer->workload.vcpus; vcpu++) {
            if (!vcpu_enable_kvmclock(board_machine(writer->board), vcpu, ABI_KVMCLOCK_GPA(vcpu), error))
                return FALSE;
        }
        return TRUE;
    default:
        g_assert_not_reached();
    }
}

static void
stop(gpointer user)
{
    HostWriter *writer = user;

    g_mutex_lock(&writer->lock);
    writer->stopping = TRUE;
    g_cond_broadcast(&writer->changed);
    g_mutex_unlock(&writer->lock);
}

HostWriter *
host_writer_new(Writer kind, Board *board, const struct abi_workload *workload, const struct abi_arena *arena, GError **error)
{
    HostWriter *writer = g_new0(HostWriter, 1);

    *writer = (HostWriter){.kind = kind, .board = board, .workload = *workload, .arena = *arena, .file = -1};
    g_mutex_init(&writer->lock);
    g_cond_init(&writer->changed);
    if (!prepare(writer, error)) {
        host_writer_free(writer);
        return NULL;
    }
    machine_add_stop_hook(board_machine(board), stop, writer);
    if (kind != WRITER_KVM)
        writer->gate = machine_gate_new(board_machine(board));
    writer->thread = g_thread_new("writer", writer_thread, writer);
    return writer;
}

void
host_writer_free(HostWriter *writer)
{
    if (writer->thread)
        g_thread_join(writer->thread);
    unmap_aliases(writer);
    if (writer->file >= 0)
        close(writer->file);
    g_clear_error(&writer->error);
    g_free(writer->versions);
    g_mutex_clear(&writer->lock);
    g_cond_clear(&writer->changed);
    g_free(writer);
}

void
host_writer_release(HostWriter *writer)
{
    g_mutex_lock(&writer->lock);
    writer->released++;
    g_cond_broadcast(&writer->changed);
    g_mutex_unlock(&writer->lock);
}

gboolean
host_writer_ready(HostWriter *writer)
{
    g_mutex_lock(&writer->lock);
    gboolean ready = writer->finished == writer->released || writer->error;
    g_mutex_unlock(&writer->lock);
    return ready;
}

guint64
host_writer_position(HostWriter *writer, guint actor)
{
    if (writer->kind != WRITER_KVM)
        return __atomic_load_n(&writer->position, __ATOMIC_ACQUIRE);
    return writer->position ? (clock_version(writer, actor) - writer->versions[actor]) / 2 : 0;
}

const GError *
host_writer_error(HostWriter *writer)
{
    g_mutex_lock(&writer->lock);
    const GError *error = writer->error;
    g_mutex_unlock(&writer->lock);
    return error;
}
