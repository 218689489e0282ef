/* SPDX-License-Identifier: MIT */
/* The stage: building it, booting the guest, waiting for the writers. */
#include "bench/stage.h"

#include <sched.h>
#include <string.h>

#include "machine/vcpu.h"

#define RING_ENTRIES 65536

G_DEFINE_QUARK(stage-error, stage_error);

/* --- the arena --- */

void
stage_arena(guint64 memory_bytes, struct abi_arena *arena)
{
    *arena = (struct abi_arena){0};
    abi_arena_add(arena, 0, MIN(memory_bytes, GUEST_RAM_HOLE_START));
    if (memory_bytes > GUEST_RAM_HOLE_START)
        abi_arena_add(arena, GUEST_RAM_HOLE_END, memory_bytes - GUEST_RAM_HOLE_START);
}

guint64
stage_clamp_pages(Writer writer, guint pattern, guint64 pages, guint64 memory_bytes, guint vcpus)
{
    struct abi_arena arena;

    stage_arena(memory_bytes, &arena);
    return writer == WRITER_KVM ? vcpus : abi_clamp_pages(pattern, pages, abi_arena_pages(&arena));
}

/* --- waiting for the writers --- */

const volatile struct abi_vcpu *
stage_progress(const Stage *stage, guint vcpu)
{
    return (const volatile struct abi_vcpu *)dl_layout_hva_of_gpa(stage->layout, ABI_VCPU_GPA(vcpu), sizeof(struct abi_vcpu));
}

guint64
stage_read_positions(Stage *stage)
{
    guint64 total = 0;

    for (guint i = 0; i < stage->n_actors; i++) {
        stage->positions[i] =
            stage->host_writer ? host_writer_position(stage->host_writer, i) : stage_progress(stage, i)->position;
        total += stage->positions[i];
    }
    return total;
}

gboolean
stage_check_alive(const Stage *stage, GError **error)
{
    if (stage->config.cancelled && *stage->config.cancelled) {
        g_set_error_literal(error, STAGE_ERROR, STAGE_ERROR_CANCELLED, "interrupted");
        return FALSE;
    }
    if (machine_state(stage->machine) == MACHINE_CRASHED) {
        g_set_error(error, STAGE_ERROR, STAGE_ERROR_FAILED, "the guest crashed: %s", machine_crash_reason(stage->machine));
        return FALSE;
    }
    if (stage->host_writer && host_writer_error(stage->host_writer)) {
        g_propagate_error(error, g_error_copy(host_writer_error(stage->host_writer)));
        return FALSE;
    }
    return TRUE;
}

static gboolean
writers_ready(Stage *stage)
{
    return stage->host_writer ? host_writer_ready(stage->host_writer) : doorbell_all_ready(stage->doorbell);
}

gboolean
stage_wait_for(Stage *stage, guint64 target, GError **error)
{
    gint64 last_progress = g_get_monotonic_time();
    guint64 before = stage_read_positions(stage);

    for (;;) {
        gboolean ready = writers_ready(stage); /* asked first: ready and then too few writes cannot be a race */
        guint64 now = stage_read_positions(stage);

        if (!stage_check_alive(stage, error)) /* first: a writer that has failed is ready too */
            return FALSE;
        if (ready || now >= target)
            return TRUE;
        if (now != before)
            last_progress = g_get_monotonic_time();
        else if (g_get_monotonic_time() - last_progress > STAGE_STALL_LIMIT_US) {
            g_set_error(error, STAGE_ERROR, STAGE_ERROR_FAILED, "the writers have made no progress for %d s",
                        (int)(STAGE_STALL_LIMIT_US / G_USEC_PER_SEC));
            return FALSE;
        }
        before = now;
        g_usleep(50);
    }
}

/* --- setting up --- */

static void
add_pages(const Stage *stage, DlBitmap *set, guint64 gpa, guint64 n_pages)
{
    for (guint64 i = 0; i < n_pages; i++) {
        DlPageRange page;
        if (dl_layout_pages_of_gpa(stage->layout, gpa + i * ABI_PAGE_SIZE, ABI_PAGE_SIZE, &page))
            dl_bitmap_set_range(set, page);
    }
}

static void
make_page_sets(Stage *stage)
{
    guint64 n_bits = dl_layout_n_bits(stage->layout);
    guint vcpus = stage->config.vcpus;

    stage->own = dl_bitmap_new(n_bits);
    stage->page_tables = dl_bitmap_new(n_bits);
    stage->kvm_pages = dl_bitmap_new(n_bits);
    add_pages(stage, stage->own, ABI_MAILBOX_GPA, 1);
    add_pages(stage, stage->own, ABI_VCPU_GPA(0), UINT64_C(2) * vcpus);
    add_pages(stage, stage->own, ABI_STACK_GPA(0), vcpus);
    if (stage->config.writer == WRITER_GUEST_RING0) {
        add_pages(stage, stage->own, ABI_RING0_LIST_GPA(0), vcpus);
        add_pages(stage, stage->own, ABI_RING0_STACK_GPA, 1);
    }
    add_pages(stage, stage->page_tables, ABI_PAGE_TABLES_GPA, (ABI_ARENA_GPA - ABI_PAGE_TABLES_GPA) / ABI_PAGE_SIZE);
    if (stage->config.writer == WRITER_KVM)
        add_pages(stage, stage->kvm_pages, ABI_KVMCLOCK_GPA(0), vcpus);
    stage->judge = (JudgeContext){stage->config.facts, stage->config.writer, stage->layout,
                                  stage->own,          stage->page_tables,   stage->kvm_pages};
}

