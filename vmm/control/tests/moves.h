/* SPDX-License-Identifier: MIT */
/* For the tests: moving trackers and measuring the dirty rate through a control socket, with a twin that finds what is lost. */
#pragma once

#include <board/board.h>

#include "qmp_client.h"
#include "twin.h"

/** set_tracker: x-dirtylab-set-tracker, which succeeds; its answer. */
JsonNode *set_tracker(QmpClient *client, const char *tracker);
/** usable_trackers: names that x-dirtylab-query-trackers calls supported, but for `none`. */
GPtrArray *usable_trackers(QmpClient *client);

void start_measuring(QmpClient *client, const char *mode, gint64 ms);
/** wait_measured: query-dirty-rate's answer, when it is not `measuring` any more. */
JsonNode *wait_measured(QmpClient *client);

/** expect_equal: pauses the guest, follows it and compares all RAM. */
void expect_equal(Board *board, Twin *twin);

/**
 * move_through_every_pair: each ordered pair of usable trackers, with a measurement of @ms that begins before the move, and nothing lost.
 * The guest writes at least once in that time.
 */
void move_through_every_pair(Board *board, QmpClient *client, gint64 ms);
