/* SPDX-License-Identifier: MIT */
/*
 * The vCPU's thread, and how it is made to leave the guest.
 *
 * Before each KVM_RUN the thread passes the gate, under the machine's lock: there it stands while the machine is paused, and
 * there it clears run->immediate_exit and becomes IN_GUEST. Whoever wants it out takes the same lock, sets immediate_exit of a
 * vCPU that is IN_GUEST, and then sends a signal whose handler does nothing. No request can be lost: before KVM_RUN has looked
 * at immediate_exit, it sees it set; after that, the signal is pending or interrupts the guest; and the thread cannot clear the
 * flag without passing the gate, where it sees the request itself.
 *
 * No exit can be lost either: KVM_RUN answers an interruption with EINTR only when there is no exit to report, an exit is
 * handled before the gate, and an access is completed, by a KVM_RUN with immediate_exit set, before the vCPU stands there
 * (machine.h).
 *
 * System calls: ioctl(KVM_RUN), tgkill, rt_sigaction.
 */
#include <errno.h>
#include <machine/private.h>
#include <machine/vcpu.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define EXIT_SIGNAL SIGUSR1

static void
ignore_signal(int number)
{
    (void)number;
}

static gpointer
install_signal_once(gpointer unused)
{
    /* SA_RESTART: a signal that comes late finds the thread in some other system call; KVM_RUN returns EINTR all the same */
    struct sigaction action = {.sa_handler = ignore_signal, .sa_flags = SA_RESTART};

    (void)unused;
    sigemptyset(&action.sa_mask);
    sigaction(EXIT_SIGNAL, &action, NULL);
    return NULL;
}

void
vcpu_install_signal(void)
{
    static GOnce once = G_ONCE_INIT;

    g_once(&once, install_signal_once, NULL);
}

void
vcpu_request_exit(Vcpu *vcpu)
{
    if (vcpu->state != VCPU_IN_GUEST || vcpu->exit_requested)
        return;
    vcpu->exit_requested = TRUE;
    __atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
    tgkill(getpid(), vcpu->tid, EXIT_SIGNAL);
}

/* With the lock held. */
static void
stand(Vcpu *vcpu)
{
    vcpu->state = VCPU_STANDING;
    g_cond_broadcast(&vcpu->machine->changed);
}

/* FALSE: the thread is to end. */
static gboolean
pass_gate(Vcpu *vcpu)
{
    Machine *machine = vcpu->machine;

    g_mutex_lock(&machine->lock);
    for (;;) {
        gboolean started = machine->state == MACHINE_STARTED;
        gboolean free_to_go = started && !machine->pauses && !vcpu->halted;
        if (machine->ending) {
            stand(vcpu);
            break;
        }
        if (free_to_go || (started && vcpu->needs_completion)) {
            vcpu->state = VCPU_IN_GUEST;
            vcpu->exit_requested = FALSE;
            __atomic_store_n(&vcpu->run->immediate_exit, !free_to_go, __ATOMIC_SEQ_CST);
            break;
        }
        stand(vcpu);
        g_cond_wait(&machine->changed, &machine->lock);
    }
    gboolean go = !machine->ending;
    g_mutex_unlock(&machine->lock);
    return go;
}

static void
leave_guest(Vcpu *vcpu)
{
    Machine *machine = vcpu->machine;

    __atomic_fetch_add(&vcpu->exits, 1, __ATOMIC_RELAXED);
    g_mutex_lock(&machine->lock);
    vcpu->state = VCPU_HANDLING;
    if (vcpu->left_generation != machine->kick_generation) {
        vcpu->left_generation = machine->kick_generation;
        g_cond_broadcast(&machine->changed);
    }
    g_mutex_unlock(&machine->lock);
}

gpointer
vcpu_thread(gpointer user)
{
    Vcpu *vcpu = user;
    sigset_t exit_signal;

    sigemptyset(&exit_signal);
    sigaddset(&exit_signal, EXIT_SIGNAL);
    pthread_sigmask(SIG_UNBLOCK, &exit_signal, NULL); /* whatever the creator had blocked */

    g_mutex_lock(&vcpu->machine->lock);
    vcpu->tid = gettid();
    g_cond_broadcast(&vcpu->machine->changed);
    g_mutex_unlock(&vcpu->machine->lock);

    while (pass_gate(vcpu)) {
        vcpu->needs_completion = FALSE;
        int result = ioctl(vcpu->fd, KVM_RUN, 0);
        int error_number = errno;
        leave_guest(vcpu);
        vcpu_handle_exit(vcpu, result, error_number);
    }
    return NULL;
}

void
vcpu_park(Machine *machine, guint vcpu)
{
    g_mutex_lock(&machine->lock);
    stand(&machine->vcpus[vcpu]);
    g_mutex_unlock(&machine->lock);
}

gboolean
vcpu_unpark(Machine *machine, guint vcpu)
{
    g_mutex_lock(&machine->lock);
    while (machine->pauses && !machine->ending)
        g_cond_wait(&machine->changed, &machine->lock);
    machine->vcpus[vcpu].state = VCPU_HANDLING;
    gboolean go = !machine->ending;
    g_mutex_unlock(&machine->lock);
    return go;
}
