/* SPDX-License-Identifier: MIT */
/*
 * The terminal, or whatever standard input and output are, as the far end of a console. Output goes through a bounded buffer and a thread
 * of its own, so that no vCPU waits for a slow reader; input is offered to one device and kept while that takes no more. Where input is
 * a terminal it is raw: Ctrl-A x ends, Ctrl-A a sends Ctrl-A, as QEMU has it, whether the guest reads or not: of what it does not read
 * the first bytes are kept. The terminal is given back as it was at any exit, by a signal too. A job in the background leaves it alone
 * and has output only. The end of the input is no end of anything.
 */
#pragma once

#include <glib.h>

typedef struct Terminal Terminal;

/**
 * TerminalClient: called on the terminal's thread, which holds no lock.
 * @input: bytes that came in; returns how many were taken. Fewer: offered again after terminal_wake()
 * @output_ready: terminal_output() takes bytes again, after it had refused some
 * @quit: the user typed Ctrl-A x
 */
typedef struct {
    gsize (*input)(gpointer user, const guint8 *bytes, gsize n_bytes);
    void (*output_ready)(gpointer user);
    void (*quit)(gpointer user);
} TerminalClient;

/**
 * terminal_new: over @input_fd and @output_fd, borrowed. Only one terminal at a time may be raw. @client is copied. Errors: FAILED.
 */
Terminal *terminal_new(int input_fd, int output_fd, const TerminalClient *client, gpointer user, GError **error);
/** terminal_stop: nothing is called any more; output is taken still. */
void terminal_stop(Terminal *terminal);
/** terminal_free: stops; writes what is left, waiting a second at most for a reader that stalls, and gives the terminal back. */
void terminal_free(Terminal *terminal);

/** terminal_output: a ConsoleOutput, whose user is the Terminal; from any thread. */
gsize terminal_output(gpointer user, const char *bytes, gsize n_bytes);
/** terminal_wake: a ConsoleRoom, likewise: the device takes input again. */
void terminal_wake(gpointer user);
/** terminal_is_raw: whether Ctrl-A is an escape. */
gboolean terminal_is_raw(const Terminal *terminal);
