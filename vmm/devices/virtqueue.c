/* SPDX-License-Identifier: MIT */
#include <devices/virtqueue.h>
#include <linux/virtio_ring.h>
#include <stddef.h>

#define USED_HEADER 4 /* flags, idx */

/* --- loads: once each, by size --- */

static guint16
load16(const guint8 *bytes)
{
    return GUINT16_FROM_LE(__atomic_load_n((const guint16 *)(gconstpointer)bytes, __ATOMIC_ACQUIRE));
}

static guint16
avail_index(const Virtqueue *queue)
{
    return load16(queue->avail_bytes + offsetof(struct vring_avail, idx));
}

static guint16
used_event(const Virtqueue *queue)
{
    return load16(queue->avail_bytes + offsetof(struct vring_avail, ring) + (gsize)2 * queue->size);
}

/* A copy that the guest cannot change any more, in the host's byte order. */
static struct vring_desc
load_descriptor(const guint8 *table, guint index)
{
    struct vring_desc descriptor;

    memcpy(&descriptor, table + index * sizeof descriptor, sizeof descriptor);
    __asm__ volatile("" ::: "memory"); /* not read again */
    return (struct vring_desc){.addr = GUINT64_FROM_LE(descriptor.addr),
                               .len = GUINT32_FROM_LE(descriptor.len),
                               .flags = GUINT16_FROM_LE(descriptor.flags),
                               .next = GUINT16_FROM_LE(descriptor.next)};
}

/* --- enabling --- */

static gboolean
refuse(Virtqueue *queue, const char *fault)
{
    if (!queue->fault)
        queue->fault = fault;
    return FALSE;
}

/* Finds the rings in RAM. */
static gboolean
map_rings(Virtqueue *queue)
{
    const DlLayout *layout = guest_ram_layout(queue->ram);
    gsize size = queue->size;

    if (!size || size > VIRTQUEUE_MAX_SIZE || size & (size - 1))
        return refuse(queue, "queue size is no power of two, or too large");
    if (queue->desc % 16 || queue->avail % 2 || queue->used % 4)
        return refuse(queue, "a ring is not aligned");
    queue->desc_bytes = dl_layout_hva_of_gpa(layout, queue->desc, size * sizeof(struct vring_desc));
    queue->avail_bytes = dl_layout_hva_of_gpa(layout, queue->avail, sizeof(struct vring_avail) + 2 * size + 2);
    if (!queue->desc_bytes || !queue->avail_bytes ||
        !dl_layout_hva_of_gpa(layout, queue->used, USED_HEADER + size * sizeof(struct vring_used_elem) + 2))
        return refuse(queue, "a ring lies outside RAM");
    return TRUE;
}

gboolean
virtqueue_enable(Virtqueue *queue)
{
    queue->next_avail = queue->next_used = queue->published = 0;
    queue->enabled = map_rings(queue);
    return queue->enabled;
}

void
virtqueue_reset(Virtqueue *queue)
{
    *queue = (Virtqueue){.ram = queue->ram};
}

/* --- taking requests --- */

typedef struct {
    const guint8 *table;
    guint entries;
    guint index;
    guint walked;      /* descriptors of this table so far: bounds every loop */
    gboolean indirect; /* by itself, not by the table's place: a guest may give the queue's own ring as an indirect table */
} Walk;

static gboolean
add_piece(Virtqueue *queue, VirtqueueChain *chain, const struct vring_desc *descriptor)
{
    gboolean writable = descriptor->flags & VRING_DESC_F_WRITE;
    guint n = chain->n_out + chain->n_in;

    if (!descriptor->len)
        return refuse(queue, "a buffer of no bytes");
    if (!writable && chain->n_in)
        return refuse(queue, "a readable buffer after a writable one");
    if (!dl_layout_hva_of_gpa(guest_ram_layout(queue->ram), descriptor->addr, descriptor->len))
        return refuse(queue, "a buffer outside RAM");
    if (descriptor->len > VIRTQUEUE_MAX_BYTES - chain->out_bytes - chain->in_bytes)
        return refuse(queue, "a request of too many bytes");
    chain->pieces[n] = (GuestRamPiece){.gpa = descriptor->addr, .size = descriptor->len};
    if (writable) {
        chain->n_in++;
        chain->in_bytes += descriptor->len;
    } else {
        chain->n_out++;
        chain->out_bytes += descriptor->len;
    }
    return TRUE;
}

