/* SPDX-License-Identifier: MIT */
/*
 * The page: head, sections, foot. It may load nothing: the content security policy allows one style sheet and one script, both
 * inline and named by their hashes, so that even what would slip through the escaping is neither loaded nor run.
 */
#include "report/page.h"

#include <math.h>

#include "report/assets.h"
#include "report/plots.h"
#include "results/units.h"

/* --- what the sections share --- */

void
page_section(Page *page, const char *id, const char *heading)
{
    markup_open(page->markup, "section");
    markup_attribute(page->markup, "id", id);
    markup_element(page->markup, "h2", NULL, heading);
}

/* The box scrolls by itself, so that the page never does sideways; it takes the keyboard's focus for that. */
void
page_table(Page *page, const char *style, const char *caption)
{
    guint id = page->next_id++;

    markup_open_class(page->markup, "div", "scroll");
    markup_attribute(page->markup, "role", "region");
    markup_attribute(page->markup, "tabindex", "0");
    markup_attribute_format(page->markup, "aria-labelledby", "c%u", id);
    markup_open_class(page->markup, "table", style);
    markup_open(page->markup, "caption");
    markup_attribute_format(page->markup, "id", "c%u", id);
    markup_element(page->markup, "span", "about", caption);
    markup_close(page->markup);
}

void
page_table_end(Page *page)
{
    markup_close(page->markup);
    markup_close(page->markup);
}

void
page_heading_cell(Page *page, const char *style, const char *text)
{
    markup_open_class(page->markup, "th", style);
    markup_attribute(page->markup, "scope", "col");
    markup_text(page->markup, text);
    markup_close(page->markup);
}

void
page_text_cell(Page *page, const char *text)
{
    markup_element(page->markup, "td", NULL, text);
}

void
page_number_cell(Page *page, const char *field, double value, const char *text)
{
    markup_open_class(page->markup, "td", "n");
    markup_attribute(page->markup, "data-field", field);
    markup_attribute_number(page->markup, "data-value", value);
    markup_text(page->markup, text);
    markup_close(page->markup);
}

void
page_count_cell(Page *page, const char *field, guint64 count)
{
    g_autofree char *digits = unit_digits(count);

    page_number_cell(page, field, (double)count, digits);
}

void
page_plots(Page *page)
{
    if (!page->view->reference)
        return;
    page_section(page, "plots", "Plots");
    plots_first_write(page);
    plots_harvest(page);
    plots_stall(page);
    plots_amplification(page);
    markup_close(page->markup);
}

/* --- head and foot --- */

static char *
hash_of(const char *text, gsize length)
{
    g_autoptr(GChecksum) checksum = g_checksum_new(G_CHECKSUM_SHA256);
    guint8 digest[32];
    gsize size = sizeof digest;

    g_checksum_update(checksum, (const guchar *)text, (gssize)length);
    g_checksum_get_digest(checksum, digest, &size);
    g_autofree char *base64 = g_base64_encode(digest, size);
    return g_strdup_printf("'sha256-%s'", base64);
}

static void
add_meta(Markup *markup, const char *kind, const char *name, const char *content)
{
    markup_open(markup, "meta");
    markup_attribute(markup, kind, name);
    markup_attribute(markup, "content", content);
    markup_close(markup);
}

static void
add_head(Page *page)
{
    Markup *markup = page->markup;
    gsize css = (gsize)(page_css_end - page_css_start), js = (gsize)(page_js_end - page_js_start);
    g_autofree char *style_hash = hash_of(page_css_start, css);
    g_autofree char *script_hash = hash_of(page_js_start, js);
    g_autofree char *policy = g_strdup_printf(
        "default-src 'none'; style-src %s; script-src %s; base-uri 'none'; form-action 'none'", style_hash, script_hash);

    markup_open(markup, "head");
    markup_open(markup, "meta");
    markup_attribute(markup, "charset", "utf-8");
    markup_close(markup);
    add_meta(markup, "http-equiv", "Content-Security-Policy", policy);
    add_meta(markup, "name", "viewport", "width=device-width, initial-scale=1");
    add_meta(markup, "name", "color-scheme", "light dark");
    add_meta(markup, "name", "generator", page->view->input->generator);
    g_autofree char *title = g_strdup_printf(
        "dirtylab: %s", view_host(page->view, 0)->info->kernel ? view_host(page->view, 0)->info->kernel : "report");
    markup_element(markup, "title", NULL, title);
    markup_open(markup, "style");
    markup_trusted(markup, page_css_start, css);
    markup_close(markup);
    markup_close(markup);
}

/* `2025-06-07T08:09:10+02:00` → `2025-06-07 08:09`; of anything else its beginning. */
static char *
minute_of(const char *started)
{
    char *text = g_utf8_substring(started, 0, MIN(g_utf8_strlen(started, -1), 16));

    return g_strdelimit(text, "T", ' ');
}

static void
add_host_line(Page *page, guint index)
{
    const ViewHost *host = view_host(page->view, index);
    g_autofree char *line = host_info_describe(host->info);

    markup_open_class(page->markup, "p", "host");
    if (page->view->hosts->len > 1)
        markup_element(page->markup, "b", NULL, host->name);
    markup_text_format(page->markup, "%s%s", page->view->hosts->len > 1 ? " " : "", line);
    markup_close(page->markup);
}

