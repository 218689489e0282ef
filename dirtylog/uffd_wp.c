/* SPDX-License-Identifier: MIT */
/*
 * uffd-wp: every page is write-protected; the first store to one blocks its writer, and a handler thread notes the page in
 * `written`, unprotects it and wakes the writer. A collect takes `written`; a rearm protects what was collected.
 *
 * Why no store is lost. The handler does two things to a page: it sets its bit, then it unprotects it. Two orders would lose a
 * store:
 *
 *   unprotect, store, collect (no bit), set            so the bit comes first
 *   set, collect (bit taken), rearm (protected), unprotect, store: open and without a bit for good
 *
 * The second is shut out by a lock that the handler holds over both steps and that a rearm holds over each protect: the protect
 * is then before both, and the bit is there for the next collect; or after both, and the page is protected. A collect needs no
 * lock: a bit taken between the two steps leads to a protect after them. A store that slips in between collect and rearm is in
 * memory when the page is read, which is after the rearm.
 *
 * Nobody waits for a writer: the handler waits at most for one protect (a bounded window of pages), a rearm for one unprotect.
 * A rearm gives way to a handler that wants the lock, since a vCPU stands behind it. The handler's thread never stores to the
 * tracked memory, and it lives until release() has unprotected everything: until then a vCPU blocked in a fault may depend on
 * it, and on Linux 6.1 cannot even be kicked out.
 *
 * One bit stands for a unit: the page of the backing on hugetlb, 4 KiB on the rest. It is the unit's first page in `written`,
 * and is spread over the unit when collected.
 */
#include "dirtylog/atomic_bitmap.h"
#include "dirtylog/private.h"
#include "dirtylog/trackers.h"
#include "dirtylog/trial.h"
#include "dirtylog/uapi.h"
#include "dirtylog/uffd.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/eventfd.h>

/* A batch never exceeds the number of blocked writers; there are rarely more of them than this. */
#define BATCH 16
/* Pages protected under one hold of the lock: 4 MiB, some 40 µs; a unit where it is larger. */
#define REARM_PAGES UINT64_C(1024)
/* A call costs about as much as protecting so many pages, with the guest stopped; with it running, a turn at the lock costs more. */
#define GAP_PAGES UINT64_C(128)

typedef struct {
    DlTracker base;
    int uffd;
    int stop; /* eventfd */
    gboolean running;
    pthread_t handler;
    GMutex lock;
    guint handler_waits; /* atomic */
    guint failed_errno;  /* atomic: the handler could not resolve a fault */
    DlAtomicBitmap *written;
    DlBitmap *open_pages; /* collected, and unprotected since */
} UffdWp;

static guint64
uffd_wp_unit(DlRamKind kind)
{
    return kind == DL_RAM_SHMEM_THP ? DL_PAGE_SIZE : dl_ram_kind_page_size(kind);
}

static gboolean
uffd_wp_probe(DlRamKind kind, char **remedy, GError **error)
{
    (void)remedy;
    return dl_trial_process(&dl_uffd_wp_class, kind, error);
}

static DlTracker *
uffd_wp_new(const DlTrackerContext *context, GError **error)
{
    (void)error;
    UffdWp *wp = g_new0(UffdWp, 1);

    wp->base = (DlTracker){&dl_uffd_wp_class, context};
    wp->uffd = -1;
    wp->stop = -1;
    g_mutex_init(&wp->lock);
    wp->written = dl_atomic_bitmap_new(dl_layout_n_bits(context->layout));
    wp->open_pages = dl_bitmap_new(dl_layout_n_bits(context->layout));
    return &wp->base;
}

/* --- the handler --- */

/* The region whose registered span holds the address: its end may lie past the region's last page. */
static const DlRegion *
region_of_fault(const DlLayout *layout, guint64 address)
{
    for (guint i = 0; i < dl_layout_n_regions(layout); i++) {
        const DlRegion *region = dl_layout_region(layout, i);
        if (address - (guint64)(guintptr)region->hva < dl_region_span(region))
            return region;
    }
    return NULL;
}

