/* SPDX-License-Identifier: MIT */
/* Results by host, and which of them belong on one plot. */
#include "report/view.h"

#include <math.h>

#include "results/bench_case.h"

#define PAGE 4096.0
#define MOST_PANELS 24 /* of one group of plots: more cannot be compared with the eye */

/* --- hosts --- */

static gboolean
same_host(const HostInfo *a, const HostInfo *b)
{
    return g_strcmp0(a->kernel, b->kernel) == 0 && g_strcmp0(a->kvm, b->kvm) == 0 && g_strcmp0(a->mmu, b->mmu) == 0 &&
           g_strcmp0(a->cpu, b->cpu) == 0 && a->cores == b->cores && a->memory_bytes == b->memory_bytes;
}

static guint
find_or_add_host(View *view, const HostInfo *info)
{
    for (guint i = 0; i < view->hosts->len; i++) {
        if (same_host(view_host(view, i)->info, info))
            return i;
    }
    guint index = view->hosts->len;
    ViewHost host = {.info = info};
    host.name = index < 26 ? g_strdup_printf("%c", 'A' + (int)index) : g_strdup_printf("H%u", index + 1);
    host.label = g_strdup_printf("%s: Linux %s", host.name, info->kernel ? info->kernel : "?");
    g_array_append_val(view->hosts, host);
    return index;
}

static void
clear_host(gpointer data)
{
    ViewHost *host = data;

    g_free(host->name);
    g_free(host->label);
}

/* --- the reference --- */

double
view_share(const BenchResult *result)
{
    return result->memory_bytes ? (double)result->pages * PAGE / (double)result->memory_bytes * 100 : 0;
}

/* 10 % of the arena is a little less than that of RAM, by a share that depends on the size of RAM. */
gboolean
view_same_share(const BenchResult *a, const BenchResult *b)
{
    double low = MIN(view_share(a), view_share(b)), high = MAX(view_share(a), view_share(b));

    return high <= low * 1.25;
}

gboolean
view_matches(const BenchResult *result, const BenchResult *reference, guint match)
{
    return (result->status == BENCH_MEASURED || result->status == BENCH_INTERRUPTED) && result->vcpus == reference->vcpus &&
           g_strcmp0(result->writer, reference->writer) == 0 &&
           (!(match & VIEW_PATTERN) || g_strcmp0(result->pattern, reference->pattern) == 0) &&
           (!(match & VIEW_MEMORY) || result->memory_bytes == reference->memory_bytes) &&
           (!(match & VIEW_SHARE) || view_same_share(result, reference));
}

static guint
count_like(const View *view, const BenchResult *candidate)
{
    guint count = 0;

    for (guint i = 0; i < view->bench->len; i++)
        count += (guint)view_matches(view_bench(view, i), candidate, VIEW_MEMORY | VIEW_SHARE | VIEW_PATTERN);
    return count;
}

/* Cases alike are counted once: the number of different ones is small. */
static const BenchResult *
find_reference(const View *view)
{
    g_autoptr(GPtrArray) seen = g_ptr_array_new();
    const BenchResult *best = NULL;
    guint most = 0;

    for (guint i = 0; i < view->bench->len; i++) {
        const BenchResult *candidate = view_bench(view, i);
        gboolean known = candidate->status != BENCH_MEASURED;

        for (guint j = 0; j < seen->len && !known; j++)
            known = view_matches(candidate, g_ptr_array_index(seen, j), VIEW_MEMORY | VIEW_SHARE | VIEW_PATTERN);
        if (known)
            continue;
        g_ptr_array_add(seen, (gpointer)candidate);
        guint count = seen->len <= 1000 ? count_like(view, candidate) : 0;
        if (count > most) {
            most = count;
            best = candidate;
        }
    }
    return best;
}

/* --- the view --- */

View *
view_new(const ReportInput *input)
{
    View *view = g_new0(View, 1);

    view->input = input;
    view->hosts = g_array_new(FALSE, FALSE, sizeof(ViewHost));
    g_array_set_clear_func(view->hosts, clear_host);
    view->bench = g_ptr_array_new();
    for (guint kind = 0; kind < N_RESULT_KINDS; kind++)
        view->entries[kind] = g_array_new(FALSE, FALSE, sizeof(ViewEntry));
    for (guint i = 0; i < input->files->len; i++) {
        const ResultFile *file = g_ptr_array_index(input->files, i);
        guint host = find_or_add_host(view, &file->info->host);
        for (guint j = 0; j < file->results->len; j++) {
            ViewEntry entry = {g_ptr_array_index(file->results, j), host};
            g_array_append_val(view->entries[file->kind], entry);
            if (file->kind == RESULT_BENCH)
                g_ptr_array_add(view->bench, (gpointer)entry.result);
        }
    }
    view->reference = find_reference(view);
    return view;
}

void
view_free(View *view)
{
    if (!view)
        return;
    for (guint kind = 0; kind < N_RESULT_KINDS; kind++)
        g_array_unref(view->entries[kind]);
    g_array_unref(view->hosts);
    g_ptr_array_unref(view->bench);
    g_free(view);
}

const ViewHost *
view_host(const View *view, guint index)
{
    return &g_array_index(view->hosts, ViewHost, index);
}

const ViewEntry *
view_entry(const View *view, ResultKind kind, guint index)
{
    return &g_array_index(view->entries[kind], ViewEntry, index);
}

const BenchResult *
view_bench(const View *view, guint index)
{
    return g_ptr_array_index(view->bench, index);
}

GArray *
view_panels(const View *view)
{
    GArray *panels = g_array_new(FALSE, FALSE, sizeof(ViewPanel));

    for (guint i = 0; i < view->bench->len && panels->len < MOST_PANELS; i++) {
        ViewPanel panel = {view_entry(view, RESULT_BENCH, i)->host, view_bench(view, i)->ram};
        gboolean known = FALSE;
        for (guint j = 0; j < panels->len && !known; j++) {
            const ViewPanel *other = &g_array_index(panels, ViewPanel, j);
            known = other->host == panel.host && g_strcmp0(other->ram, panel.ram) == 0;
        }
        if (!known)
            g_array_append_val(panels, panel);
    }
    return panels;
}

char *
view_panel_title(const View *view, const ViewPanel *panel)
{
    if (view->hosts->len == 1)
        return g_strdup(panel->ram);
    return g_strdup_printf("%s, %s", panel->ram, view_host(view, panel->host)->label);
}

char *
view_describe(const BenchResult *like, guint match)
{
    const gboolean wanted[N_CASE_FIELDS] = {
        [CASE_MEMORY] = (match & VIEW_MEMORY) != 0,
        [CASE_VCPUS] = TRUE,
        [CASE_WRITER] = TRUE,
        [CASE_PATTERN] = (match & VIEW_PATTERN) != 0,
    };
    g_autofree char *words = case_describe(like, wanted);

    if (!(match & VIEW_SHARE))
        return g_steal_pointer(&words);
    return g_strdup_printf("%s, %.2g\u202f%% of RAM a pass", words, view_share(like));
}

guint
view_tracker_style(const char *tracker)
{
    static const char *const known[] = {"none",    "kvm-bitmap",   "kvm-bitmap-clear", "kvm-ring",
                                        "uffd-wp", "pagemap-scan", "soft-dirty"};

    for (guint i = 0; i < G_N_ELEMENTS(known); i++) {
        if (g_strcmp0(tracker, known[i]) == 0)
            return i;
    }
    return VIEW_N_STYLES - 1;
}
