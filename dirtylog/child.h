/* SPDX-License-Identifier: MIT */
/* Running one experiment in a child process, with a time limit that holds even if the kernel never gives the child back. */
#pragma once

#include <dirtylog/probe.h>

#define DL_CHILD_BYTES 4096

/**
 * DlChildOutcome: what became of a child.
 * @text: what it wrote to its pipe, a NUL behind it; @length without that
 * @timed_out: it did not end in time; it was killed, and may hang in the kernel still
 * @status: waitpid's, or -1 where it could not be waited for
 */
typedef struct {
    char text[DL_CHILD_BYTES];
    gsize length;
    gboolean timed_out;
    int status;
} DlChildOutcome;

/** What the child does; it says what it has to say by one write() of less than PIPE_BUF, and ends when it returns. */
typedef void (*DlChildBody)(gpointer user, int pipe_fd);

/** dl_child_run: FALSE with errno when there is no child to be had. */
gboolean dl_child_run(DlChildBody body, gpointer user, guint limit_ms, DlChildOutcome *outcome);

/** What the child tries: TRUE, or an error whose message is the reason, with the remedy behind DL_REMEDY_MARK. */
typedef gboolean (*DlTrial)(gpointer user, GError **error);

/** dl_child_try: fills @probe with the trial's outcome, or with how the child ended. */
void dl_child_try(DlTrial trial, gpointer user, guint limit_ms, DlProbe *probe);
