/* SPDX-License-Identifier: MIT */
/*
 * The guest runs for RUN_US and then stands for as long as makes the percentage. All vCPUs stand at once: a guest whose vCPUs wait for
 * each other would be slowed down many times over if they took turns.
 */
#include <migration/throttle.h>

#define RUN_US 10000

struct Throttle {
    Machine *machine;
    GMutex lock;
    GCond changed;
    GThread *thread;
    guint percent;
    gboolean ending;
};

/* With the lock held: FALSE when it is time to end. */
static gboolean
sleep_for(Throttle *throttle, gint64 us)
{
    gint64 until = g_get_monotonic_time() + us;

    while (!throttle->ending && g_cond_wait_until(&throttle->changed, &throttle->lock, until))
        ;
    return !throttle->ending;
}

static gpointer
throttle_thread(gpointer user)
{
    Throttle *throttle = user;

    g_mutex_lock(&throttle->lock);
    while (sleep_for(throttle, RUN_US)) {
        gint64 stand_us = (gint64)RUN_US * throttle->percent / (100 - throttle->percent);
        g_mutex_unlock(&throttle->lock);
        gboolean paused =
            stand_us && machine_pause(throttle->machine, NULL); /* a guest that cannot be paused now is asked again */
        g_mutex_lock(&throttle->lock);
        if (!paused)
            continue;
        sleep_for(throttle, stand_us);
        g_mutex_unlock(&throttle->lock);
        machine_resume(throttle->machine);
        g_mutex_lock(&throttle->lock);
    }
    g_mutex_unlock(&throttle->lock);
    return NULL;
}

Throttle *
throttle_new(Machine *machine)
{
    Throttle *throttle = g_new0(Throttle, 1);

    throttle->machine = machine;
    g_mutex_init(&throttle->lock);
    g_cond_init(&throttle->changed);
    return throttle;
}

void
throttle_end(Throttle *throttle)
{
    g_mutex_lock(&throttle->lock);
    throttle->ending = TRUE;
    g_cond_broadcast(&throttle->changed);
    g_mutex_unlock(&throttle->lock);
    g_clear_pointer(&throttle->thread, g_thread_join);
}

void
throttle_free(Throttle *throttle)
{
    throttle_end(throttle);
    g_mutex_clear(&throttle->lock);
    g_cond_clear(&throttle->changed);
    g_free(throttle);
}

void
throttle_set(Throttle *throttle, guint percent)
{
    g_mutex_lock(&throttle->lock);
    throttle->percent = MIN(percent, 99);
    if (percent && !throttle->thread && !throttle->ending)
        throttle->thread = g_thread_new("throttle", throttle_thread, throttle);
    g_mutex_unlock(&throttle->lock);
}

guint
throttle_percent(Throttle *throttle)
{
    g_mutex_lock(&throttle->lock);
    guint percent = throttle->percent;
    g_mutex_unlock(&throttle->lock);
    return percent;
}
