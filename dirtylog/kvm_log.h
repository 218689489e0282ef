/* SPDX-License-Identifier: MIT */
/* What the two trackers that read the memslots' dirty bitmaps have in common. */
#pragma once

#include "dirtylog/tracker_class.h"

/** Whether the context allows the bitmaps: a VM, not made with dirty rings, and a way to switch the log. */
gboolean dl_kvm_log_check(const DlTrackerContext *context, GError **error);

/** Words for the largest region's bitmap. */
guint64 *dl_kvm_log_scratch(const DlLayout *layout);

/** KVM_GET_DIRTY_LOG of every slot, ORed into @out and, unless NULL, into @also. */
gboolean dl_kvm_log_get(const DlTrackerContext *context, guint64 *scratch, DlBitmap *out, DlBitmap *also, GError **error);
