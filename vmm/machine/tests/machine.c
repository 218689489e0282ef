/* SPDX-License-Identifier: MIT */
/*
 * The machine without a board: a few bytes of real-mode code, so that a test knows the one instruction that is under way. Needs
 * /dev/kvm.
 */
#include <glib/gstdio.h>
#include <machine/error.h>
#include <machine/gate.h>
#include <machine/kvm.h>
#include <machine/pvh.h>
#include <machine/vcpu.h>
#include <string.h>

#define CODE_GPA 0x1000
#define PORT 0x42
#define KICKED_EXITS 3000

typedef struct {
    GuestRam *ram;
    Machine *machine;
    guint writes;
    gboolean hold; /* the handler waits for `release` */
    gboolean pause_in_handler;
    gboolean park; /* the handler waits, parked, for `release` */
    gint release;
    gint unparked;
    GThread *pauser;
} Fixture;

static gpointer
pause_thread(gpointer user)
{
    Fixture *fixture = user;
    g_autoptr(GError) error = NULL;

    g_assert_true(machine_pause(fixture->machine, &error));
    return NULL;
}

/* A pause that begins while the access is being handled. */
static void
maybe_pause(Fixture *fixture)
{
    if (fixture->pause_in_handler) {
        fixture->pause_in_handler = FALSE;
        fixture->pauser = g_thread_new("pauser", pause_thread, fixture);
        g_usleep(50000);
    }
    while (fixture->hold && !g_atomic_int_get(&fixture->release))
        g_usleep(1000);
}

static guint64
port_read(gpointer user, guint vcpu, guint64 offset, guint size)
{
    (void)vcpu;
    (void)offset;
    (void)size;
    maybe_pause(user);
    return 0x77;
}

static void
port_write(gpointer user, guint vcpu, guint64 offset, guint size, guint64 value)
{
    Fixture *fixture = user;

    (void)vcpu;
    (void)offset;
    (void)size;
    (void)value;
    g_atomic_int_inc(&fixture->writes);
    maybe_pause(fixture);
    if (!fixture->park)
        return;
    vcpu_park(fixture->machine, 0);
    while (!g_atomic_int_get(&fixture->release))
        g_usleep(1000);
    g_atomic_int_set(&fixture->unparked, vcpu_unpark(fixture->machine, 0) ? 1 : -1);
}

static void
fixture_set_up(Fixture *fixture, const char *code, gsize size, guint pause_timeout_ms)
{
    static const BusHandler handler = {.read = port_read, .write = port_write};
    MachineConfig config = {.vcpus = 1, .pause_timeout_ms = pause_timeout_ms};
    g_autoptr(GError) error = NULL;
    struct kvm_regs regs = {.rip = CODE_GPA, .rsp = 0x2000, .rflags = 2};
    struct kvm_sregs sregs;

    fixture->ram = guest_ram_new(DL_RAM_SHMEM, 2 << 20, FALSE, &error);
    g_assert_no_error(error);
    fixture->machine = machine_new(fixture->ram, &config, &error);
    g_assert_no_error(error);
    g_assert_true(bus_register(machine_bus(fixture->machine), BUS_PIO, PORT, 1, "port", &handler, fixture, &error));
    g_assert_true(guest_ram_store(fixture->ram, CODE_GPA, code, size));
    g_assert_true(vcpu_get_regs(fixture->machine, 0, NULL, &sregs, &error));
    sregs.cs.base = sregs.cs.selector = 0;
    g_assert_true(vcpu_set_regs(fixture->machine, 0, &regs, &sregs, &error));
}

static void
fixture_tear_down(Fixture *fixture)
{
    machine_free(fixture->machine);
    guest_ram_free(fixture->ram);
}

static const char code_in[] = "\xe4\x42\xeb\xfe";            /* in al, 0x42; jmp . */
static const char code_out_loop[] = "\xe6\x42\xeb\xfc";      /* out 0x42, al; jmp back to it */
static const char code_out_then_spin[] = "\xe6\x42\xeb\xfe"; /* out 0x42, al; jmp . */
static const char code_spin[] = "\xeb\xfe";                  /* jmp . */
static const char code_undefined[] = "\x0f\x0b";             /* ud2 */