static gboolean
make_board(Stage *stage, GError **error)
{
    const StageConfig *config = &stage->config;
    gboolean guest = writer_is_guest(config->writer);
    g_autofree char *command_line =
        g_strdup_printf("pattern=%s pages=%" G_GUINT64_FORMAT " passes=0 seed=%" G_GUINT64_FORMAT " vcpus=%u ring=%d touch=%d"
                        " pace=%" G_GUINT64_FORMAT,
                        pattern_name(guest ? config->pattern : ABI_IDLE), guest ? config->pages : 0, config->seed, config->vcpus,
                        config->writer == WRITER_GUEST_RING0 ? 0 : 3, !config->unpopulated, config->pace_cycles);
    const BoardConfig board = {
        .ram = config->ram,
        .memory_bytes = config->memory_bytes,
        .vcpus = config->vcpus,
        .populate = !config->unpopulated,
        .dirty_ring_entries = config->facts->holds != DL_HOLDS_RING ? 0
                              : config->ring_entries                ? config->ring_entries
                                                                    : RING_ENTRIES,
        .command_line = command_line,
    };

    stage->board = board_new(&board, error);
    if (!stage->board)
        return FALSE;
    stage->machine = board_machine(stage->board);
    stage->layout = guest_ram_layout(board_ram(stage->board));
    stage->log = board_log(stage->board);
    stage->doorbell = doorbell_new(stage->machine, error);
    return stage->doorbell != NULL;
}

guint
stage_cpu(guint nth)
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
make_writers(Stage *stage, GError **error)
{
    const StageConfig *config = &stage->config;
    gboolean guest = writer_is_guest(config->writer);

    stage->n_actors = guest || config->writer == WRITER_KVM ? config->vcpus : 1;
    stage->positions = g_new0(guint64, stage->n_actors);
    stage->workload = (struct abi_workload){.pattern = config->pattern,
                                            .vcpus = stage->n_actors,
                                            .pages = config->pages,
                                            .seed = config->seed,
                                            .arena_pages = abi_arena_pages(&stage->arena)};
    if (!guest) {
        stage->host_writer = host_writer_new(config->writer, stage->board, &stage->workload, &stage->arena, error);
        if (!stage->host_writer)
            return FALSE;
    }
    const WriteListConfig list = {
        .workload = stage->workload, .arena = stage->arena, .kvmclock = config->writer == WRITER_KVM, .gated = !guest};
    stage->list = write_list_new(&list, stage->layout);
    for (guint vcpu = 0; vcpu < config->vcpus; vcpu++) {
        if (!vcpu_pin(stage->machine, vcpu, (int)stage_cpu(vcpu), error))
            return FALSE;
    }
    return TRUE;
}

Stage *
stage_new(const StageConfig *config, GError **error)
{
    g_autoptr(Stage) stage = g_new0(Stage, 1);

    stage->config = *config;
    stage_arena(config->memory_bytes, &stage->arena);
    if (!make_board(stage, error) || !make_writers(stage, error))
        return NULL;
    make_page_sets(stage);
    return g_steal_pointer(&stage);
}

/* --- booting --- */

/* The guest must have understood what we told it, and see the RAM that we see. */
static gboolean
check_mailbox(Stage *stage, GError **error)
{
    struct abi_mailbox mailbox;
    gboolean guest = writer_is_guest(stage->config.writer);

    if (guest_ram_load(board_ram(stage->board), ABI_MAILBOX_GPA, &mailbox, sizeof mailbox) &&
        mailbox.magic == ABI_MAILBOX_MAGIC && memcmp(&mailbox.arena, &stage->arena, sizeof stage->arena) == 0 &&
        (!guest || (mailbox.workload.pages == stage->workload.pages && mailbox.workload.seed == stage->workload.seed &&
                    mailbox.workload.vcpus == stage->workload.vcpus && mailbox.workload.pattern == stage->workload.pattern)))
        return TRUE;
    g_set_error_literal(error, STAGE_ERROR, STAGE_ERROR_FAILED, "the guest's mailbox does not agree with what it was told");
    return FALSE;
}

static gboolean
wait_for_boot(Stage *stage, GError **error)
{
    gint64 start = g_get_monotonic_time();

    while (!doorbell_all_ready(stage->doorbell)) {
        if (!stage_check_alive(stage, error))
            return FALSE;
        if (g_get_monotonic_time() - start > STAGE_STALL_LIMIT_US) {
            g_set_error_literal(error, STAGE_ERROR, STAGE_ERROR_FAILED, "the embedded guest did not come up");
            return FALSE;
        }
        g_usleep(100);
    }
    return TRUE;
}

gboolean
stage_boot(Stage *stage, GError **error)
{
    if (!board_start(stage->board, error) || !wait_for_boot(stage, error) || !check_mailbox(stage, error))
        return FALSE;
    if (stage->host_writer)
        doorbell_release(stage->doorbell); /* the guest idles, in ring 3, until the end */
    return TRUE;
}

/* --- taking it down --- */

void
stage_stop(Stage *stage)
{
    if (stage->machine)
        machine_stop(stage->machine);
}

void
stage_free(Stage *stage)
{
    stage_stop(stage);
    g_clear_pointer(&stage->host_writer, host_writer_free);
    g_clear_pointer(&stage->list, write_list_free);
    g_clear_pointer(&stage->own, dl_bitmap_free);
    g_clear_pointer(&stage->page_tables, dl_bitmap_free);
    g_clear_pointer(&stage->kvm_pages, dl_bitmap_free);
    g_clear_pointer(&stage->board, board_free);
    g_clear_pointer(&stage->doorbell, doorbell_free);
    g_free(stage->positions);
    g_free(stage);
}
