/* SPDX-License-Identifier: MIT */
/*
 * HTML and SVG, written element by element. What is written here comes from files of anybody: all text and all attribute values are
 * escaped, and characters that would change what a reader sees around them (controls, direction marks) become U+FFFD. Names of
 * elements and attributes are the program's own constants.
 */
#pragma once

#include <glib.h>

typedef struct Markup Markup;

Markup *markup_new(void);
void markup_free(Markup *markup);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Markup, markup_free)
/** markup_finish: frees @markup and returns what was written. All elements have to be closed. Free with g_free(). */
char *markup_finish(Markup *markup);

/** markup_open: `<@name`; attributes may follow until text or another element is written. */
void markup_open(Markup *markup, const char *name);
void markup_close(Markup *markup);
/** markup_open_class: markup_open() with the attribute `class`, if @style is not NULL. */
void markup_open_class(Markup *markup, const char *name, const char *style);

void markup_attribute(Markup *markup, const char *name, const char *value);
void markup_attribute_format(Markup *markup, const char *name, const char *format, ...) G_GNUC_PRINTF(3, 4);
/** markup_attribute_number: the shortest digits that read back as the same double; nothing when it is not finite. */
void markup_attribute_number(Markup *markup, const char *name, double value);

void markup_text(Markup *markup, const char *text);
void markup_text_format(Markup *markup, const char *format, ...) G_GNUC_PRINTF(2, 3);
/** markup_element: an element with text and nothing else. @style may be NULL. */
void markup_element(Markup *markup, const char *name, const char *style, const char *text);

/** markup_trusted: a part of the program itself, as it is: style and script. */
void markup_trusted(Markup *markup, const char *text, gsize length);