static void
resolve(UffdWp *wp, guint64 address)
{
    const DlLayout *layout = wp->base.context->layout;
    const DlRegion *region = region_of_fault(layout, address);
    DlPageRange page;

    if (!region)
        return; /* not ours, whatever the kernel says */
    guint64 unit = uffd_wp_unit(region->kind);
    guint64 hva = (guint64)(guintptr)region->hva;
    guint64 start = hva + dl_round_down(address - hva, unit);

    /* before the writer goes on: whoever sees its store sees the count */
    __atomic_fetch_add(&wp->base.context->stats->faults, 1, __ATOMIC_RELAXED);
    __atomic_store_n(&wp->handler_waits, 1, __ATOMIC_RELAXED);
    g_mutex_lock(&wp->lock);
    __atomic_store_n(&wp->handler_waits, 0, __ATOMIC_RELAXED);
    if (dl_layout_pages_of_hva(layout, (gconstpointer)start, 1, &page))
        dl_atomic_bitmap_set_range(wp->written, page);
    if (!dl_uffd_protect(wp->uffd, start, unit, FALSE, NULL))
        __atomic_store_n(&wp->failed_errno, (guint)errno, __ATOMIC_RELAXED);
    g_mutex_unlock(&wp->lock);
}

/* Returns FALSE when there is nothing more to read. */
static gboolean
resolve_batch(UffdWp *wp)
{
    struct uffd_msg messages[BATCH];
    gssize got = read(wp->uffd, messages, sizeof(messages));

    if (got <= 0)
        return FALSE;
    for (gsize i = 0; i < (gsize)got / sizeof(messages[0]); i++) {
        if (messages[i].event == UFFD_EVENT_PAGEFAULT)
            resolve(wp, messages[i].arg.pagefault.address);
    }
    return TRUE;
}

static gpointer
handle_faults(gpointer user)
{
    UffdWp *wp = user;
    struct pollfd wait[] = {{.fd = wp->uffd, .events = POLLIN}, {.fd = wp->stop, .events = POLLIN}};

    for (;;) {
        if (poll(wait, G_N_ELEMENTS(wait), -1) < 0 && errno != EINTR)
            return NULL;
        if (wait[0].revents & POLLIN)
            resolve_batch(wp);
        else if (wait[1].revents)
            break;
    }
    /* What is still queued was woken by the release's unprotect already; resolving it once more harms nothing. */
    while (resolve_batch(wp))
        ;
    return NULL;
}

static gboolean
start_handler(UffdWp *wp, GError **error)
{
    guint cpu = wp->base.context->options->handler_cpu_plus_one;
    pthread_attr_t attributes;
    sigset_t all;

    wp->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (wp->stop < 0) {
        dl_set_error(error, dl_error_from_errno(errno), errno, NULL, "eventfd");
        return FALSE;
    }

    pthread_attr_init(&attributes);
    sigfillset(&all); /* the program's signals are the program's threads' */
    pthread_attr_setsigmask_np(&attributes, &all);
    if (cpu) {
        cpu_set_t cpus;
        CPU_ZERO(&cpus);
        if (cpu <= CPU_SETSIZE)
            CPU_SET(cpu - 1, &cpus);
        pthread_attr_setaffinity_np(&attributes, sizeof(cpus), &cpus);
    }
    int result = pthread_create(&wp->handler, &attributes, handle_faults, wp);
    pthread_attr_destroy(&attributes);
    if (result) {
        if (result == EINVAL && cpu)
            dl_set_error(error, DL_ERROR_INVALID, result, NULL, "the fault handler cannot run on CPU %u", cpu - 1);
        else
            dl_set_error(error, DL_ERROR_RESOURCE, result, NULL, "starting the fault handler");
        return FALSE;
    }
    pthread_setname_np(wp->handler, "uffd-wp");
    wp->running = TRUE;
    return TRUE;
}

