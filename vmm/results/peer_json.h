/* SPDX-License-Identifier: MIT */
/*
 * Schema dirtylab.peer/1, in: dirtylab beside another VMM on the same host, measured in alternation. Each result: `name` (of the
 * quantity), `peer` (whom it is measured beside), `unit`, `dirtylab` and `peer_value` (objects with `median` and `samples`; optional)
 * and `ratio` (dirtylab ÷ peer: `median`, `ci95`).
 */
#pragma once

#include "results/document.h"

#define PEER_SCHEMA "dirtylab.peer/1"

/** PeerResult: NaN: the document does not say. @ratio: below 1 dirtylab's figure is the smaller one. */
typedef struct {
    char *name;
    char *peer;
    char *unit;
    double dirtylab, other;
    double ratio, low, high;
} PeerResult;

void peer_result_free(PeerResult *result);

/** peer_json_read: the results (of PeerResult, owned by the array), as bench_json_read() does it. Errors: FORMAT, naming the field. */
GPtrArray *peer_json_read(const char *text, gsize length, DocumentInfo **info, GError **error);
