/* SPDX-License-Identifier: MIT */
/*
 * The first oracle: the list of writes that the seed determines. It knows what was written because it can compute the order that
 * the writers follow and each writer publishes how far it has come; no tracker and no page content is asked, but for one word a
 * writer: the write that was in flight when the writer was stopped is looked up in RAM.
 *
 * Time is cut into windows, one from each harvest at a stop to the next. Within a window a page may be reported by any harvest.
 */
#pragma once

#include <dirtylog/dirtylog.h>

#include "bench/workload.h"

typedef struct WriteList WriteList;

/** What happened in a window, in bits of the layout. */
typedef struct {
    DlBitmap *written;   /* stored to for certain */
    DlBitmap *read;      /* loaded by the workload (pattern read) */
    DlBitmap *in_flight; /* the writers' next writes: faulted on or not, stored or not, at the window's start or end */
} WriteWindow;

/**
 * WriteListConfig:
 * @workload: what the actors follow; @workload.vcpus of them share each pass
 * @kvmclock: KVM writes its clock pages, once a pass, actor N that of vCPU N, instead of arena pages
 * @gated: actors stop between two writes (the host's own threads do), so that none is ever in flight
 */
typedef struct {
    struct abi_workload workload;
    struct abi_arena arena;
    gboolean kvmclock;
    gboolean gated;
} WriteListConfig;

WriteList *write_list_new(const WriteListConfig *config, DlLayout *layout);
void write_list_free(WriteList *list);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(WriteList, write_list_free)

/** The pages that the workload can write at all: what this oracle judges. */
const DlBitmap *write_list_scope(const WriteList *list);
guint64 write_list_scope_pages(const WriteList *list);

/** write_list_pass_writes: writes a pass of one actor. */
guint64 write_list_pass_writes(const WriteList *list, guint actor);

/**
 * write_list_rearmed: a harvest protected all pages when the actors had made @positions[] writes (all passes together, about):
 * from here on a page's next write is a first write again.
 */
void write_list_rearmed(WriteList *list, const guint64 *positions);

/** write_list_open_window: forgets the last window; what is written from its end on belongs to the next. */
void write_list_open_window(WriteList *list);
/** write_list_close_window: the actors stand still at @positions[]. The window lives until the next is opened. */
const WriteWindow *write_list_close_window(WriteList *list, const guint64 *positions);

/**
 * write_list_take_running: closes the window while the actors run on, at positions that they had some time ago: only what lies before is
 * counted as written, and the write at each position is in flight. RAM is not asked.
 */
const WriteWindow *write_list_take_running(WriteList *list, const guint64 *positions);
/** write_list_skip_to: what was written before @positions is forgotten. */
void write_list_skip_to(WriteList *list, const guint64 *positions);

/**
 * write_list_wrong_words: looks at the last @depth writes of each actor, which stand still at @positions[]: how many of the words in RAM hold
 * a value that neither one of these writes nor any of another actor's stored there. Patterns that store nothing of their own: 0.
 */
guint64 write_list_wrong_words(const WriteList *list, const guint64 *positions, guint64 depth);

/** write_list_first_writes: pages first written since a re-arm by the writes of @pass that lie in closed windows. */
guint64 write_list_first_writes(const WriteList *list, guint64 pass);
