/* SPDX-License-Identifier: MIT */
/*
 * One thread polls input, output and an eventfd. Nothing is written to the output but what poll(2) says can be: a pipe then takes at least
 * PIPE_BUF bytes without blocking, and so much is written at once. A terminal may have room for one byte only, so it is opened once more,
 * not to block: O_NONBLOCK on the description that was lent would be the shell's as well.
 *
 * A serial port sends byte by byte. The first one is written at once; then the thread lets a millisecond's worth come together, so that
 * neither a system call nor a change of threads is paid for each.
 *
 * System calls: tcgetattr, tcsetattr, ioctl, getpgrp, openat, eventfd2, poll, read, write, rt_sigaction, rt_sigprocmask.
 */
#include <devices/terminal.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <machine/error.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <termios.h>
#include <unistd.h>

#define OUTPUT_BYTES 65536u
#define INPUT_BYTES 256u
#define LAST_WORDS_MS 1000
#define GATHER_MS 1
#define ESCAPE 0x01 /* Ctrl-A */

struct Terminal {
    int input_fd; /* -1: at its end, or somebody else's */
    int output_fd;
    int own_output_fd; /* the output opened once more, or -1 */
    int event;
    TerminalClient client;
    gpointer user;
    GThread *thread;
    gboolean raw;

    /* the thread's own */
    guint8 input[INPUT_BYTES];
    gsize n_input;
    gboolean input_blocked;
    gboolean escaped;
    gboolean stalled;   /* the output took nothing less than GATHER_MS ago, whatever poll(2) says */
    gboolean gathering; /* something was written less than GATHER_MS ago */

    GMutex lock;
    char output[OUTPUT_BYTES];
    gsize first;
    gsize count;
    gboolean refused;
    gboolean awake; /* the thread looks at the output by itself */
    gboolean stopping;
};

/* --- the terminal's mode; a signal's handler has to find it, so it is the process's --- */

static struct {
    gint raw; /* atomic */
    int fd;
    struct termios before;
} saved;

/* A job in the background: its shell, or another job, has the terminal, and SIGTTOU stops who changes it. */
static gboolean
in_background(int fd)
{
    pid_t group = tcgetpgrp(fd); /* -1: not the controlling terminal, which stops nobody */

    return group >= 0 && group != getpgrp();
}

static void
give_back(void)
{
    if (g_atomic_int_compare_and_exchange(&saved.raw, TRUE, FALSE) && !in_background(saved.fd))
        tcsetattr(saved.fd, TCSANOW, &saved.before);
}

/* The handler is gone by now (SA_RESETHAND): the signal does what it would have done. */
static void
die(int number)
{
    give_back();
    raise(number);
}

/* Those that end the process and that nobody else handles. */
static void
catch_signals(void)
{
    static const int numbers[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGABRT, SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGPIPE};

    for (guint i = 0; i < G_N_ELEMENTS(numbers); i++) {
        struct sigaction action = {.sa_handler = die, .sa_flags = SA_RESETHAND}, before;
        if (sigaction(numbers[i], NULL, &before) == 0 && before.sa_handler == SIG_DFL)
            sigaction(numbers[i], &action, NULL);
    }
}

static gboolean
make_raw(int fd)
{
    static gsize once;
    struct termios mode;

    if (fd < 0 || !isatty(fd) || g_atomic_int_get(&saved.raw) || tcgetattr(fd, &saved.before) < 0)
        return FALSE;
    saved.fd = fd;
    mode = saved.before;
    cfmakeraw(&mode);
    mode.c_oflag |= OPOST; /* our own messages have line ends too */
    g_atomic_int_set(&saved.raw, TRUE);
    if (tcsetattr(fd, TCSANOW, &mode) < 0) {
        g_atomic_int_set(&saved.raw, FALSE);
        return FALSE;
    }
    if (g_once_init_enter(&once)) {
        atexit(give_back);
        g_once_init_leave(&once, 1);
    }
    catch_signals();
    return TRUE;
}

/* --- input --- */

