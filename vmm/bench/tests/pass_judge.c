/* SPDX-License-Identifier: MIT */
/* The judge of passes with the guest running: exact reports pass, and each kind of lie is found. The test plays the migration itself. */
#include "bench/pass_judge.h"

#define MIB (UINT64_C(1) << 20)
#define N_PASSES 5 /* the last one with the guest stopped */

typedef enum {
    LIE_NONE,
    LIE_DROP_IN_LAST,  /* a page of the last pass is not reported */
    LIE_DROP_FOR_GOOD, /* a page is reported in no pass from the second on, but the last */
    LIE_ADD,           /* a page that nobody wrote is reported */
} Lie;

typedef struct {
    Stage *stage;
    DlConsumer *consumer;
    PassJudge *judge;
    DlBitmap *before; /* reported by the pass before */
    guint64 target;   /* the page that is lied about; G_MAXUINT64: not chosen yet */
    gboolean told;    /* the lie has been told */
    Lie lie;
} Rig;

static void
set_up(Rig *rig, Lie lie, gboolean with_replica)
{
    g_autoptr(GError) error = NULL;
    const StageConfig config = {.facts = dl_tracker_facts_by_name("kvm-bitmap"),
                                .memory_bytes = 32 * MIB,
                                .vcpus = 1,
                                .writer = WRITER_GUEST,
                                .pattern = ABI_HOTSPOT, /* always the same pages */
                                .pages = 1000,
                                .seed = 7};

    *rig = (Rig){.stage = stage_new(&config, &error), .lie = lie, .target = G_MAXUINT64};
    g_assert_no_error(error);
    g_assert_true(stage_boot(rig->stage, &error));
    rig->consumer = dl_log_subscribe(rig->stage->log);
    rig->judge = pass_judge_new(rig->stage, with_replica, &error);
    g_assert_no_error(error);
    rig->before = dl_bitmap_new(dl_layout_n_bits(rig->stage->layout));
}

static void
tear_down(Rig *rig)
{
    stage_stop(rig->stage);
    pass_judge_free(rig->judge);
    dl_bitmap_free(rig->before);
    stage_free(rig->stage);
}

static guint64
first_in_arena(const Rig *rig, const DlBitmap *pages, const DlBitmap *but_not, gboolean set)
{
    const DlBitmap *arena = write_list_scope(rig->stage->list);

    for (guint64 page = 0; page < dl_bitmap_size(pages); page++) {
        if (dl_bitmap_test(arena, page) && dl_bitmap_test(pages, page) == set && (!but_not || !dl_bitmap_test(but_not, page)))
            return page;
    }
    return G_MAXUINT64;
}

static void
lie(Rig *rig, guint pass, DlBitmap *reported)
{
    gboolean last = pass == N_PASSES;

    if (rig->lie == LIE_DROP_IN_LAST && last)
        rig->target = first_in_arena(rig, reported, NULL, TRUE);
    if (rig->lie == LIE_DROP_FOR_GOOD && pass == 2)
        rig->target = first_in_arena(rig, reported, NULL, TRUE);
    if (rig->lie == LIE_ADD && pass == 3)
        dl_bitmap_set(reported, first_in_arena(rig, reported, rig->before, FALSE));
    rig->told = rig->told || rig->target != G_MAXUINT64 || (rig->lie == LIE_ADD && pass == 3);
    if (rig->target != G_MAXUINT64 && !(rig->lie == LIE_DROP_FOR_GOOD && last))
        dl_bitmap_clear(reported, rig->target);
}

