/* SPDX-License-Identifier: MIT */
/*
 * The Linux-side workload finds what a migration could do to a guest. It runs here as a process; this test plays the migration that went
 * wrong: it stops the process, puts a page of its memory or a block of its disk back in time, and lets it go on.
 */
#include <fcntl.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096
#define BLOCK ((gsize)32768)
#define FIRST_PAGE (G_GUINT64_CONSTANT(1) << 48) /* the number of thread 0's page 0, with which it begins */

static const char *program;

typedef struct {
    GSubprocess *process;
    GDataInputStream *lines;
    GString *said;
    int memory; /* /proc/PID/mem */
} Run;

static Run *
run_start(const char *options)
{
    g_autoptr(GError) error = NULL;
    g_auto(GStrv) words = g_strsplit(options, " ", -1);
    g_autoptr(GPtrArray) arguments = g_ptr_array_new();
    Run *run = g_new0(Run, 1);

    g_ptr_array_add(arguments, (gpointer)program);
    for (guint i = 0; words[i]; i++)
        g_ptr_array_add(arguments, words[i]);
    g_ptr_array_add(arguments, NULL);
    run->process = g_subprocess_newv(
        (const char *const *)arguments->pdata,
        G_SUBPROCESS_FLAGS_STDIN_PIPE | G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_MERGE, &error);
    g_assert_no_error(error);
    run->lines = g_data_input_stream_new(g_subprocess_get_stdout_pipe(run->process));
    run->said = g_string_new(NULL);
    return run;
}

static pid_t
run_pid(Run *run)
{
    return (pid_t)g_ascii_strtoll(g_subprocess_get_identifier(run->process), NULL, 10);
}

/* Reads on until a line holds @text; the end of the output before that is a failure. */
static void
run_await(Run *run, const char *text)
{
    for (;;) {
        g_autofree char *line = g_data_input_stream_read_line(run->lines, NULL, NULL, NULL);
        if (!line)
            g_error("ended before \"%s\": %s", text, run->said->str);
        g_string_append_printf(run->said, "%s\n", line);
        if (strstr(line, text))
            return;
    }
}

/* Reads to the end; the exit status. */
static int
run_end(Run *run)
{
    char *line;

    while ((line = g_data_input_stream_read_line(run->lines, NULL, NULL, NULL))) {
        g_string_append_printf(run->said, "%s\n", line);
        g_free(line);
    }
    g_assert_true(g_subprocess_wait(run->process, NULL, NULL));
    return g_subprocess_get_if_exited(run->process) ? g_subprocess_get_exit_status(run->process) : -1;
}

static void
run_type(Run *run, const char *line)
{
    GOutputStream *input = g_subprocess_get_stdin_pipe(run->process);

    g_assert_true(g_output_stream_write_all(input, line, strlen(line), NULL, NULL, NULL));
    g_assert_true(g_output_stream_flush(input, NULL, NULL));
}

static int
run_stop(Run *run)
{
    run_type(run, "stop\n");
    return run_end(run);
}

static void
run_free(Run *run)
{
    g_object_unref(run->lines);
    g_object_unref(run->process);
    g_string_free(run->said, TRUE);
    g_free(run);
}

/* Holds the process while its memory is looked at. */
static void
hold(Run *run)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/mem", (int)run_pid(run));
    g_autofree char *stat = g_strdup_printf("/proc/%d/stat", (int)run_pid(run));

    g_assert_cmpint(kill(run_pid(run), SIGSTOP), ==, 0);
    for (g_autofree char *state = NULL;;) { /* a stop takes its time to reach every thread */
        g_assert_true(g_file_get_contents(stat, &state, NULL, NULL));
        if (strstr(state, ") T "))
            break;
        g_clear_pointer(&state, g_free);
        g_usleep(1000);
    }
    run->memory = open(path, O_RDWR | O_CLOEXEC);
    g_assert_cmpint(run->memory, >=, 0);
}

static void
release(Run *run)
{
    close(run->memory);
    g_assert_cmpint(kill(run_pid(run), SIGCONT), ==, 0);
}

/* Where the page that begins with @number lies. */
static guint64
find_page(Run *run, guint64 number)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/maps", (int)run_pid(run)), *maps = NULL;
    guint64 first_word;

    g_assert_true(g_file_get_contents(path, &maps, NULL, NULL));
    g_auto(GStrv) lines = g_strsplit(maps, "\n", -1);
    for (guint i = 0; lines[i]; i++) {
        char *rest;
        guint64 start = g_ascii_strtoull(lines[i], &rest, 16), end = *rest == '-' ? g_ascii_strtoull(rest + 1, &rest, 16) : 0;
        if (!g_str_has_prefix(rest, " rw-p 00000000 00:00"))
            continue;
        for (guint64 page = start; page < end; page += PAGE) {
            if (pread(run->memory, &first_word, sizeof first_word, (off_t)page) == sizeof first_word && first_word == number)
                return page;
        }
    }
    g_error("the page is not to be found");
}