static void
test_pause_completes_the_access(void)
{
    Fixture fixture = {.pause_in_handler = TRUE};
    g_autoptr(GError) error = NULL;
    struct kvm_regs regs;

    fixture_set_up(&fixture, code_in, sizeof code_in, 0);
    g_assert_true(machine_start(fixture.machine, &error));
    while (!g_atomic_pointer_get(&fixture.pauser))
        g_usleep(1000);
    g_thread_join(fixture.pauser);
    g_assert_true(vcpu_get_regs(fixture.machine, 0, &regs, NULL, &error));
    g_assert_cmphex(regs.rip, ==, CODE_GPA + 2);
    g_assert_cmphex(regs.rax & 0xff, ==, 0x77);
    machine_resume(fixture.machine);
    fixture_tear_down(&fixture);
}

static void
test_pause_gives_up(void)
{
    Fixture fixture = {.hold = TRUE};
    g_autoptr(GError) error = NULL;

    fixture_set_up(&fixture, code_out_then_spin, sizeof code_out_then_spin, 50);
    g_assert_true(machine_start(fixture.machine, &error));
    while (!g_atomic_int_get(&fixture.writes))
        g_usleep(1000);
    g_assert_false(machine_pause(fixture.machine, &error));
    g_assert_error(error, MACHINE_ERROR, MACHINE_ERROR_FAILED);
    g_assert_nonnull(strstr(error->message, "vCPU 0"));
    g_clear_error(&error);
    g_atomic_int_set(&fixture.release, 1);
    /* with a limit of 50 ms a busy host needs a few tries, once the handler has returned */
    gboolean paused = FALSE;
    for (guint i = 0; i < 1200 && !paused; i++) {
        g_clear_error(&error);
        g_usleep(50000);
        paused = machine_pause(fixture.machine, &error);
    }
    g_assert_true(paused);
    machine_resume(fixture.machine);
    fixture_tear_down(&fixture);
}

static void
test_pause_nests_and_precedes_start(void)
{
    Fixture fixture = {0};
    g_autoptr(GError) error = NULL;

    fixture_set_up(&fixture, code_out_loop, sizeof code_out_loop, 0);
    g_assert_true(machine_pause(fixture.machine, &error));
    g_assert_true(machine_start(fixture.machine, &error));
    g_assert_true(machine_pause(fixture.machine, &error));
    machine_resume(fixture.machine);
    machine_kick(fixture.machine);
    g_usleep(20000);
    g_assert_cmpuint(g_atomic_int_get(&fixture.writes), ==, 0);
    machine_resume(fixture.machine);
    while (!g_atomic_int_get(&fixture.writes))
        g_usleep(1000);
    g_assert_false(machine_start(fixture.machine, &error));
    g_assert_error(error, MACHINE_ERROR, MACHINE_ERROR_INVALID);
    fixture_tear_down(&fixture);
}

static void
test_parked_stays_paused(void)
{
    Fixture fixture = {.park = TRUE};
    g_autoptr(GError) error = NULL;

    fixture_set_up(&fixture, code_out_then_spin, sizeof code_out_then_spin, 0);
    g_assert_true(machine_start(fixture.machine, &error));
    while (!g_atomic_int_get(&fixture.writes))
        g_usleep(1000);
    g_assert_true(machine_pause(fixture.machine, &error));
    machine_kick(fixture.machine);
    g_atomic_int_set(&fixture.release, 1);
    g_usleep(50000);
    g_assert_cmpint(g_atomic_int_get(&fixture.unparked), ==, 0);
    machine_resume(fixture.machine);
    while (!g_atomic_int_get(&fixture.unparked))
        g_usleep(1000);
    g_assert_cmpint(fixture.unparked, ==, 1);
    fixture_tear_down(&fixture);
}

static void
test_kick_gets_it_out(void)
{
    Fixture fixture = {0};
    g_autoptr(GError) error = NULL;

    fixture_set_up(&fixture, code_spin, sizeof code_spin, 0);
    g_assert_true(machine_start(fixture.machine, &error));
    /* back to back, so that many come between the gate and KVM_RUN: one that is lost hangs here, as the guest never exits by itself */
    while (vcpu_exits(fixture.machine, 0) < KICKED_EXITS) {
        machine_kick(fixture.machine);
        for (volatile guint pause = (guint)g_test_rand_int_range(0, 3000); pause; pause--) {}
    }
    fixture_tear_down(&fixture);
}

