/* SPDX-License-Identifier: MIT */
/*
 * `dirtylab boot`: runs a guest with its serial console on the terminal, until it ends by itself, a signal comes or a client of the
 * control socket says so. The main thread sits in a GMainLoop; vCPUs have threads of their own.
 */
#include <dirtylog/dirtylog.h>
#include <glib-unix.h>
#include <machine/boot.h>
#include <machine/registers.h>
#include <unistd.h>

#include "cmd/boot.h"
#include "cmd/cmd.h"
#include "cmd/tools.h"
#include "machine/error.h"

#define MEMORY_UNASKED (UINT64_C(512) << 20)
#define MOST_VCPUS 4096
#define KERNEL_MOST_BYTES ((gsize)1 << 30)
#define INITRD_MOST_BYTES G_MAXINT32

typedef struct {
    char *kernel, *initrd, *append;
    char *memory, *ram, *vcpus, *ring;
    char *log, *control, *console, *incoming, *tls_creds;
    char **disks;
    gboolean paused;
} Options;

/**
 * Guest: what the description is made of, and the board.
 * @signal: the one that ends it; 0: none came
 */
typedef struct {
    BoardConfig config;
    guint8 *kernel, *initrd;
    char *command_line;
    BoardDisk disks[BOARD_MAX_DISKS];
    Board *board;
    gpointer control;
    GMainLoop *loop;
    int signal;
} Guest;

static void
options_clear(Options *options)
{
    char *strings[] = {options->kernel,  options->initrd,  options->append,   options->memory,
                       options->ram,     options->vcpus,   options->ring,     options->log,
                       options->control, options->console, options->incoming, options->tls_creds};

    for (guint i = 0; i < G_N_ELEMENTS(strings); i++)
        g_free(strings[i]);
    g_strfreev(options->disks);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Options, options_clear)

static void
guest_clear(Guest *guest)
{
    if (guest->control)
        boot_control.stop(guest->control);
    board_free(guest->board);
    g_clear_pointer(&guest->loop, g_main_loop_unref);
    g_free(guest->kernel);
    g_free(guest->initrd);
    g_free(guest->command_line);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Guest, guest_clear)

/* --- from options to a description --- */

static gboolean
parse_numbers(const Options *options, BoardConfig *config, GError **error)
{
    guint64 vcpus = 1, ring = 0;
    guint ram = DL_RAM_SHMEM;

    config->memory_bytes = MEMORY_UNASKED;
    if ((options->memory && !cmd_parse_size("--memory", options->memory, &config->memory_bytes, error)) ||
        (options->vcpus && !cmd_parse_count("--vcpus", options->vcpus, 1, MOST_VCPUS, &vcpus, error)) ||
        (options->ring && !cmd_parse_count("--dirty-ring-size", options->ring, 1, G_MAXINT32, &ring, error)))
        return FALSE;
    if (options->ram && !cmd_lookup_ram(options->ram, &ram)) {
        g_autofree char *known = cmd_known_rams();
        g_set_error(error, CMD_ERROR, CMD_ERROR_USAGE, "--ram: \"%s\" is unknown: give one of %s", options->ram, known);
        return FALSE;
    }
    config->ram = (DlRamKind)ram;
    config->vcpus = (guint)vcpus;
    config->dirty_ring_entries = (guint32)ring;
    return TRUE;
}

static gboolean
check_usage(const Options *options, const BoardConfig *config, GError **error)
{
    guint64 page = dl_ram_kind_page_size(config->ram);
    const char *problem = NULL;

    if (options->initrd && !options->kernel)
        problem = "--initrd goes with --kernel: the embedded guest takes none";
    else if (options->console && !g_str_equal(options->console, "serial") && !g_str_equal(options->console, "virtio"))
        problem = "--console: give serial or virtio";
    else if (config->dirty_ring_entries & (config->dirty_ring_entries - 1))
        problem = "--dirty-ring-size: a power of two it must be";
    if (problem)
        g_set_error_literal(error, CMD_ERROR, CMD_ERROR_USAGE, problem);
    else if (config->memory_bytes % page)
        g_set_error(error, CMD_ERROR, CMD_ERROR_USAGE, "--memory: %s comes in multiples of %" G_GUINT64_FORMAT " KiB",
                    dl_ram_kind_name(config->ram), page >> 10);
    else
        return TRUE;
    return FALSE;
}