static gboolean
enter_indirect(Virtqueue *queue, Walk *walk, const struct vring_desc *descriptor)
{
    guint entries = descriptor->len / sizeof *descriptor;

    if (!queue->indirect)
        return refuse(queue, "an indirect table that was not negotiated");
    if (walk->indirect)
        return refuse(queue, "an indirect table inside another");
    if (descriptor->flags & VRING_DESC_F_NEXT)
        return refuse(queue, "an indirect table with a successor");
    /* a chain should be no longer than the queue, but drivers go by the device's limit on segments: that is what there is room for */
    if (!entries || descriptor->len % sizeof *descriptor || entries > VIRTQUEUE_MAX_SIZE)
        return refuse(queue, "an indirect table of an impossible length");
    const guint8 *table = dl_layout_hva_of_gpa(guest_ram_layout(queue->ram), descriptor->addr, descriptor->len);
    if (!table)
        return refuse(queue, "an indirect table outside RAM");
    *walk = (Walk){.table = table, .entries = entries, .indirect = TRUE};
    return TRUE;
}

static gboolean
walk_chain(Virtqueue *queue, VirtqueueChain *chain)
{
    Walk walk = {.table = queue->desc_bytes, .entries = queue->size, .index = chain->head};

    for (;;) {
        if (walk.index >= walk.entries)
            return refuse(queue, "a descriptor outside its table");
        if (walk.walked++ >= walk.entries)
            return refuse(queue, "a chain that is a loop");
        struct vring_desc descriptor = load_descriptor(walk.table, walk.index);
        if (descriptor.flags & VRING_DESC_F_INDIRECT) {
            if (chain->n_out + chain->n_in)
                return refuse(queue, "an indirect table after other buffers");
            if (!enter_indirect(queue, &walk, &descriptor))
                return FALSE;
            continue;
        }
        if (!add_piece(queue, chain, &descriptor))
            return FALSE;
        if (!(descriptor.flags & VRING_DESC_F_NEXT))
            return TRUE;
        walk.index = descriptor.next;
    }
}

VirtqueueResult
virtqueue_take(Virtqueue *queue, VirtqueueChain *chain)
{
    if (queue->fault)
        return VIRTQUEUE_BROKEN;
    if (!queue->enabled)
        return VIRTQUEUE_EMPTY;

    guint16 waiting = avail_index(queue) - queue->next_avail;
    if (!waiting)
        return VIRTQUEUE_EMPTY;
    if (waiting > queue->size) {
        refuse(queue, "the available index runs away");
        return VIRTQUEUE_BROKEN;
    }
    gsize slot = queue->next_avail & (queue->size - 1);
    chain->head = load16(queue->avail_bytes + offsetof(struct vring_avail, ring) + 2 * slot);
    chain->n_out = chain->n_in = 0;
    chain->out_bytes = chain->in_bytes = 0;
    if (!walk_chain(queue, chain))
        return VIRTQUEUE_BROKEN;
    queue->next_avail++;
    return VIRTQUEUE_TAKEN;
}

void
virtqueue_take_back(Virtqueue *queue)
{
    queue->next_avail--;
}

void
virtqueue_reject(Virtqueue *queue, const char *fault)
{
    virtqueue_take_back(queue);
    refuse(queue, fault);
}

/* --- giving them back --- */

void
virtqueue_give(Virtqueue *queue, const VirtqueueChain *chain, gsize written)
{
    gsize slot = queue->next_used & (queue->size - 1);
    struct vring_used_elem element = {.id = GUINT32_TO_LE(chain->head), .len = GUINT32_TO_LE((guint32)written)};

    guest_ram_store(queue->ram, queue->used + USED_HEADER + slot * sizeof element, &element, sizeof element);
    queue->next_used++;
}