static void
test_triple_fault_is_told(void)
{
    Fixture fixture = {0};
    g_autoptr(GError) error = NULL;

    /* protected mode, where a missing handler is fatal */
    fixture_set_up(&fixture, code_undefined, sizeof code_undefined, 0);
    g_assert_true(pvh_start_vcpu(fixture.machine, CODE_GPA, &error));
    g_assert_null(machine_crash_reason(fixture.machine));
    g_assert_true(machine_start(fixture.machine, &error));
    g_assert_true(machine_wait(fixture.machine, 60000));
    g_assert_cmpint(machine_state(fixture.machine), ==, MACHINE_CRASHED);
    g_assert_cmpstr(machine_crash_reason(fixture.machine), ==, "triple fault on vCPU 0");
    g_assert_true(machine_pause(fixture.machine, &error));
    machine_resume(fixture.machine);
    machine_stop(fixture.machine);
    machine_stop(fixture.machine);
    g_assert_cmpint(machine_state(fixture.machine), ==, MACHINE_CRASHED);
    fixture_tear_down(&fixture);
}

static gpointer
gate_thread(gpointer user)
{
    gpointer *arguments = user;
    guint *count = arguments[1];

    while (machine_gate_enter(arguments[0])) {
        g_atomic_int_inc(count);
        machine_gate_leave(arguments[0]);
    }
    return NULL;
}

static void
test_gate_stands_with_the_machine(void)
{
    Fixture fixture = {0};
    g_autoptr(GError) error = NULL;
    guint count = 0;

    fixture_set_up(&fixture, code_spin, sizeof code_spin, 0);
    MachineGate *gate = machine_gate_new(fixture.machine);
    gpointer arguments[] = {gate, &count};
    GThread *thread = g_thread_new("writer", gate_thread, arguments);
    g_assert_true(machine_start(fixture.machine, &error));
    for (guint i = 0; i < 100; i++) {
        g_assert_true(machine_pause(fixture.machine, &error));
        gint before = g_atomic_int_get(&count);
        g_usleep(200);
        g_assert_cmpint(g_atomic_int_get(&count), ==, before);
        machine_resume(fixture.machine);
        while (g_atomic_int_get(&count) == before)
            g_thread_yield();
    }
    g_assert_true(machine_pause(fixture.machine, &error));
    machine_stop(fixture.machine);
    g_thread_join(thread);
    fixture_tear_down(&fixture);
}

static void
machine_refused(const MachineConfig *config, MachineError code)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GuestRam) ram = guest_ram_new(DL_RAM_SHMEM, 2 << 20, FALSE, &error);

    g_assert_no_error(error);
    g_assert_null(machine_new(ram, config, &error));
    g_assert_error(error, MACHINE_ERROR, (gint)code);
    g_test_message("%s", error->message);
}

static void
test_refuses_configurations(void)
{
    g_autoptr(GError) error = NULL;
    int kvm = kvm_open(&error);

    g_assert_no_error(error);
    machine_refused(&(MachineConfig){.vcpus = 0}, MACHINE_ERROR_INVALID);
    machine_refused(&(MachineConfig){.vcpus = kvm_max_vcpus(kvm) + 1}, MACHINE_ERROR_RESOURCE);
    machine_refused(&(MachineConfig){.vcpus = 1, .dirty_ring_entries = 1000}, MACHINE_ERROR_INVALID);
    machine_refused(&(MachineConfig){.vcpus = 1, .dirty_ring_entries = 128}, MACHINE_ERROR_INVALID);
    machine_refused(&(MachineConfig){.vcpus = 1, .dirty_ring_entries = 1u << 30}, MACHINE_ERROR_RESOURCE);
    g_assert_true(g_close(kvm, NULL));
}

static void
test_kvm_errors_have_codes(void)
{
    g_autoptr(GError) error = NULL;

    g_assert_cmpint(kvm_open_path("/nonexistent/kvm", &error), ==, -1);
    g_assert_error(error, MACHINE_ERROR, MACHINE_ERROR_UNSUPPORTED);
    g_clear_error(&error);
    g_assert_cmpint(kvm_open_path("/dev/null", &error), ==, -1);
    g_assert_error(error, MACHINE_ERROR, MACHINE_ERROR_UNSUPPORTED);
    g_clear_error(&error);
    g_assert_cmpint(kvm_open_path("/", &error), ==, -1);
    g_assert_error(error, MACHINE_ERROR, MACHINE_ERROR_FAILED);
}

