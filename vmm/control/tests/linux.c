/* SPDX-License-Identifier: MIT */
/*
 * A stock Linux under load, whose tracker goes through every pair while the dirty rate is measured: nothing that it writes is lost; and one
 * that gives up half of its memory and gets it back. In the testbed:
 *
 *     scripts/testbed --guest 6.12 --with build/vmm/control/tests/control-linux-test run /with/control-linux-test
 */
#include <control/control.h>
#include <glib/gstdio.h>
#include <machine/boot.h>
#include <string.h>
#include <sys/stat.h>

#include "moves.h"

#define MIB (UINT64_C(1) << 20)
#define MEMORY (256 * MIB)
#define KERNEL_MOST ((gsize)256 << 20)
#define BOOT_SECONDS 240
#define COMMAND_LINE                                                                              \
    "console=ttyS0 loglevel=5 panic=-1 random.trust_cpu=1 mitigations=off dirtylab.run=workload " \
    "dirtylab.workload=memory=48M,random=/dev/hwrng,seed=5"

typedef struct {
    GMutex lock;
    GCond changed;
    GString *text;
} Console;

static void
collect(gpointer user, const char *bytes, gsize n_bytes)
{
    Console *console = user;

    g_mutex_lock(&console->lock);
    g_string_append_len(console->text, bytes, (gssize)n_bytes);
    g_cond_broadcast(&console->changed);
    g_mutex_unlock(&console->lock);
}

static gboolean
await(Console *console, const char *text)
{
    gint64 deadline = g_get_monotonic_time() + (gint64)BOOT_SECONDS * G_USEC_PER_SEC;
    gboolean in_time = TRUE;

    g_mutex_lock(&console->lock);
    while (!strstr(console->text->str, text) && in_time)
        in_time = g_cond_wait_until(&console->changed, &console->lock, deadline);
    if (!in_time)
        g_test_message("%s", console->text->str);
    g_mutex_unlock(&console->lock);
    return in_time;
}

static void
read_guest_file(const char *what, const char *name, guint8 **bytes, gsize *size)
{
    const char *folder = g_getenv("DIRTYLAB_GUESTS");
    g_autofree char *path = g_build_filename(folder ? folder : "/guest", "6.12", name, NULL);
    g_autoptr(GError) error = NULL;

    boot_read_file(what, path, KERNEL_MOST, NULL, bytes, size, &error);
    g_assert_no_error(error);
}

typedef void (*Work)(Board *board, QmpClient *client, Console *console);

static void
check(BoardConfig config, Work work)
{
    g_autoptr(GError) error = NULL;
    g_autofree guint8 *kernel = NULL, *initrd = NULL;
    g_autofree char *folder = g_dir_make_tmp("dirtylab-linux-XXXXXX", &error);
    g_autofree char *path = g_build_filename(folder, "control", NULL);
    g_autofree char *uri = g_strconcat("unix:", path, NULL);
    Console console = {.text = g_string_new(NULL)};

    read_guest_file("kernel", "bzImage", &kernel, &config.kernel_size);
    read_guest_file("initrd", "initrd", &initrd, &config.initrd_size);
    config.kernel = kernel;
    config.initrd = initrd;
    config.stock = config.rng = config.balloon = TRUE;
    config.command_line = COMMAND_LINE;
    config.console = collect;
    config.console_user = &console;
    {
        g_autoptr(Board) board = board_new(&config, &error);
        g_assert_no_error(error);
        g_autoptr(ControlServer) server = control_server_new(board, &(ControlConfig){.uri = uri}, &error);
        g_assert_no_error(error);
        g_assert_true(board_start(board, &error));
        g_assert_true(await(&console, "workload: t="));
        g_autoptr(QmpClient) client = qmp_client_new(path);
        work(board, client, &console);
        g_assert_null(strstr(console.text->str, "workload: error"));
    }
    g_assert_no_errno(g_rmdir(folder));
    g_string_free(console.text, TRUE);
}

static void
move_trackers(Board *board, QmpClient *client, Console *console G_GNUC_UNUSED)
{
    move_through_every_pair(board, client, 1000); /* emulated, and paused while soft-dirty is read */
}

static void
test_bitmaps(void)
{
    check((BoardConfig){.memory_bytes = MEMORY, .vcpus = 2}, move_trackers);
}

static void
test_ring(void)
{
    check((BoardConfig){.memory_bytes = MEMORY, .vcpus = 2, .dirty_ring_entries = 4096}, move_trackers);
}

/* --- the balloon --- */

static void
await_balloon(QmpClient *client, gint64 bytes)
{
    gint64 deadline = g_get_monotonic_time() + (gint64)BOOT_SECONDS * G_USEC_PER_SEC, actual;
    g_autofree char *arguments = g_strdup_printf("{\"value\": %" G_GINT64_FORMAT "}", bytes);
    g_autoptr(JsonNode) done = qmp_client_must(client, "balloon", arguments);

    do {
        g_assert_cmpint(g_get_monotonic_time(), <, deadline);
        g_usleep(G_USEC_PER_SEC / 10);
        g_autoptr(JsonNode) answer = qmp_client_must(client, "query-balloon", NULL);
        actual = qmp_int(answer, "actual");
    } while (actual != bytes);
}

static guint64
backed_bytes(Board *board)
{
    struct stat status;

    g_assert_no_errno(fstat(guest_ram_memory(board_ram(board), 0)->fd, &status));
    return (guint64)status.st_blocks * 512;
}

static void
inflate_and_deflate(Board *board, QmpClient *client, Console *console)
{
    for (guint round = 0; round < 3; round++) {
        await_balloon(client, MEMORY / 2);
        g_assert_cmpuint(backed_bytes(board), <=, MEMORY / 2);
        await_balloon(client, MEMORY);
    }
    g_mutex_lock(&console->lock);
    g_assert_null(strstr(console->text->str, "workload: error"));
    g_string_truncate(console->text, 0); /* it goes on after that */
    g_mutex_unlock(&console->lock);
    g_assert_true(await(console, "workload: t="));
}

static void
test_balloon(void)
{
    check((BoardConfig){.memory_bytes = MEMORY, .vcpus = 2}, inflate_and_deflate);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/linux/every-pair-under-load-loses-nothing/bitmaps", test_bitmaps);
    g_test_add_func("/linux/every-pair-under-load-loses-nothing/ring", test_ring);
    g_test_add_func("/linux/balloon", test_balloon);
    return g_test_run();
}