/* Takes escapes out of what was typed; returns how many bytes are left, at the start of @bytes. */
static gsize
interpret(Terminal *terminal, guint8 *bytes, gsize n)
{
    gsize kept = 0;

    for (gsize i = 0; i < n; i++) {
        guint8 byte = bytes[i];
        if (!terminal->escaped && byte == ESCAPE) {
            terminal->escaped = TRUE;
            continue;
        }
        if (terminal->escaped && byte == 'x')
            terminal->client.quit(terminal->user);
        else if (terminal->escaped && (byte == 'a' || byte == ESCAPE))
            bytes[kept++] = ESCAPE;
        else if (!terminal->escaped)
            bytes[kept++] = byte;
        terminal->escaped = FALSE;
    }
    return kept;
}

/* What is read while earlier input waits is read for its escapes: the guest gets of it what there is room for. */
static void
read_input(Terminal *terminal)
{
    guint8 bytes[INPUT_BYTES];
    gssize n = read(terminal->input_fd, bytes, sizeof bytes);

    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (n <= 0) {
        terminal->input_fd = -1;
        return;
    }
    gsize kept = terminal->raw ? interpret(terminal, bytes, (gsize)n) : (gsize)n;
    kept = MIN(kept, sizeof terminal->input - terminal->n_input);
    memcpy(terminal->input + terminal->n_input, bytes, kept);
    terminal->n_input += kept;
}

static void
offer_input(Terminal *terminal)
{
    if (!terminal->n_input || terminal->input_blocked)
        return;
    gsize taken = terminal->client.input(terminal->user, terminal->input, terminal->n_input);
    g_assert(taken <= terminal->n_input);
    terminal->n_input -= taken;
    memmove(terminal->input, terminal->input + taken, terminal->n_input);
    terminal->input_blocked = terminal->n_input > 0;
}

/* --- output --- */

static void
ring(Terminal *terminal)
{
    guint64 one = 1;

    if (write(terminal->event, &one, sizeof one) < 0)
        g_warning("the terminal's thread cannot be woken: %s", g_strerror(errno));
}

gsize
terminal_output(gpointer user, const char *bytes, gsize n_bytes)
{
    Terminal *terminal = user;

    g_mutex_lock(&terminal->lock);
    gsize taken = MIN(n_bytes, OUTPUT_BYTES - terminal->count);
    for (gsize i = 0; i < taken; i++)
        terminal->output[(terminal->first + terminal->count++) % OUTPUT_BYTES] = bytes[i];
    terminal->refused = terminal->refused || taken < n_bytes;
    gboolean asleep = !terminal->awake;
    terminal->awake = TRUE;
    g_mutex_unlock(&terminal->lock);
    if (asleep)
        ring(terminal);
    return taken;
}

static gsize
peek_output(Terminal *terminal, const char **bytes)
{
    g_mutex_lock(&terminal->lock);
    *bytes = terminal->output + terminal->first;
    gsize n = MIN(MIN(terminal->count, OUTPUT_BYTES - terminal->first), PIPE_BUF);
    g_mutex_unlock(&terminal->lock);
    return n;
}

/* FALSE: nothing could be written. */
static gboolean
write_output(Terminal *terminal)
{
    const char *bytes;
    gsize n = peek_output(terminal, &bytes);
    gssize written = n ? write(terminal->output_fd, bytes, n) : 0;

    if (written < 0 && (errno == EINTR || errno == EAGAIN))
        return FALSE;
    if (written < 0)
        written = (gssize)n; /* nobody is there to read it */
    g_mutex_lock(&terminal->lock);
    terminal->first = (terminal->first + (gsize)written) % OUTPUT_BYTES;
    terminal->count -= (gsize)written;
    gboolean ready = terminal->refused && terminal->count < OUTPUT_BYTES / 2;
    terminal->refused = terminal->refused && !ready;
    g_mutex_unlock(&terminal->lock);
    if (ready && terminal->client.output_ready)
        terminal->client.output_ready(terminal->user);
    return TRUE;
}

/* --- the thread --- */

static void
clear_event(Terminal *terminal)
{
    guint64 count;

    if (read(terminal->event, &count, sizeof count) == sizeof count)
        terminal->input_blocked = FALSE;
}

