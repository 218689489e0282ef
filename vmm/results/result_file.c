/* SPDX-License-Identifier: MIT */
/* Picks the reader by the schema. */
#include <string.h>

#include "results/bench_json.h"
#include "results/fields.h"
#include "results/migration_json.h"
#include "results/peer_json.h"
#include "results/probe_json.h"
#include "results/result_file.h"
#include "results/semantics_json.h"

static const struct {
    const char *schema;
    GPtrArray *(*read)(const char *text, gsize length, DocumentInfo **info, GError **error);
} kinds[N_RESULT_KINDS] = {
    [RESULT_BENCH] = {BENCH_SCHEMA, bench_json_read},
    [RESULT_MIGRATION] = {MIGRATION_SCHEMA, migration_json_read},
    [RESULT_SEMANTICS] = {SEMANTICS_SCHEMA, semantics_json_read},
    [RESULT_PROBE] = {PROBE_SCHEMA, probe_json_read},
    [RESULT_PEER] = {PEER_SCHEMA, peer_json_read},
};

/* "dirtylab.bench/": the name without the version. */
static gboolean
same_family(const char *found, const char *schema)
{
    return strncmp(found, schema, (gsize)(strchr(schema, '/') - schema) + 1) == 0;
}

static gboolean
find_kind(const char *text, gsize length, ResultKind *kind, GError **error)
{
    g_autofree char *schema = document_schema(text, length, error);

    if (!schema)
        return FALSE;
    for (guint i = 0; i < N_RESULT_KINDS; i++) {
        if (!same_family(schema, kinds[i].schema))
            continue;
        *kind = (ResultKind)i; /* its reader says so when the version is another */
        return TRUE;
    }
    g_autofree char *shown = g_utf8_substring(schema, 0, MIN(g_utf8_strlen(schema, -1), 64));
    g_autofree char *printable = g_strescape(shown, NULL);
    g_set_error(error, RESULTS_ERROR, RESULTS_ERROR_FORMAT, "schema: is \"%s\": no document that this dirtylab knows", printable);
    return FALSE;
}

ResultFile *
result_file_load(const char *path, GError **error)
{
    g_autoptr(ResultFile) file = g_new0(ResultFile, 1);
    gsize length = 0;
    g_autofree char *text = document_read_file(path, &length, error);

    if (!text)
        return NULL;
    file->path = g_strdup(path);
    if (find_kind(text, length, &file->kind, error))
        file->results = kinds[file->kind].read(text, length, &file->info, error);
    if (file->results)
        return g_steal_pointer(&file);
    g_prefix_error(error, "%s: ", path);
    return NULL;
}

void
result_file_free(ResultFile *file)
{
    if (!file)
        return;
    g_free(file->path);
    document_info_free(file->info);
    if (file->results)
        g_ptr_array_unref(file->results);
    g_free(file);
}
