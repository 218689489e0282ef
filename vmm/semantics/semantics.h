/* SPDX-License-Identifier: MIT */
/*
 * The frame of the semantics matrix. A case asks one question of the kernel, of each of its trackers on each of its RAM kinds:
 * those are its cells. A cell runs in child processes with a time limit, first for real, then as controls, each of which tells the
 * case to do one thing wrongly. A verdict stands only if at least one control came out with another one: a question that can be
 * answered in one way only proves nothing.
 *
 *   TAKE_REAL      the question itself
 *   TAKE_LEFT_OUT  the step that `left_out` names is left out: cell_step() is FALSE
 *   TAKE_LIE       the frame falsifies what was reported: one page dropped where all was well, all pages added where some were
 *                  missed
 *
 * A new case is one file and one line in cases.h.
 */
#pragma once

#include <dirtylog/dirtylog.h>

#include "results/semantics_json.h"

typedef enum {
    TAKE_REAL,
    TAKE_LEFT_OUT,
    TAKE_LIE_DROP,
    TAKE_LIE_ALL,
} SemanticsTake;

typedef struct Cell Cell;

/**
 * SemanticsCase:
 * @name: group.case
 * @required: what must hold for a VMM to be safe, one sentence
 * @left_out: the step that the control leaves out, in words; NULL: the control is the lying tracker alone
 * @finding: what a VMM author has to know where pages are missed; NULL: nothing
 * @trackers: comma-separated, `-` where the case is about none; NULL: pagemap-scan, uffd-wp and soft-dirty
 * @rams: comma-separated; NULL: shmem, shmem-thp and hugetlb-2M
 * @kvm_rams: those for KVM's own trackers, where the kind of RAM has no part in what they do; NULL: @rams
 * @run: FALSE with an error: UNSUPPORTED, PERMISSION and RESOURCE become the verdict `unsupported`, all else is none
 * @variant: for files that hold several cases
 * @limit_ms: of one take; 0: 20 s
 * @hang: what a take means that never came back, where a kernel is known to do that; the verdict is then `unsupported`
 */
typedef struct {
    const char *name;
    const char *required;
    const char *left_out;
    const char *finding;
    const char *trackers;
    const char *rams;
    const char *kvm_rams;
    gboolean (*run)(Cell *cell, GError **error);
    int variant;
    guint limit_ms;
    const char *hang;
} SemanticsCase;

#define PLAIN_TRACKERS "pagemap-scan,uffd-wp,soft-dirty"
#define KVM_TRACKERS "kvm-bitmap,kvm-bitmap-clear,kvm-ring"
#define ALL_TRACKERS KVM_TRACKERS "," PLAIN_TRACKERS
#define PLAIN_RAMS "shmem,shmem-thp,hugetlb-2M"

/**
 * Cell: one take of one cell, as the case sees it.
 * @tracker: NULL where the case is about none
 */
struct Cell {
    const SemanticsCase *about;
    const DlTrackerFacts *tracker;
    DlRamKind ram;
    SemanticsTake take;
    /* the outcome */
    gboolean judged, refused, by_pages; /* by_pages: a lying tracker could be told from an honest one */
    guint64 written, reported, missed, extra;
    GString *said;
    GString *finding;
};

/** cell_step: whether the step that the control leaves out is to be done. */
gboolean cell_step(const Cell *cell);

/**
 * cell_judge: @must had to be reported, @allowed may be beside it (the rest of the tracker's unit), @found was. May be called for
 * several rounds, which add up.
 */
void cell_judge(Cell *cell, const DlBitmap *must, const DlBitmap *allowed, const DlBitmap *found);
/** cell_count: the same in numbers, for what is no bitmap; such a case has a `left_out`. */
void cell_count(Cell *cell, guint64 written, guint64 reported, guint64 missed, guint64 extra);
/**
 * cell_refused: the kernel or the library said no, as it had to or may; the words say who and how. A case that cannot go on then
 * returns FALSE without an error.
 */
void cell_refused(Cell *cell, const char *format, ...) G_GNUC_PRINTF(2, 3);
/** cell_say: more on what was observed. */
void cell_say(Cell *cell, const char *format, ...) G_GNUC_PRINTF(2, 3);
/** cell_find: a finding that is known only now, instead of the case's. */
void cell_find(Cell *cell, const char *format, ...) G_GNUC_PRINTF(2, 3);

/** What an errno means for a case: sets the error and answers FALSE. */
gboolean cell_fail(GError **error, const char *what);
/** The same for a kernel that has not got what is needed. */
gboolean cell_unsupported(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);

/** The registry. */
guint semantics_n_cases(void);
const SemanticsCase *semantics_case(guint index);

/** semantics_case_matches: @patterns is a comma-separated list of names, groups (`pte`) and globs (`pte.*`). */
gboolean semantics_case_matches(const SemanticsCase *about, const char *patterns);

/** semantics_run_cell: all takes of one cell. @tracker may be NULL. */
SemanticsRow *semantics_run_cell(const SemanticsCase *about, const DlTrackerFacts *tracker, DlRamKind ram);

/** semantics_run_case: all cells of a case; adds SemanticsRows. */
void semantics_run_case(const SemanticsCase *about, GPtrArray *rows);
