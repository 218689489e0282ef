/* SPDX-License-Identifier: MIT */
/*
 * The payload of a PAGES frame, and what follows it. All little-endian:
 *
 *   u32 runs, u32 pages with content
 *   a run each: u64 gpa, u32 pages, u32 kind
 *   a page with content each, in the order of the runs: u64 XXH3 of its 4 KiB
 *   and then, not covered by the frame's checksum: the contents, 4 KiB each
 */
#pragma once

#define PAGES_MAX_RUNS 512
#define PAGES_MAX_CONTENTS 512
#define PAGES_HEAD_BYTES 8
#define PAGES_RUN_BYTES 16
#define PAGES_SUM_BYTES 8

#define PAGES_RUN_CONTENT 0 /* content follows */
#define PAGES_RUN_ZERO 1    /* all zeroes */
