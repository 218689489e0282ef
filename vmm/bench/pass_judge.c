/* SPDX-License-Identifier: MIT */
/*
 * Recording passes as they go by, and judging them afterwards. During the migration a pass costs a copy of its bitmap and of the actors'
 * positions; the replica, if there is one, costs a copy of its pages.
 *
 * Terms below: end(N) is when pass N ended, window N what was written between end(N - 1) and end(N).
 */
#include "bench/pass_judge.h"

#include "bench/new_mappings.h"
#include "bench/replica.h"

typedef struct {
    const DlTrackerFacts *facts;
    DlBitmap *reported;
    DlBitmap *flagged; /* soft-dirty: pages in mappings that were new to it; NULL: none */
    guint64 *at_end;   /* positions, an actor each */
    gboolean overflow, final;
} Pass;

struct PassJudge {
    Stage *stage;
    Replica *replica;
    GPtrArray *passes;
    guint64 *begun_at;
    guint64 overflows;
};

static void
free_pass(gpointer user)
{
    Pass *pass = user;

    g_clear_pointer(&pass->reported, dl_bitmap_free);
    g_clear_pointer(&pass->flagged, dl_bitmap_free);
    g_free(pass->at_end);
    g_free(pass);
}

PassJudge *
pass_judge_new(Stage *stage, gboolean with_replica, GError **error)
{
    g_autoptr(PassJudge) judge = g_new0(PassJudge, 1);

    judge->stage = stage;
    judge->passes = g_ptr_array_new_with_free_func(free_pass);
    if (with_replica && !(judge->replica = replica_new(stage->layout, error)))
        return NULL;
    return g_steal_pointer(&judge);
}

void
pass_judge_free(PassJudge *judge)
{
    g_clear_pointer(&judge->replica, replica_free);
    g_ptr_array_unref(judge->passes);
    g_free(judge->begun_at);
    g_free(judge);
}

/* --- while it runs --- */

/* Not stage_read_positions(), whose array belongs to another thread. */
static guint64 *
positions_now(const PassJudge *judge)
{
    guint64 *positions = g_new(guint64, judge->stage->n_actors);

    for (guint i = 0; i < judge->stage->n_actors; i++)
        positions[i] = stage_progress(judge->stage, i)->position;
    return positions;
}

void
pass_judge_begin(PassJudge *judge)
{
    g_free(judge->begun_at);
    judge->begun_at = positions_now(judge);
}

void
pass_judge_ended(PassJudge *judge, const char *tracker, const DlBitmap *pages, gboolean final)
{
    Pass *pass = g_new0(Pass, 1);
    DlLogStats stats;

    pass->facts = dl_tracker_facts_by_name(tracker);
    pass->at_end = positions_now(judge);
    pass->reported = dl_bitmap_copy(pages);
    pass->final = final;
    dl_log_stats(judge->stage->log, &stats);
    pass->overflow = stats.ring_overflows != judge->overflows;
    judge->overflows = stats.ring_overflows;
    if (pass->facts && pass->facts->holds == DL_HOLDS_PROCESS) {
        pass->flagged = dl_bitmap_new(dl_bitmap_size(pages));
        new_mappings_add(judge->stage->layout, pass->flagged);
    }
    if (judge->replica && !final) /* at the last pass nothing changes any more: there is time afterwards */
        replica_apply(judge->replica, pages);
    g_ptr_array_add(judge->passes, pass);
}

guint64
pass_judge_ring_overflows(const PassJudge *judge)
{
    return judge->overflows;
}

/* --- afterwards --- */

static Pass *
pass_at(const PassJudge *judge, guint index)
{
    return g_ptr_array_index(judge->passes, index);
}

typedef struct {
    DlBitmap *written, *read;
    DlBitmap *in_flight; /* at its end */
    DlBitmap *early;     /* of these, what was reported already */
} Window;

static void
window_clear(Window *window)
{
    DlBitmap **sets[] = {&window->written, &window->read, &window->in_flight, &window->early};

    for (guint i = 0; i < G_N_ELEMENTS(sets); i++)
        g_clear_pointer(sets[i], dl_bitmap_free);
}

/* Walks the list of writes through the window that ends with @pass. */
static void
window_take(PassJudge *judge, const Pass *pass, Window *window)
{
    WriteList *list = judge->stage->list;

    write_list_open_window(list);
    const WriteWindow *taken =
        pass->final ? write_list_close_window(list, pass->at_end) : write_list_take_running(list, pass->at_end);
    *window = (Window){dl_bitmap_copy(taken->written), dl_bitmap_copy(taken->read), dl_bitmap_copy(taken->in_flight), NULL};
}

static gboolean
any_stood_still(const PassJudge *judge, const Pass *pass, const Pass *before)
{
    for (guint i = 0; i < judge->stage->n_actors; i++) {
        if (pass->at_end[i] == before->at_end[i])
            return TRUE;
    }
    return FALSE;
}

/*
 * A write in flight at a pass's end may have been stored, and reported by that pass; or by one before, where an actor had no processor
 * between storing and saying so for a pass or more: then it is where it was. (With several actors the page may have become another's. That
 * excuses one report too many, of a page that replica and destination still have to have right.)
 */
