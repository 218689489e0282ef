/* SPDX-License-Identifier: MIT */
/*
 * calc-dirty-rate: how many MiB the guest dirties a second. With a tracker it is one more consumer of the log, and counts each page
 * once however often others harvest meanwhile; without one, pages are sampled. One measurement at a time, on a thread of its own.
 */
#pragma once

#include "control/tracking.h"

typedef struct DirtyRate DirtyRate;

#define DIRTY_RATE_MIN_MS 50
#define DIRTY_RATE_MAX_MS 60000
#define DIRTY_RATE_MIN_SAMPLES 128
#define DIRTY_RATE_MAX_SAMPLES 16384
#define DIRTY_RATE_SAMPLES 512

typedef enum {
    DIRTY_RATE_UNSTARTED,
    DIRTY_RATE_MEASURING,
    DIRTY_RATE_MEASURED,
} DirtyRateStatus;

/**
 * DirtyRateRequest:
 * @mode: as the user named it
 * @facts: the tracker that it stands for; NULL: page-sampling
 * @sample_pages: a GiB; page-sampling only
 * @calc_time_ms: DIRTY_RATE_MIN_MS to DIRTY_RATE_MAX_MS
 */
typedef struct {
    char mode[24];
    const DlTrackerFacts *facts;
    guint sample_pages;
    gint64 calc_time_ms;
} DirtyRateRequest;

/**
 * DirtyRateReport:
 * @start_s: when it began, in seconds of the monotonic clock, as QEMU's
 * @rate, @pages, @interval_ns: valid once measured: MiB/s; distinct pages of 4 KiB (page-sampling: extrapolated from the sample) in the time between the two
 * looks
 * @vcpu_rates: MiB/s for each vCPU; NULL unless the dirty ring was used. Freed by dirty_rate_report_clear()
 * @failure: why the last one came to nothing; or NULL
 */
typedef struct {
    DirtyRateStatus status;
    DirtyRateRequest request;
    gint64 start_s;
    gint64 rate;
    guint64 pages;
    gint64 interval_ns;
    gint64 *vcpu_rates;
    guint n_vcpus;
    char *failure;
} DirtyRateReport;
void dirty_rate_report_clear(DirtyRateReport *report);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(DirtyRateReport, dirty_rate_report_clear)

DirtyRate *dirty_rate_new(Board *board, Tracking *tracking);
/** dirty_rate_free: a measurement under way ends without a result. */
void dirty_rate_free(DirtyRate *rate);

/** dirty_rate_mode: what `dirty-bitmap`, `dirty-ring`, `page-sampling` or a tracker's name stands for. Errors: QMP_ERROR_GENERIC. */
gboolean dirty_rate_mode(DirtyRate *rate, const char *name, DirtyRateRequest *request, GError **error);

/**
 * dirty_rate_start: makes the tracker active, if need be (Tracking: borrowed until the end), and returns while the measurement goes on;
 * what is written after the return is counted.
 * Errors: QMP_ERROR_GENERIC (one is under way), DL_ERROR.
 */
gboolean dirty_rate_start(DirtyRate *rate, const DirtyRateRequest *request, GError **error);

/** dirty_rate_report: never waits. */
void dirty_rate_report(DirtyRate *rate, DirtyRateReport *report);
