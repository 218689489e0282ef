/* SPDX-License-Identifier: MIT */
/* The questions of probe.h, each a trial in a child process; what a tracker tries is its own file's business (trial.h). */
#include <dirtylog/probe.h>

#include "dirtylog/child.h"
#include "dirtylog/private.h"
#include "dirtylog/tracker_class.h"

/* Clearing a 1 GiB page takes most of a second on a nested host; a machine that is busy takes a multiple of it. */
#define LIMIT_MS 10000

typedef struct {
    const DlTrackerClass *class;
    DlRamKind kind;
} Question;

static gboolean
try_ram(gpointer user, GError **error)
{
    const Question *question = user;
    g_autoptr(DlMemory) memory = dl_memory_new(question->kind, dl_ram_kind_page_size(question->kind), error);

    if (!memory)
        return FALSE;
    *(volatile guint8 *)memory->hva = 1;
    return TRUE;
}

static gboolean
try_tracker(gpointer user, GError **error)
{
    const Question *question = user;
    g_autofree char *remedy = NULL;
    g_autoptr(GError) reason = NULL;

    if (!question->class->probe || question->class->probe(question->kind, &remedy, &reason))
        return TRUE;
    if (remedy)
        dl_set_error(error, DL_ERROR_UNSUPPORTED, 0, remedy, "%s", reason->message);
    else
        g_propagate_error(error, g_steal_pointer(&reason));
    return FALSE;
}

void
dl_probe_ram(DlRamKind kind, DlProbe *probe)
{
    Question question = {.kind = kind};

    dl_error_quark(); /* registered here, where no lock can be left held */
    dl_child_try(try_ram, &question, LIMIT_MS, probe);
}

void
dl_probe(const DlTrackerFacts *tracker, DlRamKind kind, DlProbe *probe)
{
    Question question = {.class = dl_tracker_class_by_name(tracker->name), .kind = kind};

    *probe = (DlProbe){0};
    if (!question.class) {
        probe->reason = g_strdup_printf("there is no tracker “%s”", tracker->name);
        return;
    }
    dl_error_quark();
    dl_child_try(try_tracker, &question, LIMIT_MS, probe);
}

void
dl_probe_clear(DlProbe *probe)
{
    g_clear_pointer(&probe->reason, g_free);
    g_clear_pointer(&probe->remedy, g_free);
    probe->supported = FALSE;
}