static gboolean
read_files(const Options *options, Guest *guest, GError **error)
{
    BoardConfig *config = &guest->config;
    gboolean memory_helps = config->memory_bytes < INITRD_MOST_BYTES;

    if (options->kernel &&
        !boot_read_file("kernel", options->kernel, KERNEL_MOST_BYTES, NULL, &guest->kernel, &config->kernel_size, error))
        return FALSE;
    if (options->initrd &&
        !boot_read_file("initrd", options->initrd, (gsize)MIN(config->memory_bytes, INITRD_MOST_BYTES),
                        memory_helps ? "give the guest more memory" : NULL, &guest->initrd, &config->initrd_size, error))
        return FALSE;
    config->kernel = guest->kernel;
    config->initrd = guest->initrd;
    config->stock = guest->kernel != NULL;
    return TRUE;
}

/* FILE[,ro][,direct]: what lies behind the first comma is words. */
static gboolean
parse_disk(char *text, BoardDisk *disk, GError **error)
{
    char *word = strchr(text, ',');

    disk->path = text;
    while (word) {
        char *next = strchr(word + 1, ',');
        *word++ = '\0';
        if (next)
            *next = '\0';
        if (g_str_equal(word, "ro"))
            disk->read_only = TRUE;
        else if (g_str_equal(word, "direct"))
            disk->direct = TRUE;
        else {
            g_set_error(error, CMD_ERROR, CMD_ERROR_USAGE, "--disk: \"%s\" is unknown: ro and direct may stand behind the file",
                        word);
            return FALSE;
        }
        word = next;
    }
    if (*text)
        return TRUE;
    g_set_error_literal(error, CMD_ERROR, CMD_ERROR_USAGE, "--disk: there is no file: give FILE[,ro][,direct]");
    return FALSE;
}

static gboolean
parse_disks(const Options *options, Guest *guest, GError **error)
{
    guint n = options->disks ? g_strv_length(options->disks) : 0;

    if (n > BOARD_MAX_DISKS) {
        g_set_error(error, CMD_ERROR, CMD_ERROR_USAGE, "--disk: %u of them: at most %u", n, BOARD_MAX_DISKS);
        return FALSE;
    }
    for (guint i = 0; i < n; i++) {
        if (!parse_disk(options->disks[i], &guest->disks[i], error))
            return FALSE;
    }
    guest->config.disks = guest->disks;
    guest->config.n_disks = n;
    return TRUE;
}

static gboolean
describe(const Options *options, Guest *guest, GError **error)
{
    const char *append = options->append ? options->append : "";

    if (!parse_numbers(options, &guest->config, error) || !check_usage(options, &guest->config, error) ||
        !parse_disks(options, guest, error) || !read_files(options, guest, error))
        return FALSE;
    /* the embedded guest has no other way to learn how many it has */
    guest->command_line = options->kernel ? g_strdup(append) : g_strdup_printf("vcpus=%u %s", guest->config.vcpus, append);
    guest->config.command_line = guest->command_line;
    guest->config.terminal = TRUE;
    guest->config.rng = guest->config.balloon = guest->config.virtio_console = guest->config.stock;
    guest->config.virtio_console_input = options->console && g_str_equal(options->console, "virtio");
    return TRUE;
}

/* --- running --- */

static gboolean
quit(gpointer loop)
{
    g_main_loop_quit(loop);
    return G_SOURCE_REMOVE;
}

/* On the vCPU's thread, or in machine_stop(). An idle source, since a quit before the loop runs would be lost. */
static void
machine_ended(gpointer user)
{
    Guest *guest = user;

    g_idle_add_full(G_PRIORITY_HIGH, quit, g_main_loop_ref(guest->loop), (GDestroyNotify)g_main_loop_unref);
}

