/* SPDX-License-Identifier: MIT */
/*
 * The lines of dirty_log_perf_test, known since Linux 5.10:
 *
 *     guest physical test memory: [0x7fefffff000, 0x7fffffff000)
 *     Populate memory time: S.NNNNNNNNNs
 *     Enabling dirty logging time: …
 *     Iteration N dirty memory time: …        (get dirty log; and clear dirty log, unless it was given -g)
 *     Disabling dirty logging time: …
 *     Get dirty log over N iterations took S.NNNNNNNNNs. (Avg …)         which is a sum, and passed over
 *
 * A harness may put `# ` before each. Everything else in the text is passed over.
 */
#include <math.h>
#include <string.h>

#include "results/bounds.h"
#include "results/document.h"
#include "results/yardstick.h"

#define LONGEST_SECONDS 1e6

const char *
yardstick_phase_name(YardstickPhase phase)
{
    static const char *const names[] = {"populate", "enable", "dirty", "get", "clear", "disable"};

    G_STATIC_ASSERT(G_N_ELEMENTS(names) == N_YARDSTICK_PHASES);
    g_assert((guint)phase < N_YARDSTICK_PHASES);
    return names[phase];
}

void
yardstick_free(Yardstick *yardstick)
{
    if (!yardstick)
        return;
    for (guint phase = 0; phase < N_YARDSTICK_PHASES; phase++)
        samples_free(yardstick->phase[phase]);
    g_free(yardstick);
}

static void
read_memory(Yardstick *yardstick, const char *line)
{
    static const char mark[] = "test memory: [";
    const char *at = strstr(line, mark);
    char *end = NULL;

    if (!at)
        return;
    guint64 low = g_ascii_strtoull(at + sizeof mark - 1, &end, 16);
    if (strncmp(end, ", ", 2) != 0)
        return;
    guint64 high = g_ascii_strtoull(end + 2, &end, 16);
    if (*end == ')' && high > low)
        yardstick->memory_bytes = high - low;
}

static void
read_phase(Yardstick *yardstick, const char *line)
{
    static const struct {
        const char *words;
        YardstickPhase phase;
    } known[] = {
        {"Populate memory time: ", YARDSTICK_POPULATE}, {"Enabling dirty logging time: ", YARDSTICK_ENABLE},
        {" dirty memory time: ", YARDSTICK_DIRTY},      {" get dirty log time: ", YARDSTICK_GET},
        {" clear dirty log time: ", YARDSTICK_CLEAR},   {"Disabling dirty logging time: ", YARDSTICK_DISABLE},
    };

    for (guint i = 0; i < G_N_ELEMENTS(known); i++) {
        const char *at = strstr(line, known[i].words);
        const char *digits = at ? at + strlen(known[i].words) : "";
        char *end = NULL;
        double seconds = g_ascii_strtod(digits, &end);

        if (end > digits && *end == 's' && isfinite(seconds) && seconds >= 0 && seconds < LONGEST_SECONDS &&
            samples_count(yardstick->phase[known[i].phase]) < LIMIT_SAMPLES)
            samples_add(yardstick->phase[known[i].phase], seconds * 1e9);
    }
}

Yardstick *
yardstick_read(const char *text, gsize length, GError **error)
{
    g_autoptr(Yardstick) yardstick = g_new0(Yardstick, 1);
    gboolean found = FALSE;

    for (guint phase = 0; phase < N_YARDSTICK_PHASES; phase++)
        yardstick->phase[phase] = samples_new();
    for (const char *at = text, *end = text + length; at < end;) {
        const char *newline = memchr(at, '\n', (gsize)(end - at));
        const char *stop = newline ? newline : end;
        g_autofree char *line = g_strndup(at, MIN((gsize)(stop - at), 256));

        read_memory(yardstick, line);
        read_phase(yardstick, line);
        at = stop + 1;
    }
    for (guint phase = 0; phase < N_YARDSTICK_PHASES; phase++)
        found = found || samples_count(yardstick->phase[phase]);
    if (found)
        return g_steal_pointer(&yardstick);
    g_set_error_literal(error, RESULTS_ERROR, RESULTS_ERROR_FORMAT,
                        "holds no line of dirty_log_perf_test: give what that program prints");
    return NULL;
}
