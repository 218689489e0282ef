/* SPDX-License-Identifier: MIT */
/* A man in the middle who knows where frames begin: cuts, stalls, or flips a bit at a frame of one's choice. */
#pragma once

#include <migration/stream.h>

typedef enum {
    FAULT_NONE,
    FAULT_CUT,        /* instead of passing the frame on, closes both sides */
    FAULT_CUT_MIDWAY, /* after half of it */
    FAULT_STALL,      /* passes nothing on any more, in either direction, and closes nothing */
    FAULT_FLIP,       /* one bit anywhere in the frame, contents included */
} FaultKind;

/**
 * Fault: @type: the frame it happens to; @nth: the how-manieth of that type, from 1; @place: where in the frame, 0 … 1
 */
typedef struct {
    FaultKind kind;
    FrameType type;
    guint nth;
    double place;
} Fault;

typedef struct Proxy Proxy;

/** proxy_new: @fds: one socket for each side to connect by; theirs to close. */
Proxy *proxy_new(const Fault *fault, int fds[2]);
/** proxy_free: closes, and waits for its threads. */
void proxy_free(Proxy *proxy);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Proxy, proxy_free)

/** proxy_struck: whether the fault has happened. */
gboolean proxy_struck(Proxy *proxy);
/** proxy_count: frames of @type that came by. */
guint proxy_count(Proxy *proxy, FrameType type);