/* GATHER_MS have passed since the last write. */
static void
end_gathering(Terminal *terminal)
{
    g_mutex_lock(&terminal->lock);
    terminal->gathering = terminal->stalled = FALSE;
    terminal->awake = terminal->count > 0;
    g_mutex_unlock(&terminal->lock);
}

/* FALSE: stop. */
static gboolean
attend(Terminal *terminal)
{
    g_mutex_lock(&terminal->lock);
    gboolean stopping = terminal->stopping;
    gboolean to_write = !terminal->stalled && terminal->count >= (terminal->gathering ? PIPE_BUF : 1);
    g_mutex_unlock(&terminal->lock);
    struct pollfd polled[] = {{.fd = terminal->event, .events = POLLIN},
                              {.fd = terminal->n_input && !terminal->raw ? -1 : terminal->input_fd, .events = POLLIN},
                              {.fd = to_write ? terminal->output_fd : -1, .events = POLLOUT}};

    if (stopping)
        return FALSE;
    int n = poll(polled, G_N_ELEMENTS(polled), terminal->gathering ? GATHER_MS : -1);
    if (n < 0)
        return errno == EINTR;
    if (n == 0)
        end_gathering(terminal);
    if (polled[2].revents) {
        terminal->stalled = !write_output(terminal);
        terminal->gathering = TRUE;
    }
    if (polled[1].revents)
        read_input(terminal);
    return TRUE;
}

static gpointer
serve(gpointer user)
{
    Terminal *terminal = user;

    while (attend(terminal)) {
        clear_event(terminal);
        offer_input(terminal);
    }
    return NULL;
}

/* --- making one --- */

/* Signals are for the threads that expect them. */
static gboolean
start_thread(Terminal *terminal, GError **error)
{
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    terminal->thread = g_thread_try_new("terminal", serve, terminal, error);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return terminal->thread != NULL;
}

/* -1: it is no terminal, or the one that was lent has to do. */
static int
open_output(int fd)
{
    g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fd);

    return isatty(fd) ? open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC) : -1;
}

Terminal *
terminal_new(int input_fd, int output_fd, const TerminalClient *client, gpointer user, GError **error)
{
    int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    if (event < 0) {
        machine_set_errno_error(error, "eventfd");
        return NULL;
    }
    Terminal *terminal = g_new0(Terminal, 1);
    terminal->input_fd = input_fd >= 0 && in_background(input_fd) ? -1 : input_fd;
    terminal->own_output_fd = open_output(output_fd);
    terminal->output_fd = terminal->own_output_fd >= 0 ? terminal->own_output_fd : output_fd;
    terminal->event = event;
    terminal->client = *client;
    terminal->user = user;
    g_mutex_init(&terminal->lock);
    terminal->raw = make_raw(terminal->input_fd);
    if (!start_thread(terminal, error))
        g_clear_pointer(&terminal, terminal_free);
    return terminal;
}

void
terminal_stop(Terminal *terminal)
{
    g_mutex_lock(&terminal->lock);
    terminal->stopping = TRUE;
    g_mutex_unlock(&terminal->lock);
    ring(terminal);
    g_clear_pointer(&terminal->thread, g_thread_join);
    terminal->client.output_ready = NULL;
}

static void
write_last_words(Terminal *terminal)
{
    struct pollfd polled = {.fd = terminal->output_fd, .events = POLLOUT};
    guint stalled = 0;

    while (terminal->count && stalled < LAST_WORDS_MS && poll(&polled, 1, LAST_WORDS_MS) > 0) {
        if (write_output(terminal)) {
            stalled = 0;
        } else {
            stalled++;
            g_usleep(1000);
        }
    }
}

void
terminal_free(Terminal *terminal)
{
    if (!terminal)
        return;
    terminal_stop(terminal);
    write_last_words(terminal);
    if (terminal->raw)
        give_back();
    if (terminal->own_output_fd >= 0)
        close(terminal->own_output_fd);
    close(terminal->event);
    g_mutex_clear(&terminal->lock);
    g_free(terminal);
}

void
terminal_wake(gpointer user)
{
    ring(user);
}

gboolean
terminal_is_raw(const Terminal *terminal)
{
    return terminal->raw;
}
