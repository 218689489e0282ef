/* SPDX-License-Identifier: MIT */
/*
 * No store of a device is missed: under every tracker that this host has, a copy of RAM that is fed by harvested pages only equals RAM,
 * byte for byte, at every pause. The devices run as in a guest's machine: on their workers, behind gates, with KVM's interrupts.
 * The control leaves the noting out; the trackers that do not see the VMM's stores must then miss pages, or the test shows nothing.
 */
#include "driver.h"

#include <devices/virtio_balloon.h>
#include <devices/virtio_blk.h>
#include <devices/virtio_console.h>
#include <devices/virtio_rng.h>
#include <devices/virtio_worker.h>
#include <glib/gstdio.h>
#include <linux/virtio_blk.h>
#include <unistd.h>

#define MIB (UINT64_C(1) << 20)
#define RAM_BYTES (16 * MIB)
#define SLOT 0
#define DISK_BYTES (4 * MIB)
#define RING_ENTRIES 4096
#define REQUESTS 8u
#define ROUNDS 6u
#define BALLOON_PAGES 512u
#define WAIT_SECONDS 90

typedef struct Stage Stage;

/** Subject: a device, and requests of it. @discards: it changes RAM by discards, which no tracker sees */
typedef struct {
    const char *name;
    VirtioDevice *(*make)(Stage *stage);
    void (*request)(Stage *stage, guint number); /* number 0 … REQUESTS - 1; it makes one used entry in queue 0 */
    guint n_queues;
    gboolean discards;
} Subject;

struct Stage {
    const Subject *subject;
    const DlTrackerFacts *tracker;
    GuestRam *ram;
    Machine *machine;
    VirtioMmio *mmio;
    VirtioWorker *worker;
    DlLog *log;
    DlConsumer *consumer;
    Driver driver;
    GRand *random;
    char *path;
    guint8 *replica; /* by page bits */
    DlBitmap *pages;
};

/* --- the three devices --- */

/* Somewhere in the upper half of RAM, not aligned; whole and part pages. */
static guint64
random_place(Stage *stage, gsize size)
{
    return RAM_BYTES / 2 + (guint64)g_rand_int_range(stage->random, 0, (gint32)(RAM_BYTES / 2 - size));
}

static VirtioDevice *
make_blk(Stage *stage)
{
    g_autoptr(GError) error = NULL;
    VirtioBlkConfig config = {0};
    int fd = g_file_open_tmp("dirtylab-oracle-XXXXXX", &stage->path, NULL);
    g_autofree guint32 *words = g_new(guint32, DISK_BYTES / 4);

    for (gsize i = 0; i < DISK_BYTES / 4; i++)
        words[i] = g_rand_int(stage->random);
    g_assert_cmpint(write(fd, words, DISK_BYTES), ==, DISK_BYTES);
    close(fd);
    config.path = stage->path;
    VirtioDevice *device = virtio_blk_new(stage->ram, &config, &error);
    g_assert_no_error(error);
    return device;
}

static void
request_blk(Stage *stage, guint number)
{
    struct virtio_blk_outhdr header = {.type = VIRTIO_BLK_T_IN,
                                       .sector = (guint64)g_rand_int_range(stage->random, 0, (gint32)(DISK_BYTES / 512 - 200))};
    guint64 place = DRIVER_ARENA + number * DL_PAGE_SIZE;
    GuestRamPiece pieces[] = {{place, sizeof header},
                              {random_place(stage, 3000), 3000},
                              {random_place(stage, 70000), 70000},
                              {random_place(stage, 72), 72 + (gsize)512 * (number % 3)},
                              {random_place(stage, 1), 1}};

    if (number == REQUESTS - 1) {
        header.type = VIRTIO_BLK_T_GET_ID;
        pieces[1].size = 20;
        pieces[2] = pieces[4];
    }
    driver_store(&stage->driver, place, &header, sizeof header);
    driver_add(&stage->driver, 0, pieces, number == REQUESTS - 1 ? 3 : 5, 1);
}

static VirtioDevice *
make_rng(Stage *stage)
{
    return virtio_rng_new(stage->ram);
}

static void
request_rng(Stage *stage, guint number)
{
    gsize size = 1 + number * 37;
    GuestRamPiece pieces[] = {{random_place(stage, size), size}, {random_place(stage, 16), 16}};

    driver_add(&stage->driver, 0, pieces, 2, 0);
}

static gsize
swallow(gpointer user G_GNUC_UNUSED, const char *bytes G_GNUC_UNUSED, gsize n_bytes)
{
    return n_bytes;
}

static VirtioDevice *
make_console(Stage *stage)
{
    return virtio_console_new(stage->ram, swallow, NULL);
}

