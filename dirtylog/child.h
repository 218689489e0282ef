/* SPDX-License-Identifier: MIT */
/* Running one experiment in a child process, with a time limit that holds even if the kernel never gives the child back. */
#pragma once

#include <dirtylog/probe.h>

/** What the child runs: TRUE, or an error whose message is the reason, with the remedy behind DL_REMEDY_MARK. */
typedef gboolean (*DlTrial)(gpointer user, GError **error);

/** dl_child_try: fills @probe with the trial's outcome, or with how the child ended. */
void dl_child_try(DlTrial trial, gpointer user, guint limit_ms, DlProbe *probe);