static void
assert_said(Run *run, const char *pattern)
{
    if (!g_regex_match_simple(pattern, run->said->str, G_REGEX_MULTILINE, 0))
        g_error("\"%s\" was not said: %s", pattern, run->said->str);
}

/* --- memory --- */

static void
test_whole(gconstpointer pattern)
{
    g_autofree char *options = g_strdup_printf("pattern=%s memory=2M threads=2 passes=3 seed=5", (const char *)pattern);
    Run *run = run_start(options);

    g_assert_cmpint(run_end(run), ==, 0);
    assert_said(run, "^workload: t=[0-9]+ pass=[0-9]+ pages=[0-9]+ rate=[0-9]+ stall-us=[0-9]+ .* errors=0$");
    assert_said(run, "^workload: verdict=ok .* verified=[0-9]{3,} .* errors=0$");
    run_free(run);
}

/* A page as it was one second ago, which a workload that writes all pages all the time left behind long since. */
static void
test_page_back_in_time(void)
{
    Run *run = run_start("pattern=random memory=1M pages=256 threads=1");
    guint8 old[PAGE];

    run_await(run, "t=1 ");
    hold(run);
    guint64 page = find_page(run, FIRST_PAGE + 17);
    g_assert_cmpint(pread(run->memory, old, PAGE, (off_t)page), ==, PAGE);
    release(run);
    run_await(run, "t=2 ");
    hold(run);
    g_assert_cmpint(pwrite(run->memory, old, PAGE, (off_t)page), ==, PAGE);
    release(run);
    run_await(run, "error");
    g_assert_cmpint(run_stop(run), ==, 1);
    g_autofree char *expected = g_strdup_printf("^workload: error: memory: page 17 of thread 0 at 0x%" G_GINT64_MODIFIER
                                                "x, guest-physical 0x[0-9a-f]+, went back to generation",
                                                page);
    assert_said(run, expected);
    assert_said(run, "verdict=failed .*errors=1$");
    run_free(run);
}

/* A page that no visit comes to: the end finds it. */
static void
test_untouched_page_lost(void)
{
    static const guint8 zero[PAGE];
    Run *run = run_start("pattern=idle memory=1M threads=1 rate=1");

    run_await(run, "t=1 ");
    hold(run);
    guint64 page = find_page(run, FIRST_PAGE + 200);
    g_assert_cmpint(pwrite(run->memory, zero, PAGE, (off_t)page), ==, PAGE);
    release(run);
    g_assert_cmpint(run_stop(run), ==, 1);
    assert_said(run, "page 200 of thread 0 .* is empty");
    run_free(run);
}

static void
test_misplaced_page_and_flipped_bit(void)
{
    Run *run = run_start("pattern=read memory=1M pages=256 threads=1");
    guint8 other[PAGE];

    run_await(run, "t=1 ");
    hold(run);
    guint64 page = find_page(run, FIRST_PAGE + 3);
    g_assert_cmpint(pread(run->memory, other, PAGE, (off_t)find_page(run, FIRST_PAGE + 4)), ==, PAGE);
    g_assert_cmpint(pwrite(run->memory, other, PAGE, (off_t)page), ==, PAGE);
    page = find_page(run, FIRST_PAGE + 5);
    g_assert_cmpint(pread(run->memory, other, PAGE, (off_t)page), ==, PAGE);
    other[PAGE - 1] ^= 0x80;
    g_assert_cmpint(pwrite(run->memory, other, PAGE, (off_t)page), ==, PAGE);
    release(run);
    run_await(run, "error");
    g_assert_cmpint(run_stop(run), ==, 1);
    assert_said(run, "page 3 of thread 0 .* holds another page, 0x1000000000004");
    assert_said(run, "page 5 of thread 0 .* holds other data");
    run_free(run);
}

/* --- clocks --- */

/* The value of a vCPU's clock in the answer to @question. */
static guint64
answered(Run *run, const char *question, const char *clock)
{
    g_autofree char *pattern = g_strdup_printf("^workload: clock %s vcpu=0 .*\\b%s=([0-9]+)", question, clock);
    g_autoptr(GRegex) regex = g_regex_new(pattern, G_REGEX_MULTILINE, 0, NULL);
    g_autoptr(GMatchInfo) match = NULL;

    if (!g_regex_match(regex, run->said->str, 0, &match))
        g_error("no %s in the answer to %s: %s", clock, question, run->said->str);
    g_autofree char *digits = g_match_info_fetch(match, 1);
    return g_ascii_strtoull(digits, NULL, 10);
}

static void
test_clocks_asked(void)
{
    static const char *const clocks[] = {"monotonic", "realtime", "boottime", "tsc"};
    Run *run = run_start("pattern=idle memory=1M threads=1 rate=1");

    run_await(run, "start ");
    run_type(run, "clock first\nclock second\n");
    run_await(run, "clock second vcpu=0 ");
    for (gsize i = 0; i < G_N_ELEMENTS(clocks); i++)
        g_assert_cmpuint(answered(run, "first", clocks[i]), <, answered(run, "second", clocks[i]));
    g_assert_cmpint(run_stop(run), ==, 0);
    run_free(run);
}

/* --- disk --- */

