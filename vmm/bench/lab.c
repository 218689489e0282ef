/* SPDX-License-Identifier: MIT */
/*
 * One run. The vCPUs are held by the doorbell while the tracker is armed and the replica copied; then, for each pass:
 *
 *   release → wait for a share of the pass → harvest (running) → wait for more → pause, harvest (stopped), judge, resume → wait for its end
 *
 * Where in the pass the two harvests fall is decided by the seed. What a pass writes after its stop belongs to the next window; the last
 * window ends with everybody held. The order within a harvest is that of a migration: collect and re-arm, take the pages, and
 * only then read them.
 */
#include "bench/lab.h"

#include <sched.h>
#include <sys/resource.h>

#include "bench/doorbell.h"
#include "bench/host_writer.h"
#include "bench/new_mappings.h"
#include "bench/replica.h"
#include "bench/stall.h"
#include "board/board.h"
#include "machine/vcpu.h"

/* A guest that makes no progress for so long is stuck. */
#define STALL_LIMIT_US (INT64_C(60) * G_USEC_PER_SEC)
#define RING_ENTRIES 65536

G_DEFINE_QUARK(lab-error, lab_error);

typedef struct {
    const LabConfig *config;
    Board *board;
    Machine *machine;
    DlLayout *layout;
    DlLog *log;
    DlConsumer *consumer;
    Doorbell *doorbell;
    HostWriter *host_writer; /* NULL: the guest writes */
    WriteList *list;
    Replica *replica;             /* NULL: not wanted */
    struct abi_workload workload; /* the writers' own */
    guint n_actors;
    guint64 *positions;
    GRand *rand;

    JudgeContext judge;
    DlBitmap *own, *page_tables, *kvm_pages, *nothing;
    DlBitmap *reported; /* in this window */
    DlBitmap *taken;    /* by one harvest */
    DlBitmap *missed, *differed;
    DlBitmap *flagged;                /* soft-dirty only: pages in mappings that were new to it, in this window */
    guint64 overflows;                /* counted up to the last take */
    gboolean overflow, overflow_next; /* one in this window; one that may have gone into the next */

    LabFigures *figures;
    guint64 *busy_cycles; /* of all vCPUs, a pass each */
    gint64 *paused_ns;    /* of all vCPUs that were in mid-pass, a pass each */
    gint64 oracle_cpu_ns; /* this thread's time for the oracles */
    double ns_per_cycle;
} Lab;

/* --- figures --- */

LabFigures *
lab_figures_new(void)
{
    LabFigures *figures = g_new0(LabFigures, 1);

    figures->write_list = (AccuracyResult){.oracle = "write-list", .scope = "arena"};
    figures->replica = (AccuracyResult){.oracle = "replica", .scope = "ram"};
    for (guint i = 0; i < N_COSTS; i++)
        figures->cost[i] = samples_new();
    figures->stall_medians = samples_new();
    return figures;
}

void
lab_figures_free(LabFigures *figures)
{
    for (guint i = 0; i < N_COSTS; i++)
        samples_free(figures->cost[i]);
    samples_free(figures->stall_medians);
    g_free(figures);
}

static void
add_accuracy(AccuracyResult *sum, const AccuracyResult *more)
{
    sum->judged_pages += more->judged_pages;
    sum->written_pages += more->written_pages;
    sum->reported_pages += more->reported_pages;
    sum->missed_pages += more->missed_pages;
    sum->expected_missed_pages += more->expected_missed_pages;
    for (guint i = 0; i < N_EXTRA_CAUSES; i++)
        sum->extra[i] += more->extra[i];
    sum->scope = more->scope;
}

static void
add_figures(LabFigures *sum, const LabFigures *more)
{
    add_accuracy(&sum->write_list, &more->write_list);
    add_accuracy(&sum->replica, &more->replica);
    sum->ring_overflows += more->ring_overflows;
    for (guint i = 0; i < N_COSTS; i++)
        samples_add_all(sum->cost[i], more->cost[i]);
    samples_add_all(sum->stall_medians, more->stall_medians);
    stall_add(&sum->stalls, &more->stalls);
}

/* --- the arena --- */

void
lab_arena(guint64 memory_bytes, struct abi_arena *arena)
{
    *arena = (struct abi_arena){0};
    abi_arena_add(arena, 0, MIN(memory_bytes, GUEST_RAM_HOLE_START));
    if (memory_bytes > GUEST_RAM_HOLE_START)
        abi_arena_add(arena, GUEST_RAM_HOLE_END, memory_bytes - GUEST_RAM_HOLE_START);
}

