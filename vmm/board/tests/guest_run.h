/* SPDX-License-Identifier: MIT */
/*
 * For the board's tests: a board with the embedded guest and a doorbell that lets a pass begin when every vCPU has asked for
 * it, and holds the end.
 */
#pragma once

#include <board/board.h>
#include <guest-tests/abi.h>
#include <machine/vcpu.h>

typedef struct {
    Board *board;
    GMutex lock;
    GCond changed;
    guint n_vcpus;
    guint ready; /* doorbells READY */
    guint done;  /* vCPUs that came to DONE; each is held there */
    gboolean is_done[ABI_MAX_VCPUS];
    gboolean panicked;
    gboolean stopping;
    gboolean free_running; /* set before the start: no pass waits for anybody; a barrier's count does not move to another board */
    GString *serial;
} GuestRun;

/** guest_run_new: @config's console and command line are replaced. Aborts the test on any error. */
GuestRun *guest_run_new(BoardConfig config, const char *command_line);
void guest_run_free(GuestRun *run);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(GuestRun, guest_run_free)

/**
 * guest_run_inherit: @run, not started yet, goes on with @from's guest, which is paused: what it printed and which vCPUs are done,
 * for those ring no more.
 */
void guest_run_inherit(GuestRun *run, const GuestRun *from);

void guest_run_start(GuestRun *run);
/**
 * guest_run_wait: until @n vCPUs are done, or one panicked, or the machine crashed; aborts the test after two minutes and prints where
 * each vCPU stands.
 */
void guest_run_wait(GuestRun *run, guint n);

struct abi_mailbox guest_run_mailbox(GuestRun *run);
struct abi_vcpu guest_run_progress(GuestRun *run, guint vcpu);
/** guest_run_total: writes done by all vCPUs so far. */
guint64 guest_run_total(GuestRun *run);
/** guest_run_wait_for_writes: until the total is @target; aborts the test after minutes, or when the machine ends. */
void guest_run_wait_for_writes(GuestRun *run, guint64 target);
/**
 * guest_run_entries_settle: waits until the folder @path (of /proc/self) has no more than @most entries: a thread that was joined is
 * seen there a moment longer. Returns how many it has; more than @most after a minute.
 */
guint guest_run_entries_settle(const char *path, guint most);
/**
 * guest_run_check_pass: every page of @pass holds that pass's value; for patterns that store them. Returns the writes checked.
 */
guint64 guest_run_check_pass(GuestRun *run, guint64 pass);
