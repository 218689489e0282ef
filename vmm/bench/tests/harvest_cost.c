/* SPDX-License-Identifier: MIT */
/*
 * What the library adds to the bare kernel interface: harvests through DlLog beside the ioctls alone, on the same guest, in A B B A order.
 * Prints one line a pair: NAME, bytes of guest RAM, ns through the library, ns bare. scripts/benchmark makes ratios of them.
 *
 *   kvm-bitmap-harvest   a tenth of the pages dirty: dl_log_harvest()   against KVM_GET_DIRTY_LOG and an OR
 *   TRACKER-growth       guest time for a page first written, a tenth of the pages a pass: at 4 GiB against 256 MiB
 *   pagemap-scan-clean   nothing dirty: dl_log_harvest()                against one PAGEMAP_SCAN get of the same range
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "bench/doorbell.h"
#include "bench/lab.h"
#include "bench/stall.h"
#include "board/board.h"
#include "dirtylog/uapi.h"

typedef struct {
    Board *board;
    Doorbell *doorbell;
    DlLayout *layout;
    DlBitmap *scratch, *sum;
    int pagemap;
} Scene;

static void
die(const char *what, const GError *error)
{
    g_printerr("harvest-cost: %s: %s\n", what, error ? error->message : g_strerror(errno));
    exit(EXIT_FAILURE);
}

static gint64
now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * G_GINT64_CONSTANT(1000000000) + now.tv_nsec;
}

static void
wait_ready(Scene *stage)
{
    while (!doorbell_all_ready(stage->doorbell))
        g_usleep(50);
}

static void
run_pass(Scene *stage)
{
    doorbell_release(stage->doorbell);
    wait_ready(stage);
}

static void
set_stage(Scene *stage, guint64 memory_bytes, const char *tracker)
{
    g_autoptr(GError) error = NULL;
    guint64 pages = stage_clamp_pages(WRITER_GUEST, ABI_RANDOM, memory_bytes / ABI_PAGE_SIZE / 10, memory_bytes, 1);
    g_autofree char *command_line = g_strdup_printf("pattern=random passes=0 touch=1 pages=%" G_GUINT64_FORMAT, pages);
    const BoardConfig config = {.memory_bytes = memory_bytes, .vcpus = 1, .populate = TRUE, .command_line = command_line};

    stage->board = board_new(&config, &error);
    if (!stage->board || !(stage->doorbell = doorbell_new(board_machine(stage->board), &error)) ||
        !board_start(stage->board, &error))
        die("the guest", error);
    stage->layout = guest_ram_layout(board_ram(stage->board));
    stage->scratch = dl_bitmap_new(dl_layout_n_bits(stage->layout));
    stage->sum = dl_bitmap_new(dl_layout_n_bits(stage->layout));
    stage->pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    wait_ready(stage);
    dl_log_subscribe(board_log(stage->board));
    if (!dl_log_move(board_log(stage->board), tracker, NULL, NULL, &error) || !dl_log_harvest(board_log(stage->board), &error))
        die(tracker, error);
}

static void
strike_stage(Scene *stage)
{
    close(stage->pagemap);
    machine_stop(board_machine(stage->board));
    board_free(stage->board);
    doorbell_free(stage->doorbell);
    dl_bitmap_free(stage->scratch);
    dl_bitmap_free(stage->sum);
}

static gint64
through_library(Scene *stage)
{
    g_autoptr(GError) error = NULL;
    gint64 start = now_ns();

    if (!dl_log_harvest(board_log(stage->board), &error))
        die("harvest", error);
    return now_ns() - start;
}

static gint64
bare_get_dirty_log(Scene *stage)
{
    gint64 start = now_ns();

    for (guint i = 0; i < dl_layout_n_regions(stage->layout); i++) {
        struct kvm_dirty_log log = {.slot = dl_layout_region(stage->layout, i)->slot};
        DlPageRange pages = dl_layout_region_pages(stage->layout, i);
        guint64 *from = dl_bitmap_words(stage->scratch) + pages.first / 64, *to = dl_bitmap_words(stage->sum) + pages.first / 64;

        log.dirty_bitmap = from;
        if (ioctl(machine_vm_fd(board_machine(stage->board)), KVM_GET_DIRTY_LOG, &log))
            die("KVM_GET_DIRTY_LOG", NULL);
        for (guint64 word = 0; word < (pages.count + 63) / 64; word++)
            to[word] |= from[word];
    }
    return now_ns() - start;
}

static gint64
bare_scan(Scene *stage)
{
    static struct page_region found[512];
    gint64 start = now_ns();

    for (guint i = 0; i < dl_layout_n_regions(stage->layout); i++) {
        const DlRegion *region = dl_layout_region(stage->layout, i);
        struct pm_scan_arg scan = {.size = sizeof scan,
                                   .start = (guint64)(gsize)region->hva,
                                   .end = (guint64)(gsize)region->hva + region->size,
                                   .vec = (guint64)(gsize)found,
                                   .vec_len = G_N_ELEMENTS(found),
                                   .category_mask = PAGE_IS_WRITTEN,
                                   .return_mask = PAGE_IS_WRITTEN};
        if (ioctl(stage->pagemap, PAGEMAP_SCAN, &scan) < 0)
            die("PAGEMAP_SCAN", NULL);
    }
    return now_ns() - start;
}

/* A B B A: each pair is the sum of two of each, so that a drift of the host's speed falls on both alike. */
static void
compare(const char *name, guint64 memory_bytes, const char *tracker, gboolean dirty, gint64 (*bare)(Scene *stage), guint n_pairs)
{
    static const gboolean order[] = {TRUE, FALSE, FALSE, TRUE};
    Scene stage = {0};

    set_stage(&stage, memory_bytes, tracker);
    for (guint pair = 0; pair < n_pairs + 2; pair++) {
        gint64 ns[2] = {0, 0};
        for (guint i = 0; i < G_N_ELEMENTS(order); i++) {
            if (dirty)
                run_pass(&stage);
            ns[order[i]] += order[i] ? through_library(&stage) : bare(&stage);
        }
        if (pair >= 2) /* two to warm up */
            g_print("%s %" G_GUINT64_FORMAT " %" G_GINT64_FORMAT " %" G_GINT64_FORMAT "\n", name, memory_bytes, ns[TRUE] / 2,
                    ns[FALSE] / 2);
    }
    strike_stage(&stage);
}

