/* SPDX-License-Identifier: MIT */
/*
 * A discard changes RAM, so it must not happen while the machine is paused; and it takes DlLog's harvest lock, whose holder may be
 * pausing the machine and wait for the worker's gate. So it happens in after(), outside the gate and without the device's lock, and
 * only once the harvest lock is there the guard tries the gate, without waiting, and takes the device's lock. Lock order: harvest,
 * device, gate.
 *
 * process() reads a slice of an inflate request and puts the request back; when the slice is discarded it goes on, and the request
 * is given when all of it is. Until then the guest does not use the pages. It may break that: a reset, or a request that is put
 * back to be saved, counts `generation` up or sets `quiesced`, and the guard then refuses what is left. Deflate requests wait for an
 * inflate request that is under way.
 *
 * Where a page of the backing is larger than 4 KiB, `given` has a bit for each 4 KiB page that the guest gave up, and the backing goes
 * when all of its bits are set. The bits do not travel with a migration: a page that was half given then stays until it is given
 * again.
 */
#include <devices/virtio_balloon.h>
#include <linux/virtio_balloon.h>
#include <linux/virtio_ids.h>
#include <string.h>

#define QUEUE_INFLATE 0
#define N_QUEUES 2
#define SLICE_PAGES 1024             /* Linux's driver sends 256 at once */
#define REQUEST_MAX_BYTES (1u << 20) /* a GiB of pages; bounds the time of one */
#define BATCH_REQUESTS 16
#define CONFIG_BYTES 8 /* num_pages, actual */
#define ACTUAL_OFFSET 4

/**
 * Balloon:
 * @config: little-endian
 * @pages: gpas of the slice that waits to be discarded, @n_pages of them; @discarded: it was
 * @slice: bytes of the request that came before the slice
 * @generation: counts the times that what waits was forgotten
 * @unit: bytes of a page of the backing
 * @given: NULL where that is 4 KiB
 */
typedef struct {
    VirtioDevice base;
    guint32 config[2];
    guint64 pages[SLICE_PAGES];
    guint n_pages;
    gboolean discarded;
    gsize slice;
    guint64 generation;
    guint64 unit;
    DlBitmap *given;
} Balloon;

static guint64
ram_pages(const Balloon *balloon)
{
    return guest_ram_size(balloon->base.ram) / DL_PAGE_SIZE;
}

/* --- the bits of larger pages --- */

static DlPageRange
unit_pages(const Balloon *balloon, guint64 gpa)
{
    DlPageRange range = {0};

    dl_layout_pages_of_gpa(guest_ram_layout(balloon->base.ram), gpa - gpa % balloon->unit, balloon->unit, &range);
    return range;
}

static void
mark(const Balloon *balloon, guint64 gpa, gboolean given)
{
    DlPageRange page;

    if (!balloon->given || !dl_layout_pages_of_gpa(guest_ram_layout(balloon->base.ram), gpa, DL_PAGE_SIZE, &page))
        return;
    if (given)
        dl_bitmap_set(balloon->given, page.first);
    else
        dl_bitmap_clear_range(balloon->given, page);
}

static gboolean
all_given(const Balloon *balloon, guint64 gpa)
{
    DlPageRange range = unit_pages(balloon, gpa);

    return !balloon->given || dl_bitmap_count_range(balloon->given, range) == range.count;
}

/* --- requests: with the lock held --- */

/* The pages of the request from byte @offset on, at most a slice. FALSE: it is nonsense. */
static gboolean
read_pages(Balloon *balloon, const Virtqueue *queue, const VirtqueueChain *chain, gsize offset)
{
    guint32 numbers[SLICE_PAGES];
    gsize bytes = MIN(chain->out_bytes - offset, sizeof numbers);

    if (chain->n_in || !chain->out_bytes || chain->out_bytes > REQUEST_MAX_BYTES || chain->out_bytes % sizeof numbers[0] ||
        !virtqueue_chain_gather(queue, chain, offset, numbers, bytes))
        return FALSE;
    for (guint i = 0; i < bytes / sizeof numbers[0]; i++) {
        balloon->pages[i] = (guint64)GUINT32_FROM_LE(numbers[i]) << VIRTIO_BALLOON_PFN_SHIFT;
        if (!dl_layout_hva_of_gpa(guest_ram_layout(balloon->base.ram), balloon->pages[i], DL_PAGE_SIZE))
            return FALSE;
    }
    balloon->n_pages = (guint)(bytes / sizeof numbers[0]);
    balloon->slice = offset;
    return TRUE;
}

static void
forget(Balloon *balloon)
{
    balloon->n_pages = 0;
    balloon->slice = 0;
    balloon->discarded = FALSE;
    balloon->generation++;
}

static const char not_pages[] = "a balloon request that is no list of pages of RAM";

