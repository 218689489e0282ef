/* SPDX-License-Identifier: MIT */
/* The benchmark's groups of plots. Each writes nothing where nothing was measured for it. */
#pragma once

#include "report/page.h"

void plots_first_write(Page *page);
void plots_harvest(Page *page);
void plots_stall(Page *page);
void plots_amplification(Page *page);
