/* SPDX-License-Identifier: MIT */
/*
 * Frames over a channel; docs/protocol.md has the layout of each. A stream numbers what it sends, and checks of all that it gets the
 * magic, the version, the number, both checksums, and that this type in this length is due, before anything else looks at it.
 * After an error a stream is of no use, but for stream_give_up().
 */
#pragma once

#include <migration/channel.h>
#include <migration/migration.h>

#define STREAM_VERSION 1
#define STREAM_HEADER_BYTES 32
#define STREAM_TEXT_MAX 1024          /* bytes of a REFUSAL or an ERROR */
#define STREAM_SECTION_HEAD 40        /* of a SECTION before the section's own bytes */
#define STREAM_SECTION_MAX (16 << 20) /* a section's own bytes */

/** Names on the wire: never change a number. */
typedef enum {
    FRAME_HELLO = 1,     /* source: what the guest is made of */
    FRAME_WELCOME = 2,   /* destination: send it */
    FRAME_REFUSAL = 3,   /* destination: why not */
    FRAME_PAGES = 4,     /* source: runs of pages; contents follow the payload */
    FRAME_PASS = 5,      /* source: a pass has ended */
    FRAME_KEEPALIVE = 6, /* source: still here */
    FRAME_SECTION = 7,   /* source: one saved section */
    FRAME_END = 8,       /* source: that was all */
    FRAME_LOADED = 9,    /* destination: all is loaded, I wait for GO */
    FRAME_GO = 10,       /* source: the guest is yours */
    FRAME_RUNNING = 11,  /* destination: it is */
    FRAME_ERROR = 12,    /* either: I give up; from a destination: the guest has not run here and never will */
} FrameType;
#define FRAME_N_TYPES 13
#define FRAME_BIT(type) (1u << (type))

/** FrameHead: a header on its own, for those who watch a stream go by (tests). */
typedef struct {
    FrameType type;
    guint32 length;
    guint32 number;
    guint64 payload_sum;
} FrameHead;

/**
 * Stream: @cap: the longest payload of each type that this side takes, and never more than stream_init() sets; @chain_out, @chain_in: a
 * digest over every header so far, and so over all that the headers' checksums cover.
 */
typedef struct {
    MigrationChannel *channel; /* borrowed */
    guint32 cap[FRAME_N_TYPES];
    guint32 number_out;
    guint32 number_in;
    guint64 chain_out;
    guint64 chain_in;
    guint8 *buffer;
    gsize buffer_size;
    gboolean broken; /* a write failed: the peer has perhaps half a frame */
} Stream;

void stream_init(Stream *stream, MigrationChannel *channel);
void stream_clear(Stream *stream);

const char *frame_type_name(FrameType type);
/** stream_length_is_valid: whether a frame of that type may have such a payload at all. */
gboolean stream_length_is_valid(FrameType type, gsize length);

/** stream_head: fills in a frame's header and counts the frame as sent. @length never exceeds the type's cap. */
void stream_head(Stream *stream, FrameType type, gconstpointer payload, gsize length, guint8 head[STREAM_HEADER_BYTES]);
/** stream_append: a whole frame to the end of @out, to be written by stream_flush() in this order. */
void stream_append(Stream *stream, GByteArray *out, FrameType type, gconstpointer payload, gsize length);
/** stream_flush: writes what was appended and empties it. Errors: CHANNEL_ERROR */
gboolean stream_flush(Stream *stream, GByteArray *out, GError **error);
/**
 * stream_send_with: one frame, and what follows its payload without being covered by its checksum: guest RAM, straight from where it lies.
 * @pieces is used up; its first two are left free for the frame. Errors: CHANNEL_ERROR
 */
gboolean stream_send_with(Stream *stream, FrameType type, gconstpointer payload, gsize length, struct iovec *pieces,
                          guint n_pieces, GError **error);
/** stream_send: one frame. */
gboolean stream_send(Stream *stream, FrameType type, gconstpointer payload, gsize length, GError **error);

/** Frame: @payload is the stream's, valid until the next frame. */
typedef struct {
    FrameType type;
    const guint8 *payload;
    gsize length;
} Frame;

/**
 * stream_receive: waits until @deadline for a frame's first byte, then takes it in. @expected: FRAME_BITs. Errors: DAMAGED; PEER when it is an
 * ERROR and REFUSED when it is a REFUSAL (both are whole and genuine then); CHANNEL_ERROR.
 */
gboolean stream_receive(Stream *stream, guint expected, gint64 deadline, Frame *frame, GError **error);

/** stream_parse_head: Errors: DAMAGED */
gboolean stream_parse_head(const guint8 bytes[STREAM_HEADER_BYTES], FrameHead *head, GError **error);

/** stream_text: what a peer says, cut to STREAM_TEXT_MAX and made printable, on one line. */
char *stream_text(const guint8 *bytes, gsize length);
/** stream_give_up: tells the peer, if it still listens: ERROR, or with @refusal REFUSAL. Never waits long, never fails. */
void stream_give_up(Stream *stream, gboolean refusal, const GError *why);
