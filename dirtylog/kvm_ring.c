/* SPDX-License-Identifier: MIT */
/*
 * kvm-ring: each vCPU's dirty ring. How it is walked, and what happens when it overflows, is ring.c's; here are the mappings, the
 * ioctls, and the check of every slot and offset against the layout.
 *
 * A collect kicks the vCPUs first: what the CPU buffers (PML) reaches the ring when a vCPU leaves the guest.
 *
 * The kernel's indices live as long as the VM, so an instance does not know where they stand when it is armed, until the first
 * entry shows. A release drains the rings, so that the next arm starts with clean ones.
 */
#include "dirtylog/log_flag.h"
#include "dirtylog/private.h"
#include "dirtylog/ring.h"
#include "dirtylog/trackers.h"
#include "dirtylog/trial.h"

#include <sys/ioctl.h>
#include <sys/mman.h>

/* Slot ids that a table is made for; KVM on x86 has 32764 a VM. */
#define MAX_SLOT 65535
#define NO_REGION G_MAXUINT

typedef struct {
    DlTracker base;
    DlRingSet set;
    guint *region_of_slot; /* MAX_SLOT + 1 at most */
    guint n_slots;
} KvmRing;

static guint64
kvm_ring_unit(DlRamKind kind)
{
    (void)kind;
    return DL_PAGE_SIZE;
}

static gboolean
kvm_ring_probe(DlRamKind kind, char **remedy, GError **error)
{
    (void)remedy;
    return dl_trial_kvm(&dl_kvm_ring_class, kind, 4096 * (guint32)sizeof(struct kvm_dirty_gfn), error);
}

static gint64
ring_reset(gpointer user)
{
    KvmRing *ring = user;
    int result = ioctl(ring->base.context->host->vm_fd, KVM_RESET_DIRTY_RINGS, 0);

    return result < 0 ? -errno : result;
}

static gboolean
ring_pause(gpointer user, GError **error)
{
    const DlHost *host = ((KvmRing *)user)->base.context->host;

    return host->pause(host->user, error);
}

static void
ring_resume(gpointer user)
{
    const DlHost *host = ((KvmRing *)user)->base.context->host;

    host->resume(host->user);
}

static gboolean
ring_reprotect(gpointer user, GError **error)
{
    return dl_log_flag_cycle(((KvmRing *)user)->base.context->log_flag, error);
}

/* The slot's upper half is the address space, ours is 0. An entry of another slot is not ours, or a lie: it is passed over. */
static void
ring_report(gpointer user, guint32 slot, guint64 offset, DlBitmap *out)
{
    KvmRing *ring = user;

    if (slot >= ring->n_slots || ring->region_of_slot[slot] == NO_REGION)
        return;
    DlPageRange pages = dl_layout_region_pages(ring->base.context->layout, ring->region_of_slot[slot]);
    if (offset < pages.count)
        dl_bitmap_set(out, pages.first + offset);
}

static void
ring_report_all(gpointer user, DlBitmap *out)
{
    dl_layout_fill(((KvmRing *)user)->base.context->layout, out);
}

static gboolean
check_context(const DlTrackerContext *context, GError **error)
{
    const DlHost *host = context->host;
    guint64 entries = host->dirty_ring_bytes / sizeof(struct kvm_dirty_gfn);

    if (host->vm_fd < 0) {
        dl_set_error(error, DL_ERROR_UNSUPPORTED, 0, NULL, "KVM's dirty rings need a KVM VM, and there is none");
        return FALSE;
    }
    if (host->dirty_ring_bytes == 0) {
        dl_set_error(error, DL_ERROR_UNSUPPORTED, 0, "a VM made with dirty rings",
                     "this VM was made without dirty rings, and KVM enables them only before the first vCPU");
        return FALSE;
    }
    if (entries < 4 || (entries & (entries - 1)) || host->dirty_ring_bytes % sizeof(struct kvm_dirty_gfn)) {
        dl_set_error(error, DL_ERROR_INVALID, 0, NULL, "a dirty ring of %u bytes is not a power of two", host->dirty_ring_bytes);
        return FALSE;
    }
    if (!host->vcpu_fd || !host->kick || !host->pause || !host->resume || !host->set_logging) {
        dl_set_error(error, DL_ERROR_UNSUPPORTED, 0, NULL, "the program gave no way to kick, pause and resume its vCPUs");
        return FALSE;
    }
    for (guint i = 0; i < dl_layout_n_regions(context->layout); i++) {
        if (dl_layout_region(context->layout, i)->slot > MAX_SLOT) {
            dl_set_error(error, DL_ERROR_INVALID, 0, NULL, "memslot %u", dl_layout_region(context->layout, i)->slot);
            return FALSE;
        }
    }
    return TRUE;
}

static void
index_slots(KvmRing *ring, const DlLayout *layout)
{
    for (guint i = 0; i < dl_layout_n_regions(layout); i++)
        ring->n_slots = MAX(ring->n_slots, dl_layout_region(layout, i)->slot + 1);
    ring->region_of_slot = g_new(guint, ring->n_slots);
    for (guint slot = 0; slot < ring->n_slots; slot++)
        ring->region_of_slot[slot] = NO_REGION;
    for (guint i = 0; i < dl_layout_n_regions(layout); i++)
        ring->region_of_slot[dl_layout_region(layout, i)->slot] = i;
}

