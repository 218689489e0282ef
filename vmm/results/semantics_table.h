/* SPDX-License-Identifier: MIT */
/* The semantics matrix for people: cases and trackers down, RAM kinds across, and beneath it what a VMM author has to know. */
#pragma once

#include "results/semantics_json.h"

/** semantics_table_text: @rows: of SemanticsRow. At most @columns wide (at least 80). */
void semantics_table_text(const GPtrArray *rows, const DocumentInfo *info, guint columns, GString *out);
