/* SPDX-License-Identifier: MIT */
/* The far end of a console: pipes and a pseudo-terminal, escapes, back-pressure both ways, and the mode that is given back. */
#include <devices/terminal.h>
#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define WAIT_SECONDS 90

typedef struct {
    GMutex lock;
    GCond changed;
    GString *got;
    gsize room;
    guint readies;
    gboolean quit;
} Far;

static gsize
input(gpointer user, const guint8 *bytes, gsize n_bytes)
{
    Far *far = user;

    g_mutex_lock(&far->lock);
    gsize taken = MIN(n_bytes, far->room);
    g_string_append_len(far->got, (const char *)bytes, (gssize)taken);
    far->room -= taken;
    g_cond_broadcast(&far->changed);
    g_mutex_unlock(&far->lock);
    return taken;
}

static void
ready(gpointer user)
{
    Far *far = user;

    g_mutex_lock(&far->lock);
    far->readies++;
    g_cond_broadcast(&far->changed);
    g_mutex_unlock(&far->lock);
}

static void
quit(gpointer user)
{
    Far *far = user;

    g_mutex_lock(&far->lock);
    far->quit = TRUE;
    g_cond_broadcast(&far->changed);
    g_mutex_unlock(&far->lock);
}

static const TerminalClient client = {.input = input, .output_ready = ready, .quit = quit};

static gboolean
has_bytes(Far *far, guint n)
{
    return far->got->len >= n;
}

static gboolean
ends_in_b(Far *far, guint n G_GNUC_UNUSED)
{
    return far->got->len && far->got->str[far->got->len - 1] == 'b';
}

static gboolean
has_quit(Far *far, guint n G_GNUC_UNUSED)
{
    return far->quit;
}

static gboolean
is_ready(Far *far, guint n)
{
    return far->readies >= n;
}

static void
wait_for(Far *far, gboolean (*condition)(Far *far, guint n), guint n)
{
    gint64 deadline = g_get_monotonic_time() + (gint64)WAIT_SECONDS * G_USEC_PER_SEC;

    g_mutex_lock(&far->lock);
    while (!condition(far, n))
        g_assert_true(g_cond_wait_until(&far->changed, &far->lock, deadline));
    g_mutex_unlock(&far->lock);
}

static Terminal *
new_terminal(Far *far, int in_fd, int out_fd)
{
    g_autoptr(GError) error = NULL;
    Terminal *terminal = terminal_new(in_fd, out_fd, &client, far, &error);

    g_assert_no_error(error);
    return terminal;
}

static void
read_all(int fd, char *bytes, gsize size)
{
    for (gsize done = 0; done < size;) {
        gssize n = read(fd, bytes + done, size - done);
        g_assert_cmpint(n, >, 0);
        done += (gsize)n;
    }
}

static void
test_pipes(void)
{
    Far far = {.got = g_string_new(NULL), .room = G_MAXSIZE};
    int in[2], out[2];
    char bytes[12];

    g_assert_cmpint(pipe2(in, O_CLOEXEC), ==, 0);
    g_assert_cmpint(pipe2(out, O_CLOEXEC), ==, 0);
    Terminal *terminal = new_terminal(&far, in[0], out[1]);
    g_assert_false(terminal_is_raw(terminal));
    g_assert_cmpint(write(in[1], "a\001x\001\001b", 6), ==, 6); /* no escapes in a pipe */
    wait_for(&far, has_bytes, 6);
    g_assert_cmpmem(far.got->str, (int)far.got->len, "a\001x\001\001b", 6);
    close(in[1]); /* the end of the input is no end */
    g_assert_cmpuint(terminal_output(terminal, "after eof\n", 10), ==, 10);
    read_all(out[0], bytes, 10);
    g_assert_cmpmem(bytes, 10, "after eof\n", 10);
    g_assert_cmpuint(terminal_output(terminal, "last words", 10), ==, 10);
    terminal_free(terminal);
    read_all(out[0], bytes, 10);
    g_assert_cmpmem(bytes, 10, "last words", 10);
    g_assert_false(far.quit);
    close(in[0]);
    close(out[0]);
    close(out[1]);
    g_string_free(far.got, TRUE);
}

static void
test_input_is_kept(void)
{
    Far far = {.got = g_string_new(NULL), .room = 3};
    int in[2];

    g_assert_cmpint(pipe2(in, O_CLOEXEC), ==, 0);
    Terminal *terminal = new_terminal(&far, in[0], STDERR_FILENO);
    g_assert_cmpint(write(in[1], "0123456789", 10), ==, 10);
    wait_for(&far, has_bytes, 3);
    g_mutex_lock(&far.lock);
    far.room = G_MAXSIZE;
    g_mutex_unlock(&far.lock);
    terminal_wake(terminal);
    wait_for(&far, has_bytes, 10);
    g_assert_cmpstr(far.got->str, ==, "0123456789");
    terminal_free(terminal);
    close(in[0]);
    close(in[1]);
    g_string_free(far.got, TRUE);
}

