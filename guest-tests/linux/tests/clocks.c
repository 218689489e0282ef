/* SPDX-License-Identifier: MIT */
/*
 * Holds a guest's clocks against the host's, for the tests in the testbed, where only busybox is. The guest's workload is asked by its
 * serial console, several times; what its clocks show was so between question and answer, whatever else the machine was busy with,
 * and the narrowest answer is kept. From two readings follows what lies between them, with certainty and not by tolerance.
 *
 *     linux-clocks ask CONSOLE INPUT READING VCPUS    the guest's output and the pipe for its input; the reading is kept in READING
 *     linux-clocks judge BEFORE AFTER DOWNTIME-NS     status 1: a clock went further than the host's, or less far by more than the downtime
 */
#include <fcntl.h>
#include <guest-tests/linux/clock_names.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define QUESTIONS 5
#define MAX_VCPUS 8
#define LIMIT_NS (60 * SECOND)
#define SECOND INT64_C(1000000000)
/* The host may go by another hardware clock than the guest; calibrated under an emulation, their rates differ so much */
#define DRIFT 500

struct clocks {
    int64_t value[N_CLOCKS];
};

/** One vCPU's answer, and the host's clocks before the question and after it. */
struct reading {
    struct clocks before, guest, after;
};

static int64_t
clock_ns(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return now.tv_sec * SECOND + now.tv_nsec;
}

static struct clocks
host_clocks(void)
{
    return (struct clocks){
        {clock_ns(CLOCK_MONOTONIC), clock_ns(CLOCK_REALTIME), clock_ns(CLOCK_BOOTTIME), (int64_t)__builtin_ia32_rdtsc()}};
}

/* --- asking --- */

static bool
parse_answer(const char *line, struct clocks *clocks)
{
    static const char *const keys[N_CLOCKS] = {" monotonic=", " realtime=", " boottime=", " tsc="};

    for (int i = 0; i < N_CLOCKS; i++) {
        const char *found = strstr(line, keys[i]);
        if (!found)
            return false;
        clocks->value[i] = strtoll(found + strlen(keys[i]), NULL, 10);
    }
    return true;
}

/* The answers to @question in @console; how many vCPUs gave one. A line that is not whole yet is none. */
static int
find_answers(const char *console, const char *question, struct clocks *answers)
{
    char line[1024], start[128];
    int n = 0;
    FILE *file = fopen(console, "re");

    while (file && n < MAX_VCPUS && fgets(line, sizeof line, file)) {
        snprintf(start, sizeof start, "workload: clock %s vcpu=%d ", question, n);
        if (strchr(line, '\n') && strstr(line, start) && parse_answer(line, &answers[n]))
            n++;
    }
    if (file)
        fclose(file);
    return n;
}

static bool
ask_once(const char *console, int input, int number, int vcpus, struct reading *readings)
{
    const struct timespec pause = {0, 2000000};
    char question[64], line[80];
    struct clocks answers[MAX_VCPUS];
    struct clocks before = host_clocks();

    snprintf(question, sizeof question, "%d-%d", (int)getpid(), number);
    int length = snprintf(line, sizeof line, "clock %s\n", question);
    if (write(input, line, (size_t)length) != length)
        return false;
    while (find_answers(console, question, answers) < vcpus) {
        if (clock_ns(CLOCK_MONOTONIC) - before.value[MONOTONIC] > LIMIT_NS)
            return false;
        nanosleep(&pause, NULL);
    }
    struct clocks after = host_clocks();
    for (int i = 0; i < vcpus; i++)
        readings[i] = (struct reading){before, answers[i], after};
    return true;
}

static int64_t
width(const struct reading *reading)
{
    return reading->after.value[MONOTONIC] - reading->before.value[MONOTONIC];
}

