/* SPDX-License-Identifier: MIT */
/* Private to the migration benchmark: the two processes of a case, and what they tell their parent. */
#pragma once

#include "bench/migration_case.h"
#include "bench/pass_judge.h"
#include "bench/role.h"

typedef enum {
    MESSAGE_READY = 1, /* from the destination: its address, as text */
    MESSAGE_START,     /* the destination's address, as text */
    MESSAGE_REPORT,    /* from the source: SourceReport, then IterationReport each; from the destination: DestinationReport */
    MESSAGE_DIGESTS,   /* back: guint64 a piece */
    MESSAGE_PAGES,     /* a piece's number; back: guint64 a page */
    MESSAGE_GO_ON,     /* back, when the guest does: nothing */
    MESSAGE_STILL,     /* back, if the guest stands where the migration left it: nothing */
} Message;

/** RolePlan: what a role inherits by fork(). @uri: what the destination listens on. @tls_creds: NULL: no TLS. */
typedef struct {
    const MigrationCase *migration;
    double ns_per_cycle;
    const char *uri;
    const char *tls_creds;
} RolePlan;

#define REASON_BYTES 512

typedef struct {
    gint64 harvest_ns, send_ns, host_cpu_ns;
    guint64 sent_pages;
    guint32 tracker; /* an index of dl_tracker_facts() */
    PassVerdict verdict;
} IterationReport;

typedef struct {
    MigrationStatus status;
    char reason[REASON_BYTES];
    gint64 total_ns, setup_ns, downtime_ns;
    MigrationDowntime downtime;
    guint64 transferred_bytes, normal_pages, duplicate_pages;
    double dirty_pages_rate;
    guint throttle_percent; /* the most that was needed */
    guint64 ring_overflows;
    struct abi_histogram stalls;
} SourceReport;

typedef struct {
    MigrationStatus status;
    char reason[REASON_BYTES];
} DestinationReport;

/** RoleBody; @user is a RolePlan. */
gboolean source_role(int control, gpointer user, GError **error);
gboolean destination_role(int control, gpointer user, GError **error);

/** role_stage: the case's VM and guest; @destination: RAM unpopulated, never booted. */
Stage *role_stage(const RolePlan *plan, gboolean destination, GError **error);
/** role_answer_digests: DIGESTS or PAGES; the guest stands still. */
gboolean role_answer_digests(int control, const Stage *stage, guint32 type, const GByteArray *message, GError **error);