static char
pattern(gsize position)
{
    return (char)(guint8)(position % 251);
}

/* A reader that stalls fills the pipe and the buffer; then output is refused, and asked for again when it reads. */
static void
test_slow_reader(void)
{
    Far far = {.got = g_string_new(NULL)};
    int out[2];
    gsize sent = 0, received = 0;
    char chunk[1000];

    g_assert_cmpint(pipe2(out, O_CLOEXEC), ==, 0);
    Terminal *terminal = new_terminal(&far, -1, out[1]);
    for (guint stalled = 0; stalled < 20;) {
        for (gsize i = 0; i < sizeof chunk; i++)
            chunk[i] = pattern(sent + i);
        gsize taken = terminal_output(terminal, chunk, sizeof chunk);
        sent += taken;
        stalled = taken ? 0 : stalled + 1;
        if (!taken)
            g_usleep(5000);
    }
    g_assert_cmpuint(sent, <, 1 << 20);
    while (received < sent) {
        gsize n = MIN(sizeof chunk, sent - received);
        read_all(out[0], chunk, n);
        for (gsize i = 0; i < n; i++)
            g_assert_true(chunk[i] == pattern(received + i));
        received += n;
    }
    wait_for(&far, is_ready, 1);
    terminal_free(terminal);
    close(out[0]);
    close(out[1]);
    g_string_free(far.got, TRUE);
}

/* A terminal whose reader is gone for a while, and never comes back: nobody waits for it for long, and what was lent stays as it was. */
static void
test_unread_terminal(void)
{
    Far far = {.got = g_string_new(NULL)};
    int master, slave;

    g_assert_cmpint(openpty(&master, &slave, NULL, NULL, NULL), ==, 0);
    int flags = fcntl(slave, F_GETFL);
    Terminal *terminal = new_terminal(&far, -1, slave);
    for (guint stalled = 0; stalled < 20;) {
        gsize taken = terminal_output(terminal, "no room\n", 8);
        stalled = taken ? 0 : stalled + 1;
        if (!taken)
            g_usleep(5000);
    }
    g_assert_cmphex(fcntl(slave, F_GETFL), ==, flags);
    alarm(WAIT_SECONDS); /* stands still for ever otherwise */
    terminal_stop(terminal);
    terminal_free(terminal);
    alarm(0);
    close(master);
    close(slave);
    g_string_free(far.got, TRUE);
}

static void
test_escapes(void)
{
    Far far = {.got = g_string_new(NULL), .room = G_MAXSIZE};
    struct termios before, during, after;
    int master, slave;

    g_assert_cmpint(openpty(&master, &slave, NULL, NULL, NULL), ==, 0);
    g_assert_cmpint(tcgetattr(slave, &before), ==, 0);
    Terminal *terminal = new_terminal(&far, slave, slave);
    g_assert_true(terminal_is_raw(terminal));
    g_assert_cmpint(tcgetattr(slave, &during), ==, 0);
    g_assert_cmphex(during.c_lflag & (ICANON | ECHO | ISIG), ==, 0);
    g_assert_cmpint(write(master, "a\003\001ab\001\001\001zc", 10), ==, 10); /* Ctrl-C is the guest's; Ctrl-A z is nothing */
    wait_for(&far, has_bytes, 6);
    g_assert_cmpstr(far.got->str, ==, "a\003\001b\001c");
    g_assert_cmpint(write(master, "\001", 1), ==, 1);
    g_assert_cmpint(write(master, "x", 1), ==, 1);
    wait_for(&far, has_quit, 0);
    terminal_free(terminal);
    g_assert_cmpint(tcgetattr(slave, &after), ==, 0);
    g_assert_cmphex(after.c_lflag, ==, before.c_lflag);
    g_assert_cmphex(after.c_iflag, ==, before.c_iflag);
    close(master);
    close(slave);
    g_string_free(far.got, TRUE);
}