static DlTracker *
kvm_ring_new(const DlTrackerContext *context, GError **error)
{
    if (!check_context(context, error))
        return NULL;

    KvmRing *ring = g_new0(KvmRing, 1);
    ring->base = (DlTracker){&dl_kvm_ring_class, context};
    ring->set.rings = g_new0(DlRing, MAX(context->host->n_vcpus, 1));
    ring->set.n_rings = context->host->n_vcpus;
    ring->set.stats = context->stats;
    ring->set.ops = (DlRingOps){ring_reset, ring_pause, ring_resume, ring_reprotect, ring_report, ring_report_all, ring};
    index_slots(ring, context->layout);
    return &ring->base;
}

static void
unmap_rings(KvmRing *ring)
{
    for (guint i = 0; i < ring->set.n_rings; i++) {
        DlRing *one = &ring->set.rings[i];
        if (one->entries)
            munmap(one->entries, one->size * sizeof(*one->entries));
        one->entries = NULL;
    }
}

static gboolean
map_rings(KvmRing *ring, GError **error)
{
    const DlHost *host = ring->base.context->host;

    for (guint i = 0; i < ring->set.n_rings; i++) {
        gpointer entries = mmap(NULL, host->dirty_ring_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, host->vcpu_fd(host->user, i),
                                (off_t)KVM_DIRTY_LOG_PAGE_OFFSET * (off_t)DL_PAGE_SIZE);
        if (entries == MAP_FAILED) {
            dl_set_error(error, dl_error_from_errno(errno), errno, NULL, "mapping the dirty ring of vCPU %u", i);
            unmap_rings(ring);
            return FALSE;
        }
        ring->set.rings[i] = (DlRing){
            .entries = entries,
            .size = host->dirty_ring_bytes / (guint32)sizeof(struct kvm_dirty_gfn),
            .trust = DL_RING_UNSURE,
            .reported = &ring->base.context->ring_entries[i],
        };
    }
    return TRUE;
}

static gboolean
kvm_ring_arm(DlTracker *tracker, GError **error)
{
    KvmRing *ring = (KvmRing *)tracker;

    if (!map_rings(ring, error))
        return FALSE;
    if (dl_log_flag_acquire(tracker->context->log_flag, error))
        return TRUE;
    unmap_rings(ring);
    return FALSE;
}

static gboolean
kvm_ring_collect(DlTracker *tracker, DlBitmap *out, GError **error)
{
    const DlHost *host = tracker->context->host;

    host->kick(host->user);
    return dl_ring_set_harvest(&((KvmRing *)tracker)->set, out, error);
}

/* On the vCPU's own thread: it has left the guest, so its buffers are flushed, and the others are not waited for. */
static gboolean
kvm_ring_full(DlTracker *tracker, guint vcpu, DlBitmap *out, GError **error)
{
    KvmRing *ring = (KvmRing *)tracker;

    if (vcpu >= ring->set.n_rings) {
        dl_set_error(error, DL_ERROR_INVALID, 0, NULL, "there is no vCPU %u", vcpu);
        return FALSE;
    }
    return dl_ring_set_full(&ring->set, vcpu, out, error);
}

static void
kvm_ring_release(DlTracker *tracker)
{
    KvmRing *ring = (KvmRing *)tracker;
    const DlHost *host = tracker->context->host;
    g_autoptr(DlBitmap) dropped = dl_bitmap_new(dl_layout_n_bits(tracker->context->layout));
    g_autoptr(GError) error = NULL;

    /* The flag first, so that nothing new comes in; an overflow noticed now concerns nobody any more. */
    dl_log_flag_release(tracker->context->log_flag);
    host->kick(host->user);
    if (!dl_ring_set_drain(&ring->set, dropped, &error))
        g_warning("dirty rings not drained: %s", error->message);
    unmap_rings(ring);
}

static void
kvm_ring_free(DlTracker *tracker)
{
    KvmRing *ring = (KvmRing *)tracker;

    g_free(ring->set.rings);
    g_free(ring->region_of_slot);
    g_free(ring);
}

const DlTrackerClass dl_kvm_ring_class = {
    .facts =
        {
            .name = "kvm-ring",
            .interface = "KVM_CAP_DIRTY_LOG_RING(_ACQ_REL), KVM_RESET_DIRTY_RINGS",
            .holds = DL_HOLDS_RING,
            .rearm = DL_REARM_WITH_COLLECT,
            .unseen = DL_WRITER_VMM | DL_WRITER_VMM_SYSCALL | DL_WRITER_ALIAS,
            .kernel = "5.11",
            .privileges = "read and write on /dev/kvm",
        },
    .unit = kvm_ring_unit,
    .probe = kvm_ring_probe,
    .new = kvm_ring_new,
    .arm = kvm_ring_arm,
    .collect = kvm_ring_collect,
    .ring_full = kvm_ring_full,
    .release = kvm_ring_release,
    .free = kvm_ring_free,
};
