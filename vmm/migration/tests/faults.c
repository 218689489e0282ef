/* SPDX-License-Identifier: MIT */
/*
 * Whatever happens to the connection at whatever frame: never do both sides have the guest; before GO the source goes on with nothing lost,
 * which a second migration with all of RAM compared shows; and the only case that nobody can decide is between GO and its answer.
 */
#include "proxy.h"
#include "rig.h"

#include <string.h>

#define WAIT_MS 120000
#define STALL_MS 700
#define PATIENCE_MS 30000

static const RigConfig small = {.memory_bytes = 32 * MIB, .workload = "pattern=random pages=300"};

/** What became of one migration through a proxy. */
typedef struct {
    gboolean struck;
    MigrationStatus source, destination;
    gboolean unresolved;
    gboolean source_runs;     /* its guest gets on */
    gboolean destination_has; /* its machine was started */
    char *source_error, *destination_error;
} Outcome;

static void
outcome_clear(Outcome *outcome)
{
    g_clear_pointer(&outcome->source_error, g_free);
    g_clear_pointer(&outcome->destination_error, g_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Outcome, outcome_clear)

static void
migrate_once(Rig *rig, const Fault *fault, Outcome *outcome)
{
    int fds[2];
    g_autoptr(Proxy) proxy = proxy_new(fault, fds);
    g_auto(MigrationInfo) from = {0}, to = {0};

    rig_new_destination(rig, fds[1]);
    rig_new_source(rig, fds[0]);
    g_assert_true(migration_source_wait(rig->source, WAIT_MS));
    g_assert_true(migration_destination_wait(rig->destination, WAIT_MS));
    migration_source_query(rig->source, &from);
    migration_destination_query(rig->destination, &to);
    *outcome = (Outcome){.struck = proxy_struck(proxy),
                         .source = from.status,
                         .destination = to.status,
                         .unresolved = from.handover_unresolved,
                         .source_runs = rig_runs(rig->from),
                         .destination_has = machine_state(board_machine(rig->to->board)) == MACHINE_STARTED,
                         .source_error = g_steal_pointer(&from.error),
                         .destination_error = g_steal_pointer(&to.error)};
}

/* A stall is only found by waiting, so the limit is short then; on a busy host it may end a migration that does move: once more. */
static void
migrate_through(Rig *rig, const Fault *fault, Outcome *outcome)
{
    rig->config.stall_limit_ms = fault->kind == FAULT_STALL ? STALL_MS : PATIENCE_MS;
    migrate_once(rig, fault, outcome);
    while (!outcome->struck && outcome->source == MIGRATION_FAILED && rig->config.stall_limit_ms < PATIENCE_MS) {
        g_assert_true(outcome->source_runs);
        outcome_clear(outcome);
        rig->config.stall_limit_ms *= 2;
        migrate_once(rig, fault, outcome);
    }
}

static void
tell(const Fault *fault, const Outcome *outcome)
{
    static const char *const kinds[] = {"none", "cut", "cut midway", "stall", "flip"};

    g_test_message("%s %s %u at %.2f: source %s%s%s (%s), destination %s%s (%s)", kinds[fault->kind],
                   frame_type_name(fault->type), fault->nth, fault->place, migration_status_name(outcome->source),
                   outcome->unresolved ? ", unresolved" : "", outcome->source_runs ? ", runs" : "",
                   outcome->source_error ? outcome->source_error : "", migration_status_name(outcome->destination),
                   outcome->destination_has ? ", has it" : "", outcome->destination_error ? outcome->destination_error : "");
}

/* Holds for every fault. */
static void
check_always(const Fault *fault, const Outcome *outcome)
{
    tell(fault, outcome);
    g_assert_true(outcome->struck);
    g_assert_false(outcome->source_runs && outcome->destination_has);
    g_assert_cmpint(outcome->source_runs || outcome->destination_has || outcome->unresolved, !=, FALSE);
    g_assert_cmpint(outcome->destination_has, ==, outcome->destination == MIGRATION_COMPLETED);
    if (outcome->source == MIGRATION_FAILED)
        g_assert_true(outcome->source_error && *outcome->source_error);
    if (outcome->destination == MIGRATION_FAILED)
        g_assert_true(outcome->destination_error && *outcome->destination_error);
}

/* The guest that runs on at the source arrives whole with the next attempt. */
static void
check_nothing_lost(Rig *rig)
{
    rig->config.stall_limit_ms = PATIENCE_MS;
    rig_migrate(rig);
    rig_expect(rig, MIGRATION_COMPLETED, MIGRATION_COMPLETED);
    g_assert_cmpuint(rig_compare(rig), ==, 0);
}

/* --- before GO --- */

static void
strike_before_go(Rig *rig, const Fault *fault)
{
    g_auto(Outcome) outcome = {0};

    migrate_through(rig, fault, &outcome);
    check_always(fault, &outcome);
    g_assert_false(outcome.unresolved);
    if (fault->kind == FAULT_FLIP && fault->type == FRAME_PAGES && outcome.source == MIGRATION_COMPLETED) {
        g_assert_cmpuint(rig_compare(rig), ==, 0); /* harmless: the page came again */
        return;
    }
    g_assert_cmpint(outcome.source, ==, MIGRATION_FAILED);
    g_assert_true(outcome.source_runs);
    g_assert_cmpint(outcome.destination, ==, MIGRATION_FAILED);
}

static const struct {
    FrameType type;
    guint nth;
} before_go[] = {{FRAME_HELLO, 1}, {FRAME_WELCOME, 1}, {FRAME_PAGES, 1},   {FRAME_PAGES, 4}, {FRAME_PASS, 1},
                 {FRAME_PASS, 2},  {FRAME_SECTION, 1}, {FRAME_SECTION, 3}, {FRAME_END, 1},   {FRAME_LOADED, 1}};

/* One guest lives through a fault at each frame, and then arrives. A flip of contents that does no harm ends it early. */
static void
test_before_go(gconstpointer data)
{
    const Fault *pattern = data;
    g_autoptr(Rig) rig = NULL;

    for (guint i = 0; i < G_N_ELEMENTS(before_go); i++) {
        Fault fault = *pattern;
        fault.type = before_go[i].type;
        fault.nth = before_go[i].nth;
        if (!rig)
            rig = rig_new(&small);
        strike_before_go(rig, &fault);
        if (!rig_runs(rig->from))
            g_clear_pointer(&rig, rig_free);
    }
    if (rig)
        check_nothing_lost(rig);
}

/* --- GO and its answer --- */

typedef struct {
    Fault fault;
    gboolean source_runs, destination_has, unresolved;
} AfterCase;

static const AfterCase after_cases[] = {
    /* not a whole GO arrives, so the destination never runs; only where it can say so does the source know */
    {{FAULT_CUT, FRAME_GO, 1, 0}, FALSE, FALSE, TRUE},
    {{FAULT_CUT_MIDWAY, FRAME_GO, 1, 0}, FALSE, FALSE, TRUE},
    {{FAULT_STALL, FRAME_GO, 1, 0}, FALSE, FALSE, TRUE},
    {{FAULT_FLIP, FRAME_GO, 1, 0.1}, TRUE, FALSE, FALSE},
    {{FAULT_FLIP, FRAME_GO, 1, 0.5}, TRUE, FALSE, FALSE},
    {{FAULT_FLIP, FRAME_GO, 1, 0.95}, TRUE, FALSE, FALSE},
    /* GO arrives, the answer does not */
    {{FAULT_CUT, FRAME_RUNNING, 1, 0}, FALSE, TRUE, TRUE},
    {{FAULT_CUT_MIDWAY, FRAME_RUNNING, 1, 0}, FALSE, TRUE, TRUE},
    {{FAULT_STALL, FRAME_RUNNING, 1, 0}, FALSE, TRUE, TRUE},
    {{FAULT_FLIP, FRAME_RUNNING, 1, 0.1}, FALSE, TRUE, TRUE},
    {{FAULT_FLIP, FRAME_RUNNING, 1, 0.95}, FALSE, TRUE, TRUE},
};

static void
test_after_go(gconstpointer data)
{
    const AfterCase *expected = data;
    g_autoptr(Rig) rig = rig_new(&small);
    g_auto(Outcome) outcome = {0};
    g_autoptr(GError) error = NULL;

    migrate_through(rig, &expected->fault, &outcome);
    check_always(&expected->fault, &outcome);
    g_assert_cmpint(outcome.source, ==, MIGRATION_FAILED);
    g_assert_cmpint(outcome.source_runs, ==, expected->source_runs);
    g_assert_cmpint(outcome.destination_has, ==, expected->destination_has);
    g_assert_cmpint(outcome.unresolved, ==, expected->unresolved);
    g_assert_cmpuint(outcome.unresolved ? rig_compare(rig) : 0, ==, 0);
    g_assert_cmpint(migration_source_resolve(rig->source, !expected->destination_has, &error), ==, expected->unresolved);
    if (expected->unresolved)
        g_assert_cmpint(rig_runs(rig->from), ==, !expected->destination_has);
    else
        g_assert_error(error, MIGRATION_ERROR, MIGRATION_ERROR_INVALID);
    g_assert_false(migration_source_resolve(rig->source, TRUE, NULL));
    if (!expected->destination_has)
        check_nothing_lost(rig);
}

/* --- flips everywhere --- */

/* Bits all over the frame, of every type before GO. */
static void
test_flips(void)
{
    g_autoptr(Rig) rig = NULL;

    for (guint i = 0; i < 40; i++) {
        guint which = (guint)g_test_rand_int_range(0, G_N_ELEMENTS(before_go));
        const Fault fault = {FAULT_FLIP, before_go[which].type, before_go[which].nth, g_test_rand_double_range(0, 1)};
        if (!rig)
            rig = rig_new(&small);
        strike_before_go(rig, &fault);
        if (!rig_runs(rig->from))
            g_clear_pointer(&rig, rig_free);
    }
    if (rig)
        check_nothing_lost(rig);
}

static void
test_no_fault(void)
{
    const Fault none = {.kind = FAULT_NONE};
    g_autoptr(Rig) rig = rig_new(&small);
    g_auto(Outcome) outcome = {0};

    migrate_through(rig, &none, &outcome);
    rig_expect(rig, MIGRATION_COMPLETED, MIGRATION_COMPLETED);
    g_assert_true(outcome.destination_has && !outcome.source_runs && !outcome.unresolved);
    g_assert_cmpuint(rig_compare(rig), ==, 0);
}

static void
add_after_cases(void)
{
    static const char *const kinds[] = {"none", "cut", "cut-midway", "stall", "flip"};

    for (guint i = 0; i < G_N_ELEMENTS(after_cases); i++) {
        const AfterCase *after = &after_cases[i];
        g_autofree char *path =
            g_strdup_printf("/faults/%s-at-%s-%02.0f/%s", kinds[after->fault.kind], frame_type_name(after->fault.type),
                            after->fault.place * 100, after->unresolved ? "a-person-decides" : "the-source-goes-on");
        g_test_add_data_func(path, after, test_after_go);
    }
}

int
main(int argc, char **argv)
{
    static const Fault cut = {.kind = FAULT_CUT}, midway = {.kind = FAULT_CUT_MIDWAY}, stall = {.kind = FAULT_STALL};
    static const Fault flip_head = {.kind = FAULT_FLIP, .place = 0.001}, flip_end = {.kind = FAULT_FLIP, .place = 0.999};

    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/faults/none/the-guest-arrives", test_no_fault);
    g_test_add_data_func("/faults/cut-before-go/the-source-goes-on", &cut, test_before_go);
    g_test_add_data_func("/faults/cut-midway-before-go/the-source-goes-on", &midway, test_before_go);
    g_test_add_data_func("/faults/stall-before-go/the-source-goes-on", &stall, test_before_go);
    g_test_add_data_func("/faults/flip-of-the-first-bits/found", &flip_head, test_before_go);
    g_test_add_data_func("/faults/flip-of-the-last-bits/found-or-harmless", &flip_end, test_before_go);
    g_test_add_func("/faults/flips-anywhere/found-or-harmless", test_flips);
    add_after_cases();
    return g_test_run();
}