static void
request_console(Stage *stage, guint number)
{
    VirtioDevice *device = virtio_mmio_device(stage->mmio, SLOT);
    GuestRamPiece in = {random_place(stage, 32), 32}, out = {random_place(stage, 100), 100};
    guint8 typed[32];

    for (guint i = 0; i < sizeof typed; i++)
        typed[i] = (guint8)g_rand_int(stage->random);
    g_assert_cmpuint(virtio_console_receive(device, typed, sizeof typed), ==, sizeof typed);
    driver_add(&stage->driver, 0, &in, 1, 0);
    if (number % 2)
        driver_add(&stage->driver, 1, &out, 1, 1); /* its used ring is written as well */
    driver_kick(&stage->driver, 1);
}

static VirtioDevice *
make_balloon(Stage *stage)
{
    return virtio_balloon_new(stage->ram);
}

static void harvest(Stage *stage);

/* The upper half is full, and the replica knows it. */
static void
fill(Stage *stage)
{
    guint32 words[DL_PAGE_SIZE / 4];

    for (guint64 gpa = RAM_BYTES / 2; gpa < RAM_BYTES; gpa += DL_PAGE_SIZE) {
        for (guint word = 0; word < G_N_ELEMENTS(words); word++)
            words[word] = 1 + g_rand_int(stage->random) / 2;
        driver_store(&stage->driver, gpa, words, sizeof words);
    }
    dl_log_note_written(stage->log, RAM_BYTES / 2, RAM_BYTES / 2);
    harvest(stage);
}

/* All of a 2 MiB page of the upper half, in an order of its own: it is punched on every RAM kind. */
static void
request_balloon(Stage *stage, guint number)
{
    guint64 list = DRIVER_ARENA + number * DL_PAGE_SIZE;
    guint64 first = RAM_BYTES / 2 + 2 * MIB * (guint64)g_rand_int_range(stage->random, 0, (gint32)(RAM_BYTES / 2 / (2 * MIB)));
    GuestRamPiece piece = {list, BALLOON_PAGES * sizeof(guint32)};
    guint32 pages[BALLOON_PAGES];

    if (number == 0)
        fill(stage);
    for (guint i = 0; i < BALLOON_PAGES; i++)
        pages[i] = (guint32)(first / DL_PAGE_SIZE) + (i * 37 + number) % BALLOON_PAGES;
    driver_store(&stage->driver, list, pages, sizeof pages);
    driver_add(&stage->driver, 0, &piece, 1, 1);
}

static const Subject subjects[] = {{"virtio-blk", make_blk, request_blk, 1},
                                   {"virtio-rng", make_rng, request_rng, 1},
                                   {"virtio-console", make_console, request_console, 2},
                                   {"virtio-balloon", make_balloon, request_balloon, 2, TRUE}};

/* --- the machine --- */

static void
make_log(Stage *stage)
{
    g_autoptr(GError) error = NULL;
    DlHost host;

    machine_host(stage->machine, &host);
    stage->log = dl_log_new(guest_ram_layout(stage->ram), &host, &error);
    g_assert_no_error(error);
    stage->consumer = dl_log_subscribe(stage->log);
}

static void
set_up(Stage *stage, DlRamKind kind)
{
    MachineConfig config = {.vcpus = 1, .dirty_ring_entries = stage->tracker->holds == DL_HOLDS_RING ? RING_ENTRIES : 0};
    g_autoptr(GError) error = NULL;

    stage->random = g_rand_new_with_seed(g_test_rand_int() & 0xffff);
    stage->ram = guest_ram_new(kind, RAM_BYTES, TRUE, &error);
    g_assert_no_error(error);
    stage->machine = machine_new(stage->ram, &config, &error);
    g_assert_no_error(error);
    stage->mmio = virtio_mmio_new(machine_bus(stage->machine), &error);
    g_assert_no_error(error);
    virtio_mmio_plug(stage->mmio, SLOT, stage->subject->make(stage));
    stage->worker = virtio_worker_new(stage->machine, stage->mmio, SLOT, &error);
    g_assert_no_error(error);
    make_log(stage);
    stage->pages = dl_bitmap_new(dl_layout_n_bits(guest_ram_layout(stage->ram)));
    stage->driver = (Driver){.ram = stage->ram, .bus = machine_bus(stage->machine), .slot = SLOT, .noted = TRUE};
    driver_start_machine(stage->machine);
    driver_start(&stage->driver, G_MAXUINT64, stage->subject->n_queues);
}

static void
tear_down(Stage *stage)
{
    machine_stop(stage->machine);
    virtio_worker_free(stage->worker);
    guest_ram_attach_log(stage->ram, NULL);
    dl_log_free(stage->log);
    machine_free(stage->machine);
    virtio_mmio_free(stage->mmio);
    guest_ram_free(stage->ram);
    dl_bitmap_free(stage->pages);
    g_rand_free(stage->random);
    g_free(stage->replica);
    if (stage->path)
        g_unlink(stage->path);
    g_free(stage->path);
}

/* --- the oracle --- */