/* FALSE: a slice waits to be discarded. */
static gboolean
inflate(Balloon *balloon, Virtqueue *queue)
{
    VirtqueueChain chain;

    for (guint i = 0; i < BATCH_REQUESTS; i++) {
        if (balloon->n_pages && !balloon->discarded)
            return FALSE;
        if (virtqueue_take(queue, &chain) != VIRTQUEUE_TAKEN)
            return TRUE;
        gsize done = balloon->discarded ? balloon->slice + balloon->n_pages * sizeof(guint32) : 0;
        forget(balloon);
        if (done && done >= chain.out_bytes) {
            virtqueue_give(queue, &chain, 0);
            continue;
        }
        if (!read_pages(balloon, queue, &chain, done)) {
            virtqueue_reject(queue, not_pages);
            return TRUE;
        }
        for (guint page = 0; page < balloon->n_pages; page++)
            mark(balloon, balloon->pages[page], TRUE);
        virtqueue_take_back(queue);
    }
    return TRUE;
}

/* The guest uses the pages again; the host gives them backing when they are touched. */
static gboolean
deflate(Balloon *balloon, Virtqueue *queue)
{
    VirtqueueChain chain;

    for (guint i = 0; i < BATCH_REQUESTS && virtqueue_take(queue, &chain) == VIRTQUEUE_TAKEN; i++) {
        gsize offset = 0;
        do {
            if (!read_pages(balloon, queue, &chain, offset)) {
                forget(balloon);
                virtqueue_reject(queue, not_pages);
                return TRUE;
            }
            for (guint page = 0; page < balloon->n_pages; page++)
                mark(balloon, balloon->pages[page], FALSE);
            offset += balloon->n_pages * sizeof(guint32);
        } while (offset < chain.out_bytes);
        forget(balloon);
        virtqueue_give(queue, &chain, 0);
    }
    return TRUE;
}

static gboolean
balloon_process(VirtioDevice *device, guint index)
{
    Balloon *balloon = (Balloon *)device;

    if (index == QUEUE_INFLATE)
        return inflate(balloon, &device->queues[index]);
    return balloon->n_pages ? FALSE : deflate(balloon, &device->queues[index]);
}

/* --- discarding: on the worker, without the lock --- */

/** Attempt: on a slice as it was at @generation; @gpa: what is being discarded */
typedef struct {
    Balloon *balloon;
    guint64 generation;
    guint64 gpa;
    gboolean stale;
} Attempt;

static gboolean
guard_enter(gpointer user)
{
    Attempt *attempt = user;
    Balloon *balloon = attempt->balloon;
    VirtioDevice *device = &balloon->base;

    g_mutex_lock(&device->lock);
    attempt->stale = balloon->generation != attempt->generation || !virtio_device_running(device);
    if (!attempt->stale && all_given(balloon, attempt->gpa) && (!device->enter || device->enter(device->user)))
        return TRUE;
    g_mutex_unlock(&device->lock);
    return FALSE;
}

static void
guard_leave(gpointer user)
{
    Attempt *attempt = user;
    VirtioDevice *device = &attempt->balloon->base;

    if (device->leave)
        device->leave(device->user);
    g_mutex_unlock(&device->lock);
}

static int
compare_gpas(gconstpointer a, gconstpointer b)
{
    guint64 one = *(const guint64 *)a, other = *(const guint64 *)b;

    return one < other ? -1 : one > other;
}

/* Puts the slice into @pages: pages of the backing that are wholly given, ascending, each once. With the lock held. */
static guint
copy_units(const Balloon *balloon, guint64 *pages)
{
    guint n = 0;

    for (guint i = 0; i < balloon->n_pages; i++)
        pages[i] = balloon->pages[i] - balloon->pages[i] % balloon->unit;
    qsort(pages, balloon->n_pages, sizeof pages[0], compare_gpas);
    for (guint i = 0; i < balloon->n_pages; i++) {
        if ((!n || pages[n - 1] != pages[i]) && all_given(balloon, pages[i]))
            pages[n++] = pages[i];
    }
    return n;
}

/* FALSE: not now. What the host cannot take back stays with the guest, which does no harm. */
static gboolean
discard(Attempt *attempt, const guint64 *pages, guint n)
{
    const GuestRamGuard guard = {guard_enter, guard_leave, attempt};
    guint64 unit = attempt->balloon->unit;

    for (guint i = 0, next; i < n; i = next) {
        g_autoptr(GError) error = NULL;
        next = i + 1;
        /* larger pages one by one: the guard looks at each */
        while (unit == DL_PAGE_SIZE && next < n && pages[next] == pages[next - 1] + unit && pages[next] != GUEST_RAM_HOLE_END)
            next++;
        attempt->gpa = pages[i];
        if (guest_ram_discard(attempt->balloon->base.ram, pages[i], (next - i) * unit, &guard, &error))
            continue;
        if (!error)
            return FALSE;
        g_info("virtio-balloon: %s", error->message);
    }
    return TRUE;
}