static void
run_pass(Rig *rig, guint pass)
{
    g_autoptr(GError) error = NULL;
    DlPageRange all = {0, dl_layout_n_bits(rig->stage->layout)};
    g_autoptr(DlBitmap) reported = dl_bitmap_new(all.count);

    if (pass > 1)
        g_assert_true(stage_wait_for(rig->stage, stage_read_positions(rig->stage) + 3000, &error));
    if (pass == N_PASSES)
        g_assert_true(machine_pause(rig->stage->machine, &error));
    g_assert_true(dl_log_harvest(rig->stage->log, &error));
    dl_consumer_take(rig->consumer, all, reported);
    if (pass == 1)
        dl_layout_fill(rig->stage->layout, reported);
    else
        lie(rig, pass, reported);
    pass_judge_ended(rig->judge, "kvm-bitmap", reported, pass == N_PASSES);
    dl_bitmap_clear_all(rig->before);
    if (pass > 1)
        dl_bitmap_or(rig->before, reported);
}

static GArray *
run(Lie what, gboolean with_replica)
{
    g_autoptr(GError) error = NULL;
    Rig rig;

    set_up(&rig, what, with_replica);
    pass_judge_begin(rig.judge);
    g_assert_true(dl_log_move(rig.stage->log, "kvm-bitmap", NULL, NULL, &error));
    doorbell_open(rig.stage->doorbell);
    for (guint pass = 1; pass <= N_PASSES; pass++)
        run_pass(&rig, pass);
    g_assert_true(rig.told == (what != LIE_NONE));
    GArray *verdicts = pass_judge_finish(rig.judge);
    g_assert_cmpuint(verdicts->len, ==, N_PASSES);
    g_assert_false(g_array_index(verdicts, PassVerdict, 0).judged);
    machine_resume(rig.stage->machine);
    tear_down(&rig);
    return verdicts;
}

static void
sum(const GArray *verdicts, guint64 *missed, guint64 *unexplained)
{
    *missed = *unexplained = 0;
    for (guint i = 0; i < verdicts->len; i++) {
        *missed += g_array_index(verdicts, PassVerdict, i).missed_pages;
        *unexplained += g_array_index(verdicts, PassVerdict, i).extra[EXTRA_UNEXPLAINED];
    }
}

static void
test_truth(gconstpointer with_replica)
{
    g_autoptr(GArray) verdicts = run(LIE_NONE, GPOINTER_TO_INT(with_replica));
    guint64 missed, unexplained, written = 0;

    sum(verdicts, &missed, &unexplained);
    g_assert_cmpuint(missed, ==, 0);
    g_assert_cmpuint(unexplained, ==, 0);
    for (guint i = 0; i < verdicts->len; i++)
        written += g_array_index(verdicts, PassVerdict, i).written_pages;
    g_assert_cmpuint(written, >, 100);
}

static void
test_dropped_in_the_last(gconstpointer with_replica)
{
    g_autoptr(GArray) verdicts = run(LIE_DROP_IN_LAST, GPOINTER_TO_INT(with_replica));

    g_assert_cmpuint(g_array_index(verdicts, PassVerdict, N_PASSES - 1).missed_pages, ==, 1);
}

static void
test_dropped_for_good(void)
{
    g_autoptr(GArray) verdicts = run(LIE_DROP_FOR_GOOD, FALSE);
    guint64 missed, unexplained;

    sum(verdicts, &missed, &unexplained);
    g_assert_cmpuint(missed, >=, 1);
    g_assert_cmpuint(g_array_index(verdicts, PassVerdict, 2).missed_pages, ==, 1); /* pass 3 is the last that could have had it */
}

static void
test_added(void)
{
    g_autoptr(GArray) verdicts = run(LIE_ADD, FALSE);
    guint64 missed, unexplained;

    sum(verdicts, &missed, &unexplained);
    g_assert_cmpuint(missed, ==, 0);
    g_assert_cmpuint(unexplained, ==, 1);
}