/* What was reported is read after its re-arm, while the device may write it again. */
static void
harvest(Stage *stage)
{
    g_autoptr(GError) error = NULL;
    guint64 n = dl_bitmap_size(stage->pages);

    g_assert_true(dl_log_harvest(stage->log, &error));
    dl_bitmap_clear_all(stage->pages);
    dl_consumer_take(stage->consumer, (DlPageRange){0, n}, stage->pages);
    for (DlPageRange run = {0}; dl_bitmap_next_run(stage->pages, run.first + run.count, n, &run);) {
        for (guint64 page = run.first; page < run.first + run.count; page++)
            memcpy(stage->replica + page * DL_PAGE_SIZE, dl_layout_hva_of_page(guest_ram_layout(stage->ram), page), DL_PAGE_SIZE);
    }
}

/* Pages from byte @from of RAM on: the control's driver notes nothing either, and its rings are not the question. */
static guint64
count_missed(Stage *stage, guint64 from)
{
    guint64 missed = 0;

    for (guint64 page = from / DL_PAGE_SIZE; page < RAM_BYTES / DL_PAGE_SIZE; page++)
        missed += memcmp(stage->replica + page * DL_PAGE_SIZE, dl_layout_hva_of_page(guest_ram_layout(stage->ram), page),
                         DL_PAGE_SIZE) != 0;
    return missed;
}

static void
await_used(Stage *stage, guint n)
{
    gint64 deadline = g_get_monotonic_time() + (gint64)WAIT_SECONDS * G_USEC_PER_SEC;
    struct vring_used_elem used;

    while (n) {
        if (driver_take_used(&stage->driver, 0, &used)) {
            n--;
            continue;
        }
        g_assert_cmpint(g_get_monotonic_time(), <, deadline);
        g_usleep(200);
    }
    while (stage->subject->n_queues > 1 && driver_take_used(&stage->driver, 1, &used))
        ;
}

static guint64
run(Stage *stage, guint64 from)
{
    g_autoptr(GError) error = NULL;
    guint64 missed = 0;

    dl_log_move(stage->log, stage->tracker->name, NULL, NULL, &error);
    g_assert_no_error(error);
    stage->replica = g_malloc(dl_bitmap_size(stage->pages) * DL_PAGE_SIZE);
    memcpy(stage->replica, dl_layout_hva_of_page(guest_ram_layout(stage->ram), 0), RAM_BYTES);
    for (guint round = 0; round < ROUNDS; round++) {
        for (guint i = 0; i < REQUESTS; i++)
            stage->subject->request(stage, i);
        driver_kick(&stage->driver, 0);
        harvest(stage); /* wherever the device is by now */
        await_used(stage, REQUESTS);
        g_assert_true(machine_pause(stage->machine, &error));
        harvest(stage);
        missed += count_missed(stage, from);
        machine_resume(stage->machine);
    }
    return missed;
}

typedef struct {
    const Subject *subject;
    const DlTrackerFacts *tracker;
    DlRamKind kind;
    gboolean control;
} Cell;

static void
test_cell(gconstpointer data)
{
    const Cell *cell = data;
    Stage stage = {.subject = cell->subject, .tracker = cell->tracker};
    gboolean sees = !(cell->tracker->unseen & (DL_WRITER_VMM | DL_WRITER_VMM_SYSCALL));
    g_auto(DlProbe) probe = {0}, memory = {0};

    dl_probe(cell->tracker, cell->kind, &probe);
    dl_probe_ram(cell->kind, &memory);
    if (!probe.supported || !memory.supported) {
        g_test_skip(probe.supported ? memory.reason : probe.reason);
        return;
    }
    set_up(&stage, cell->kind);
    if (!cell->control)
        guest_ram_attach_log(stage.ram, stage.log);
    guint64 missed = run(&stage, cell->control ? RAM_BYTES / 2 : 0);
    if (cell->control && (!sees || cell->subject->discards))
        g_assert_cmpuint(missed, >, 0);
    else
        g_assert_cmpuint(missed, ==, 0);
    tear_down(&stage);
}

static void
add_cell(const Subject *subject, const DlTrackerFacts *tracker, DlRamKind kind, gboolean control)
{
    g_autofree char *path = g_strdup_printf("/oracle/%s/%s/%s/%s", control ? "without-notes" : "nothing-is-missed", subject->name,
                                            tracker->name, dl_ram_kind_name(kind));
    Cell *cell = g_new(Cell, 1);

    *cell = (Cell){subject, tracker, kind, control};
    g_test_add_data_func_full(path, cell, test_cell, g_free);
}

int
main(int argc, char **argv)
{
    static const DlRamKind kinds[] = {DL_RAM_SHMEM, DL_RAM_HUGETLB_2M};

    g_test_init(&argc, &argv, NULL);
    for (guint s = 0; s < G_N_ELEMENTS(subjects); s++) {
        for (guint t = 1; t < dl_n_trackers(); t++) {
            for (guint k = 0; k < G_N_ELEMENTS(kinds); k++)
                add_cell(&subjects[s], dl_tracker_facts(t), kinds[k], FALSE);
            if (subjects[s].discards)
                add_cell(&subjects[s], dl_tracker_facts(t), DL_RAM_SHMEM_THP, FALSE);
            add_cell(&subjects[s], dl_tracker_facts(t), DL_RAM_SHMEM, TRUE);
        }
    }
    return g_test_run();
}
