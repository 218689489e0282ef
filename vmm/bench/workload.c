/* SPDX-License-Identifier: MIT */
/* Names of patterns and writers, and which writer a tracker is blind to. */
#include "bench/workload.h"

static const char *const pattern_names[ABI_N_PATTERNS] = ABI_PATTERN_NAMES;

static const struct {
    const char *name;
    DlWriters flag;
} writers[N_WRITERS] = {
    [WRITER_GUEST] = {"guest", DL_WRITER_GUEST}, [WRITER_GUEST_RING0] = {"guest-ring0", DL_WRITER_GUEST_RING0},
    [WRITER_VMM] = {"vmm", DL_WRITER_VMM},       [WRITER_VMM_SYSCALL] = {"vmm-syscall", DL_WRITER_VMM_SYSCALL},
    [WRITER_ALIAS] = {"alias", DL_WRITER_ALIAS}, [WRITER_KVM] = {"kvm", DL_WRITER_KVM},
};

const char *
pattern_name(guint pattern)
{
    g_assert(pattern < ABI_N_PATTERNS);
    return pattern_names[pattern];
}

gboolean
pattern_from_name(const char *name, guint *pattern)
{
    for (guint i = 0; i < N_BENCH_PATTERNS; i++) {
        if (g_str_equal(name, pattern_names[i])) {
            *pattern = i;
            return TRUE;
        }
    }
    return FALSE;
}

const char *
writer_name(Writer writer)
{
    return writers[writer].name;
}

gboolean
writer_from_name(const char *name, Writer *writer)
{
    for (guint i = 0; i < N_WRITERS; i++) {
        if (g_str_equal(name, writers[i].name)) {
            *writer = (Writer)i;
            return TRUE;
        }
    }
    return FALSE;
}

gboolean
writer_is_guest(Writer writer)
{
    return writer == WRITER_GUEST || writer == WRITER_GUEST_RING0;
}

gboolean
writer_is_unseen(Writer writer, const DlTrackerFacts *facts)
{
    return writer != WRITER_VMM && (facts->unseen & writers[writer].flag) != 0;
}
