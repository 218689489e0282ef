/* SPDX-License-Identifier: MIT */
/*
 * The rings' walk over a simulated kernel, which does what KVM does: pushes without looking whether there is room (as an emulated
 * batch of instructions makes it), asks a vCPU to exit from its soft limit on, and on a reset goes over harvested entries until
 * the first that is not.
 *
 * The simulation knows each page's protection: a store to a protected page pushes an entry and unprotects it, a store to an
 * unprotected page leaves no trace. What must hold: once the vCPUs have stopped and been harvested, every page stored to since
 * it was last reported is reported.
 */
#include <errno.h>
#include <string.h>

#include "dirtylog/ring.h"

#define MOST_RINGS 3
#define MOST_PAGES 8192
#define RESERVED 64

typedef struct {
    guint32 dirty_index;
    guint32 reset_index;
    struct kvm_dirty_gfn *entries;
} KernelRing;

typedef struct {
    guint32 size;
    guint n_rings;
    guint32 n_pages;
    KernelRing kernel[MOST_RINGS];
    gboolean open[MOST_PAGES];   /* unprotected: a store leaves no trace */
    gboolean stored[MOST_PAGES]; /* since it was last reported */
    gboolean paused;
    guint burst;       /* stores that the vCPUs slip in before each reset and each pause, batched: nothing stops them */
    guint early;       /* one reset in so many returns early, as with a signal */
    guint overwritten; /* entries lost in the kernel */
    gboolean fail_pause;
    gboolean underflow; /* the reset index overtook the dirty index */
    DlRing rings[MOST_RINGS];
    DlRingSet set;
    DlLogStats stats;
    DlBitmap *out;
} Sim;

static guint32
used(const KernelRing *ring)
{
    return ring->dirty_index - ring->reset_index;
}

static void
sim_store(Sim *sim, guint vcpu, guint32 page)
{
    KernelRing *ring = &sim->kernel[vcpu];

    g_assert_false(sim->paused);
    sim->stored[page] = TRUE;
    if (sim->open[page])
        return;
    sim->open[page] = TRUE;
    struct kvm_dirty_gfn *entry = &ring->entries[ring->dirty_index % sim->size];
    sim->overwritten += used(ring) >= sim->size;
    *entry = (struct kvm_dirty_gfn){.flags = KVM_DIRTY_GFN_F_DIRTY, .slot = 0, .offset = page};
    ring->dirty_index++;
}

static void
sim_burst(Sim *sim, guint n_stores)
{
    for (guint i = 0; i < n_stores; i++)
        sim_store(sim, (guint)g_test_rand_int_range(0, (gint)sim->n_rings),
                  (guint32)g_test_rand_int_range(0, (gint)sim->n_pages));
}

static gint64
sim_reset(gpointer user)
{
    Sim *sim = user;
    gint64 done = 0;

    if (!sim->paused && sim->burst)
        sim_burst(sim, (guint)g_test_rand_int_range(0, (gint)sim->burst));
    gint64 limit = sim->early && g_test_rand_int_range(0, (gint)sim->early) == 0 ? g_test_rand_int_range(0, 5) : G_MAXINT64;
    for (guint i = 0; i < sim->n_rings; i++) {
        KernelRing *ring = &sim->kernel[i];
        for (; done < limit; done++) {
            struct kvm_dirty_gfn *entry = &ring->entries[ring->reset_index % sim->size];
            if (!(entry->flags & KVM_DIRTY_GFN_F_RESET))
                break;
            entry->flags = 0;
            sim->underflow |= used(ring) == 0;
            ring->reset_index++;
            if (entry->slot == 0 && entry->offset < sim->n_pages)
                sim->open[entry->offset] = FALSE;
        }
    }
    return done || limit == G_MAXINT64 ? done : -EINTR;
}

static gboolean
sim_pause(gpointer user, GError **error)
{
    Sim *sim = user;

    if (sim->fail_pause) {
        g_set_error_literal(error, DL_ERROR, DL_ERROR_FAILED, "no pause today");
        return FALSE;
    }
    g_assert_false(sim->paused);
    if (sim->burst)
        sim_burst(sim, (guint)g_test_rand_int_range(0, (gint)sim->burst));
    sim->paused = TRUE;
    return TRUE;
}

static void
sim_resume(gpointer user)
{
    g_assert_true(((Sim *)user)->paused);
    ((Sim *)user)->paused = FALSE;
}

static gboolean
sim_reprotect(gpointer user, GError **error)
{
    Sim *sim = user;

    (void)error;
    g_assert_true(sim->paused);
    memset(sim->open, 0, sizeof(sim->open));
    return TRUE;
}