guint64
lab_clamp_pages(Writer writer, guint pattern, guint64 pages, guint64 memory_bytes, guint vcpus)
{
    struct abi_arena arena;

    lab_arena(memory_bytes, &arena);
    return writer == WRITER_KVM ? vcpus : abi_clamp_pages(pattern, pages, abi_arena_pages(&arena));
}

/* --- clocks --- */

static gint64
clock_ns(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return now.tv_sec * G_GINT64_CONSTANT(1000000000) + now.tv_nsec;
}

/* What the process used, user and system, without the time inside the guest (proc(5): utime holds guest_time). */
static gint64
host_cpu_ns(void)
{
    struct rusage usage;
    g_autofree char *stat = NULL;
    gint64 guest_ticks = 0;

    if (g_file_get_contents("/proc/self/stat", &stat, NULL, NULL)) {
        const char *after_name = strrchr(stat, ')');
        g_auto(GStrv) fields = g_strsplit(after_name ? after_name + 2 : "", " ", -1);
        if (g_strv_length(fields) > 40)
            guest_ticks = g_ascii_strtoll(fields[40], NULL, 10); /* guest_time, the 43rd field */
    }
    getrusage(RUSAGE_SELF, &usage);
    return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * G_GINT64_CONSTANT(1000000000) +
           (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000 - guest_ticks * (1000000000 / sysconf(_SC_CLK_TCK));
}

/* --- waiting for the writers --- */

static const volatile struct abi_vcpu *
vcpu_progress(const Lab *lab, guint vcpu)
{
    return (const volatile struct abi_vcpu *)dl_layout_hva_of_gpa(lab->layout, ABI_VCPU_GPA(vcpu), sizeof(struct abi_vcpu));
}

static guint64
read_positions(Lab *lab)
{
    guint64 total = 0;

    for (guint i = 0; i < lab->n_actors; i++) {
        lab->positions[i] = lab->host_writer ? host_writer_position(lab->host_writer, i) : vcpu_progress(lab, i)->position;
        total += lab->positions[i];
    }
    return total;
}

static gboolean
check_alive(Lab *lab, GError **error)
{
    if (lab->config->cancelled && *lab->config->cancelled) {
        g_set_error_literal(error, LAB_ERROR, LAB_ERROR_CANCELLED, "interrupted");
        return FALSE;
    }
    if (machine_state(lab->machine) == MACHINE_CRASHED) {
        g_set_error(error, LAB_ERROR, LAB_ERROR_FAILED, "the guest crashed: %s", machine_crash_reason(lab->machine));
        return FALSE;
    }
    if (lab->host_writer && host_writer_error(lab->host_writer)) {
        g_propagate_error(error, g_error_copy(host_writer_error(lab->host_writer)));
        return FALSE;
    }
    return TRUE;
}

static gboolean
writers_ready(Lab *lab)
{
    return lab->host_writer ? host_writer_ready(lab->host_writer) : doorbell_all_ready(lab->doorbell);
}

/* Until the writers together have made @target writes, or all of them have finished the pass. */
static gboolean
wait_for(Lab *lab, guint64 target, GError **error)
{
    gint64 last_progress = g_get_monotonic_time();
    guint64 before = read_positions(lab);

    for (;;) {
        gboolean ready = writers_ready(lab); /* asked first: ready and then too few writes cannot be a race */
        guint64 now = read_positions(lab);

        if (!check_alive(lab, error)) /* first: a writer that has failed is ready too */
            return FALSE;
        if (ready || now >= target)
            return TRUE;
        if (now != before)
            last_progress = g_get_monotonic_time();
        else if (g_get_monotonic_time() - last_progress > STALL_LIMIT_US) {
            g_set_error(error, LAB_ERROR, LAB_ERROR_FAILED, "the writers have made no progress for %d s",
                        (int)(STALL_LIMIT_US / G_USEC_PER_SEC));
            return FALSE;
        }
        before = now;
        g_usleep(50);
    }
}

static gboolean
wait_for_end_of_pass(Lab *lab, GError **error)
{
    return wait_for(lab, G_MAXUINT64, error);
}

/* --- setting up --- */

static void
add_pages(const Lab *lab, DlBitmap *set, guint64 gpa, guint64 n_pages)
{
    for (guint64 i = 0; i < n_pages; i++) {
        DlPageRange page;
        if (dl_layout_pages_of_gpa(lab->layout, gpa + i * ABI_PAGE_SIZE, ABI_PAGE_SIZE, &page))
            dl_bitmap_set_range(set, page);
    }
}

static void
make_page_sets(Lab *lab)
{
    guint64 n_bits = dl_layout_n_bits(lab->layout);
    DlBitmap **sets[] = {&lab->own,      &lab->page_tables, &lab->kvm_pages, &lab->nothing,
                         &lab->reported, &lab->taken,       &lab->missed,    &lab->differed};

    for (guint i = 0; i < G_N_ELEMENTS(sets); i++)
        *sets[i] = dl_bitmap_new(n_bits);
    if (lab->config->facts->holds == DL_HOLDS_PROCESS)
        lab->flagged = dl_bitmap_new(n_bits);
    add_pages(lab, lab->own, ABI_MAILBOX_GPA, 1);
    add_pages(lab, lab->own, ABI_VCPU_GPA(0), UINT64_C(2) * lab->config->vcpus);
    add_pages(lab, lab->own, ABI_STACK_GPA(0), lab->config->vcpus);
    if (lab->config->writer == WRITER_GUEST_RING0) {
        add_pages(lab, lab->own, ABI_RING0_LIST_GPA(0), lab->config->vcpus);
        add_pages(lab, lab->own, ABI_RING0_STACK_GPA, 1);
    }
    add_pages(lab, lab->page_tables, ABI_PAGE_TABLES_GPA, (ABI_ARENA_GPA - ABI_PAGE_TABLES_GPA) / ABI_PAGE_SIZE);
    if (lab->config->writer == WRITER_KVM)
        add_pages(lab, lab->kvm_pages, ABI_KVMCLOCK_GPA(0), lab->config->vcpus);
    lab->judge = (JudgeContext){lab->config->facts, lab->config->writer, lab->layout, lab->own, lab->page_tables, lab->kvm_pages};
}

static gboolean
make_board(Lab *lab, GError **error)
{
    const LabConfig *config = lab->config;
    gboolean guest = writer_is_guest(config->writer);
    g_autofree char *command_line =
        g_strdup_printf("pattern=%s pages=%" G_GUINT64_FORMAT " passes=0 seed=%" G_GUINT64_FORMAT " vcpus=%u ring=%d touch=1",
                        pattern_name(guest ? config->pattern : ABI_IDLE), guest ? config->pages : 0, config->seed, config->vcpus,
                        config->writer == WRITER_GUEST_RING0 ? 0 : 3);
    const BoardConfig board = {
        .ram = config->ram,
        .memory_bytes = config->memory_bytes,
        .vcpus = config->vcpus,
        .populate = TRUE,
        .dirty_ring_entries = config->facts->holds != DL_HOLDS_RING ? 0
                              : config->ring_entries                ? config->ring_entries
                                                                    : RING_ENTRIES,
        .command_line = command_line,
    };

    lab->board = board_new(&board, error);
    if (!lab->board)
        return FALSE;
    lab->machine = board_machine(lab->board);
    lab->layout = guest_ram_layout(board_ram(lab->board));
    lab->log = board_log(lab->board);
    lab->doorbell = doorbell_new(lab->machine, error);
    return lab->doorbell != NULL;
}

static guint
nth_cpu(guint nth)
{
    cpu_set_t allowed;

    CPU_ZERO(&allowed);
    if (sched_getaffinity(0, sizeof allowed, &allowed) || !CPU_COUNT(&allowed))
        return 0;
    nth %= (guint)CPU_COUNT(&allowed);
    for (guint cpu = 0;; cpu++) {
        if (CPU_ISSET(cpu, &allowed) && !nth--)
            return cpu;
    }
}

static gboolean
make_writers(Lab *lab, const struct abi_arena *arena, GError **error)
{
    const LabConfig *config = lab->config;
    gboolean guest = writer_is_guest(config->writer);

    lab->n_actors = guest || config->writer == WRITER_KVM ? config->vcpus : 1;
    lab->positions = g_new0(guint64, lab->n_actors);
    lab->workload = (struct abi_workload){.pattern = config->pattern,
                                          .vcpus = lab->n_actors,
                                          .pages = config->pages,
                                          .seed = config->seed,
                                          .arena_pages = abi_arena_pages(arena)};
    if (!guest) {
        lab->host_writer = host_writer_new(config->writer, lab->board, &lab->workload, arena, error);
        if (!lab->host_writer)
            return FALSE;
    }
    const WriteListConfig list = {
        .workload = lab->workload, .arena = *arena, .kvmclock = config->writer == WRITER_KVM, .gated = !guest};
    lab->list = write_list_new(&list, lab->layout);
    for (guint vcpu = 0; vcpu < config->vcpus; vcpu++) {
        if (!vcpu_pin(lab->machine, vcpu, (int)nth_cpu(vcpu), error))
            return FALSE;
    }
    return TRUE;
}

/* The guest must have understood what we told it, and see the RAM that we see. */
static gboolean
check_mailbox(Lab *lab, const struct abi_arena *arena, GError **error)
{
    struct abi_mailbox mailbox;
    gboolean guest = writer_is_guest(lab->config->writer);

    if (guest_ram_load(board_ram(lab->board), ABI_MAILBOX_GPA, &mailbox, sizeof mailbox) && mailbox.magic == ABI_MAILBOX_MAGIC &&
        memcmp(&mailbox.arena, arena, sizeof *arena) == 0 &&
        (!guest || (mailbox.workload.pages == lab->workload.pages && mailbox.workload.seed == lab->workload.seed &&
                    mailbox.workload.vcpus == lab->workload.vcpus && mailbox.workload.pattern == lab->workload.pattern)))
        return TRUE;
    g_set_error_literal(error, LAB_ERROR, LAB_ERROR_FAILED, "the guest's mailbox does not agree with what it was told");
    return FALSE;
}

static gboolean
wait_for_boot(Lab *lab, GError **error)
{
    gint64 start = g_get_monotonic_time();

    while (!doorbell_all_ready(lab->doorbell)) {
        if (!check_alive(lab, error))
            return FALSE;
        if (g_get_monotonic_time() - start > STALL_LIMIT_US) {
            g_set_error_literal(error, LAB_ERROR, LAB_ERROR_FAILED, "the embedded guest did not come up");
            return FALSE;
        }
        g_usleep(100);
    }
    return TRUE;
}

static gboolean
arm(Lab *lab, GError **error)
{
    const LabConfig *config = lab->config;
    DlMoveResult move;
    guint cpu = config->handler == HANDLER_CPU ? config->handler_cpu : nth_cpu(config->handler == HANDLER_SAME ? 0 : 1);
    const DlTrackerOptions options = {.handler_cpu_plus_one = cpu + 1};

    lab->consumer = dl_log_subscribe(lab->log);
    if (!(config->arm ? config->arm(lab->log, &options, &move, config->user, error)
                      : dl_log_move(lab->log, config->facts->name, &options, &move, error)))
        return FALSE;
    samples_add(lab->figures->cost[COST_ARM_NS], (double)move.arm_ns);
    if (config->with_replica)
        lab->replica = replica_new(lab->layout, error);
    return lab->replica || !config->with_replica;
}

static gboolean
set_up(Lab *lab, GError **error)
{
    struct abi_arena arena;

    lab_arena(lab->config->memory_bytes, &arena);
    if (!make_board(lab, error) || !make_writers(lab, &arena, error))
        return FALSE;
    make_page_sets(lab);
    lab->rand = g_rand_new_with_seed((guint32)abi_mix(lab->config->seed ^ lab->config->pattern));
    lab->busy_cycles = g_new0(guint64, lab->config->passes);
    lab->paused_ns = g_new0(gint64, lab->config->passes);
    if (!board_start(lab->board, error) || !wait_for_boot(lab, error) || !check_mailbox(lab, &arena, error))
        return FALSE;
    if (lab->host_writer)
        doorbell_release(lab->doorbell); /* the guest idles, in ring 3, until the end */
    return arm(lab, error);
}

/* The machine stops first: a writer may be waiting for it, and a uffd-wp handler must outlive the vCPUs. */
static void
tear_down(Lab *lab)
{
    if (lab->machine)
        machine_stop(lab->machine);
    g_clear_pointer(&lab->host_writer, host_writer_free);
    g_clear_pointer(&lab->list, write_list_free);
    g_clear_pointer(&lab->replica, replica_free);
    DlBitmap *sets[] = {lab->own,   lab->page_tables, lab->kvm_pages, lab->nothing, lab->reported,
                        lab->taken, lab->missed,      lab->differed,  lab->flagged};
    for (guint i = 0; i < G_N_ELEMENTS(sets); i++)
        g_clear_pointer(&sets[i], dl_bitmap_free);
    g_clear_pointer(&lab->board, board_free);
    g_clear_pointer(&lab->doorbell, doorbell_free);
    g_clear_pointer(&lab->rand, g_rand_free);
    g_free(lab->positions);
    g_free(lab->busy_cycles);
    g_free(lab->paused_ns);
}

/* --- harvesting and judging --- */

static guint64
count_overflows(Lab *lab)
{
    DlLogStats stats;

    dl_log_stats(lab->log, &stats);
    return stats.ring_overflows;
}

/*
 * Takes what is pending. An overflow belongs to the window in which its pages are taken; a vCPU may meet one at any time, in a harvest
 * of its own: what happened during the take may have come with it or come with the next.
 */
static void
take_pages(Lab *lab)
{
    guint64 before = count_overflows(lab);

    dl_bitmap_clear_all(lab->taken);
    dl_consumer_take(lab->consumer, (DlPageRange){0, dl_layout_n_bits(lab->layout)}, lab->taken);
    guint64 after = count_overflows(lab);
    lab->overflow = lab->overflow || after != lab->overflows;
    lab->overflow_next = after != before;
    lab->overflows = after;
    dl_bitmap_or(lab->reported, lab->taken);
}

static gboolean
harvest(Lab *lab, Cost cost, GError **error)
{
    gint64 flags_start = clock_ns(CLOCK_THREAD_CPUTIME_ID);

    if (lab->flagged)
        new_mappings_add(lab->layout, lab->flagged);
    lab->oracle_cpu_ns += clock_ns(CLOCK_THREAD_CPUTIME_ID) - flags_start;

    gint64 start = clock_ns(CLOCK_MONOTONIC), took;
    if (!dl_log_harvest(lab->log, error))
        return FALSE;
    took = clock_ns(CLOCK_MONOTONIC) - start;
    samples_add(lab->figures->cost[cost], (double)took);
    samples_add(lab->figures->cost[COST_HARVEST_NS_PER_PAGE], (double)took / (double)dl_layout_n_pages(lab->layout));

    gint64 oracle_start = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    take_pages(lab);
    if (lab->replica)
        replica_apply(lab->replica, lab->taken);
    lab->oracle_cpu_ns += clock_ns(CLOCK_THREAD_CPUTIME_ID) - oracle_start;
    return TRUE;
}

static void
open_window(Lab *lab)
{
    write_list_open_window(lab->list);
    if (lab->replica)
        replica_open_window(lab->replica);
    dl_bitmap_clear_all(lab->reported);
    if (lab->flagged)
        dl_bitmap_clear_all(lab->flagged);
}

/* Everybody stands, the last harvest is in. */
static void
close_window(Lab *lab)
{
    gint64 oracle_start = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    LabFigures *figures = lab->figures;
    guint64 unexplained = figures->write_list.extra[EXTRA_UNEXPLAINED] + figures->replica.extra[EXTRA_UNEXPLAINED];

    read_positions(lab);
    const JudgeWindow window = {.reported = lab->reported,
                                .writes = write_list_close_window(lab->list, lab->positions),
                                .changed = lab->replica ? replica_changed(lab->replica) : lab->nothing,
                                .overflow = lab->overflow,
                                .flagged = lab->flagged};
    dl_bitmap_clear_all(lab->missed);
    if (lab->config->with_write_list)
        judge_write_list(&lab->judge, &window, write_list_scope(lab->list), &figures->write_list, lab->missed);
    dl_bitmap_clear_all(lab->differed);
    if (lab->replica) {
        replica_compare(lab->replica, lab->differed);
        judge_replica(&lab->judge, &window, lab->differed, &figures->replica);
    }
    unexplained = figures->write_list.extra[EXTRA_UNEXPLAINED] + figures->replica.extra[EXTRA_UNEXPLAINED] - unexplained;
    if (lab->config->observe) {
        const LabWindow seen = {&window, lab->missed, lab->differed, unexplained, lab->layout};
        lab->config->observe(&seen, lab->config->user);
    }
    lab->overflow = lab->overflow_next;
    open_window(lab);
    lab->oracle_cpu_ns += clock_ns(CLOCK_THREAD_CPUTIME_ID) - oracle_start;
}

/* --- passes --- */

static gboolean
harvest_stopped(Lab *lab, guint pass, GError **error)
{
    gint64 start = clock_ns(CLOCK_MONOTONIC);
    guint in_mid_pass = 0;
    gboolean harvested;

    if (!machine_pause(lab->machine, error))
        return FALSE;
    harvested = harvest(lab, COST_HARVEST_STOPPED_NS, error);
    if (harvested)
        close_window(lab);
    for (guint i = 0; i < lab->n_actors; i++) {
        guint64 per_pass = write_list_pass_writes(lab->list, i);
        in_mid_pass += per_pass && lab->positions[i] % per_pass != 0;
    }
    machine_resume(lab->machine);
    if (pass < lab->config->passes)
        lab->paused_ns[pass] += in_mid_pass * (clock_ns(CLOCK_MONOTONIC) - start);
    return harvested;
}

static guint64
total_busy_cycles(Lab *lab)
{
    guint64 total = 0;

    for (guint vcpu = 0; !lab->host_writer && vcpu < lab->config->vcpus; vcpu++)
        total += vcpu_progress(lab, vcpu)->busy_cycles;
    return total;
}

static gboolean
run_pass(Lab *lab, guint pass, GError **error)
{
    guint64 writes = lab->config->writer == WRITER_KVM ? lab->n_actors : abi_pass_writes(&lab->workload);
    guint64 start = writes * pass, busy = total_busy_cycles(lab);
    double running = g_rand_double_range(lab->rand, 0.1, 0.6), stopped = g_rand_double_range(lab->rand, running, 1.0);

    if (lab->host_writer)
        host_writer_release(lab->host_writer);
    else
        doorbell_release(lab->doorbell);
    if (!wait_for(lab, start + (guint64)(running * (double)writes), error))
        return FALSE;
    read_positions(lab);
    if (!harvest(lab, COST_HARVEST_RUNNING_NS, error))
        return FALSE;
    write_list_rearmed(lab->list, lab->positions);
    if (!wait_for(lab, start + (guint64)(stopped * (double)writes), error) || !harvest_stopped(lab, pass, error) ||
        !wait_for_end_of_pass(lab, error))
        return FALSE;
    lab->busy_cycles[pass] = total_busy_cycles(lab) - busy;
    return TRUE;
}

static void
add_guest_costs(Lab *lab)
{
    LabFigures *figures = lab->figures;

    if (lab->host_writer || lab->config->pattern == ABI_READ)
        return;
    for (guint pass = 0; pass < lab->config->passes; pass++) {
        guint64 first_writes = write_list_first_writes(lab->list, pass);
        double busy_ns = (double)lab->busy_cycles[pass] * lab->ns_per_cycle - (double)lab->paused_ns[pass];
        if (first_writes)
            samples_add(figures->cost[COST_GUEST_NS_PER_FIRST_WRITE], busy_ns / (double)first_writes);
    }
    stall_read(board_ram(lab->board), lab->config->vcpus, &figures->stalls);
    samples_add(figures->stall_medians, stall_percentile(&figures->stalls, 0.5, lab->ns_per_cycle));
}

static gboolean
run_passes(Lab *lab, GError **error)
{
    DlMoveResult move;
    gint64 cpu = host_cpu_ns();

    open_window(lab);
    for (guint pass = 0; pass < lab->config->passes; pass++) {
        if (!run_pass(lab, pass, error))
            return FALSE;
    }
    if (!harvest_stopped(lab, lab->config->passes, error))
        return FALSE;
    cpu = host_cpu_ns() - cpu - lab->oracle_cpu_ns;
    samples_add(lab->figures->cost[COST_HOST_CPU_NS], (double)MAX(cpu, 0) / lab->config->passes);
    add_guest_costs(lab);
    lab->figures->ring_overflows = lab->overflows;
    if (!dl_log_move(lab->log, "none", NULL, &move, error))
        return FALSE;
    samples_add(lab->figures->cost[COST_RELEASE_NS], (double)move.release_ns);
    return TRUE;
}

gboolean
lab_run(const LabConfig *config, double ns_per_cycle, LabFigures *figures, GError **error)
{
    g_autoptr(LabFigures) of_this_run = lab_figures_new();
    Lab lab = {.config = config, .figures = of_this_run, .ns_per_cycle = ns_per_cycle};
    gboolean done = set_up(&lab, error) && run_passes(&lab, error);

    if (done) {
        if (config->writer == WRITER_KVM)
            of_this_run->write_list.scope = "kvmclock";
        add_figures(figures, of_this_run);
    }
    tear_down(&lab);
    return done;
}
