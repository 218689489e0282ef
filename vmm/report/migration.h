/* SPDX-License-Identifier: MIT */
/* A migration's passes laid out in time. */
#pragma once

#include "results/migration_result.h"

/** TimelineStep: one pass. Rates in bytes a second, NaN where they are not known. */
typedef struct {
    double from_ms, to_ms;
    double left_bytes; /* at its beginning */
    double bandwidth;  /* of sending */
    double dirty_rate; /* while it was under way, as the next one reports it */
    double guest_rate; /* the same, as the guest wrote */
} TimelineStep;

/** timeline_of: a step for each pass, free with g_array_unref(). */
GArray *timeline_of(const MigrationResult *result);
