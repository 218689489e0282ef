/* SPDX-License-Identifier: MIT */
/*
 * A scan under a writer that does not stop. Every backing page begins with a counter; the reader takes what is reported, protects and copies, and
 * when the writer stands, one more pass must leave copy and memory equal.
 */
#pragma once

#include "semantics/scan.h"

#define SCAN_RACE_PAGES(cell) ((cell)->ram == DL_RAM_SHMEM ? 64 : 4)

/** One pass of the reader: scans, and hands what it found to scan_race_copy_found(). */
typedef gboolean ScanRacePass(Scan *scan, guint8 *copy, GError **error);

/** scan_race_run: rounds of a race, judged. */
gboolean scan_race_run(Scan *scan, ScanRacePass *pass, GError **error);
void scan_race_copy_found(Scan *scan, guint8 *copy);

#define SCAN_RACE_REQUIRED "under a writer that does not stop no update is lost"
#define SCAN_RACE_LIMIT_MS 60000
