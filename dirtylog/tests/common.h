/* SPDX-License-Identifier: MIT */
/* What the tests of the library share: a log over plain process memory, and short words for what they do most. */
#pragma once

#include "dirtylog/tracker_class.h"

/**
 * Tracked: memory of a kind, in one region, its log and one consumer.
 * @host: as given to the log; tests change it before tracked_open()
 */
typedef struct {
    DlMemory *memory;
    DlLayout *layout;
    DlHost host;
    DlLog *log;
    DlConsumer *consumer;
    guint64 n_pages;
} Tracked;

/** After a move that failed: the test is skipped when the tracker is not to be had here, which the probe has to say too; else it fails. */
void skip_refused(const char *tracker, DlRamKind kind, const GError *error);
/** After memory that was not to be had: the test is skipped when the host has too little of it; else it fails. */
void skip_lacking(const GError *error);
/** The kind's memory, at least @size bytes; FALSE after g_test_skip() when this host has too few hugepages. */
gboolean tracked_open(Tracked *tracked, DlRamKind kind, guint64 size);
void tracked_close(Tracked *tracked);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Tracked, tracked_close)

/** A host whose only writer is the calling thread. */
DlHost host_alone(void);

/** Whether the tracker works here; the reason why not is said, but nothing is skipped. */
gboolean is_supported(const char *tracker, DlRamKind kind);
/** Whether it works here; else the test is skipped, with the reason. */
gboolean supported_or_skip(const char *tracker, DlRamKind kind);

void move_to(Tracked *tracked, const char *tracker);
/** Harvests and takes everything: what this consumer had pending. */
DlBitmap *harvest(Tracked *tracked);
/** The unit of the active tracker on the tracked memory, in pages. */
guint64 unit_pages(const Tracked *tracked);
/** Sets the page's whole unit. */
void expect_page(const Tracked *tracked, DlBitmap *expected, guint64 page);
void store(Tracked *tracked, guint64 page);
void assert_same_pages(const DlBitmap *found, const DlBitmap *expected);

/** A test for each RAM kind: "PATH/KIND". */
void add_for_kinds(const char *path, void (*function)(gconstpointer kind));