static void
stop_handler(UffdWp *wp)
{
    if (wp->running) {
        guint64 one = 1;
        gssize written = write(wp->stop, &one, sizeof(one));
        g_assert(written == sizeof(one));
        pthread_join(wp->handler, NULL);
        wp->running = FALSE;
    }
    dl_fd_clear(&wp->stop);
}

/* --- the tracker --- */

static void
close_all(UffdWp *wp)
{
    g_autoptr(GError) error = NULL;

    /* Unprotect first: writers are let go, no new fault comes. Then the handler has nothing left to do. */
    if (!dl_uffd_protect_all(wp->uffd, wp->base.context->layout, FALSE, &error))
        g_debug("%s; unregistering lets the writers go all the same", error->message);
    dl_uffd_unregister(wp->uffd, wp->base.context->layout);
    stop_handler(wp);
    dl_fd_clear(&wp->uffd);
}

static gboolean
uffd_wp_arm(DlTracker *tracker, GError **error)
{
    UffdWp *wp = (UffdWp *)tracker;
    const DlLayout *layout = tracker->context->layout;

    wp->uffd =
        dl_uffd_open(UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_WP_HUGETLBFS_SHMEM, UFFD_FEATURE_WP_UNPOPULATED, TRUE, error);
    if (wp->uffd < 0)
        return FALSE;
    if (!dl_uffd_register(wp->uffd, layout, error)) {
        dl_fd_clear(&wp->uffd);
        return FALSE;
    }
    /* The handler before the first protected page: from then on writers block. */
    if (start_handler(wp, error) && dl_uffd_protect_all(wp->uffd, layout, TRUE, error))
        return TRUE;
    close_all(wp);
    dl_uffd_mend(layout);
    return FALSE;
}

typedef struct {
    UffdWp *wp;
    DlBitmap *out;
} Collect;

/* A word of `written`: its bits are units' first pages. */
static void
collect_word(gpointer user, guint64 word, guint64 bits)
{
    const Collect *collect = user;
    const DlLayout *layout = collect->wp->base.context->layout;
    guint index;

    /* A region starts at a word, so a word's bits are all of one region. */
    if (!dl_layout_region_of_page(layout, word * 64 + (guint64)__builtin_ctzll(bits), &index))
        return;
    DlPageRange region = dl_layout_region_pages(layout, index);
    guint64 unit = uffd_wp_unit(dl_layout_region(layout, index)->kind) / DL_PAGE_SIZE;
    if (unit == 1) {
        dl_bitmap_words(collect->out)[word] |= bits;
        dl_bitmap_words(collect->wp->open_pages)[word] |= bits;
        return;
    }
    for (; bits; bits &= bits - 1) {
        guint64 first = word * 64 + (guint64)__builtin_ctzll(bits);
        DlPageRange pages = {first, MIN(unit, region.first + region.count - first)};
        dl_bitmap_set_range(collect->out, pages);
        dl_bitmap_set_range(collect->wp->open_pages, pages);
    }
}

static gboolean
uffd_wp_collect(DlTracker *tracker, DlBitmap *out, GError **error)
{
    UffdWp *wp = (UffdWp *)tracker;
    guint failed = __atomic_exchange_n(&wp->failed_errno, 0, __ATOMIC_RELAXED);

    dl_atomic_bitmap_drain(wp->written, collect_word, &(Collect){wp, out});
    if (!failed)
        return TRUE;
    dl_set_error(error, DL_ERROR_FAILED, (int)failed, NULL, "the fault handler could not unprotect a page");
    return FALSE;
}

