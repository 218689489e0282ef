/* SPDX-License-Identifier: MIT */
/* Everything of libdirtylog. */
#pragma once

#include <dirtylog/bitmap.h>
#include <dirtylog/error.h>
#include <dirtylog/host.h>
#include <dirtylog/log.h>
#include <dirtylog/memory.h>
#include <dirtylog/probe.h>
#include <dirtylog/region.h>
#include <dirtylog/tracker.h>
