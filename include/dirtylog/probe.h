/* SPDX-License-Identifier: MIT */
/*
 * What this kernel can do, found by trying it on a small piece of memory, never by its version. Each trial runs in a child
 * process with a time limit; a child that the kernel never gives back (protect-scanning unpopulated hugetlb before 6.12.97) is
 * left behind rather than waited for. The child is forked: probe before the program starts threads or maps much memory. From a
 * program with threads it works too, a trial that ran out of time is then made twice (a lock that was held at the fork cannot
 * be told from a hang).
 */
#pragma once

#include <dirtylog/memory.h>
#include <dirtylog/tracker.h>

G_BEGIN_DECLS
#pragma GCC visibility push(default)

/**
 * DlProbe:
 * @supported: whether the tracker works on memory of that kind here
 * @reason: why not, one sentence in words; NULL when supported
 * @remedy: what would make it so; NULL when nothing would, or supported
 */
typedef struct {
    gboolean supported;
    char *reason;
    char *remedy;
} DlProbe;

/** dl_probe: tries @tracker on @kind. Costs milliseconds; answers are not cached. */
void dl_probe(const DlTrackerFacts *tracker, DlRamKind kind, DlProbe *probe);
/** dl_probe_ram: whether one page of that kind can be had at all. */
void dl_probe_ram(DlRamKind kind, DlProbe *probe);
void dl_probe_clear(DlProbe *probe);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(DlProbe, dl_probe_clear)

/**
 * DlHostFacts: the host in words, for the result documents.
 * @kernel: uname -r; @kvm: `VMX`, `SVM`, `PVM`, `none` or why it cannot be opened; @mmu: `EPT`, `NPT`, `shadow`, `unknown`;
 * @privileges: effective uid and what of CAP_SYS_PTRACE, CAP_SYS_ADMIN, vm.unprivileged_userfaultfd, /dev/userfaultfd is there
 */
typedef struct {
    char *kernel;
    char *kvm;
    char *mmu;
    char *cpu;
    char *privileges;
    guint cores;
    guint64 memory_bytes;
} DlHostFacts;
void dl_host_facts(DlHostFacts *facts);
void dl_host_facts_clear(DlHostFacts *facts);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(DlHostFacts, dl_host_facts_clear)

#pragma GCC visibility pop
G_END_DECLS
