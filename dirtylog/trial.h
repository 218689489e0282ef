/* SPDX-License-Identifier: MIT */
/* Small experiments that show whether a tracker does what it says, for probe.c. They run in its child process. */
#pragma once

#include "dirtylog/tracker_class.h"

/** dl_trial_process: plain memory of the kind, stored to by this very thread. */
gboolean dl_trial_process(const DlTrackerClass *class, DlRamKind kind, GError **error);

/** dl_trial_kvm: a bare VM with one slot of the kind, stored to by a vCPU. @ring_bytes: size of its dirty ring, 0 for none. */
gboolean dl_trial_kvm(const DlTrackerClass *class, DlRamKind kind, guint32 ring_bytes, GError **error);

/** What both do with a log over one region: @store stores to one byte of a page; the pages below @first_page are not judged. */
typedef gboolean (*DlTrialStore)(gpointer user, guint64 page, GError **error);
gboolean dl_trial_run(const DlTrackerClass *class, DlLog *log, guint64 first_page, DlTrialStore store, gpointer user,
                      GError **error);
