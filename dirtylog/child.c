/* SPDX-License-Identifier: MIT */
/*
 * The child runs its body, which writes into a pipe (a trial: one byte, worked or not, and the message), and ends by _exit(). The parent reads
 * until end of file or until the time is over, then kills. It never waits for the child's end without a limit: a thread that
 * hangs in the kernel does not die of SIGKILL, and then stays a zombie until this process ends.
 *
 * fork() in a program with threads: the child has only this thread, and a lock that another one held stays held. glibc puts its
 * own (malloc, stdio) right; GLib does not. What a trial uses of GLib takes no lock in practice but for a slice allocator's
 * rare one; so a trial that ran out of time in a child of a program with threads is tried once more. Best is to probe before
 * threads are started.
 */
#include "dirtylog/child.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "dirtylog/private.h"

#define REAP_TRIES 50

static void
read_outcome(int pipe_fd, guint limit_ms, DlChildOutcome *outcome)
{
    gint64 deadline = dl_now_ns() + (gint64)limit_ms * 1000000;

    for (;;) {
        struct pollfd wait = {.fd = pipe_fd, .events = POLLIN};
        gint64 left_ms = (deadline - dl_now_ns()) / 1000000;
        int ready = left_ms <= 0 ? 0 : poll(&wait, 1, (int)left_ms);

        if (ready < 0 && errno == EINTR)
            continue;
        outcome->timed_out = ready <= 0;
        if (outcome->timed_out)
            return;
        gssize got = read(pipe_fd, outcome->text + outcome->length, DL_CHILD_BYTES - 1 - outcome->length);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return;
        outcome->length += (gsize)got;
    }
}

static void
end_child(pid_t child, DlChildOutcome *outcome)
{
    outcome->status = -1;
    if (outcome->timed_out)
        kill(child, SIGKILL);
    for (guint i = 0; i < REAP_TRIES; i++) {
        int status;
        pid_t ended = waitpid(child, &status, WNOHANG);
        if (ended == child)
            outcome->status = status;
        if (ended != 0)
            return;
        g_usleep(2000);
    }
    /* It has told all, or was killed: it is not waited for. */
    kill(child, SIGKILL);
}

/*
 * A child that the kernel never gives back would keep our standard streams open, and whoever reads them until their end would wait for it.
 * (A sanitizer's report is worth that.)
 */
static void
let_go_of_streams(void)
{
#ifndef __SANITIZE_ADDRESS__
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    for (int fd = 0; fd < 3; fd++) {
        if (null < 0 || dup2(null, fd) < 0)
            close(fd);
    }
#endif
}

gboolean
dl_child_run(DlChildBody body, gpointer user, guint limit_ms, DlChildOutcome *outcome)
{
    int fds[2];

    memset(outcome, 0, sizeof(*outcome));
    if (pipe2(fds, O_CLOEXEC))
        return FALSE;
    pid_t child = fork();
    if (child < 0) {
        close(fds[0]);
        close(fds[1]);
        return FALSE;
    }
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        let_go_of_streams();
        body(user, fds[1]);
        _exit(0);
    }

    close(fds[1]);
    read_outcome(fds[0], limit_ms, outcome);
    close(fds[0]);
    end_child(child, outcome);
    return TRUE;
}

typedef struct {
    DlTrial trial;
    gpointer user;
} Trial;

/* '+' or '-', then the message. */
static void
run_trial(gpointer user, int pipe_fd)
{
    const Trial *trial = user;
    g_autoptr(GError) error = NULL;
    gboolean worked = trial->trial(trial->user, &error);
    g_autofree char *text = g_strdup_printf("%c%s", worked ? '+' : '-', error ? error->message : "");
    gsize length = MIN(strlen(text), DL_CHILD_BYTES - 1);

    /* Less than PIPE_BUF: written whole or not at all. */
    if (write(pipe_fd, text, length) != (gssize)length)
        _exit(1);
}

static gboolean
has_threads(void)
{
    g_autofree char *threads = dl_read_field("/proc/self/status", "Threads:");

    return !threads || strcmp(threads, "1") != 0;
}

static void
describe(const DlChildOutcome *outcome, guint limit_ms, DlProbe *probe)
{
    if (outcome->length && outcome->text[0] == '+') {
        probe->supported = TRUE;
    } else if (outcome->length) {
        g_auto(GStrv) parts = g_strsplit(outcome->text + 1, DL_REMEDY_MARK, 2);
        probe->reason = g_strdup(parts[0] && *parts[0] ? parts[0] : "it does not work, and gave no reason");
        probe->remedy = parts[0] ? g_strdup(parts[1]) : NULL;
    } else if (outcome->timed_out) {
        probe->reason = g_strdup_printf("the trial did not end within %u ms", limit_ms);
    } else if (outcome->status != -1 && WIFSIGNALED(outcome->status)) {
        probe->reason = g_strdup_printf("the trial was ended by signal %d (%s)", WTERMSIG(outcome->status),
                                        strsignal(WTERMSIG(outcome->status)));
    } else {
        probe->reason = g_strdup("the trial ended without a word");
    }
}

void
dl_child_try(DlTrial trial, gpointer user, guint limit_ms, DlProbe *probe)
{
    Trial what = {trial, user};
    DlChildOutcome outcome;
    gboolean ran = dl_child_run(run_trial, &what, limit_ms, &outcome);

    *probe = (DlProbe){0};
    if (ran && outcome.timed_out && has_threads())
        ran = dl_child_run(run_trial, &what, limit_ms, &outcome);
    if (ran)
        describe(&outcome, limit_ms, probe);
    else
        probe->reason = g_strdup_printf("no child process for the trial: %s", g_strerror(errno));
}
