/* SPDX-License-Identifier: MIT */
/*
 * Who owns KVM_MEM_LOG_DIRTY_PAGES. KVM throws a slot's dirty bitmap away when the flag goes off, so two trackers that both
 * need it own it together while one hands over to the other: the flag goes on with the first owner and off with the last.
 */
#pragma once

#include <dirtylog/host.h>
#include <dirtylog/region.h>

typedef struct DlLogFlag DlLogFlag;

DlLogFlag *dl_log_flag_new(DlLayout *layout, const DlHost *host); /* both outlive it */
void dl_log_flag_free(DlLogFlag *flag);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DlLogFlag, dl_log_flag_free)

/** On error the caller does not own it, and slots that had gone on are off again. */
gboolean dl_log_flag_acquire(DlLogFlag *flag, GError **error);
/** Cannot fail for the caller: a slot that stays on is warned about. */
void dl_log_flag_release(DlLogFlag *flag);
/** Off and on again for every slot, so that KVM write-protects all of it anew. On error some slots may be off: call it again. */
gboolean dl_log_flag_cycle(DlLogFlag *flag, GError **error);
