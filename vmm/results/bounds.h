/* SPDX-License-Identifier: MIT */
/* How much a result document may hold. A file may come from anybody; what is beyond these is refused before it is looked at. */
#pragma once

#define LIMIT_DOCUMENT (64U << 20) /* bytes */
#define LIMIT_BLOCK (64U << 10)    /* bytes read at once */
#define LIMIT_DEPTH 16             /* objects and arrays within each other: json-glib's parser recurses */
#define LIMIT_RESULTS 20000
#define LIMIT_ORACLES 16        /* a result */
#define LIMIT_ITERATIONS 100000 /* a migration */
#define LIMIT_BUCKETS 4096      /* a histogram */
#define LIMIT_SAMPLES 1000000
#define LIMIT_STRING 65536 /* bytes */
