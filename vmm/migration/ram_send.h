/* SPDX-License-Identifier: MIT */
/* Pages of guest RAM out of it and into PAGES frames. */
#pragma once

#include <machine/ram.h>
#include <migration/stream.h>

typedef struct RamSender RamSender;

/** RamSent: pages, counted by how they went out. */
typedef struct {
    guint64 normal;
    guint64 zero;
} RamSent;

/** Called after each frame, with the bytes that it took: keeps to a bandwidth, notices a cancel. */
typedef gboolean (*RamSenderPace)(gpointer user, guint64 bytes, GError **error);

RamSender *ram_sender_new(GuestRam *ram, Stream *stream, RamSenderPace pace, gpointer user);
void ram_sender_free(RamSender *sender);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(RamSender, ram_sender_free)

/** ram_sender_look: finds what of RAM exists (ram_holes.h). Errors: FAILED */
gboolean ram_sender_look(RamSender *sender, GError **error);
/** ram_sender_forget: RAM was discarded: pages that were there may not be any more. */
void ram_sender_forget(RamSender *sender);

/**
 * ram_sender_send: the pages of @pages in @window, which lies in one region: those that exist and are not all zeroes with their content, the
 * others as marks. What does not exist is never read. @first: the last look is as good as one now: what has come into being since will be
 * reported. @sent is added to. Errors: CHANNEL_ERROR, those of pace.
 */
gboolean ram_sender_send(RamSender *sender, const DlBitmap *pages, DlPageRange window, gboolean first, RamSent *sent,
                         GError **error);
