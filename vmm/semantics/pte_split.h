/* SPDX-License-Identifier: MIT */
/* A huge page of the file taken apart: one 4 KiB page of each is punched, which is told to the log and marked. */
#pragma once

#include "semantics/pte.h"

gboolean pte_split(Scene *scene, GError **error);
