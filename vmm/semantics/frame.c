/* SPDX-License-Identifier: MIT */
/*
 * The frame: takes in child processes, controls, verdicts.
 *
 * A child says its outcome in one write: the kind of its end, whether pages were judged, four counts, and two texts, a line each. A
 * child that was killed or ran out of time has said nothing, and only that cell is lost.
 */
#include <string.h>
#include <sys/wait.h>

#include "dirtylog/child.h"
#include "dirtylog/private.h"
#include "semantics/semantics.h"

#define LIMIT_MS 20000
#define TEXT_BYTES 1500

typedef enum {
    END_FAILED,
    END_UNAVAILABLE,
    END_REFUSED,
    END_COUNTED,
} End;

/* What a take came to, in the parent. */
typedef struct {
    SemanticsVerdict verdict;
    gboolean by_pages;
    guint64 written, reported, missed, extra;
    char *observed;
    char *finding;
} Outcome;

static void
outcome_clear(Outcome *outcome)
{
    g_clear_pointer(&outcome->observed, g_free);
    g_clear_pointer(&outcome->finding, g_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Outcome, outcome_clear)

/* --- what a case calls --- */

gboolean
cell_step(const Cell *cell)
{
    return cell->take != TAKE_LEFT_OUT;
}

void
cell_count(Cell *cell, guint64 written, guint64 reported, guint64 missed, guint64 extra)
{
    cell->judged = TRUE;
    cell->written += written;
    cell->reported += reported;
    cell->missed += missed;
    cell->extra += extra;
}

void
cell_judge(Cell *cell, const DlBitmap *must, const DlBitmap *allowed, const DlBitmap *found)
{
    g_autoptr(DlBitmap) seen = dl_bitmap_copy(found);
    g_autoptr(DlBitmap) missed = dl_bitmap_copy(must);
    g_autoptr(DlBitmap) extra = NULL;
    DlPageRange run;

    if (cell->take == TAKE_LIE_DROP && dl_bitmap_next_run(must, 0, dl_bitmap_size(must), &run))
        dl_bitmap_clear(seen, run.first);
    if (cell->take == TAKE_LIE_ALL)
        dl_bitmap_set_range(seen, (DlPageRange){0, dl_bitmap_size(seen)});
    cell->by_pages = TRUE;
    dl_bitmap_and_not(missed, seen);
    extra = dl_bitmap_copy(seen);
    dl_bitmap_and_not(extra, allowed);
    dl_bitmap_and_not(extra, must);
    cell_count(cell, dl_bitmap_count(must), dl_bitmap_count(seen), dl_bitmap_count(missed), dl_bitmap_count(extra));
}

/* The same words of several rounds are said once. */
static void
say(GString *text, const char *format, va_list arguments)
{
    g_autofree char *words = g_strdup_vprintf(format, arguments);

    if (!strstr(text->str, words))
        g_string_append_printf(text, "%s%s", text->len ? "; " : "", words);
}

void
cell_refused(Cell *cell, const char *format, ...)
{
    va_list arguments;

    cell->refused = TRUE;
    va_start(arguments, format);
    say(cell->said, format, arguments);
    va_end(arguments);
}

void
cell_say(Cell *cell, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    say(cell->said, format, arguments);
    va_end(arguments);
}

void
cell_find(Cell *cell, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    say(cell->finding, format, arguments);
    va_end(arguments);
}

gboolean
cell_fail(GError **error, const char *what)
{
    int saved_errno = errno;
    DlError code = saved_errno == ENOSYS || saved_errno == EOPNOTSUPP || saved_errno == ENOTTY ? DL_ERROR_UNSUPPORTED
                                                                                               : dl_error_from_errno(saved_errno);

    dl_set_error(error, code, saved_errno, NULL, "%s", what);
    return FALSE;
}

gboolean
cell_unsupported(GError **error, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    g_autofree char *text = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    dl_set_error(error, DL_ERROR_UNSUPPORTED, 0, NULL, "%s", text);
    return FALSE;
}

/* --- in the child --- */

static End
end_of(const Cell *cell, gboolean worked, const GError *error)
{
    if (!worked && error && error->domain == DL_ERROR && error->code != DL_ERROR_FAILED && error->code != DL_ERROR_INVALID)
        return END_UNAVAILABLE;
    if (!worked && !error && cell->refused)
        return END_REFUSED;
    if (!worked || (!cell->judged && !cell->refused))
        return END_FAILED;
    return cell->refused && !cell->missed ? END_REFUSED : END_COUNTED;
}

static void
run_take(gpointer user, int pipe_fd)
{
    Cell *cell = user;
    g_autoptr(GError) error = NULL;

    cell->said = g_string_new(NULL);
    cell->finding = g_string_new(NULL);
    gboolean worked = cell->about->run(cell, &error);
    End end = end_of(cell, worked, error);
    if (!worked && end != END_REFUSED)
        g_string_assign(cell->said, error ? error->message : "it failed without a reason");
    g_strdelimit(cell->said->str, "\n", ' ');
    g_strdelimit(cell->finding->str, "\n", ' ');
    g_autofree char *text = g_strdup_printf("%u %u %" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT
                                            " %" G_GUINT64_FORMAT "\n%.*s\n%.*s\n",
                                            end, cell->by_pages, cell->written, cell->reported, cell->missed, cell->extra,
                                            TEXT_BYTES, cell->said->str, TEXT_BYTES, cell->finding->str);
    gsize length = strlen(text);

    if (write(pipe_fd, text, length) != (gssize)length)
        _exit(1);
    /* A case need not tidy up: no exit handlers, and threads end with the process. */
    _exit(0);
}

/* --- in the parent --- */

static SemanticsVerdict
verdict_of(End end, const Outcome *outcome)
{
    switch (end) {
    case END_UNAVAILABLE:
        return SEMANTICS_UNSUPPORTED;
    case END_REFUSED:
        return SEMANTICS_REFUSED;
    case END_COUNTED:
        if (outcome->missed)
            return SEMANTICS_MISSED;
        return outcome->extra ? SEMANTICS_EXTRA : SEMANTICS_EXACT;
    default:
        return SEMANTICS_NONE;
    }
}

static void
describe_silence(const SemanticsCase *about, const DlChildOutcome *child, guint limit_ms, Outcome *outcome)
{
    if (child->timed_out && about->hang) {
        outcome->verdict = SEMANTICS_UNSUPPORTED;
        outcome->observed = g_strdup_printf("it did not come back within %u ms: %s", limit_ms, about->hang);
        outcome->finding = g_strdup(about->hang);
    } else if (child->timed_out) {
        outcome->observed = g_strdup_printf("it did not come back within %u ms", limit_ms);
    } else if (child->status != -1 && WIFSIGNALED(child->status)) {
        outcome->observed =
            g_strdup_printf("it was ended by signal %d (%s)", WTERMSIG(child->status), strsignal(WTERMSIG(child->status)));
    } else {
        outcome->observed = g_strdup("it ended without a word");
    }
}

static char *
counts_in_words(const Outcome *outcome)
{
    if (!outcome->written && !outcome->reported)
        return g_strdup("nothing reported");
    return g_strdup_printf("%" G_GUINT64_FORMAT " to report, %" G_GUINT64_FORMAT " reported, %" G_GUINT64_FORMAT
                           " missed, %" G_GUINT64_FORMAT " extra",
                           outcome->written, outcome->reported, outcome->missed, outcome->extra);
}

static void
read_take(const DlChildOutcome *child, Outcome *outcome)
{
    g_auto(GStrv) lines = g_strsplit(child->text, "\n", 4);
    g_auto(GStrv) numbers = g_strsplit(lines[0], " ", 6);
    End end = (End)g_ascii_strtoull(numbers[0], NULL, 10);

    outcome->by_pages = g_str_equal(numbers[1], "1");
    outcome->written = g_ascii_strtoull(numbers[2], NULL, 10);
    outcome->reported = g_ascii_strtoull(numbers[3], NULL, 10);
    outcome->missed = g_ascii_strtoull(numbers[4], NULL, 10);
    outcome->extra = g_ascii_strtoull(numbers[5], NULL, 10);
    outcome->verdict = verdict_of(end, outcome);
    if (end == END_COUNTED && (outcome->by_pages || !lines[1][0])) {
        g_autofree char *counts = counts_in_words(outcome);
        outcome->observed = lines[1][0] ? g_strconcat(counts, "; ", lines[1], NULL) : g_steal_pointer(&counts);
    } else {
        outcome->observed = g_strdup(lines[1]);
    }
    outcome->finding = lines[2][0] ? g_strdup(lines[2]) : NULL;
}

static void
take(const SemanticsCase *about, const DlTrackerFacts *tracker, DlRamKind ram, SemanticsTake how, Outcome *outcome)
{
    Cell cell = {.about = about, .tracker = tracker, .ram = ram, .take = how};
    guint limit_ms = about->limit_ms ? about->limit_ms : LIMIT_MS;
    DlChildOutcome child;

    *outcome = (Outcome){0};
    if (!dl_child_run(run_take, &cell, limit_ms, &child)) {
        outcome->observed = g_strdup_printf("no child process: %s", g_strerror(errno));
        return;
    }
    /* A child that told all and then hung in its exit has told all. */
    if (child.length && child.text[child.length - 1] == '\n')
        read_take(&child, outcome);
    else
        describe_silence(about, &child, limit_ms, outcome);
}

static const char *
verdict_word(SemanticsVerdict verdict)
{
    const char *name = semantics_verdict_name(verdict);

    return name ? name : "no verdict";
}

/* Which question of which tracker on which memory. */
typedef struct {
    const SemanticsCase *about;
    const DlTrackerFacts *tracker;
    DlRamKind ram;
} Question;

/* What the controls of a cell came to, together. */
typedef struct {
    GString *words;
    gboolean differed;    /* one at least: the verdict could have been another */
    gboolean unavailable; /* one at least could not be had: memory that was there for the real take is gone */
} Controls;

static void
run_control(const Question *question, SemanticsTake how, const char *words, SemanticsVerdict verdict, Controls *controls)
{
    g_auto(Outcome) outcome = {0};

    take(question->about, question->tracker, question->ram, how, &outcome);
    g_string_append_printf(controls->words, "%s%s: %s", controls->words->len ? "; " : "", words, verdict_word(outcome.verdict));
    if (outcome.observed)
        g_string_append_printf(controls->words, " (%s)", outcome.observed);
    if (outcome.verdict == SEMANTICS_UNSUPPORTED)
        controls->unavailable = TRUE;
    else if (outcome.verdict != SEMANTICS_NONE && outcome.verdict != verdict)
        controls->differed = TRUE;
}

static void
run_controls(const Question *question, const Outcome *real, Controls *controls)
{
    if (question->about->left_out) {
        g_autofree char *words = g_strdup_printf("without %s", question->about->left_out);
        run_control(question, TAKE_LEFT_OUT, words, real->verdict, controls);
    }
    if (!real->by_pages)
        return;
    if (real->verdict == SEMANTICS_MISSED)
        run_control(question, TAKE_LIE_ALL, "a tracker that reports all pages", real->verdict, controls);
    else if (real->written)
        run_control(question, TAKE_LIE_DROP, "a tracker that drops one page", real->verdict, controls);
}

/* The real take's outcome stands only if a control differed. */
static void
check_by_controls(const Question *question, Outcome *real, Controls *controls)
{
    if (real->verdict == SEMANTICS_NONE || real->verdict == SEMANTICS_UNSUPPORTED)
        return;
    run_controls(question, real, controls);
    if (controls->differed)
        return;
    g_autofree char *observed = g_steal_pointer(&real->observed);
    if (controls->unavailable) {
        real->observed = g_strdup_printf("its control cannot be had: %s", controls->words->str);
        real->verdict = SEMANTICS_UNSUPPORTED;
        g_string_truncate(controls->words, 0);
    } else {
        real->observed = g_strdup_printf("%s (%s), but no control came out otherwise: %s", verdict_word(real->verdict), observed,
                                         controls->words->str);
        real->verdict = SEMANTICS_NONE;
    }
}

SemanticsRow *
semantics_run_cell(const SemanticsCase *about, const DlTrackerFacts *tracker, DlRamKind ram)
{
    Question question = {about, tracker, ram};
    SemanticsRow *row = g_new0(SemanticsRow, 1);
    g_autoptr(GString) control = g_string_new(NULL);
    g_auto(Outcome) real = {0};
    Controls controls = {.words = control};

    row->name = g_strdup(about->name);
    row->tracker = g_strdup(tracker ? tracker->name : "-");
    row->ram = g_strdup(dl_ram_kind_name(ram));
    row->required = g_strdup(about->required);
    take(about, tracker, ram, TAKE_REAL, &real);
    check_by_controls(&question, &real, &controls);
    row->verdict = real.verdict;
    row->written = real.written;
    row->reported = real.reported;
    row->missed = real.missed;
    row->extra = real.extra;
    row->observed = g_steal_pointer(&real.observed);
    row->finding = g_steal_pointer(&real.finding);
    if (!row->finding && row->verdict == SEMANTICS_MISSED)
        row->finding = g_strdup(about->finding);
    if (control->len)
        row->control = g_strdup(control->str);
    return row;
}

static const char *
rams_of(const SemanticsCase *about, const DlTrackerFacts *tracker)
{
    if (about->kvm_rams && tracker && (tracker->holds == DL_HOLDS_MEMSLOT_LOG || tracker->holds == DL_HOLDS_RING))
        return about->kvm_rams;
    return about->rams ? about->rams : PLAIN_RAMS;
}

void
semantics_run_case(const SemanticsCase *about, GPtrArray *rows)
{
    g_auto(GStrv) trackers = g_strsplit(about->trackers ? about->trackers : PLAIN_TRACKERS, ",", 0);

    for (guint t = 0; trackers[t]; t++) {
        const DlTrackerFacts *tracker = dl_tracker_facts_by_name(trackers[t]);
        g_auto(GStrv) rams = g_strsplit(rams_of(about, tracker), ",", 0);

        for (guint r = 0; rams[r]; r++) {
            DlRamKind ram;

            if (dl_ram_kind_from_name(rams[r], &ram, NULL))
                g_ptr_array_add(rows, semantics_run_cell(about, tracker, ram));
        }
    }
}

gboolean
semantics_case_matches(const SemanticsCase *about, const char *patterns)
{
    g_auto(GStrv) each = g_strsplit(patterns, ",", 0);

    for (guint i = 0; each[i]; i++) {
        g_autofree char *group = g_strconcat(each[i], ".*", NULL);

        if (g_pattern_match_simple(each[i], about->name) || g_pattern_match_simple(group, about->name))
            return TRUE;
    }
    return FALSE;
}