static gboolean
interrupted(gpointer user)
{
    Guest *guest = user;

    guest->signal = SIGINT;
    return quit(guest->loop);
}

static gboolean
terminated(gpointer user)
{
    Guest *guest = user;

    guest->signal = SIGTERM;
    return quit(guest->loop);
}

static gboolean
hung_up(gpointer user)
{
    Guest *guest = user;

    guest->signal = SIGHUP;
    return quit(guest->loop);
}

/* One that came ignored stays so: nohup means it. */
static void
catch_signal(int number, GSourceFunc caught, Guest *guest)
{
    struct sigaction before;

    if (sigaction(number, NULL, &before) < 0 || before.sa_handler != SIG_IGN)
        g_unix_signal_add(number, caught, guest);
}

/* Whoever holds the control socket lets a paused guest go; without one it stands until it is ended. */
static gboolean
add_control(const Options *options, Guest *guest, GError **error)
{
    const BootControlOptions control = {
        .uri = options->control, .paused = options->paused, .incoming = options->incoming, .tls_creds = options->tls_creds};

    if (!options->control && !options->incoming)
        return !options->paused || machine_pause(board_machine(guest->board), error);
    guest->control = boot_control.start(guest->board, &control, error);
    return guest->control != NULL;
}

static gboolean
run_guest(const Options *options, Guest *guest, GError **error)
{
    guest->board = board_new(&guest->config, error);
    g_clear_pointer(&guest->kernel, g_free); /* they are in the guest's RAM now */
    g_clear_pointer(&guest->initrd, g_free);
    if (!guest->board)
        return FALSE;
    guest->loop = g_main_loop_new(NULL, FALSE);
    machine_add_stop_hook(board_machine(guest->board), machine_ended, guest);
    /* before anybody can see by the socket that this process is there */
    catch_signal(SIGINT, interrupted, guest);
    catch_signal(SIGTERM, terminated, guest);
    catch_signal(SIGHUP, hung_up, guest);
    if (!add_control(options, guest, error) || (!options->incoming && !board_start(guest->board, error)))
        return FALSE;
    g_main_loop_run(guest->loop);
    machine_stop(board_machine(guest->board));
    return TRUE;
}

/* --- what came of it --- */

static gboolean
write_log(const Options *options, Machine *machine, GError **error)
{
    g_autoptr(GString) text = g_string_new(NULL);
    const char *reason = machine_crash_reason(machine);

    g_string_append_printf(text, "%s\n", reason ? reason : "no crash");
    for (guint i = 0; i < machine_n_vcpus(machine); i++)
        registers_print(machine, i, text);
    return g_file_set_contents(options->log, text->str, (gssize)text->len, error);
}

/* A PVM emulates ring 0, and not all of it: no stock kernel gets far. */
static void
set_crash_error(const Options *options, const char *reason, GError **error)
{
    g_auto(DlHostFacts) facts = {0};
    const char *hint = options->log ? "" : "; --log FILE keeps the registers";

    dl_host_facts(&facts);
    if (options->kernel && g_str_equal(facts.kvm, "PVM"))
        g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_FAILED,
                    "this host's KVM is %s, which cannot run a stock kernel (%s): scripts/testbed has a KVM that can%s",
                    facts.kvm, reason, hint);
    else
        g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_FAILED, "the guest crashed: %s%s", reason, hint);
}

/* Why the guest did not end well; NULL: it did. */
static GError *
guest_failure(const Options *options, const Guest *guest)
{
    Machine *machine = board_machine(guest->board);
    GError *error = NULL;

    if (machine_state(machine) == MACHINE_CRASHED)
        set_crash_error(options, machine_crash_reason(machine), &error);
    else if (guest->control && !guest->signal)
        error = boot_control.failure(guest->control);
    return error;
}