static const struct kvm_cpuid_entry2 *
find_leaf(const struct kvm_cpuid2 *cpuid, guint32 leaf, guint32 index)
{
    for (guint32 i = 0; i < cpuid->nent; i++) {
        if (cpuid->entries[i].function == leaf && cpuid->entries[i].index == index)
            return &cpuid->entries[i];
    }
    return NULL;
}

/* Three cores of one package, one thread each, whatever the host's own topology is. */
static void
test_cpuid_tells_the_topology(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GuestRam) ram = guest_ram_new(DL_RAM_SHMEM, 2 << 20, FALSE, &error);
    g_autoptr(Machine) machine = machine_new(ram, &(MachineConfig){.vcpus = 3}, &error);

    g_assert_no_error(error);
    for (guint i = 0; i < 3; i++) {
        const struct kvm_cpuid2 *cpuid = vcpu_cpuid(machine, i);
        g_assert_cmpuint(find_leaf(cpuid, 1, 0)->ebx >> 24, ==, i);
        g_assert_true(find_leaf(cpuid, 1, 0)->ecx & 1u << 31);
        if (find_leaf(cpuid, 0, 0)->eax < 0xb)
            continue;
        const struct kvm_cpuid_entry2 *thread = find_leaf(cpuid, 0xb, 0), *core = find_leaf(cpuid, 0xb, 1);
        g_assert_nonnull(thread);
        g_assert_nonnull(core);
        g_assert_cmphex(thread->ecx, ==, 0x100);
        g_assert_cmpuint(thread->ebx, ==, 1);
        g_assert_cmpuint(thread->eax, ==, 0);
        g_assert_cmphex(core->ecx, ==, 0x201);
        g_assert_cmpuint(core->ebx, ==, 3);
        g_assert_cmpuint(core->eax, ==, 2);
        g_assert_cmpuint(core->edx, ==, i);
        g_assert_cmphex(find_leaf(cpuid, 0xb, 2)->ecx, ==, 2);
    }
}

typedef struct {
    Machine *machine;
    gint begun, done;
} SlowHook;

static void
run_slowly(gpointer user)
{
    SlowHook *hook = user;

    g_atomic_int_set(&hook->begun, TRUE);
    g_usleep(200000);
    machine_stop(hook->machine); /* in a hook: does not wait for its own end */
    g_atomic_int_set(&hook->done, TRUE);
}

static gpointer
shut_down(gpointer machine)
{
    machine_shut_down(machine, MACHINE_POWERED_OFF);
    return NULL;
}

/* Once machine_stop() is back, what the hooks know may go. */
static void
test_stop_waits_for_hooks(void)
{
    Fixture fixture = {0};
    SlowHook hook = {0};
    g_autoptr(GError) error = NULL;

    fixture_set_up(&fixture, code_spin, sizeof code_spin, 0);
    hook.machine = fixture.machine;
    machine_add_stop_hook(fixture.machine, run_slowly, &hook);
    g_assert_true(machine_start(fixture.machine, &error));
    GThread *thread = g_thread_new("device", shut_down, fixture.machine);
    while (!g_atomic_int_get(&hook.begun))
        g_usleep(1000);
    machine_stop(fixture.machine);
    g_assert_true(g_atomic_int_get(&hook.done));
    g_thread_join(thread);
    fixture_tear_down(&fixture);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/machine/pause-completes-the-access", test_pause_completes_the_access);
    g_test_add_func("/machine/pause-gives-up-in-words", test_pause_gives_up);
    g_test_add_func("/machine/pause-nests-and-precedes-start", test_pause_nests_and_precedes_start);
    g_test_add_func("/machine/a-parked-vcpu-stays-paused", test_parked_stays_paused);
    g_test_add_func("/machine/kick-gets-the-vcpu-out", test_kick_gets_it_out);
    g_test_add_func("/machine/triple-fault-is-told-in-words", test_triple_fault_is_told);
    g_test_add_func("/machine/stop-waits-for-hooks-under-way", test_stop_waits_for_hooks);
    g_test_add_func("/machine/gate-stands-with-the-machine", test_gate_stands_with_the_machine);
    g_test_add_func("/machine/cpuid-tells-the-topology", test_cpuid_tells_the_topology);
    g_test_add_func("/machine/refuses-what-kvm-has-not", test_refuses_configurations);
    g_test_add_func("/machine/kvm-errors-have-codes", test_kvm_errors_have_codes);
    return g_test_run();
}
