/* SPDX-License-Identifier: MIT */
/* A result document of any schema, for who takes whatever there is. */
#pragma once

#include "results/document.h"

typedef enum {
    RESULT_BENCH,     /* of BenchResult */
    RESULT_MIGRATION, /* of MigrationResult */
    RESULT_SEMANTICS, /* of SemanticsRow */
    RESULT_PROBE,     /* of ProbeRow */
    RESULT_PEER,      /* of PeerResult */
} ResultKind;
#define N_RESULT_KINDS 5

/** ResultFile: @path: as the user named it. @results: of what @kind says, owned by the array. */
typedef struct {
    char *path;
    ResultKind kind;
    DocumentInfo *info;
    GPtrArray *results;
} ResultFile;

/** result_file_load: `-` is standard input. Errors: IO; FORMAT, naming the file and the field. */
ResultFile *result_file_load(const char *path, GError **error);
void result_file_free(ResultFile *file);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ResultFile, result_file_free)
