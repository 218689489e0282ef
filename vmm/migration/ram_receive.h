/* SPDX-License-Identifier: MIT */
/* Pages out of PAGES frames and into guest RAM. */
#pragma once

#include <machine/ram.h>
#include <migration/stream.h>

typedef struct RamReceiver RamReceiver;

/** ram_receiver_new: @log is told of every store. */
RamReceiver *ram_receiver_new(GuestRam *ram, DlLog *log, Stream *stream);
void ram_receiver_free(RamReceiver *receiver);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(RamReceiver, ram_receiver_free)

/**
 * ram_receiver_take: a PAGES frame, and the contents that follow it on the channel. Nothing is touched before all of the frame has been checked.
 * Errors: DAMAGED, FAILED (no memory for a page), CHANNEL_ERROR.
 */
gboolean ram_receiver_take(RamReceiver *receiver, const Frame *frame, GError **error);

/** ram_receiver_finish: whether every page's latest content matched its checksum. Errors: DAMAGED */
gboolean ram_receiver_finish(const RamReceiver *receiver, GError **error);

/** Pages taken so far: with content, and as marks. */
guint64 ram_receiver_normal(const RamReceiver *receiver);
guint64 ram_receiver_zero(const RamReceiver *receiver);
