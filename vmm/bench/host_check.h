/* SPDX-License-Identifier: MIT */
/* What this host can do for a benchmark: trackers on RAM kinds, with memory enough, and vCPUs. Each pair is probed once. */
#pragma once

#include <dirtylog/dirtylog.h>

typedef struct HostCheck HostCheck;

/** host_check_new: for guests with @ram_bytes of RAM, all together, and @besides bytes of plain memory beside them. */
HostCheck *host_check_new(guint64 ram_bytes, guint64 besides);
void host_check_free(HostCheck *host);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HostCheck, host_check_free)

/** host_check_tracker: too little memory counts as not supported: it is found here, not in the middle of a run. */
const DlProbe *host_check_tracker(HostCheck *host, const DlTrackerFacts *tracker, DlRamKind ram);
/** host_check_reason: why not, and what would make it so. Free with g_free(). */
char *host_check_reason(const DlProbe *probe);
/** host_check_refuse: the same as an error: UNSUPPORTED. */
void host_check_refuse(const DlTrackerFacts *tracker, DlRamKind ram, const DlProbe *probe, GError **error);

/** host_check_vcpus: Errors: MACHINE_ERROR: no KVM, or RESOURCE: more than it and the embedded guest have. */
gboolean host_check_vcpus(guint vcpus, GError **error);
