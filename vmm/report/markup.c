/* SPDX-License-Identifier: MIT */
/* Elements are kept on a stack, so that what is opened is closed in order; a start tag stays open for attributes until content comes. */
#include "report/markup.h"

#include <math.h>
#include <string.h>

struct Markup {
    GString *out;
    GPtrArray *open; /* of const char *: names */
    gboolean in_tag;
};

Markup *
markup_new(void)
{
    Markup *markup = g_new0(Markup, 1);

    markup->out = g_string_new(NULL);
    markup->open = g_ptr_array_new();
    return markup;
}

void
markup_free(Markup *markup)
{
    if (!markup)
        return;
    g_string_free(markup->out, TRUE);
    g_ptr_array_unref(markup->open);
    g_free(markup);
}

char *
markup_finish(Markup *markup)
{
    g_assert(!markup->open->len);
    char *text = g_string_free(g_steal_pointer(&markup->out), FALSE);
    g_ptr_array_unref(markup->open);
    g_free(markup);
    return text;
}

/* --- escaping --- */

/* What has an effect on the text around it, or none that can be seen. Line feeds and tabs are white space like any other. */
static gboolean
is_harmful(gunichar c)
{
    return (c < 0x20 && c != '\n' && c != '\t') || (c >= 0x7f && c < 0xa0) || (c >= 0x200b && c <= 0x200f) || c == 0x2028 ||
           c == 0x2029 || (c >= 0x202a && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff || (c & 0xfffe) == 0xfffe ||
           (c >= 0xe0000 && c <= 0xe0fff);
}

static void
append_escaped(GString *out, const char *text)
{
    g_autofree char *valid = g_utf8_make_valid(text, -1);

    for (const char *at = valid; *at; at = g_utf8_next_char(at)) {
        gunichar c = g_utf8_get_char(at);
        switch (c) {
        case '&':
            g_string_append(out, "&amp;");
            break;
        case '<':
            g_string_append(out, "&lt;");
            break;
        case '>':
            g_string_append(out, "&gt;");
            break;
        case '"':
            g_string_append(out, "&quot;");
            break;
        case '\'':
            g_string_append(out, "&#39;");
            break;
        default:
            g_string_append_unichar(out, is_harmful(c) ? 0xfffd : c);
        }
    }
}

/* --- elements --- */

static void
end_tag(Markup *markup)
{
    if (markup->in_tag)
        g_string_append_c(markup->out, '>');
    markup->in_tag = FALSE;
}

void
markup_open(Markup *markup, const char *name)
{
    end_tag(markup);
    g_string_append_c(markup->out, '<');
    g_string_append(markup->out, name);
    g_ptr_array_add(markup->open, (gpointer)name);
    markup->in_tag = TRUE;
}

void
markup_open_class(Markup *markup, const char *name, const char *style)
{
    markup_open(markup, name);
    if (style)
        markup_attribute(markup, "class", style);
}

void
markup_close(Markup *markup)
{
    static const char *const without_end[] = {"meta", "br", "col", NULL};
    static const char *const blocks[] = {"tr", "p", "li", "figure", "section", "div", "svg", NULL};

    g_assert(markup->open->len);
    const char *name = g_ptr_array_steal_index(markup->open, markup->open->len - 1);
    end_tag(markup);
    if (g_strv_contains(without_end, name))
        return;
    g_string_append_printf(markup->out, "</%s>", name);
    if (g_strv_contains(blocks, name))
        g_string_append_c(markup->out,
                          '\n'); /* so that the page can be read as text, and compared; within a line it would be a space */
}

void
markup_attribute(Markup *markup, const char *name, const char *value)
{
    g_assert(markup->in_tag);
    g_string_append_printf(markup->out, " %s=\"", name);
    append_escaped(markup->out, value ? value : "");
    g_string_append_c(markup->out, '"');
}

void
markup_attribute_format(Markup *markup, const char *name, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    g_autofree char *value = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    markup_attribute(markup, name, value);
}

void
markup_attribute_number(Markup *markup, const char *name, double value)
{
    char digits[G_ASCII_DTOSTR_BUF_SIZE];

    if (!isfinite(value))
        return;
    for (int precision = 15; precision <= 17; precision++) {
        g_autofree char *format = g_strdup_printf("%%.%dg", precision);
        g_ascii_formatd(digits, sizeof digits, format, value);
        double back = g_ascii_strtod(digits, NULL);
        if (back >= value && back <= value)
            break;
    }
    markup_attribute(markup, name, digits);
}

void
markup_text(Markup *markup, const char *text)
{
    end_tag(markup);
    append_escaped(markup->out, text ? text : "");
}

void
markup_text_format(Markup *markup, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    g_autofree char *text = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    markup_text(markup, text);
}

void
markup_element(Markup *markup, const char *name, const char *style, const char *text)
{
    markup_open_class(markup, name, style);
    markup_text(markup, text);
    markup_close(markup);
}

void
markup_trusted(Markup *markup, const char *text, gsize length)
{
    end_tag(markup);
    g_string_append_len(markup->out, text, (gssize)length);
}
