/* SPDX-License-Identifier: MIT */
#include "proxy.h"

#include <dirtylog/bitmap.h>
#include <machine/wire.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct {
    Proxy *proxy;
    int from, to;
    GThread *thread;
} Pump;

struct Proxy {
    Fault fault;
    int inner[2];
    Pump pumps[2];
    GMutex lock;
    GCond changed;
    guint counts[FRAME_N_TYPES];
    gboolean stalled, struck, ending;
};

static void
cut(Proxy *proxy)
{
    shutdown(proxy->inner[0], SHUT_RDWR);
    shutdown(proxy->inner[1], SHUT_RDWR);
}

static gboolean
read_more(int fd, GByteArray *frame, gsize size)
{
    gsize done = frame->len;

    g_byte_array_set_size(frame, (guint)(done + size));
    while (done < frame->len) {
        gssize got = read(fd, frame->data + done, frame->len - done);
        if (got <= 0)
            return FALSE;
        done += (gsize)got;
    }
    return TRUE;
}

static gboolean
read_frame(int fd, GByteArray *frame, FrameHead *head)
{
    g_byte_array_set_size(frame, 0);
    if (!read_more(fd, frame, STREAM_HEADER_BYTES) || !stream_parse_head(frame->data, head, NULL) ||
        !read_more(fd, frame, head->length))
        return FALSE;
    if (head->type != FRAME_PAGES)
        return TRUE;
    WireReader reader = {.bytes = frame->data + STREAM_HEADER_BYTES + 4, .left = 4};
    return read_more(fd, frame, (gsize)wire_get_u32(&reader) * DL_PAGE_SIZE);
}

static gboolean
write_bytes(int fd, const guint8 *bytes, gsize size)
{
    while (size) {
        gssize put = send(fd, bytes, size, MSG_NOSIGNAL);
        if (put <= 0)
            return FALSE;
        bytes += put;
        size -= (gsize)put;
    }
    return TRUE;
}

/* What is to be done to this frame. */
static FaultKind
judge(Proxy *proxy, FrameType type)
{
    FaultKind kind = FAULT_NONE;

    g_mutex_lock(&proxy->lock);
    proxy->counts[type]++;
    if (type == proxy->fault.type && proxy->counts[type] == proxy->fault.nth && proxy->fault.kind != FAULT_NONE) {
        kind = proxy->fault.kind;
        proxy->struck = TRUE;
        proxy->stalled = kind == FAULT_STALL;
    }
    while (proxy->stalled && !proxy->ending)
        g_cond_wait(&proxy->changed, &proxy->lock);
    g_mutex_unlock(&proxy->lock);
    return kind;
}

static gboolean
pass_on(Pump *pump, GByteArray *frame, FrameType type)
{
    guint64 bit;

    switch (judge(pump->proxy, type)) {
    case FAULT_CUT:
    case FAULT_STALL:
        return FALSE;
    case FAULT_CUT_MIDWAY:
        write_bytes(pump->to, frame->data, frame->len / 2);
        return FALSE;
    case FAULT_FLIP:
        bit = MIN((guint64)(pump->proxy->fault.place * (double)frame->len * 8), (guint64)frame->len * 8 - 1);
        frame->data[bit / 8] ^= (guint8)(1u << bit % 8);
        break;
    case FAULT_NONE:
        break;
    }
    return write_bytes(pump->to, frame->data, frame->len);
}

static gpointer
pump_thread(gpointer user)
{
    Pump *pump = user;
    g_autoptr(GByteArray) frame = g_byte_array_new();
    FrameHead head;

    while (read_frame(pump->from, frame, &head) && pass_on(pump, frame, head.type))
        ;
    g_mutex_lock(&pump->proxy->lock);
    while (pump->proxy->stalled && !pump->proxy->ending) /* the other pump's stall closes nothing either */
        g_cond_wait(&pump->proxy->changed, &pump->proxy->lock);
    g_mutex_unlock(&pump->proxy->lock);
    if (pump->proxy->struck && pump->proxy->fault.kind != FAULT_FLIP) {
        cut(pump->proxy);
    } else {
        shutdown(pump->to, SHUT_WR);
        shutdown(pump->from, SHUT_RD); /* who writes to a side that is gone learns of it, as on a socket */
    }
    return NULL;
}

Proxy *
proxy_new(const Fault *fault, int fds[2])
{
    Proxy *proxy = g_new0(Proxy, 1);

    proxy->fault = *fault;
    g_mutex_init(&proxy->lock);
    g_cond_init(&proxy->changed);
    for (guint i = 0; i < 2; i++) {
        int pair[2];
        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), ==, 0);
        proxy->inner[i] = pair[0];
        fds[i] = pair[1];
    }
    for (guint i = 0; i < 2; i++) {
        proxy->pumps[i] = (Pump){.proxy = proxy, .from = proxy->inner[i], .to = proxy->inner[1 - i]};
        proxy->pumps[i].thread = g_thread_new("proxy", pump_thread, &proxy->pumps[i]);
    }
    return proxy;
}

void
proxy_free(Proxy *proxy)
{
    g_mutex_lock(&proxy->lock);
    proxy->ending = TRUE;
    g_cond_broadcast(&proxy->changed);
    g_mutex_unlock(&proxy->lock);
    cut(proxy);
    for (guint i = 0; i < 2; i++)
        g_thread_join(proxy->pumps[i].thread);
    for (guint i = 0; i < 2; i++)
        close(proxy->inner[i]);
    g_mutex_clear(&proxy->lock);
    g_cond_clear(&proxy->changed);
    g_free(proxy);
}

gboolean
proxy_struck(Proxy *proxy)
{
    g_mutex_lock(&proxy->lock);
    gboolean struck = proxy->struck;
    g_mutex_unlock(&proxy->lock);
    return struck;
}

guint
proxy_count(Proxy *proxy, FrameType type)
{
    g_mutex_lock(&proxy->lock);
    guint count = proxy->counts[type];
    g_mutex_unlock(&proxy->lock);
    return count;
}