static int
outcome(const Options *options, const Guest *guest)
{
    g_autoptr(GError) failure = guest_failure(options, guest);
    g_autoptr(GError) log_error = NULL;

    if (options->log && !write_log(options, board_machine(guest->board), &log_error)) {
        g_prefix_error(&log_error, "--log: ");
        if (!failure)
            return cmd_fail(log_error);
        g_autoptr(GError) both = g_error_new(failure->domain, failure->code, "%s; and %s", failure->message, log_error->message);
        return cmd_fail(both);
    }
    if (failure)
        return cmd_fail(failure);
    return guest->signal ? 128 + guest->signal : EXIT_DONE;
}

static int
run(int argc, char **argv)
{
    g_auto(Options) options = {0};
    g_auto(Guest) guest = {0};
    g_autoptr(GError) error = NULL;
    const GOptionEntry entries[] = {
        {"kernel", 0, 0, G_OPTION_ARG_FILENAME, &options.kernel,
         "What to boot: a bzImage, a vmlinux or another PVH ELF; unasked, the embedded guest", "FILE"},
        {"initrd", 0, 0, G_OPTION_ARG_FILENAME, &options.initrd, "The kernel's initrd", "FILE"},
        {"append", 0, 0, G_OPTION_ARG_STRING, &options.append, "The kernel's command line, such as console=ttyS0", "STRING"},
        {"disk", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &options.disks, "A virtio-blk disk from a raw image; may be repeated",
         "FILE[,ro][,direct]"},
        {"console", 0, 0, G_OPTION_ARG_STRING, &options.console,
         "Which console gets what is typed (serial); the output of both is shown", "serial or virtio"},
        {"vcpus", 0, 0, G_OPTION_ARG_STRING, &options.vcpus, "How many vCPUs (1)", "N"},
        {"memory", 0, 0, G_OPTION_ARG_STRING, &options.memory, "How much RAM (512M)", "SIZE"},
        {"ram", 0, 0, G_OPTION_ARG_STRING, &options.ram, "What backs it (shmem)", "KIND"},
        {"dirty-ring-size", 0, 0, G_OPTION_ARG_STRING, &options.ring,
         "Entries of each vCPU's dirty ring, instead of KVM's dirty bitmaps", "N"},
        {"control", 0, 0, G_OPTION_ARG_STRING, &options.control, "Listen there for QMP clients", "unix:PATH"},
        {"incoming", 0, 0, G_OPTION_ARG_STRING, &options.incoming,
         "The guest comes from another dirtylab: unix:PATH, tcp:HOST:PORT, fd:N, or defer: a client will say", "URI"},
        {"tls-creds", 0, 0, G_OPTION_ARG_FILENAME, &options.tls_creds, "Credentials of migrations, under QEMU's file names",
         "DIR"},
        {"paused", 0, 0, G_OPTION_ARG_NONE, &options.paused, "Do not let the guest run yet", NULL},
        {"log", 0, 0, G_OPTION_ARG_FILENAME, &options.log, "Write the vCPUs' registers there at the end", "FILE"},
        {0}};

    if (!cmd_parse(&cmd_boot, entries, argc, argv, &error))
        return error ? cmd_fail(error) : EXIT_DONE;
    if ((options.control || options.incoming) && !&boot_control) {
        g_autofree char **whole = g_new0(char *, (gsize)argc + 2);
        whole[0] = (char *)"dirtylab";
        memcpy(whole + 1, argv, (gsize)argc * sizeof *argv);
        return tools_exec(whole);
    }
    if (!describe(&options, &guest, &error) || !run_guest(&options, &guest, &error))
        return cmd_fail(error);
    return outcome(&options, &guest);
}

const Subcommand cmd_boot = {
    .name = "boot",
    .summary = "Run a guest, Linux or the embedded one, with its serial console on the terminal.",
    .example = "dirtylab boot --kernel /boot/vmlinuz --initrd initrd.cpio.gz --append console=ttyS0 --vcpus 2 --memory 1G",
    .run = run,
};
