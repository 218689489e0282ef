/* SPDX-License-Identifier: MIT */
/*
 * The diagnosis. Each way of lying leaves its own trace:
 *
 *   adds                 an extra page without a cause
 *   late                 what a window missed is reported in the next, though nobody wrote it there
 *   truncates            whatever was missed lies in the last word of a region's bitmap
 *   does not re-arm      a page reported in an earlier window and written again is missed: each of them, and nothing else
 *   reads before re-arm  nothing is missed by the list of writes, yet the replica differs on pages that were reported
 *   drops                any other miss
 *
 * Reading too early shows in the replica only: the page is in the harvest, its copy is older than its last write.
 */
#include "bench/diagnosis.h"

struct Evidence {
    DlLayout *layout;
    DlBitmap *reported_before; /* in any earlier window */
    DlBitmap *missed_before;   /* in the window before this one */
    guint64 missed, late, in_last_word, rewritten_missed, rewritten_seen, stale, unexplained;
};

static const char *const names[] = {
    [DIAGNOSIS_SOUND] = "sound",
    [DIAGNOSIS_ADDS] = "reports pages that nobody wrote",
    [DIAGNOSIS_DROPS] = "drops pages",
    [DIAGNOSIS_LATE] = "reports pages a harvest late",
    [DIAGNOSIS_TRUNCATES] = "truncates the last word of a region's bitmap",
    [DIAGNOSIS_DOES_NOT_REARM] = "reports pages and does not re-arm them",
    [DIAGNOSIS_READS_BEFORE_REARM] = "pages are read before they are re-armed",
};

const char *
diagnosis_name(Diagnosis diagnosis)
{
    return names[diagnosis];
}

Evidence *
evidence_new(DlLayout *layout)
{
    Evidence *evidence = g_new0(Evidence, 1);

    evidence->layout = dl_layout_ref(layout);
    evidence->reported_before = dl_bitmap_new(dl_layout_n_bits(layout));
    evidence->missed_before = dl_bitmap_new(dl_layout_n_bits(layout));
    return evidence;
}

void
evidence_free(Evidence *evidence)
{
    dl_layout_unref(evidence->layout);
    dl_bitmap_free(evidence->reported_before);
    dl_bitmap_free(evidence->missed_before);
    g_free(evidence);
}

static guint64
count_common(const DlBitmap *a, const DlBitmap *b)
{
    g_autoptr(DlBitmap) common = dl_bitmap_copy(a);

    dl_bitmap_and(common, b);
    return dl_bitmap_count(common);
}

static guint64
count_in_last_words(const Evidence *evidence, const DlBitmap *pages)
{
    guint64 count = 0;

    for (guint i = 0; i < dl_layout_n_regions(evidence->layout); i++) {
        DlPageRange region = dl_layout_region_pages(evidence->layout, i);
        guint64 last_word = (region.count - 1) / 64 * 64;
        count += dl_bitmap_count_range(pages, (DlPageRange){region.first + last_word, region.count - last_word});
    }
    return count;
}

void
evidence_add(Evidence *evidence, const LabWindow *seen)
{
    const JudgeWindow *window = seen->window;
    g_autoptr(DlBitmap) late = dl_bitmap_copy(evidence->missed_before);
    g_autoptr(DlBitmap) rewritten = dl_bitmap_copy(window->writes->written);

    dl_bitmap_and(late, window->reported);
    dl_bitmap_and_not(late, window->writes->written);
    evidence->late += dl_bitmap_count(late);

    dl_bitmap_and(rewritten, evidence->reported_before);
    evidence->rewritten_missed += count_common(rewritten, seen->missed);
    evidence->rewritten_seen += count_common(rewritten, window->reported);

    evidence->missed += dl_bitmap_count(seen->missed);
    evidence->in_last_word += count_in_last_words(evidence, seen->missed);
    evidence->stale += count_common(seen->differed, window->reported);
    evidence->unexplained += seen->unexplained;

    dl_bitmap_or(evidence->reported_before, window->reported);
    dl_bitmap_clear_all(evidence->missed_before);
    dl_bitmap_or(evidence->missed_before, seen->missed);
}

Diagnosis
evidence_diagnose(const Evidence *evidence)
{
    if (evidence->missed) {
        if (evidence->late)
            return DIAGNOSIS_LATE;
        if (evidence->in_last_word == evidence->missed)
            return DIAGNOSIS_TRUNCATES;
        if (evidence->rewritten_missed == evidence->missed && !evidence->rewritten_seen)
            return DIAGNOSIS_DOES_NOT_REARM;
        return DIAGNOSIS_DROPS;
    }
    if (evidence->stale)
        return DIAGNOSIS_READS_BEFORE_REARM;
    return evidence->unexplained ? DIAGNOSIS_ADDS : DIAGNOSIS_SOUND;
}
