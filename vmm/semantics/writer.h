/* SPDX-License-Identifier: MIT */
/*
 * What every writer case does: places 0 and 1 are written in a way of the case's own, and reported; and written again after the
 * re-arm, and reported again. Who is seen by whom is the table "Who sees which writer" of the trackers' facts: trackers that go by
 * a page table see the stores made through it, those of KVM see the vCPUs' and KVM's own.
 */
#pragma once

#include "semantics/scene.h"

/** Writes to the place's page, at any offset; FALSE with an error when it cannot. */
typedef gboolean (*Writer)(Scene *scene, guint place, GError **error);

/**
 * writer_run: over plain memory, or that of a VM where the tracker is one of KVM's, which sees vCPUs and KVM alone. writer_open is its scene.
 * writer_run_on: on a scene of the case's own, armed or not; what a case prepares stands already.
 */
Scene *writer_open(Cell *cell, GError **error);
gboolean writer_run(Cell *cell, Writer writer, GError **error);
gboolean writer_run_on(Scene *scene, Writer writer, GError **error);

/** writer_source: a file of one page of bytes that nothing else holds, for system calls that read; -1 with an error. */
int writer_source(GError **error);

#define WRITER_REQUIRED "the pages that it wrote are reported, each time"
