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

#include <sys/resource.h>

#include "bench/new_mappings.h"
#include "bench/replica.h"
#include "bench/stage.h"
#include "bench/stall.h"

typedef struct {
    const LabConfig *config;
    Stage *stage;
    DlConsumer *consumer;
    Replica *replica; /* NULL: not wanted */
    GRand *rand;

    DlBitmap *nothing;
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

/* --- setting up --- */

static void
make_page_sets(Lab *lab)
{
    guint64 n_bits = dl_layout_n_bits(lab->stage->layout);
    DlBitmap **sets[] = {&lab->nothing, &lab->reported, &lab->taken, &lab->missed, &lab->differed};

    for (guint i = 0; i < G_N_ELEMENTS(sets); i++)
        *sets[i] = dl_bitmap_new(n_bits);
    if (lab->config->facts->holds == DL_HOLDS_PROCESS)
        lab->flagged = dl_bitmap_new(n_bits);
}

static gboolean
arm(Lab *lab, GError **error)
{
    const LabConfig *config = lab->config;
    DlMoveResult move;
    guint cpu = config->handler == HANDLER_CPU ? config->handler_cpu : stage_cpu(config->handler == HANDLER_SAME ? 0 : 1);
    const DlTrackerOptions options = {.handler_cpu_plus_one = cpu + 1};

    lab->consumer = dl_log_subscribe(lab->stage->log);
    if (!(config->arm ? config->arm(lab->stage->log, &options, &move, config->user, error)
                      : dl_log_move(lab->stage->log, config->facts->name, &options, &move, error)))
        return FALSE;
    samples_add(lab->figures->cost[COST_ARM_NS], (double)move.arm_ns);
    if (config->with_replica)
        lab->replica = replica_new(lab->stage->layout, error);
    return lab->replica || !config->with_replica;
}

static gboolean
set_up(Lab *lab, GError **error)
{
    const LabConfig *config = lab->config;
    const StageConfig stage = {
        .facts = config->facts,
        .ram = config->ram,
        .memory_bytes = config->memory_bytes,
        .vcpus = config->vcpus,
        .writer = config->writer,
        .pattern = config->pattern,
        .pages = config->pages,
        .seed = config->seed,
        .ring_entries = config->ring_entries,
        .cancelled = config->cancelled,
    };

    lab->stage = stage_new(&stage, error);
    if (!lab->stage)
        return FALSE;
    make_page_sets(lab);
    lab->rand = g_rand_new_with_seed((guint32)abi_mix(config->seed ^ config->pattern));
    lab->busy_cycles = g_new0(guint64, config->passes);
    lab->paused_ns = g_new0(gint64, config->passes);
    return stage_boot(lab->stage, error) && arm(lab, error);
}

static void
tear_down(Lab *lab)
{
    if (lab->stage)
        stage_stop(lab->stage);
    g_clear_pointer(&lab->replica, replica_free);
    DlBitmap *sets[] = {lab->nothing, lab->reported, lab->taken, lab->missed, lab->differed, lab->flagged};
    for (guint i = 0; i < G_N_ELEMENTS(sets); i++)
        g_clear_pointer(&sets[i], dl_bitmap_free);
    g_clear_pointer(&lab->stage, stage_free);
    g_clear_pointer(&lab->rand, g_rand_free);
    g_free(lab->busy_cycles);
    g_free(lab->paused_ns);
}

/* --- harvesting and judging --- */

static guint64
count_overflows(Lab *lab)
{
    DlLogStats stats;

    dl_log_stats(lab->stage->log, &stats);
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
    dl_consumer_take(lab->consumer, (DlPageRange){0, dl_layout_n_bits(lab->stage->layout)}, lab->taken);
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
        new_mappings_add(lab->stage->layout, lab->flagged);
    lab->oracle_cpu_ns += clock_ns(CLOCK_THREAD_CPUTIME_ID) - flags_start;

    gint64 start = clock_ns(CLOCK_MONOTONIC), took;
    if (!dl_log_harvest(lab->stage->log, error))
        return FALSE;
    took = clock_ns(CLOCK_MONOTONIC) - start;
    samples_add(lab->figures->cost[cost], (double)took);
    samples_add(lab->figures->cost[COST_HARVEST_NS_PER_PAGE], (double)took / (double)dl_layout_n_pages(lab->stage->layout));

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
    write_list_open_window(lab->stage->list);
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

    stage_read_positions(lab->stage);
    const JudgeWindow window = {.reported = lab->reported,
                                .writes = write_list_close_window(lab->stage->list, lab->stage->positions),
                                .changed = lab->replica ? replica_changed(lab->replica) : lab->nothing,
                                .overflow = lab->overflow,
                                .flagged = lab->flagged};
    dl_bitmap_clear_all(lab->missed);
    if (lab->config->with_write_list)
        judge_write_list(&lab->stage->judge, &window, write_list_scope(lab->stage->list), &figures->write_list, lab->missed);
    dl_bitmap_clear_all(lab->differed);
    if (lab->replica) {
        replica_compare(lab->replica, lab->differed);
        judge_replica(&lab->stage->judge, &window, lab->differed, &figures->replica);
    }
    unexplained = figures->write_list.extra[EXTRA_UNEXPLAINED] + figures->replica.extra[EXTRA_UNEXPLAINED] - unexplained;
    if (lab->config->observe) {
        const LabWindow seen = {&window, lab->missed, lab->differed, unexplained, lab->stage->layout};
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

    if (!machine_pause(lab->stage->machine, error))
        return FALSE;
    harvested = harvest(lab, COST_HARVEST_STOPPED_NS, error);
    if (harvested)
        close_window(lab);
    for (guint i = 0; i < lab->stage->n_actors; i++) {
        guint64 per_pass = write_list_pass_writes(lab->stage->list, i);
        in_mid_pass += per_pass && lab->stage->positions[i] % per_pass != 0;
    }
    machine_resume(lab->stage->machine);
    if (pass < lab->config->passes)
        lab->paused_ns[pass] += in_mid_pass * (clock_ns(CLOCK_MONOTONIC) - start);
    return harvested;
}

static guint64
total_busy_cycles(Lab *lab)
{
    guint64 total = 0;

    for (guint vcpu = 0; !lab->stage->host_writer && vcpu < lab->config->vcpus; vcpu++)
        total += stage_progress(lab->stage, vcpu)->busy_cycles;
    return total;
}

static gboolean
run_pass(Lab *lab, guint pass, GError **error)
{
    guint64 writes = lab->config->writer == WRITER_KVM ? lab->stage->n_actors : abi_pass_writes(&lab->stage->workload);
    guint64 start = writes * pass, busy = total_busy_cycles(lab);
    double running = g_rand_double_range(lab->rand, 0.1, 0.6), stopped = g_rand_double_range(lab->rand, running, 1.0);

    if (lab->stage->host_writer)
        host_writer_release(lab->stage->host_writer);
    else
        doorbell_release(lab->stage->doorbell);
    if (!stage_wait_for(lab->stage, start + (guint64)(running * (double)writes), error))
        return FALSE;
    stage_read_positions(lab->stage);
    if (!harvest(lab, COST_HARVEST_RUNNING_NS, error))
        return FALSE;
    write_list_rearmed(lab->stage->list, lab->stage->positions);
    if (!stage_wait_for(lab->stage, start + (guint64)(stopped * (double)writes), error) || !harvest_stopped(lab, pass, error) ||
        !stage_wait_for(lab->stage, G_MAXUINT64, error))
        return FALSE;
    lab->busy_cycles[pass] = total_busy_cycles(lab) - busy;
    return TRUE;
}

static void
add_guest_costs(Lab *lab)
{
    LabFigures *figures = lab->figures;

    if (lab->stage->host_writer || lab->config->pattern == ABI_READ)
        return;
    for (guint pass = 0; pass < lab->config->passes; pass++) {
        guint64 first_writes = write_list_first_writes(lab->stage->list, pass);
        double busy_ns = (double)lab->busy_cycles[pass] * lab->ns_per_cycle - (double)lab->paused_ns[pass];
        if (first_writes)
            samples_add(figures->cost[COST_GUEST_NS_PER_FIRST_WRITE], busy_ns / (double)first_writes);
    }
    stall_read(board_ram(lab->stage->board), lab->config->vcpus, &figures->stalls);
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
    if (!dl_log_move(lab->stage->log, "none", NULL, &move, error))
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