static void
find_early(const PassJudge *judge, guint index, const Window *before, Window *window)
{
    const Pass *pass = pass_at(judge, index);

    window->early = dl_bitmap_copy(pass->reported);
    if (index && before->early && any_stood_still(judge, pass, pass_at(judge, index - 1)))
        dl_bitmap_or(window->early, before->early);
    dl_bitmap_and(window->early, window->in_flight);
}

/* What was written in the window, but for what was reported before it. */
static DlBitmap *
due(const Window *window, const Window *before)
{
    DlBitmap *pages = dl_bitmap_copy(window->written);

    if (before->early)
        dl_bitmap_and_not(pages, before->early);
    return pages;
}

/*
 * @passes: two in a row, of which the last is judged. @windows: theirs, behind that of the one before, which may be empty.
 * Pages of the window before are due by now; those of this one too, if there is no pass to come.
 */
static void
find_missed(Pass *const passes[2], const Window windows[3], DlBitmap *missed)
{
    g_autoptr(DlBitmap) before = due(&windows[1], &windows[0]);

    dl_bitmap_and_not(before, passes[0]->reported);
    dl_bitmap_or(missed, before);
    if (passes[1]->final) {
        g_autoptr(DlBitmap) now = due(&windows[2], &windows[1]);
        dl_bitmap_or(missed, now);
    }
    dl_bitmap_and_not(missed, passes[1]->reported);
}

/* What the pass may report: written in its window or the one before, in flight at the end of either or at the start; and the guest's own. */
static void
find_extra(PassJudge *judge, Pass *const passes[2], const Window windows[3], PassVerdict *verdict)
{
    const Pass *pass = passes[1];
    g_autoptr(DlBitmap) written = dl_bitmap_copy(windows[1].written), all = dl_bitmap_new(dl_bitmap_size(written)),
                        own = dl_bitmap_copy(judge->stage->own), unused = dl_bitmap_new(dl_bitmap_size(written)),
                        in_flight = dl_bitmap_copy(windows[2].in_flight), read = dl_bitmap_copy(windows[1].read);
    JudgeContext context = judge->stage->judge;
    AccuracyResult sum = {0};

    dl_layout_fill(judge->stage->layout, all);
    dl_bitmap_and(own, pass->reported);
    dl_bitmap_or(written, windows[2].written);
    dl_bitmap_or(written, own);
    dl_bitmap_or(read, windows[2].read);
    dl_bitmap_or(in_flight, windows[1].in_flight);
    if (windows[0].in_flight)
        dl_bitmap_or(in_flight, windows[0].in_flight);
    const WriteWindow writes = {written, read, in_flight};
    const JudgeWindow window = {
        .reported = pass->reported,
        .writes = &writes,
        .changed = own,
        .overflow = pass->overflow || passes[0]->overflow,
        /* a tracker's first harvest, or a move that could only report everything */
        .flagged = passes[0]->facts != pass->facts || pass->flagged ? (pass->flagged ? pass->flagged : all) : passes[0]->flagged};
    if (pass->facts)
        context.facts = pass->facts;
    judge_write_list(&context, &window, all, &sum, unused);
    verdict->reported_pages = sum.reported_pages;
    memcpy(verdict->extra, sum.extra, sizeof verdict->extra);
}

/* The pages of the last pass come in, and then both must be equal. */
static void
ask_replica(PassJudge *judge, const Pass *last, DlBitmap *missed)
{
    replica_apply(judge->replica, last->reported);
    replica_compare(judge->replica, missed);
}

static guint64
count_extra(const PassVerdict *verdict)
{
    guint64 pages = 0;

    for (guint cause = 0; cause < N_EXTRA_CAUSES; cause++)
        pages += verdict->extra[cause];
    return pages;
}

static void
judge_pass(PassJudge *judge, guint index, const Window windows[3], PassVerdict *verdict)
{
    Pass *const passes[2] = {pass_at(judge, index - 1), pass_at(judge, index)};
    g_autoptr(DlBitmap) missed = dl_bitmap_new(dl_bitmap_size(passes[1]->reported));

    find_missed(passes, windows, missed);
    find_extra(judge, passes, windows, verdict);
    if (passes[1]->final && judge->replica)
        ask_replica(judge, passes[1], missed);
    verdict->judged = TRUE;
    verdict->missed_pages = dl_bitmap_count(missed);
    verdict->written_pages = verdict->missed_pages + verdict->reported_pages - count_extra(verdict);
}

GArray *
pass_judge_finish(PassJudge *judge)
{
    GArray *verdicts = g_array_new(FALSE, TRUE, sizeof(PassVerdict));
    Window windows[3] = {0};

    write_list_skip_to(judge->stage->list, judge->begun_at);
    for (guint i = 0; i < judge->passes->len; i++) {
        PassVerdict verdict = {.reported_pages = dl_bitmap_count(pass_at(judge, i)->reported)};

        window_clear(&windows[0]);
        windows[0] = windows[1];
        windows[1] = windows[2];
        windows[2] = (Window){0};
        window_take(judge, pass_at(judge, i), &windows[2]);
        find_early(judge, i, &windows[1], &windows[2]);
        if (i)
            judge_pass(judge, i, windows, &verdict);
        g_array_append_val(verdicts, verdict);
    }
    for (guint i = 0; i < G_N_ELEMENTS(windows); i++)
        window_clear(&windows[i]);
    return verdicts;
}