/* Protects one piece of a region, whole units of it. */
static gboolean
protect_piece(UffdWp *wp, const DlRegion *region, DlPageRange pages, DlPageRange piece, GError **error)
{
    guint64 unit = uffd_wp_unit(region->kind) / DL_PAGE_SIZE;
    guint64 first = dl_round_down(piece.first - pages.first, unit);
    guint64 end = dl_round_up(piece.first + piece.count - pages.first, unit);

    while (__atomic_load_n(&wp->handler_waits, __ATOMIC_RELAXED))
        g_thread_yield();
    g_mutex_lock(&wp->lock);
    gboolean ok = dl_uffd_protect(wp->uffd, (guint64)(guintptr)region->hva + first * DL_PAGE_SIZE, (end - first) * DL_PAGE_SIZE,
                                  TRUE, error);
    g_mutex_unlock(&wp->lock);
    if (ok)
        dl_bitmap_clear_range(wp->open_pages, (DlPageRange){pages.first + first, MIN(end, pages.count) - first});
    return ok;
}

/*
 * A piece also holds pages that were not collected. Those are protected anyway, or their bit is in `written` and stays there: the
 * next collect reports them, a store before it only faults once more.
 */
static gboolean
uffd_wp_rearm(DlTracker *tracker, DlPageRange range, DlBitmap *out, GError **error)
{
    UffdWp *wp = (UffdWp *)tracker;
    const DlLayout *layout = tracker->context->layout;

    (void)out; /* what is written after the collect waits in `written` */
    for (guint i = 0; i < dl_layout_n_regions(layout); i++) {
        const DlRegion *region = dl_layout_region(layout, i);
        const DlPieceLimits limits = {MAX(REARM_PAGES, uffd_wp_unit(region->kind) / DL_PAGE_SIZE), GAP_PAGES};
        DlPageRange pages = dl_layout_region_pages(layout, i);
        guint64 end = MIN(range.first + range.count, pages.first + pages.count);
        DlPageRange piece = {.first = MAX(range.first, pages.first)};

        while (dl_uffd_next_piece(wp->open_pages, piece.first + piece.count, end, &limits, &piece)) {
            if (!protect_piece(wp, region, pages, piece, error))
                return FALSE;
        }
    }
    return TRUE;
}

/*
 * A punched page may have lost its protection (hugetlb has), and whoever discarded it reads it before the next rearm: it is protected
 * again at once. What `written` has of it stays for the next collect.
 */
static void
uffd_wp_discarded(DlTracker *tracker, DlPageRange range)
{
    g_autoptr(GError) error = NULL;

    dl_bitmap_set_range(((UffdWp *)tracker)->open_pages, range);
    if (!uffd_wp_rearm(tracker, range, NULL, &error))
        g_warning("a discarded range stays unprotected until the next harvest: %s", error->message);
}

static void
uffd_wp_release(DlTracker *tracker)
{
    close_all((UffdWp *)tracker);
    dl_uffd_mend(tracker->context->layout);
}

static void
uffd_wp_free(DlTracker *tracker)
{
    UffdWp *wp = (UffdWp *)tracker;

    g_mutex_clear(&wp->lock);
    dl_atomic_bitmap_free(wp->written);
    dl_bitmap_free(wp->open_pages);
    g_free(wp);
}

const DlTrackerClass dl_uffd_wp_class = {
    .facts =
        {
            .name = "uffd-wp",
            .interface = "userfaultfd write-protect, resolved by a handler thread",
            .holds = DL_HOLDS_UFFD,
            .rearm = DL_REARM_BY_RANGE,
            .unseen = DL_WRITER_ALIAS,
            .kernel = "5.19",
            .privileges = "CAP_SYS_PTRACE, or vm.unprivileged_userfaultfd=1, or read and write on /dev/userfaultfd",
        },
    .unit = uffd_wp_unit,
    .probe = uffd_wp_probe,
    .new = uffd_wp_new,
    .arm = uffd_wp_arm,
    .collect = uffd_wp_collect,
    .rearm = uffd_wp_rearm,
    .discarded = uffd_wp_discarded,
    .release = uffd_wp_release,
    .free = uffd_wp_free,
};