/* The guest reads nothing: what was typed first is kept, the rest is lost, but for the escapes. */
static void
test_escape_while_blocked(void)
{
    Far far = {.got = g_string_new(NULL)};
    int master, slave;
    char typed[600];

    memset(typed, 'a', sizeof typed);
    g_assert_cmpint(openpty(&master, &slave, NULL, NULL, NULL), ==, 0);
    Terminal *terminal = new_terminal(&far, slave, slave);
    g_assert_cmpint(write(master, typed, sizeof typed), ==, sizeof typed);
    g_assert_cmpint(write(master, "\001x", 2), ==, 2);
    wait_for(&far, has_quit, 0);
    g_mutex_lock(&far.lock);
    far.room = G_MAXSIZE;
    g_mutex_unlock(&far.lock);
    terminal_wake(terminal);
    wait_for(&far, has_bytes, 100);
    g_assert_cmpint(write(master, "b", 1), ==, 1);
    wait_for(&far, ends_in_b, 0);
    terminal_free(terminal);
    g_assert_cmpuint(far.got->len, <=, sizeof typed);
    close(master);
    close(slave);
    g_string_free(far.got, TRUE);
}

/* A process that a signal ends, and one that forgets to free it. */
static void
test_given_back(gconstpointer data)
{
    int signal_number = GPOINTER_TO_INT(data), master, slave, status;
    struct termios before, after;

    g_assert_cmpint(openpty(&master, &slave, NULL, NULL, NULL), ==, 0);
    g_assert_cmpint(tcgetattr(slave, &before), ==, 0);
    pid_t child = fork();
    if (child == 0) {
        Far far = {.got = g_string_new(NULL)};
        if (signal_number)
            signal(signal_number, SIG_DFL); /* nohup, and a shell's background, ignore some: those stay ignored */
        terminal_new(slave, slave, &client, &far, NULL);
        if (signal_number)
            raise(signal_number);
        exit(7);
    }
    g_assert_cmpint(waitpid(child, &status, 0), ==, child);
    if (signal_number)
        g_assert_true(WIFSIGNALED(status) && WTERMSIG(status) == signal_number);
    else
        g_assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 7);
    g_assert_cmpint(tcgetattr(slave, &after), ==, 0);
    g_assert_cmphex(after.c_lflag, ==, before.c_lflag);
    close(master);
    close(slave);
}

/* `dirtylab boot … &` in a shell: a process group that is not the terminal's. It runs, and leaves mode and input alone. */
static void
run_in_background(int slave)
{
    Far far = {.got = g_string_new(NULL), .room = G_MAXSIZE};

    setpgid(0, 0);
    signal(SIGTTOU, SIG_DFL);
    signal(SIGTTIN, SIG_DFL);
    Terminal *terminal = terminal_new(slave, slave, &client, &far, NULL);
    gboolean raw = terminal_is_raw(terminal);
    terminal_free(terminal);
    _exit(raw ? 1 : 7);
}

static void
test_background(void)
{
    int master, slave, status;

    g_assert_cmpint(openpty(&master, &slave, NULL, NULL, NULL), ==, 0);
    pid_t shell = fork();
    if (shell == 0) {
        if (setsid() < 0 || ioctl(slave, TIOCSCTTY, 0) < 0 || tcgetpgrp(slave) != getpgrp())
            _exit(2);
        signal(SIGHUP, SIG_IGN);
        pid_t job = fork();
        if (job == 0)
            run_in_background(slave);
        gboolean ended = waitpid(job, &status, WUNTRACED) == job && WIFEXITED(status);
        if (!ended)
            kill(job, SIGKILL); /* it was stopped */
        _exit(ended ? WEXITSTATUS(status) : 3);
    }
    g_assert_cmpint(waitpid(shell, &status, 0), ==, shell);
    g_assert_true(WIFEXITED(status));
    g_assert_cmpint(WEXITSTATUS(status), ==, 7);
    close(master);
    close(slave);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/terminal/is-given-back-at-exit", GINT_TO_POINTER(0), test_given_back);
    g_test_add_data_func("/terminal/is-given-back-after-sigterm", GINT_TO_POINTER(SIGTERM), test_given_back);
    g_test_add_data_func("/terminal/is-given-back-after-sighup", GINT_TO_POINTER(SIGHUP), test_given_back);
    g_test_add_func("/terminal/a-job-in-the-background-is-not-stopped", test_background);
    g_test_add_func("/terminal/pipes-are-binary-and-eof-is-no-end", test_pipes);
    g_test_add_func("/terminal/input-that-is-refused-is-kept", test_input_is_kept);
    g_test_add_func("/terminal/a-slow-reader-holds-the-output-up", test_slow_reader);
    g_test_add_func("/terminal/ctrl-a-x-ends-while-the-guest-reads-nothing", test_escape_while_blocked);
    g_test_add_func("/terminal/one-that-nobody-reads-stops-all-the-same", test_unread_terminal);
    g_test_add_func("/terminal/ctrl-a-x-ends-and-ctrl-a-a-is-ctrl-a", test_escapes);
    return g_test_run();
}