static void
add_links(Page *page)
{
    const View *view = page->view;
    const struct {
        const char *id, *text;
        gboolean there;
    } links[] = {
        {"verdict", "Verdict", view->bench->len != 0},
        {"accuracy", "Accuracy", view->bench->len != 0},
        {"cost", "Cost", view->bench->len != 0},
        {"plots", "Plots", view->reference != NULL},
        {"yardstick", "dirty_log_perf_test", view->input->yardstick != NULL},
        {"migration", "Migration", view->entries[RESULT_MIGRATION]->len != 0},
        {"peer", "Other VMMs", view->entries[RESULT_PEER]->len != 0},
        {"semantics", "Semantics", view->entries[RESULT_SEMANTICS]->len != 0},
        {"support", "Support", view->entries[RESULT_PROBE]->len != 0},
        {"sources", "Sources", TRUE},
    };

    markup_open(page->markup, "nav");
    markup_attribute(page->markup, "aria-label", "Sections");
    for (guint i = 0; i < G_N_ELEMENTS(links); i++) {
        if (!links[i].there)
            continue;
        markup_open(page->markup, "a");
        markup_attribute_format(page->markup, "href", "#%s", links[i].id);
        markup_text(page->markup, links[i].text);
        markup_close(page->markup);
        markup_text(page->markup, " ");
    }
    markup_close(page->markup);
}

static void
add_header(Page *page)
{
    const ResultFile *first = g_ptr_array_index(page->view->input->files, 0);

    markup_open(page->markup, "header");
    markup_element(page->markup, "h1", NULL, "Dirty page tracking, measured");
    for (guint i = 0; i < page->view->hosts->len; i++)
        add_host_line(page, i);
    if (first->info->started) {
        g_autofree char *minute = minute_of(first->info->started);
        markup_element(page->markup, "p", "date", minute);
    }
    add_links(page);
    markup_close(page->markup);
}

static void
add_source(Page *page, const ResultFile *file)
{
    Markup *markup = page->markup;
    g_autofree char *name = g_path_get_basename(file->path);
    g_autofree char *seed = g_strdup_printf("%" G_GUINT64_FORMAT, file->info->seed);
    g_autofree char *build = g_strdup_printf("%s (%s)", file->info->version ? file->info->version : "?",
                                             file->info->revision ? file->info->revision : "?");

    markup_open(markup, "tr");
    markup_element(markup, "td", NULL, name);
    if (page->view->hosts->len > 1)
        page_text_cell(page, file->info->host.kernel ? file->info->host.kernel : "?");
    markup_open_class(markup, "td", "command");
    markup_element(markup, "code", NULL, file->info->command ? file->info->command : "");
    markup_close(markup);
    g_autofree char *minute = minute_of(file->info->started ? file->info->started : "");
    page_text_cell(page, minute);
    markup_element(markup, "td", "n", seed);
    page_text_cell(page, build);
    markup_element(markup, "td", file->info->complete ? NULL : "bad", file->info->complete ? "complete" : "interrupted");
    markup_close(markup);
}

static void
add_sources(Page *page)
{
    const GPtrArray *files = page->view->input->files;

    page_section(page, "sources", "Where this comes from");
    page_table(page, "words", "The files, and the commands that made them.");
    markup_open(page->markup, "thead");
    markup_open(page->markup, "tr");
    page_heading_cell(page, NULL, "file");
    if (page->view->hosts->len > 1)
        page_heading_cell(page, NULL, "kernel");
    page_heading_cell(page, NULL, "command");
    page_heading_cell(page, NULL, "started");
    page_heading_cell(page, "n", "seed");
    page_heading_cell(page, NULL, "dirtylab");
    page_heading_cell(page, NULL, "run");
    markup_close(page->markup);
    markup_close(page->markup);
    markup_open(page->markup, "tbody");
    for (guint i = 0; i < files->len; i++)
        add_source(page, g_ptr_array_index(files, i));
    markup_close(page->markup);
    page_table_end(page);
    markup_close(page->markup);
}

char *
report_html(const ReportInput *input)
{
    g_autoptr(View) view = view_new(input);
    g_autoptr(Markup) markup = markup_new();
    Page page = {markup, view, 1};

    markup_trusted(markup, "<!DOCTYPE html>\n", sizeof "<!DOCTYPE html>\n" - 1);
    markup_open(markup, "html");
    markup_attribute(markup, "lang", "en");
    add_head(&page);
    markup_open(markup, "body");
    add_header(&page);
    markup_open(markup, "main");
    page_verdict(&page);
    page_accuracy(&page);
    page_cost(&page);
    page_plots(&page);
    page_yardstick(&page);
    page_migration(&page);
    page_peer(&page);
    page_semantics(&page);
    page_support(&page);
    add_sources(&page);
    markup_close(markup);
    markup_open(markup, "footer");
    markup_text_format(markup, "Made by %s report.", input->generator);
    markup_close(markup);
    markup_open(markup, "script");
    markup_trusted(markup, page_js_start, (gsize)(page_js_end - page_js_start));
    markup_close(markup);
    markup_close(markup);
    markup_close(markup);
    return markup_finish(g_steal_pointer(&markup));
}
