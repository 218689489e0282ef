/* SPDX-License-Identifier: MIT */
/*
 * Saved state from an enemy: cut at each length, with each byte changed, of other versions, at random. Each is loaded or refused with
 * one line; and whatever came before, the right state loads afterwards and the guest does its work to the end.
 */
#include "guest_run.h"
#include "state_list.h"

#include <string.h>

#define MIB (UINT64_C(1) << 20)
#define MUTATIONS 3000
#define MOST_CHANGES 16

static GuestRun *
new_run(void)
{
    GuestRun *run =
        guest_run_new((BoardConfig){.memory_bytes = 16 * MIB, .vcpus = 1, .stock = TRUE}, "pattern=random pages=500 passes=50");

    run->free_running = TRUE;
    return run;
}

/** Victim: a board that is given one bad state after the other, and the good one, of a guest in the midst of its work. */
typedef struct {
    GuestRun *source, *board;
    Machine *machine;
    StateList *good;
    guint loaded, refused;
} Victim;

static void
set_up(Victim *victim, gconstpointer data G_GNUC_UNUSED)
{
    g_autoptr(GError) error = NULL;

    victim->source = new_run();
    guest_run_start(victim->source);
    while (!guest_run_progress(victim->source, 0).position)
        g_usleep(100);
    g_assert_true(machine_pause(board_machine(victim->source->board), &error));
    victim->good = state_list_save(board_machine(victim->source->board));
    victim->board = new_run();
    victim->machine = board_machine(victim->board->board);
}

static void
try_load(Victim *victim, const char *name, guint32 version, const guint8 *bytes, gsize size)
{
    g_autoptr(GError) error = NULL;

    if (machine_load_section(victim->machine, name, version, bytes, size, &error)) {
        g_assert_no_error(error);
        victim->loaded++;
        return;
    }
    victim->refused++;
    g_assert_nonnull(error);
    g_assert_cmpuint(strlen(error->message), <, 400);
    g_assert_null(strchr(error->message, '\n'));
}

/* The right state loads, and what runs then is the guest. */
static void
tear_down(Victim *victim, gconstpointer data G_GNUC_UNUSED)
{
    DlLayout *from = guest_ram_layout(board_ram(victim->source->board)), *to = guest_ram_layout(board_ram(victim->board->board));

    g_test_message("%u loaded, %u refused", victim->loaded, victim->refused);
    memcpy(dl_layout_region(to, 0)->hva, dl_layout_region(from, 0)->hva, dl_layout_region(from, 0)->size);
    state_list_load(victim->good, victim->machine);
    guest_run_start(victim->board);
    guest_run_wait(victim->board, 1);
    g_assert_cmpstr(machine_crash_reason(victim->machine), ==, NULL);
    g_assert_cmpuint(guest_run_progress(victim->board, 0).passes, ==, 50);
    g_assert_cmpuint(guest_run_check_pass(victim->board, 49), ==, 500);
    state_list_free(victim->good);
    guest_run_free(victim->source);
    guest_run_free(victim->board);
}

static void
test_cut(Victim *victim, gconstpointer data G_GNUC_UNUSED)
{
    for (guint i = 0; i < victim->good->len; i++) {
        const SavedSection *section = victim->good->pdata[i];
        for (gsize size = 0; size < section->bytes->len; size++) {
            g_autofree guint8 *exact = g_memdup2(section->bytes->data, size); /* for ASan to see who reads on */
            try_load(victim, section->name, section->version, exact, size);
        }
    }
    g_assert_cmpuint(victim->loaded, ==, 0);
}

static void
test_too_long(Victim *victim, gconstpointer data G_GNUC_UNUSED)
{
    for (guint i = 0; i < victim->good->len; i++) {
        const SavedSection *section = victim->good->pdata[i];
        g_autofree guint8 *longer = g_malloc0(1 << 20);
        memcpy(longer, section->bytes->data, section->bytes->len);
        try_load(victim, section->name, section->version, longer, section->bytes->len + 1);
        try_load(victim, section->name, section->version, longer, 1 << 20);
    }
    g_assert_cmpuint(victim->loaded, ==, 0);
}

static void
test_each_byte_changed(Victim *victim, gconstpointer data G_GNUC_UNUSED)
{
    for (guint i = 0; i < victim->good->len; i++) {
        const SavedSection *section = victim->good->pdata[i];
        for (gsize at = 0; at < section->bytes->len; at++) {
            guint8 before = section->bytes->data[at];
            section->bytes->data[at] ^= (guint8)(1u << g_test_rand_int_range(0, 8));
            try_load(victim, section->name, section->version, section->bytes->data, section->bytes->len);
            section->bytes->data[at] = before;
        }
    }
    g_assert_cmpuint(victim->refused, >, 0);
}

static void
test_random(Victim *victim, gconstpointer data G_GNUC_UNUSED)
{
    static const guint8 nasty[] = {0, 1, 0x7f, 0x80, 0xfe, 0xff};

    for (guint n = 0; n < MUTATIONS; n++) {
        const SavedSection *section = victim->good->pdata[(guint)g_test_rand_int_range(0, (gint32)victim->good->len)];
        guint size = section->bytes->len;
        g_autofree guint8 *bytes = g_memdup2(section->bytes->data, size);
        for (gint changes = g_test_rand_int_range(1, MOST_CHANGES); changes--;)
            bytes[g_test_rand_int_range(0, (gint32)size)] = nasty[g_test_rand_int_range(0, G_N_ELEMENTS(nasty))];
        try_load(victim, section->name, section->version, bytes, size);
    }
}

static void
test_names_and_versions(Victim *victim, gconstpointer data G_GNUC_UNUSED)
{
    const SavedSection *first = victim->good->pdata[0];
    g_autofree char *endless = g_strnfill(10000, 'x');
    static const char *const names[] = {"", "vcpu-1", "vcpu-", "VCPU-0", "vcpu-00", "time ", "%s%n"};

    for (guint i = 0; i < victim->good->len; i++) {
        const SavedSection *section = victim->good->pdata[i];
        const guint32 versions[] = {0, section->version + 1, G_MAXUINT32};
        for (gsize v = 0; v < G_N_ELEMENTS(versions); v++)
            try_load(victim, section->name, versions[v], section->bytes->data, section->bytes->len);
    }
    for (gsize i = 0; i < G_N_ELEMENTS(names); i++)
        try_load(victim, names[i], 1, first->bytes->data, first->bytes->len);
    try_load(victim, endless, 1, first->bytes->data, first->bytes->len);
    g_assert_cmpuint(victim->loaded, ==, 0);
}

int
main(int argc, char **argv)
{
    static const struct {
        const char *path;
        void (*test)(Victim *victim, gconstpointer data);
    } tests[] = {
        {"/hostile-state/cut", test_cut},
        {"/hostile-state/too-long", test_too_long},
        {"/hostile-state/each-byte-changed", test_each_byte_changed},
        {"/hostile-state/random", test_random},
        {"/hostile-state/names-and-versions", test_names_and_versions},
    };

    g_test_init(&argc, &argv, NULL);
    for (gsize i = 0; i < G_N_ELEMENTS(tests); i++)
        g_test_add(tests[i].path, Victim, NULL, set_up, tests[i].test, tear_down);
    return g_test_run();
}