static gboolean
balloon_after(VirtioDevice *device)
{
    Balloon *balloon = (Balloon *)device;
    guint64 pages[SLICE_PAGES];
    Attempt attempt = {.balloon = balloon};

    g_mutex_lock(&device->lock);
    gboolean waiting = balloon->n_pages && !balloon->discarded && virtio_device_running(device);
    guint n = waiting ? copy_units(balloon, pages) : 0;
    attempt.generation = balloon->generation;
    g_mutex_unlock(&device->lock);
    if (!waiting)
        return FALSE;
    gboolean done = discard(&attempt, pages, n);
    g_mutex_lock(&device->lock);
    if (done && balloon->generation == attempt.generation)
        balloon->discarded = TRUE;
    g_mutex_unlock(&device->lock);
    return !attempt.stale; /* what is stale is kicked; a gate that was shut is waited for by the worker */
}

/* --- configuration --- */

static void
balloon_write_config(VirtioDevice *device, guint64 offset, guint size, guint32 value)
{
    Balloon *balloon = (Balloon *)device;

    if (offset == ACTUAL_OFFSET && size == sizeof value)
        balloon->config[1] = GUINT32_TO_LE(value);
}

void
virtio_balloon_set_target(VirtioDevice *device, guint64 bytes)
{
    Balloon *balloon = (Balloon *)device;
    guint64 kept = MIN(bytes / DL_PAGE_SIZE, ram_pages(balloon));
    guint32 taken = (guint32)MIN(ram_pages(balloon) - kept, G_MAXUINT32);

    g_mutex_lock(&device->lock);
    balloon->config[0] = GUINT32_TO_LE(taken);
    virtio_device_config_changed(device);
    g_mutex_unlock(&device->lock);
}

guint64
virtio_balloon_actual(VirtioDevice *device)
{
    Balloon *balloon = (Balloon *)device;

    g_mutex_lock(&device->lock);
    guint64 taken = GUINT32_FROM_LE(balloon->config[1]);
    g_mutex_unlock(&device->lock);
    return (ram_pages(balloon) - MIN(taken, ram_pages(balloon))) * DL_PAGE_SIZE; /* the guest may have written anything */
}

/* --- the rest --- */

static void
balloon_reset(VirtioDevice *device)
{
    Balloon *balloon = (Balloon *)device;

    forget(balloon);
    balloon->config[1] = 0;
    if (balloon->given)
        dl_bitmap_clear_all(balloon->given);
}

static void
balloon_save(VirtioDevice *device, GByteArray *out)
{
    const Balloon *balloon = (Balloon *)device;

    wire_put_bytes(out, balloon->config, CONFIG_BYTES);
}

static gboolean
balloon_load(VirtioDevice *device, WireReader *reader)
{
    Balloon *balloon = (Balloon *)device;

    wire_get_bytes(reader, balloon->config, CONFIG_BYTES);
    return GUINT32_FROM_LE(balloon->config[0]) <= ram_pages(balloon);
}

static void
balloon_free(VirtioDevice *device)
{
    Balloon *balloon = (Balloon *)device;

    g_clear_pointer(&balloon->given, dl_bitmap_free);
    g_free(balloon);
}

static const VirtioDeviceClass balloon_class = {.name = "virtio-balloon",
                                                .id = VIRTIO_ID_BALLOON,
                                                .n_queues = N_QUEUES,
                                                .process = balloon_process,
                                                .after = balloon_after,
                                                .write_config = balloon_write_config,
                                                .reset = balloon_reset,
                                                .save = balloon_save,
                                                .load = balloon_load,
                                                .state_bytes = CONFIG_BYTES,
                                                .free = balloon_free};

VirtioDevice *
virtio_balloon_new(GuestRam *ram)
{
    Balloon *balloon = g_new0(Balloon, 1);
    DlRamKind kind = guest_ram_kind(ram);

    /* a page of shmem-thp is split where a hole is punched */
    balloon->unit = kind == DL_RAM_SHMEM_THP ? DL_PAGE_SIZE : dl_ram_kind_page_size(kind);
    if (balloon->unit > DL_PAGE_SIZE)
        balloon->given = dl_bitmap_new(dl_layout_n_bits(guest_ram_layout(ram)));
    /* a page that is used again before the host heard of it would go when the rest of its larger page is given; on every kind of RAM,
       since a guest may be migrated to another */
    guint64 features = UINT64_C(1) << VIRTIO_BALLOON_F_MUST_TELL_HOST;

    virtio_device_init(&balloon->base, &balloon_class, ram, features, balloon->config, CONFIG_BYTES);
    return &balloon->base;
}