static void
sim_report(gpointer user, guint32 slot, guint64 offset, DlBitmap *out)
{
    if (slot == 0 && offset < ((Sim *)user)->n_pages)
        dl_bitmap_set(out, offset);
}

static void
sim_report_all(gpointer user, DlBitmap *out)
{
    dl_bitmap_set_range(out, (DlPageRange){0, ((Sim *)user)->n_pages});
}

static Sim *
sim_new(guint32 size, guint n_rings, guint32 n_pages)
{
    Sim *sim = g_new0(Sim, 1);

    sim->size = size;
    sim->n_rings = n_rings;
    sim->n_pages = n_pages;
    sim->out = dl_bitmap_new(n_pages);
    for (guint i = 0; i < n_rings; i++) {
        sim->kernel[i].entries = g_new0(struct kvm_dirty_gfn, size);
        sim->kernel[i].dirty_index = sim->kernel[i].reset_index = g_test_rand_bit() ? g_test_rand_int() : 0;
        sim->rings[i] = (DlRing){.entries = sim->kernel[i].entries, .size = size};
    }
    sim->set = (DlRingSet){
        .rings = sim->rings,
        .n_rings = n_rings,
        .ops = {sim_reset, sim_pause, sim_resume, sim_reprotect, sim_report, sim_report_all, sim},
        .stats = &sim->stats,
    };
    return sim;
}

static void
sim_free(Sim *sim)
{
    for (guint i = 0; i < sim->n_rings; i++)
        g_free(sim->kernel[i].entries);
    dl_bitmap_free(sim->out);
    g_free(sim);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Sim, sim_free)

/* What was reported is no longer owed; it was read after the re-arm, so stores up to now are in it. */
static void
settle_reported(Sim *sim)
{
    for (guint32 page = 0; page < sim->n_pages; page++) {
        if (dl_bitmap_test(sim->out, page))
            sim->stored[page] = FALSE;
    }
    dl_bitmap_clear_all(sim->out);
}

static void
sim_harvest(Sim *sim)
{
    g_autoptr(GError) error = NULL;

    dl_ring_set_harvest(&sim->set, sim->out, &error);
    g_assert_no_error(error);
    settle_reported(sim);
}

/* As KVM does on each entry into the guest, until it lets the vCPU in. */
static void
let_in(Sim *sim, guint vcpu)
{
    guint exits = 0;

    for (; used(&sim->kernel[vcpu]) >= sim->size - RESERVED; exits++) {
        g_autoptr(GError) error = NULL;
        g_assert_cmpuint(exits, <, 200);
        dl_ring_set_full(&sim->set, vcpu, sim->out, &error);
        g_assert_no_error(error);
        settle_reported(sim);
    }
}

static void
assert_nothing_missed(Sim *sim)
{
    guint burst = sim->burst;

    sim->burst = 0;
    sim_harvest(sim);
    sim_harvest(sim);
    sim->burst = burst;
    for (guint32 page = 0; page < sim->n_pages; page++)
        g_assert_false(sim->stored[page]);
    g_assert_false(sim->underflow);
}

static void
test_quiet(void)
{
    g_autoptr(Sim) sim = sim_new(256, 2, 1000);

    for (guint round = 0; round < 500; round++) {
        for (guint i = 0; i < 150; i++) {
            sim_burst(sim, 1);
            let_in(sim, 0);
            let_in(sim, 1);
        }
        assert_nothing_missed(sim);
    }
    g_assert_cmpuint(sim->stats.ring_overflows, ==, 0);
    g_assert_cmpuint(sim->overwritten, ==, 0);
}

/* Exactly what was stored, no more, in the ring's order and over its end. */
static void
test_exact(void)
{
    g_autoptr(Sim) sim = sim_new(256, 1, 1000);

    for (guint round = 0; round < 100; round++) {
        g_autoptr(DlBitmap) expected = dl_bitmap_new(1000);
        g_autoptr(GError) error = NULL;
        for (guint i = 0; i < 100; i++) {
            guint32 page = (guint32)g_test_rand_int_range(0, 1000);
            sim_store(sim, 0, page);
            dl_bitmap_set(expected, page);
        }
        dl_ring_set_harvest(&sim->set, sim->out, &error);
        g_assert_no_error(error);
        g_assert_true(dl_bitmap_equal(sim->out, expected));
        settle_reported(sim);
    }
    g_assert_cmpuint(sim->stats.ring_overflows + sim->stats.ring_resyncs, ==, 0);
}

