/* SPDX-License-Identifier: MIT */
/* What is wrong with a tracker, judged from what both oracles found in window after window. */
#pragma once

#include "bench/lab.h"

typedef enum {
    DIAGNOSIS_SOUND,
    DIAGNOSIS_ADDS,               /* reports pages that nothing explains */
    DIAGNOSIS_DROPS,              /* loses pages */
    DIAGNOSIS_LATE,               /* reports pages a harvest too late */
    DIAGNOSIS_TRUNCATES,          /* loses only pages in a region's last bitmap word */
    DIAGNOSIS_DOES_NOT_REARM,     /* loses every second write to a page: reported once, never again */
    DIAGNOSIS_READS_BEFORE_REARM, /* reports every page, but what was written between the read and the re-arm is lost */
} Diagnosis;
const char *diagnosis_name(Diagnosis diagnosis); /* in words */

typedef struct Evidence Evidence;
Evidence *evidence_new(DlLayout *layout);
void evidence_free(Evidence *evidence);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Evidence, evidence_free)

/** evidence_add: takes a window into account; windows come in order. Made to be called from LabConfig.observe. */
void evidence_add(Evidence *evidence, const LabWindow *seen);
Diagnosis evidence_diagnose(const Evidence *evidence);