static int
ask(const char *console, const char *input_path, const char *path, int vcpus)
{
    struct reading best[MAX_VCPUS] = {0}, readings[MAX_VCPUS] = {0};
    int input = open(input_path, O_WRONLY | O_CLOEXEC);

    for (int i = 0; i < QUESTIONS; i++) {
        if (input < 0 || !ask_once(console, input, i, vcpus, readings)) {
            printf("# the guest does not say what its clocks show\n");
            return 1;
        }
        if (i == 0 || width(readings) < width(best))
            memcpy(best, readings, sizeof best);
    }
    close(input);
    FILE *file = fopen(path, "we");
    if (!file || fwrite(best, sizeof *best, (size_t)vcpus, file) != (size_t)vcpus || fclose(file) != 0) {
        perror(path);
        return 1;
    }
    return 0;
}

/* --- judging --- */

/* Where the kernel found the TSC unstable (an emulated one, on a busy machine), KVM stops a guest's while its vCPU does not run. */
static bool
tsc_is_stable(void)
{
    char line[256] = "";
    FILE *file = fopen("/sys/devices/system/clocksource/clocksource0/available_clocksource", "re");

    if (!file)
        return true;
    bool stable = fgets(line, sizeof line, file) && strstr(line, "tsc");
    fclose(file);
    return stable;
}

static bool
judge_clock(const struct reading *first, const struct reading *second, int clock, int64_t downtime_ns)
{
    int64_t host_ns = second->before.value[MONOTONIC] - first->before.value[MONOTONIC];
    int64_t passed = second->guest.value[clock] - first->guest.value[clock];
    int64_t most = second->after.value[clock] - first->before.value[clock];
    int64_t least = second->before.value[clock] - first->after.value[clock];
    double unit = (double)(second->before.value[clock] - first->before.value[clock]) / (double)host_ns;
    int64_t downtime = (int64_t)((double)downtime_ns * unit), drift = most / 1000000 * DRIFT;

    if (clock == TSC && !tsc_is_stable()) {
        printf("# the TSC is unstable here: it may stand\n");
        return passed >= 0;
    }
    if (passed <= most + drift && passed >= least - downtime - drift)
        return true;
    printf("# %s went on by %" PRId64 "; from %" PRId64 " to %" PRId64 " passed on the host, %" PRId64 " of them downtime\n",
           clock_names[clock], passed, least, most, downtime);
    return false;
}

static int
load(const char *path, struct reading *readings)
{
    FILE *file = fopen(path, "re");
    size_t n = file ? fread(readings, sizeof *readings, MAX_VCPUS, file) : 0;

    if (file)
        fclose(file);
    return (int)n;
}

static int
judge(const char *before, const char *after, int64_t downtime_ns)
{
    struct reading first[MAX_VCPUS], second[MAX_VCPUS];
    int n = load(before, first);
    bool right = n > 0 && load(after, second) == n && downtime_ns > 0;

    for (int i = 0; i < n && right; i++) {
        for (int clock = 0; clock < N_CLOCKS; clock++)
            right &= judge_clock(&first[i], &second[i], clock, downtime_ns);
        printf("# vCPU %d: %.0f ms of its own in %.0f ms, known to %.0f ms; downtime %.0f ms\n", i,
               (double)(second[i].guest.value[MONOTONIC] - first[i].guest.value[MONOTONIC]) / 1e6,
               (double)(second[i].before.value[MONOTONIC] - first[i].before.value[MONOTONIC]) / 1e6,
               (double)(width(&first[i]) + width(&second[i])) / 1e6, (double)downtime_ns / 1e6);
    }
    return !right;
}

int
main(int argc, char **argv)
{
    long vcpus = argc == 6 ? strtol(argv[5], NULL, 10) : 0;

    if (vcpus > 0 && vcpus <= MAX_VCPUS && !strcmp(argv[1], "ask"))
        return ask(argv[2], argv[3], argv[4], (int)vcpus);
    if (argc == 5 && !strcmp(argv[1], "judge"))
        return judge(argv[2], argv[3], strtoll(argv[4], NULL, 10));
    fprintf(stderr, "usage: linux-clocks ask CONSOLE INPUT READING VCPUS | judge BEFORE AFTER DOWNTIME-NS\n");
    return 2;
}
