/* SPDX-License-Identifier: MIT */
/* Trackers that lie, each in its own way, around one that does not. The oracles are tested with them. */
#pragma once

#include "bench/diagnosis.h"
#include "dirtylog/tracker_class.h"

typedef enum {
    LIE_DROP,
    LIE_ADD,
    LIE_LATE,
    LIE_TRUNCATE,
    LIE_NO_REARM,
    LIE_READ_BEFORE_REARM,
} Lie;
#define N_LIES 6

/** The honest tracker inside. */
#define LIAR_INNER "kvm-bitmap-clear"

const DlTrackerClass *liar_class(Lie lie);
/** What the oracles must find. */
Diagnosis liar_diagnosis(Lie lie);
