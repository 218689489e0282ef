/* SPDX-License-Identifier: MIT */
/* What the workload says: whole lines, and errors, which are counted. */
#include "workload.h"

#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define MOST_ERRORS 20 /* that are printed: a console is slow */
#define LONGEST_LINE 480

atomic_bool stop;
static atomic_uint_fast64_t errors;

/* One write a line: a console may be shared with the kernel. */
static void
say_line(const char *kind, const char *text)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    char line[LONGEST_LINE + 32];
    int length = snprintf(line, sizeof line, "workload: %s%s\n", kind, text);

    pthread_mutex_lock(&lock);
    for (int done = 0; done < length;) {
        ssize_t wrote = write(STDOUT_FILENO, line + done, (size_t)(length - done));
        if (wrote <= 0)
            break;
        done += (int)wrote;
    }
    pthread_mutex_unlock(&lock);
}

void
say(const char *format, ...)
{
    char text[LONGEST_LINE];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    say_line("", text);
}

void
report_error(const char *format, ...)
{
    char text[LONGEST_LINE];
    va_list arguments;

    if (atomic_fetch_add(&errors, 1) >= MOST_ERRORS)
        return;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    say_line("error: ", text);
}

uint64_t
errors_so_far(void)
{
    return atomic_load(&errors);
}

uint64_t
monotonic_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

void
pin_to_vcpu(uint32_t vcpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET((size_t)vcpu % (size_t)sysconf(_SC_NPROCESSORS_ONLN), &set);
    if (sched_setaffinity(0, sizeof set, &set))
        say("note: a thread cannot be pinned to vCPU %u", vcpu);
}