/* The guest stays at the doorbell; its position is what the test says. Reports the pages of writes @first to before @end. */
static void
play_pass(Rig *rig, guint64 position, guint64 first, guint64 end, gboolean final)
{
    const Stage *stage = rig->stage;
    struct abi_vcpu *vcpu = (gpointer)dl_layout_hva_of_gpa(stage->layout, ABI_VCPU_GPA(0), sizeof *vcpu);
    g_autoptr(DlBitmap) reported = dl_bitmap_new(dl_layout_n_bits(stage->layout));

    vcpu->position = position;
    for (guint64 at = first; at < end; at++) {
        struct abi_write write = abi_write_at(&stage->workload, 0, 0, at);
        DlPageRange pages;
        g_assert_true(dl_layout_pages_of_gpa(stage->layout, abi_arena_gpa(&stage->arena, write.page), 1, &pages));
        dl_bitmap_set(reported, pages.first);
    }
    pass_judge_ended(rig->judge, "kvm-bitmap", reported, final);
}

/* Write 10 is stored and reported by the second pass, but its vCPU gets no processor to say so until the last. */
static void
test_descheduled(void)
{
    for (guint64 lost = 0; lost < 2; lost++) {
        guint64 missed, unexplained;
        Rig rig;

        set_up(&rig, LIE_NONE, FALSE);
        pass_judge_begin(rig.judge);
        play_pass(&rig, 0, 0, 0, FALSE);
        play_pass(&rig, 10, 0, 11, FALSE);
        play_pass(&rig, 10, 0, 0, FALSE);
        play_pass(&rig, 10, 0, 0, FALSE);
        play_pass(&rig, 11 + lost, 0, 0, TRUE); /* write 11, where it was made, is reported by nobody */
        g_autoptr(GArray) verdicts = pass_judge_finish(rig.judge);
        sum(verdicts, &missed, &unexplained);
        g_assert_cmpuint(missed, ==, lost);
        g_assert_cmpuint(unexplained, ==, 0);
        tear_down(&rig);
    }
}

/*
 * Write 10 is reported before its vCPU says so, and the vCPU goes on, to another write of the same page. Nobody reports that one: what was
 * reported of the first does not excuse it.
 */
static void
test_same_page_again(void)
{
    guint64 again = 11, missed, unexplained;
    Rig rig;

    set_up(&rig, LIE_NONE, FALSE);
    const struct abi_workload *workload = &rig.stage->workload;
    guint32 page = (guint32)abi_write_at(workload, 0, 0, 10).page;
    while (abi_write_at(workload, 0, 0, again).page != page)
        again++;
    pass_judge_begin(rig.judge);
    play_pass(&rig, 0, 0, 0, FALSE);
    play_pass(&rig, 10, 0, 11, FALSE);
    play_pass(&rig, again, 11, again, FALSE);
    play_pass(&rig, again + 1, 0, 0, TRUE);
    g_autoptr(GArray) verdicts = pass_judge_finish(rig.judge);
    sum(verdicts, &missed, &unexplained);
    g_assert_cmpuint(missed, ==, 1);
    g_assert_cmpuint(unexplained, ==, 0);
    tear_down(&rig);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    if (!g_file_test("/dev/kvm", G_FILE_TEST_EXISTS)) {
        g_print("1..0 # SKIP there is no /dev/kvm\n");
        return 0;
    }
    g_test_add_data_func("/pass-judge/exact reports are sound", GINT_TO_POINTER(FALSE), test_truth);
    g_test_add_data_func("/pass-judge/exact reports are sound, with a replica", GINT_TO_POINTER(TRUE), test_truth);
    g_test_add_data_func("/pass-judge/a page dropped by the last pass is missed", GINT_TO_POINTER(FALSE),
                         test_dropped_in_the_last);
    g_test_add_data_func("/pass-judge/a page dropped by the last pass is missed once, with a replica", GINT_TO_POINTER(TRUE),
                         test_dropped_in_the_last);
    g_test_add_func("/pass-judge/a page that neither of two passes reports is missed", test_dropped_for_good);
    g_test_add_func("/pass-judge/a page reported passes before its writer says so is not missed", test_descheduled);
    g_test_add_func("/pass-judge/and the next write of that page is", test_same_page_again);
    g_test_add_func("/pass-judge/a page that nobody wrote is unexplained", test_added);
    return g_test_run();
}