/* Guest time of one pass for each of its pages, all of them first written since the harvest before. */
static double
first_write_ns(Scene *stage, double ns_per_cycle)
{
    struct abi_vcpu before, after;
    struct abi_mailbox mailbox;
    GuestRam *ram = board_ram(stage->board);

    through_library(stage);
    guest_ram_load(ram, ABI_MAILBOX_GPA, &mailbox, sizeof mailbox);
    guest_ram_load(ram, ABI_VCPU_GPA(0), &before, sizeof before);
    run_pass(stage);
    guest_ram_load(ram, ABI_VCPU_GPA(0), &after, sizeof after);
    return (double)(after.busy_cycles - before.busy_cycles) * ns_per_cycle / (double)mailbox.workload.pages;
}

/* Both guests live side by side and take turns, so that neither is measured in a better minute than the other. */
static void
compare_sizes(const char *name, const char *tracker, guint n_pairs)
{
    const double ns_per_cycle = tsc_ns_per_cycle();
    static const gboolean order[] = {TRUE, FALSE, FALSE, TRUE};
    Scene stages[2] = {0};

    set_stage(&stages[FALSE], UINT64_C(256) << 20, tracker);
    set_stage(&stages[TRUE], UINT64_C(4) << 30, tracker);
    for (guint pair = 0; pair < n_pairs + 2; pair++) {
        double ns[2] = {0, 0};
        for (guint i = 0; i < G_N_ELEMENTS(order); i++)
            ns[order[i]] += first_write_ns(&stages[order[i]], ns_per_cycle);
        if (pair >= 2)
            g_print("%s %" G_GUINT64_FORMAT " %.0f %.0f\n", name, UINT64_C(4) << 30, ns[TRUE] / 2, ns[FALSE] / 2);
    }
    strike_stage(&stages[TRUE]);
    strike_stage(&stages[FALSE]);
}

int
main(int argc, char **argv)
{
    guint n_pairs = argc > 1 ? (guint)MIN(g_ascii_strtoull(argv[1], NULL, 10), 1000) : 20;

    compare("kvm-bitmap-harvest", UINT64_C(256) << 20, "kvm-bitmap", TRUE, bare_get_dirty_log, n_pairs);
    compare("pagemap-scan-clean", UINT64_C(256) << 20, "pagemap-scan", FALSE, bare_scan, n_pairs);
    compare("kvm-bitmap-clean", UINT64_C(256) << 20, "kvm-bitmap", FALSE, bare_get_dirty_log, n_pairs);
    compare("pagemap-scan-clean", UINT64_C(4) << 30, "pagemap-scan", FALSE, bare_scan, n_pairs);
    compare("kvm-bitmap-clean", UINT64_C(4) << 30, "kvm-bitmap", FALSE, bare_get_dirty_log, n_pairs);
    compare_sizes("kvm-bitmap-growth", "kvm-bitmap", n_pairs);
    compare_sizes("pagemap-scan-growth", "pagemap-scan", n_pairs);
    return EXIT_SUCCESS;
}
