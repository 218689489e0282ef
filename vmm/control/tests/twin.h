/* SPDX-License-Identifier: MIT */
/*
 * For the tests: a copy of guest RAM that follows a log as a migration would, from the pages reported to it alone. At a pause it must
 * equal RAM byte for byte; a page that does not was lost.
 */
#pragma once

#include <dirtylog/dirtylog.h>

typedef struct Twin Twin;

/** twin_new: subscribes, then copies all RAM; a tracker is active. */
Twin *twin_new(DlLog *log);
void twin_free(Twin *twin);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Twin, twin_free)

/** twin_follow: harvests, takes, copies; the guest may run. Returns the pages copied. */
guint64 twin_follow(Twin *twin);
/** twin_forget: harvests and takes, and copies nothing: the mistake that twin_differences() must find. */
void twin_forget(Twin *twin);
/** twin_differences: with the guest standing, after twin_follow(): pages that differ from RAM. */
guint64 twin_differences(Twin *twin);
