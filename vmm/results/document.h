/* SPDX-License-Identifier: MIT */
/*
 * A result document: who measured, where, with what command, and the results. What every schema has in common stands here; the
 * fields of one result stand in bench_json.h and probe_json.h. Files are written whole or not at all.
 */
#pragma once

#include <glib.h>

#define RESULTS_ERROR (results_error_quark())

/**
 * ResultsError:
 * @RESULTS_ERROR_IO: a file could not be read or written; errno's text is in the message
 * @RESULTS_ERROR_FORMAT: a file is not the document that it should be; the message names the field
 */
typedef enum {
    RESULTS_ERROR_IO,
    RESULTS_ERROR_FORMAT,
} ResultsError;

GQuark results_error_quark(void);

/**
 * HostInfo: the host in words, as the JSON's `host`. NULL: unknown.
 * @kernel: as uname -r says it
 * @kvm: `VMX`, `SVM`, `PVM`, `none` or why it cannot be opened
 * @mmu: `EPT`, `NPT`, `shadow`, `unknown`
 */
typedef struct {
    char *kernel;
    char *kvm;
    char *mmu;
    char *cpu;
    guint cores;
    guint64 memory_bytes;
} HostInfo;

/** host_info_describe: one line of it, for people. Free with g_free(). */
char *host_info_describe(const HostInfo *host);

/**
 * DocumentInfo: the document's head. All strings are owned by it.
 * @command: the command line, as one string
 * @seed: at most G_MAXINT64, since readers of JSON know no larger integer
 * @started: RFC 3339, see document_info_start()
 * @complete: FALSE when the run was interrupted
 */
typedef struct {
    HostInfo host;
    char *version;
    char *revision;
    char *command;
    guint64 seed;
    char *started;
    gboolean complete;
} DocumentInfo;

DocumentInfo *document_info_new(void);
void document_info_free(DocumentInfo *info);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DocumentInfo, document_info_free)

/** document_info_start: fills in @started with the time that it is now. */
void document_info_start(DocumentInfo *info);

/**
 * document_write_file: writes @text to @path, `-` is standard output. A regular file appears whole, under its name, or not at all:
 * what could not be written completely leaves neither a truncated file nor a temporary one. Devices and pipes are written to directly.
 * Errors: IO.
 */
gboolean document_write_file(const char *path, const char *text, gsize length, GError **error);

/** document_read_file: the bytes of @path, `-` is standard input. Errors: IO, and FORMAT when it is larger than any document may be. */
char *document_read_file(const char *path, gsize *length, GError **error);