static void
test_overflow(void)
{
    for (guint excess = 0; excess < 1500; excess += 1 + excess / 7) {
        g_autoptr(Sim) sim = sim_new(256, 1, 4096);
        for (guint32 page = 0; page < 256 + excess; page++)
            sim_store(sim, 0, page);
        assert_nothing_missed(sim);
        g_assert_cmpuint(sim->stats.ring_overflows, >=, 1);
        guint64 overflows = sim->stats.ring_overflows;
        for (guint pass = 0; pass < 10; pass++) {
            for (guint i = 0; i < 100; i++) {
                let_in(sim, 0);
                sim_burst(sim, 1);
            }
            assert_nothing_missed(sim);
        }
        g_assert_cmpuint(sim->stats.ring_overflows, ==, overflows); /* and it is over */
    }
}

/* Batches of any length at any moment, signals, several vCPUs: as bad as it gets. */
static void
test_storm(void)
{
    guint overwritten = 0;

    for (guint seed = 0; seed < 60; seed++) {
        guint32 size = 128u << g_test_rand_int_range(0, 4);
        g_autoptr(Sim) sim =
            sim_new(size, (guint)g_test_rand_int_range(1, MOST_RINGS + 1), (guint32)g_test_rand_int_range(50, MOST_PAGES));
        sim->early = 6;
        for (guint round = 0; round < 150; round++) {
            sim->burst = g_test_rand_int_range(0, 3) ? 0 : (guint)g_test_rand_int_range(1, (gint)size * 2);
            guint n_stores = (guint)g_test_rand_int_range(0, g_test_rand_int_range(0, 4) ? 60 : (gint)size * 3);
            sim_burst(sim, n_stores);
            if (g_test_rand_bit())
                sim_harvest(sim);
            sim->burst = 0;
            for (guint i = 0; i < sim->n_rings; i++)
                let_in(sim, i);
            if (g_test_rand_bit())
                assert_nothing_missed(sim);
        }
        assert_nothing_missed(sim);
        overwritten += sim->overwritten;
    }
    g_assert_cmpuint(overwritten, >, 10000);
}

static void
test_failed_pause(void)
{
    g_autoptr(Sim) sim = sim_new(256, 1, 4096);
    g_autoptr(GError) error = NULL;

    for (guint32 page = 0; page < 300; page++)
        sim_store(sim, 0, page);
    sim->fail_pause = TRUE;
    g_assert_false(dl_ring_set_harvest(&sim->set, sim->out, &error));
    g_assert_error(error, DL_ERROR, DL_ERROR_FAILED);
    settle_reported(sim);
    sim_burst(sim, 50); /* some of it leaves no trace: the pages were never protected again */
    sim->fail_pause = FALSE;
    assert_nothing_missed(sim);
    g_assert_cmpuint(sim->stats.ring_overflows, ==, 1);
}

static void
test_race_with_another_harvest(void)
{
    g_autoptr(Sim) sim = sim_new(256, 1, 4096);
    g_autoptr(GError) error = NULL;

    /* The vCPU exits ring-full; before it gets the lock, another thread harvests. Nothing may be skipped then. */
    for (guint round = 0; round < 100; round++) {
        for (guint32 page = 0; page < 200; page++)
            sim_store(sim, 0, (round * 200 + page) % 4096);
        sim_harvest(sim);
        dl_ring_set_full(&sim->set, 0, sim->out, &error);
        g_assert_no_error(error);
        settle_reported(sim);
        assert_nothing_missed(sim);
    }
    g_assert_cmpuint(sim->stats.ring_overflows + sim->stats.ring_resyncs, ==, 0);
}

/* A kernel, or a guest that reached the page, writes rubbish into the mapping: no entry is believed, no loop is endless. */
static void
test_rubbish(void)
{
    for (guint round = 0; round < 200; round++) {
        g_autoptr(Sim) sim = sim_new(128, 2, 100);
        for (guint i = 0; i < 128; i++)
            sim->kernel[0].entries[i] =
                (struct kvm_dirty_gfn){g_test_rand_int(), g_test_rand_int(), g_test_rand_int() * UINT64_C(0x100000001)};
        for (guint i = 0; i < 5; i++) {
            dl_ring_set_harvest(&sim->set, sim->out, NULL);
            dl_ring_set_full(&sim->set, 1, sim->out, NULL);
        }
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ring/reports-exactly-what-was-stored", test_exact);
    g_test_add_func("/ring/ring-full-exits-lose-nothing", test_quiet);
    g_test_add_func("/ring/an-overflow-loses-nothing-then-nor-in-ten-passes-after", test_overflow);
    g_test_add_func("/ring/overflows-at-any-moment-lose-nothing", test_storm);
    g_test_add_func("/ring/a-recovery-that-fails-is-made-up-for", test_failed_pause);
    g_test_add_func("/ring/a-harvest-by-another-thread-is-no-overflow", test_race_with_another_harvest);
    g_test_add_func("/ring/rubbish-in-the-mapping-ends", test_rubbish);
    return g_test_run();
}