static char *
make_disk(void)
{
    char *path = g_build_filename(g_get_tmp_dir(), "dirtylab-workload-disk.XXXXXX", NULL);
    int fd = g_mkstemp(path);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(ftruncate(fd, 1 << 20), ==, 0);
    close(fd);
    return path;
}

static int
run_on_disk(const char *disk, const char *options, char **said)
{
    g_autofree char *all = g_strdup_printf("memory=64K threads=1 clocks=0 rate=100 disk=%s %s", disk, options);
    Run *run = run_start(all);
    int status = run_end(run);

    *said = g_strdup(run->said->str);
    run_free(run);
    return status;
}

static char *
digest(const char *said, const char *line)
{
    g_autofree char *pattern = g_strdup_printf("^workload: %s.*disk-digest=([0-9a-f]+)", line);
    g_autoptr(GRegex) regex = g_regex_new(pattern, G_REGEX_MULTILINE, 0, NULL);
    g_autoptr(GMatchInfo) match = NULL;

    if (!g_regex_match(regex, said, 0, &match))
        g_error("no digest: %s", said);
    return g_match_info_fetch(match, 1);
}

/* The end of one run is the start of the next; a block put back in time between them is not. */
static void
test_disk(void)
{
    g_autofree char *disk = make_disk(), *first = NULL, *second = NULL, *third = NULL, *old = NULL, *now = NULL;
    gsize size;

    if (run_on_disk(disk, "time=1", &first) == 2) {
        g_assert_nonnull(strstr(first, "cannot be used: Invalid argument"));
        g_test_skip("no O_DIRECT in the folder for temporary files");
        g_unlink(disk);
        return;
    }
    g_assert_true(g_file_get_contents(disk, &old, &size, NULL));
    g_assert_cmpint(run_on_disk(disk, "time=1", &second), ==, 0);
    g_assert_nonnull(strstr(first, " known=0 "));
    g_assert_nonnull(strstr(second, " known=32 "));
    g_autofree char *end = digest(first, "verdict=ok"), *start = digest(second, "disk="), *end2 = digest(second, "verdict=ok");
    g_assert_cmpstr(end, ==, start);
    g_assert_cmpstr(start, !=, end2);

    g_assert_true(g_file_get_contents(disk, &now, &size, NULL));
    memcpy(now + 5 * BLOCK, old + 5 * BLOCK, BLOCK);
    g_assert_true(g_file_set_contents(disk, now, (gssize)size, NULL));
    g_assert_cmpint(run_on_disk(disk, "time=1 disk-read-only=1", &third), ==, 0);
    g_autofree char *start3 = digest(third, "disk=");
    g_assert_cmpstr(start3, !=, end2);

    memcpy(now + 5 * BLOCK, old + 6 * BLOCK, 512); /* torn: a sector of another block */
    memcpy(now + 7 * BLOCK + 512, old + 6 * BLOCK, 512);
    g_assert_true(g_file_set_contents(disk, now, (gssize)size, NULL));
    g_clear_pointer(&third, g_free);
    g_assert_cmpint(run_on_disk(disk, "time=1 disk-read-only=1", &third), ==, 1);
    g_assert_nonnull(strstr(third, "disk: sector 1 of block 7 holds block 6 sector 0"));
    g_unlink(disk);
}

static void
test_refused(void)
{
    static const char *const bad[] = {"pattern=zigzag",
                                      "threads=0",
                                      "threads=1000",
                                      "memory=4K threads=2",
                                      "memory=12Q",
                                      "frobnicate=1",
                                      "pattern",
                                      "clocks=2",
                                      "disk=",
                                      "time=-1",
                                      "memory=99999999999999G",
                                      "disk=/nowhere/x",
                                      "random=/nowhere",
                                      "memory=64K,threads=1,disk=/dev/null"};

    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
        Run *run = run_start(bad[i]);
        int status = run_end(run);
        if (status != 2)
            g_error("%s: status %d: %s", bad[i], status, run->said->str);
        run_free(run);
    }
}

int
main(int argc, char **argv)
{
    static const char *const patterns[] = {"sequential", "random", "hotspot", "stride", "silent", "read", "idle"};

    g_test_init(&argc, &argv, NULL);
    g_assert_cmpint(argc, ==, 2);
    program = argv[1];
    for (gsize i = 0; i < G_N_ELEMENTS(patterns); i++) {
        g_autofree char *name = g_strconcat("/workload/whole/", patterns[i], NULL);
        g_test_add_data_func(name, patterns[i], test_whole);
    }
    g_test_add_func("/workload/a page put back in time is named", test_page_back_in_time);
    g_test_add_func("/workload/a lost page that no visit comes to is found at the end", test_untouched_page_lost);
    g_test_add_func("/workload/a misplaced page and a flipped bit are found", test_misplaced_page_and_flipped_bit);
    g_test_add_func("/workload/each vCPU's clocks are said when asked for", test_clocks_asked);
    g_test_add_func("/workload/a disk ends as the next run finds it, and torn blocks are found", test_disk);
    g_test_add_func("/workload/what cannot be used is refused", test_refused);
    return g_test_run();
}
