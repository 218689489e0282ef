/* SPDX-License-Identifier: MIT */
/*
 * Fields of a result document, out and in: what the schemas share. Writing never fails: text is made valid UTF-8, and numbers that
 * JSON cannot hold become null. Reading keeps the first error and goes on with zeroes, so that a caller checks once, at the end.
 */
#pragma once

#include <json-glib/json-glib.h>

#include "results/document.h"
#include "results/samples.h"

/* --- out --- */

void field_add_string(JsonBuilder *builder, const char *name, const char *text); /* NULL: null */
void field_add_count(JsonBuilder *builder, const char *name, guint64 count);
void field_add_double(JsonBuilder *builder, const char *name, double value);
void field_add_boolean(JsonBuilder *builder, const char *name, gboolean value);
/** field_add_statistics: `median`, `min`, `ci95`, `samples` and, if @with_max, `max`, into the open object. @samples may be NULL. */
void field_add_statistics(JsonBuilder *builder, const Samples *samples, gboolean with_max);

/** document_begin: a builder with the head written and the array `results` open. */
JsonBuilder *document_begin(const char *schema, const DocumentInfo *info);
/** document_end: closes the array and the document. */
char *document_end(JsonBuilder *builder);

/* --- in --- */

/**
 * FieldReader:
 * @where: path of the object that is being read, as `results[3].cost.`
 * @error: the first one; afterwards nothing is read and everything is zero
 */
typedef struct {
    GString *where;
    GError *error;
} FieldReader;

FieldReader *field_reader_new(void);
void field_reader_free(FieldReader *reader);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FieldReader, field_reader_free)

/** field_enter: fields are read of the element @name from here on (with @index >= 0, of that member of it). Returns what to leave with. */
gsize field_enter(FieldReader *reader, const char *name, int index);
void field_leave(FieldReader *reader, gsize mark);
/** field_refuse: the field is there but cannot be used. */
void field_refuse(FieldReader *reader, const char *name, const char *what);

/** field_present: whether it is there and not null: for what a document may leave out. */
gboolean field_present(JsonObject *object, const char *name);
/** A missing or mistyped field is an error; with @or_null, null is NULL. @object may be NULL: then all is zero. */
char *field_string(FieldReader *reader, JsonObject *object, const char *name, gboolean or_null);
guint64 field_count(FieldReader *reader, JsonObject *object, const char *name);
guint field_uint(FieldReader *reader, JsonObject *object, const char *name);
double field_double(FieldReader *reader, JsonObject *object, const char *name); /* null: NaN */
gboolean field_boolean(FieldReader *reader, JsonObject *object, const char *name);
JsonObject *field_object(FieldReader *reader, JsonObject *object, const char *name, gboolean or_null);
JsonArray *field_array(FieldReader *reader, JsonObject *object, const char *name, guint limit);
/** field_element: @array[@index], which has to be an object. */
JsonObject *field_element(FieldReader *reader, JsonArray *array, const char *name, guint index);
/** field_element_number: @array[@index], a number; NaN for null, and an error where there is no such element. */
double field_element_number(FieldReader *reader, JsonArray *array, const char *name, guint index);
/** field_samples: the array `samples`. */
Samples *field_samples(FieldReader *reader, JsonObject *object);

/** document_parse: checks the text and its schema, reads the head. The root keeps the objects alive. NULL on error. */
JsonNode *document_parse(FieldReader *reader, const char *text, gsize length, const char *schema, DocumentInfo **info);

/** document_schema: what the text says it is. Free with g_free(). Errors: FORMAT. */
char *document_schema(const char *text, gsize length, GError **error);

/**
 * document_read: all of a document: each element of `results` by @read, which never returns NULL (what was read of an element that
 * is wrong is thrown away with the rest). The array owns its elements by @destroy. Errors: FORMAT, naming the field.
 */
typedef gpointer (*FieldReadResult)(FieldReader *reader, JsonObject *object);
GPtrArray *document_read(const char *text, gsize length, const char *schema, FieldReadResult read, GDestroyNotify destroy,
                         DocumentInfo **info, GError **error);