gboolean
virtqueue_publish(Virtqueue *queue)
{
    guint16 before = queue->published;

    if (before == queue->next_used)
        return FALSE;
    guest_ram_publish16(queue->ram, queue->used + offsetof(struct vring_used, idx), queue->next_used);
    queue->published = queue->next_used;
    /* the index before the driver's wish is read: it writes its wish, and then looks at the index */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (queue->event_idx)
        return vring_need_event(used_event(queue), queue->published, before) != 0;
    return !(load16(queue->avail_bytes) & VRING_AVAIL_F_NO_INTERRUPT);
}

gboolean
virtqueue_await(Virtqueue *queue)
{
    if (queue->fault || !queue->enabled)
        return FALSE;
    if (queue->event_idx) {
        gsize place = USED_HEADER + queue->size * sizeof(struct vring_used_elem);
        guest_ram_publish16(queue->ram, queue->used + place, queue->next_avail);
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
    }
    return avail_index(queue) != queue->next_avail;
}

/* --- bytes --- */

guint
virtqueue_slice(const GuestRamPiece *pieces, guint n_pieces, gsize offset, gsize size, GuestRamPiece *out)
{
    guint n = 0;

    for (guint i = 0; i < n_pieces && size; i++) {
        if (offset >= pieces[i].size) {
            offset -= pieces[i].size;
            continue;
        }
        gsize here = MIN(size, pieces[i].size - offset);
        out[n++] = (GuestRamPiece){.gpa = pieces[i].gpa + offset, .size = here};
        offset = 0;
        size -= here;
    }
    return n;
}

gboolean
virtqueue_chain_gather(const Virtqueue *queue, const VirtqueueChain *chain, gsize offset, gpointer to, gsize size)
{
    guint8 *bytes = to;

    if (offset > chain->out_bytes || size > chain->out_bytes - offset)
        return FALSE;
    for (guint i = 0; i < chain->n_out && size; i++) {
        const GuestRamPiece *piece = &chain->pieces[i];
        if (offset >= piece->size) {
            offset -= piece->size;
            continue;
        }
        gsize here = MIN(size, piece->size - offset);
        guest_ram_load(queue->ram, piece->gpa + offset, bytes, here);
        bytes += here;
        size -= here;
        offset = 0;
    }
    return TRUE;
}

gboolean
virtqueue_chain_scatter(const Virtqueue *queue, const VirtqueueChain *chain, gsize offset, gconstpointer from, gsize size)
{
    const guint8 *bytes = from;

    if (offset > chain->in_bytes || size > chain->in_bytes - offset)
        return FALSE;
    for (guint i = 0; i < chain->n_in && size; i++) {
        const GuestRamPiece *piece = &chain->pieces[chain->n_out + i];
        if (offset >= piece->size) {
            offset -= piece->size;
            continue;
        }
        gsize here = MIN(size, piece->size - offset);
        guest_ram_store(queue->ram, piece->gpa + offset, bytes, here);
        bytes += here;
        size -= here;
        offset = 0;
    }
    return TRUE;
}

/* --- saved state --- */

void
virtqueue_save(const Virtqueue *queue, GByteArray *out)
{
    wire_put_u8(out, queue->enabled ? 1 : 0);
    wire_put_u16(out, queue->size);
    wire_put_u64(out, queue->desc);
    wire_put_u64(out, queue->avail);
    wire_put_u64(out, queue->used);
    wire_put_u16(out, queue->next_avail);
    wire_put_u16(out, queue->next_used);
}

gboolean
virtqueue_load(Virtqueue *queue, WireReader *reader)
{
    guint8 enabled = wire_get_u8(reader);

    queue->size = wire_get_u16(reader);
    queue->desc = wire_get_u64(reader);
    queue->avail = wire_get_u64(reader);
    queue->used = wire_get_u64(reader);
    queue->next_avail = wire_get_u16(reader);
    queue->next_used = queue->published = wire_get_u16(reader);
    queue->enabled = FALSE;
    queue->fault = NULL;
    /* what was taken and not given back is in flight: nothing is, when state is saved */
    if (!reader->overrun && enabled <= 1 && (!enabled || (queue->next_avail == queue->next_used && map_rings(queue)))) {
        queue->enabled = enabled;
        return TRUE;
    }
    virtqueue_reset(queue);
    return FALSE;
}
