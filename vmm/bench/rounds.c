/* SPDX-License-Identifier: MIT */
/* Rounds of shuffled cases. */
#include "bench/rounds.h"

typedef struct {
    const Rounds *rounds;
    guint *order;
    double *seconds; /* a case each: its last run */
    guint done, total, n_runnable;
} Driver;

static void
shuffle(guint *order, guint n, GRand *rand)
{
    for (guint i = n; i > 1; i--) {
        guint other = (guint)g_rand_int_range(rand, 0, (gint32)i), kept = order[i - 1];
        order[i - 1] = order[other];
        order[other] = kept;
    }
}

/* What is left, from what each case took the last time; before that, from the estimate. */
static double
seconds_left(const Driver *driver, guint rounds_left, guint position)
{
    double a_round = 0, of_this_round = 0;

    if (!driver->done)
        return driver->rounds->estimate_seconds;
    for (guint i = 0; i < driver->rounds->n_cases; i++) {
        a_round += driver->seconds[driver->order[i]];
        of_this_round += i >= position ? driver->seconds[driver->order[i]] : 0;
    }
    if (driver->done < driver->n_runnable) /* the first round: nothing is known of the others */
        return a_round / driver->done * (driver->total - driver->done);
    return of_this_round + rounds_left * a_round;
}

static void
run_case(Driver *driver, guint round, guint position)
{
    const Rounds *rounds = driver->rounds;
    guint index = driver->order[position];
    gint64 start = g_get_monotonic_time();

    if (rounds->progress)
        rounds->progress(driver->done, driver->total, index, seconds_left(driver, rounds->n_rounds - round - 1, position),
                         rounds->user);
    rounds->run(index, round, rounds->user);
    driver->seconds[index] = (double)(g_get_monotonic_time() - start) / G_USEC_PER_SEC;
    driver->done++;
}

static gboolean
is_cancelled(const Rounds *rounds)
{
    return rounds->cancelled && *rounds->cancelled;
}

gboolean
rounds_run(const Rounds *rounds)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed((guint32)rounds->seed);
    g_autofree guint *order = g_new(guint, rounds->n_cases);
    g_autofree double *seconds = g_new0(double, rounds->n_cases);
    Driver driver = {.rounds = rounds, .order = order, .seconds = seconds};

    for (guint i = 0; i < rounds->n_cases; i++) {
        order[i] = i;
        driver.n_runnable += rounds->runnable(i, rounds->user) != FALSE;
    }
    driver.total = driver.n_runnable * rounds->n_rounds;
    for (guint round = 0; round < rounds->n_rounds; round++) {
        shuffle(order, rounds->n_cases, rand);
        for (guint i = 0; i < rounds->n_cases; i++) {
            if (!rounds->runnable(order[i], rounds->user))
                continue;
            if (is_cancelled(rounds))
                return FALSE;
            run_case(&driver, round, i);
        }
    }
    return !is_cancelled(rounds);
}
