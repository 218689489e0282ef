/* SPDX-License-Identifier: MIT */
/* What the subcommands share, and needs no JSON: `dirtylab boot` alone is linked with this. */
#include "cmd/cmd.h"

#include <dirtylog/dirtylog.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "machine/error.h"

G_DEFINE_QUARK(cmd-error, cmd_error);

/* --- errors --- */

static int
status_of(const GError *error)
{
    if (error->domain == G_OPTION_ERROR || error->domain == CMD_ERROR)
        return EXIT_USAGE;
    /* MACHINE_ERROR's codes are DL_ERROR's */
    if (error->domain == DL_ERROR || error->domain == MACHINE_ERROR) {
        switch (error->code) {
        case DL_ERROR_UNSUPPORTED:
        case DL_ERROR_PERMISSION:
        case DL_ERROR_RESOURCE:
            return EXIT_UNAVAILABLE;
        default:
            return EXIT_FAILED;
        }
    }
    return EXIT_FAILED;
}

int
cmd_fail(const GError *error)
{
    g_autofree char *message = g_strdup(error->message);

    g_strdelimit(message, "\r\n", ' ');
    g_printerr("dirtylab: %s\n", message);
    return status_of(error);
}

/* --- the process --- */

void
cmd_fill_standard_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        /* the lowest free number is taken: those below are open by now */
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF && open("/dev/null", O_RDWR) != fd)
            _exit(EXIT_FAILED);
    }
}

/* --- the command line --- */

gboolean
cmd_parse(const Subcommand *command, const GOptionEntry *entries, int argc, char **argv, GError **error)
{
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);
    g_autofree char *description = g_strdup_printf("Example:\n  %s\n", command->example);
    g_autofree char **arguments = g_memdup2(argv, ((gsize)argc + 1) * sizeof *argv);
    gboolean help = FALSE;
    const GOptionEntry help_entry[] = {{"help", 'h', 0, G_OPTION_ARG_NONE, &help, "Show this help", NULL}, {0}};

    g_option_context_set_summary(context, command->summary);
    g_option_context_set_description(context, description);
    g_option_context_set_help_enabled(context, FALSE);
    g_option_context_add_main_entries(context, entries, NULL);
    g_option_context_add_main_entries(context, help_entry, NULL);
    if (!g_option_context_parse(context, &argc, &arguments, error))
        return FALSE;
    if (help) {
        g_autofree char *text = g_option_context_get_help(context, TRUE, NULL);
        g_print("%s", text);
        return FALSE;
    }
    if (argc > 1) {
        g_set_error(error, CMD_ERROR, CMD_ERROR_USAGE, "%s takes no argument \"%s\": see dirtylab %s --help", command->name,
                    arguments[1], command->name);
        return FALSE;
    }
    return TRUE;
}

gboolean
cmd_parse_size(const char *option, const char *text, guint64 *bytes, GError **error)
{
    static const char units[] = "KMGT";
    char *end = NULL;
    guint64 number = 0;
    const char *unit = NULL;

    errno = 0;
    if (g_ascii_isdigit(*text))
        number = g_ascii_strtoull(text, &end, 10);
    if (number && !errno && *end && end[1] == '\0')
        unit = strchr(units, g_ascii_toupper(*end));
    guint shift = unit ? 10 * (guint)(unit - units + 1) : 0;
    if (!number || errno || (*end && !unit) || number > (guint64)G_MAXINT64 >> shift) {
        g_set_error(error, CMD_ERROR, CMD_ERROR_USAGE,
                    "%s: \"%s\" is no size: give a number of bytes above 0, with K, M, G or T if you like", option, text);
        return FALSE;
    }
    *bytes = number << shift;
    return TRUE;
}

gboolean
cmd_parse_count(const char *option, const char *text, guint64 low, guint64 high, guint64 *count, GError **error)
{
    if (g_ascii_string_to_unsigned(text, 10, low, high, count, NULL))
        return TRUE;
    g_set_error(error, CMD_ERROR, CMD_ERROR_USAGE,
                "%s: \"%s\" is no whole number from %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT, option, text, low, high);
    return FALSE;
}

gboolean
cmd_parse_list(const char *option, const char *text, CmdLookup lookup, const char *known, gboolean *all, GArray *values,
               GError **error)
{
    g_auto(GStrv) names = g_strsplit(text, ",", 64);

    *all = g_str_equal(text, "all");
    for (guint i = 0; !*all && names[i]; i++) {
        guint value = 0;
        gboolean seen = FALSE;

        if (!lookup(names[i], &value)) {
            g_set_error(error, CMD_ERROR, CMD_ERROR_USAGE, "%s: \"%s\" is unknown: give all, or some of %s", option, names[i],
                        known);
            return FALSE;
        }
        for (guint j = 0; j < values->len; j++)
            seen = seen || g_array_index(values, guint, j) == value;
        if (!seen)
            g_array_append_val(values, value);
    }
    if (*all || values->len)
        return TRUE;
    g_set_error(error, CMD_ERROR, CMD_ERROR_USAGE, "%s: the list is empty: give all, or some of %s", option, known);
    return FALSE;
}

gboolean
cmd_lookup_tracker(const char *name, guint *value)
{
    for (*value = 0; *value < dl_n_trackers(); (*value)++) {
        if (g_str_equal(name, dl_tracker_facts(*value)->name))
            return TRUE;
    }
    return FALSE;
}

gboolean
cmd_lookup_ram(const char *name, guint *value)
{
    DlRamKind kind;

    if (!dl_ram_kind_from_name(name, &kind, NULL))
        return FALSE;
    *value = kind;
    return TRUE;
}

char *
cmd_known_trackers(void)
{
    GString *names = g_string_new(NULL);

    for (guint i = 0; i < dl_n_trackers(); i++)
        g_string_append_printf(names, "%s%s", i ? "," : "", dl_tracker_facts(i)->name);
    return g_string_free(names, FALSE);
}

char *
cmd_known_rams(void)
{
    GString *names = g_string_new(NULL);

    for (guint i = 0; i < DL_N_RAM_KINDS; i++)
        g_string_append_printf(names, "%s%s", i ? "," : "", dl_ram_kind_name((DlRamKind)i));
    return g_string_free(names, FALSE);
}

/* --- output --- */

guint
cmd_columns(void)
{
    struct winsize size;

    if (isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col)
        return size.ws_col;
    return 80;
}

/* --- interruption --- */

/* A handler can reach nothing but globals. */
static volatile gint caught_signal;
static volatile time_t caught_at;

/* timeout(1) and a terminal's script may send one interruption twice, to the process and to its group: only a later one is impatience. */
static void
catch_signal(int number)
{
    if (caught_signal && time(NULL) > caught_at + 1) {
        signal(number, SIG_DFL);
        raise(number);
        return;
    }
    caught_at = time(NULL);
    caught_signal = number;
}

const volatile gint *
cmd_catch_signals(void)
{
    struct sigaction action = {.sa_handler = catch_signal, .sa_flags = SA_RESTART};

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    return &caught_signal;
}

int
cmd_signal_status(void)
{
    return caught_signal ? 128 + caught_signal : 0;
}
