/* SPDX-License-Identifier: MIT */
/* What this host supports, for people: trackers down, RAM kinds across, and beneath it each reason with its remedy. */
#pragma once

#include "results/probe_json.h"

/** probe_table_text: @rows: of ProbeRow. @privileges: a line on what this process may, or NULL. At most @columns wide (at least 80). */
void probe_table_text(const GPtrArray *rows, const DocumentInfo *info, const char *privileges, guint columns, GString *out);
