/* SPDX-License-Identifier: MIT */
/* The classes that the registry in tracker.c lists: one file each. */
#pragma once

#include "dirtylog/tracker_class.h"

extern const DlTrackerClass dl_none_class;
extern const DlTrackerClass dl_kvm_bitmap_class;
extern const DlTrackerClass dl_kvm_bitmap_clear_class;
extern const DlTrackerClass dl_kvm_ring_class;
extern const DlTrackerClass dl_uffd_wp_class;
extern const DlTrackerClass dl_pagemap_scan_class;
extern const DlTrackerClass dl_soft_dirty_class;
