/* SPDX-License-Identifier: MIT */
/*
 * What the subcommands share: the registry's type, exit statuses, how lists and sizes on the command line are read, how an error
 * is said, and the head of every result document.
 */
#pragma once

#include <glib.h>

#include "results/document.h"

/** Exit statuses, as interfaces.md has them. */
typedef enum {
    EXIT_DONE = 0,
    EXIT_FAILED = 1,      /* it failed, or what was judged is unsound */
    EXIT_USAGE = 2,       /* the command line cannot be used */
    EXIT_UNAVAILABLE = 3, /* not to be had on this host, or larger than it */
    EXIT_INTERRUPTED = 130,
    EXIT_TERMINATED = 143,
} ExitStatus;

/**
 * Subcommand: one file each, one line in main.c.
 * @run: argv[0] is the subcommand's name; returns the process's exit status
 */
typedef struct {
    const char *name;
    const char *summary;
    const char *example;
    int (*run)(int argc, char **argv);
} Subcommand;

extern const Subcommand cmd_bench;
extern const Subcommand cmd_bench_migration;
extern const Subcommand cmd_boot;
extern const Subcommand cmd_compare;
extern const Subcommand cmd_migrate;
extern const Subcommand cmd_probe;
extern const Subcommand cmd_report;
extern const Subcommand cmd_semantics;

/* --- errors --- */

#define CMD_ERROR (cmd_error_quark())
typedef enum {
    CMD_ERROR_USAGE,
} CmdError;
GQuark cmd_error_quark(void);

/** cmd_fail: prints `dirtylab: MESSAGE` on one line and returns the status that belongs to the error's domain and code. */
int cmd_fail(const GError *error);

/* --- the process --- */

/**
 * cmd_fill_standard_descriptors: whichever of 0, 1 and 2 came closed is /dev/null from now on, so that no file of ours gets that number
 * and is then printed into. First of all in main(); ends the process when /dev/null cannot be opened.
 */
void cmd_fill_standard_descriptors(void);

/* --- the command line --- */

/**
 * cmd_parse: GOption over @entries; @argv is the subcommand's. FALSE: an error, or --help was answered (then @error is not set).
 * What is left over on the command line is an error.
 */
gboolean cmd_parse(const Subcommand *command, const GOptionEntry *entries, int argc, char **argv, GError **error);

/** cmd_parse_size: `512M`, `4G`, `65536`: bytes; K, M, G and T are powers of 1024. Zero, junk and overflow are errors. */
gboolean cmd_parse_size(const char *option, const char *text, guint64 *bytes, GError **error);

/** cmd_parse_count: a whole number from @low to @high. */
gboolean cmd_parse_count(const char *option, const char *text, guint64 low, guint64 high, guint64 *count, GError **error);

/**
 * cmd_parse_list: comma-separated names. @lookup turns a name into a value; @values gets each once, in the order given.
 * `all` alone sets @all. An unknown name is an error that lists @known.
 */
typedef gboolean (*CmdLookup)(const char *name, guint *value);
gboolean cmd_parse_list(const char *option, const char *text, CmdLookup lookup, const char *known, gboolean *all, GArray *values,
                        GError **error);
gboolean cmd_lookup_tracker(const char *name, guint *value); /* an index of dl_tracker_facts() */
gboolean cmd_lookup_ram(const char *name, guint *value);     /* a DlRamKind */
char *cmd_known_trackers(void);                              /* names, comma-separated */
char *cmd_known_rams(void);

/* --- output --- */

/** cmd_document_info: the head of a document for this host, this build and this command line. */
DocumentInfo *cmd_document_info(guint64 seed);
/** cmd_command_line: what the user typed, as one string. */
char *cmd_command_line(void);
/** cmd_columns: of the terminal on standard output; 80 when it is none. */
guint cmd_columns(void);
/** cmd_check_output: whether the file can be created, before minutes are spent on what goes into it. */
gboolean cmd_check_output(const char *path, GError **error);

/* --- interruption --- */

/** cmd_catch_signals: SIGINT and SIGTERM set the returned number to the signal's; one that comes seconds later kills. */
const volatile gint *cmd_catch_signals(void);
/** cmd_signal_status: the exit status that stands for it; 0 when there was none. */
int cmd_signal_status(void);
