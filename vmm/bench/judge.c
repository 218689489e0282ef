/* SPDX-License-Identifier: MIT */
/*
 * The judge. A cause's set is computed from what is known of the window, never from what was reported; an extra page counts for the
 * first cause, in the order of ExtraCause, whose set holds it.
 *
 * Of a writer that the tracker declares it cannot see, every written page must be missed: a declared miss that does not occur is a
 * false declaration. Excepted are pages that something else brought in: a unit shared with a page whose writer is seen, an overflow.
 */
#include "bench/judge.h"

/* Sets each whole unit of which @pages holds a page. */
static void
widen_to_units(const JudgeContext *context, const DlBitmap *pages, DlBitmap *out)
{
    for (guint i = 0; i < dl_layout_n_regions(context->layout); i++) {
        const DlRegion *region = dl_layout_region(context->layout, i);
        DlPageRange range = dl_layout_region_pages(context->layout, i);
        guint64 unit = dl_tracker_unit(context->facts, region->kind) / DL_PAGE_SIZE;
        guint64 skew = (guint64)(gsize)region->hva / DL_PAGE_SIZE % unit; /* units are aligned in the address space */
        guint64 end = range.first + range.count;

        for (DlPageRange run = {.first = range.first}; unit > 1 && dl_bitmap_next_run(pages, run.first + run.count, end, &run);) {
            guint64 first = run.first - range.first + skew, last = first + run.count - 1;
            guint64 low = MAX(first / unit * unit, skew) - skew, high = MIN((last / unit + 1) * unit - skew, range.count);

            dl_bitmap_set_range(out, (DlPageRange){range.first + low, high - low});
            run.first = range.first + high; /* the rest of the unit is set: go on behind it */
            run.count = 0;
        }
    }
}

/* Pages that something brings into the harvest whether or not the writer under test is seen. */
static DlBitmap *
brought_in_anyway(const JudgeContext *context, const JudgeWindow *window, gboolean with_writer)
{
    g_autoptr(DlBitmap) base = dl_bitmap_copy(window->changed);
    DlBitmap *units = dl_bitmap_new(dl_bitmap_size(window->reported));

    if (!with_writer)
        dl_bitmap_and_not(base, window->writes->written);
    dl_bitmap_or(base, context->own);
    dl_bitmap_and(base, window->reported);
    if (with_writer) {
        dl_bitmap_or(base, window->writes->written);
        dl_bitmap_or(base, window->writes->in_flight);
    }
    widen_to_units(context, base, units);
    return units;
}

static gboolean
is_kvm_log(const DlTrackerFacts *facts)
{
    return facts->holds == DL_HOLDS_MEMSLOT_LOG || facts->holds == DL_HOLDS_RING;
}

/* Takes the cause's pages out of @rest and counts them. */
static void
take_cause(DlBitmap *rest, const DlBitmap *set, ExtraCause cause, AccuracyResult *sum)
{
    guint64 before = dl_bitmap_count(rest);

    dl_bitmap_and_not(rest, set);
    sum->extra[cause] += before - dl_bitmap_count(rest);
}

/* A defect, of the tracker or of what is known here: whoever looks for it wants to know what lies at that page. */
static void
tell_unexplained(const JudgeContext *context, const DlBitmap *pages)
{
    guint64 gpa = 0;
    DlPageRange first;

    if (dl_bitmap_next_run(pages, 0, dl_bitmap_size(pages), &first) && dl_layout_gpa_of_page(context->layout, first.first, &gpa))
        g_info("%s: %" G_GUINT64_FORMAT " pages unexplained, the first at gpa 0x%" G_GINT64_MODIFIER "x", context->facts->name,
               dl_bitmap_count(pages), gpa);
}

static void
explain_extra(const JudgeContext *context, const JudgeWindow *window, DlBitmap *rest, AccuracyResult *sum)
{
    if (dl_bitmap_is_empty(rest))
        return;
    g_autoptr(DlBitmap) units = brought_in_anyway(context, window, TRUE);
    g_autoptr(DlBitmap) all = dl_bitmap_new(dl_bitmap_size(rest));
    dl_bitmap_and_not(units, window->writes->in_flight); /* such a page has a cause of its own, not its unit's */
    dl_layout_fill(context->layout, all);

    take_cause(rest, units, EXTRA_GRANULARITY, sum);
    if (window->flagged)
        take_cause(rest, window->flagged, EXTRA_FIRST_HARVEST, sum);
    if (is_kvm_log(context->facts))
        take_cause(rest, window->writes->read, EXTRA_READ_FAULT, sum);
    take_cause(rest, window->writes->in_flight, EXTRA_IN_FLIGHT, sum);
    take_cause(rest, context->page_tables, EXTRA_PAGE_WALK, sum);
    take_cause(rest, context->kvm_pages, EXTRA_KVM_MAPPING, sum);
    if (window->overflow)
        take_cause(rest, all, EXTRA_RING_OVERFLOW, sum);
    sum->extra[EXTRA_UNEXPLAINED] += dl_bitmap_count(rest);
    tell_unexplained(context, rest);
}

void
judge_write_list(const JudgeContext *context, const JudgeWindow *window, const DlBitmap *scope, AccuracyResult *sum,
                 DlBitmap *missed)
{
    g_autoptr(DlBitmap) extra = dl_bitmap_copy(window->reported);

    dl_bitmap_clear_all(missed);
    dl_bitmap_or(missed, window->writes->written);
    sum->written_pages += dl_bitmap_count(missed);
    if (writer_is_unseen(context->writer, context->facts)) {
        g_autoptr(DlBitmap) declared = dl_bitmap_copy(missed);
        g_autoptr(DlBitmap) anyway = brought_in_anyway(context, window, FALSE);

        dl_bitmap_and(anyway, window->reported);
        dl_bitmap_and_not(declared, anyway);
        sum->expected_missed_pages += window->overflow ? 0 : dl_bitmap_count(declared);
    }
    dl_bitmap_and_not(missed, window->reported);
    sum->missed_pages += dl_bitmap_count(missed);

    dl_bitmap_and(extra, scope);
    sum->reported_pages += dl_bitmap_count(extra);
    dl_bitmap_and_not(extra, window->writes->written);
    explain_extra(context, window, extra, sum);
    sum->judged_pages += dl_bitmap_count(scope);
}

void
judge_replica(const JudgeContext *context, const JudgeWindow *window, const DlBitmap *differed, AccuracyResult *sum)
{
    g_autoptr(DlBitmap) extra = dl_bitmap_copy(window->reported);
    g_autoptr(DlBitmap) written = dl_bitmap_copy(context->own);
    guint64 n_differed = dl_bitmap_count(differed);

    /* content does not show a store of the same value: what is known to be stored to and was reported counts as written */
    dl_bitmap_or(written, window->writes->written);
    dl_bitmap_and(written, window->reported);
    dl_bitmap_or(written, window->changed);
    dl_bitmap_or(written, differed);
    sum->written_pages += dl_bitmap_count(written);
    sum->reported_pages += dl_bitmap_count(extra);
    sum->missed_pages += n_differed;
    if (context->facts->unseen == DL_WRITERS_ALL) {
        sum->expected_missed_pages += n_differed;
    } else if (writer_is_unseen(context->writer, context->facts)) {
        g_autoptr(DlBitmap) declared = dl_bitmap_copy(differed);
        dl_bitmap_and(declared, window->writes->written);
        sum->expected_missed_pages += dl_bitmap_count(declared);
    }
    dl_bitmap_and_not(extra, written);
    explain_extra(context, window, extra, sum);
    sum->judged_pages += dl_layout_n_pages(context->layout);
}
