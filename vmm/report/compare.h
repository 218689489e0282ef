/* SPDX-License-Identifier: MIT */
/*
 * What got better or worse from one run to another, beyond noise.
 *
 * Cases are matched by all that tells them apart, and each cost of theirs is one comparison. Something is said only where the permutation
 * test, corrected for the number of comparisons, leaves chance less than 1 in 20, and where the difference is above a floor: 10 %, and an
 * absolute one for each cost. Both are needed: with many samples a test finds the 2 % by which a host differs from itself an hour later.
 *
 * Runs are what is independent: where both files have enough of them (some eight), whole runs are dealt out by the test, else samples, and
 * then the runs of one file have to lie beyond those of the other by more than either file's runs lie from each other.
 *
 * Where most costs moved alike, it was the host that moved (another load, another clock), not one cost of the program: that common factor,
 * the median over all comparisons, is named, and each is judged by what remains beyond it. It is a finding of its own when it is large.
 */
#pragma once

#include "results/result_file.h"

typedef enum {
    COMPARE_SAME,
    COMPARE_BETTER,
    COMPARE_WORSE,
    COMPARE_TOO_FEW, /* of samples: no difference could be told */
} CompareVerdict;
const char *compare_verdict_name(CompareVerdict verdict); /* `same`, `better`, `worse`, `too-few-samples` */

/**
 * Comparison: @name: of the case, in words. @quantity: as the JSON names it. @ratio: new ÷ old, over all pairs of samples. @p: corrected.
 * @old, @new: medians; of accuracy, numbers of pages. @by_count: it is about counts, not samples: any increase is worse.
 * @untracked: a cost of the guest with no tracker over its RAM, to which the trackers contribute nothing.
 */
typedef struct {
    char *name;
    const char *quantity;
    double old, new;
    guint n_old, n_new;
    double ratio;
    double p;
    gboolean by_count;
    gboolean untracked;
    CompareVerdict verdict;
} Comparison;

/**
 * CompareResult: @comparisons: of Comparison, in the order of the new file. @only_old, @only_new: cases without a counterpart.
 * @drift: the common factor; 1 when there are too few comparisons to know. @same_host: FALSE: a difference may be the host's.
 */
typedef struct {
    GArray *comparisons;
    guint only_old, only_new;
    double drift;
    gboolean same_host;
} CompareResult;

/** compare_files: benchmarks, migrations or semantics. Errors: FORMAT when the files are of different or of other kinds, or share no case. */
CompareResult *compare_files(const ResultFile *old, const ResultFile *new, GError **error);
void compare_result_free(CompareResult *result);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CompareResult, compare_result_free)

/**
 * compare_host_moved: whether the guest became faster or slower with no tracker over its RAM. Then it was the host (or the lab, but hardly
 * a tracker), in ways that a common factor does not cover, and what else is claimed may be of that too.
 */
gboolean compare_host_moved(const CompareResult *result);
guint compare_count(const CompareResult *result, CompareVerdict verdict);
/** compare_text: the table: what differs, then what was compared. */
void compare_text(const CompareResult *result, const ResultFile *old, const ResultFile *new, guint columns, GString *out);
/** compare_json: schema dirtylab.compare/1, with a newline at its end. @command: what made it. Free with g_free(). */
char *compare_json(const CompareResult *result, const ResultFile *old, const ResultFile *new, const char *command);
