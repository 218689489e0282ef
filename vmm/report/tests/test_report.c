/* SPDX-License-Identifier: MIT */
/* Markup cannot be broken out of, axes hold their values, and passes are laid out in time; what needs no browser to be seen. */
#include <math.h>
#include <string.h>

#include "report/figures.h"
#include "report/markup.h"
#include "report/migration.h"
#include "report/svg.h"

static void
text_and_attributes_are_escaped(void)
{
    g_autoptr(Markup) markup = markup_new();

    markup_open(markup, "p");
    markup_attribute(markup, "title", "\"'><script>&");
    markup_text(markup, "</p><script>\"&'");
    markup_close(markup);
    g_autofree char *text = markup_finish(g_steal_pointer(&markup));
    g_assert_cmpstr(text, ==, "<p title=\"&quot;&#39;&gt;&lt;script&gt;&amp;\">&lt;/p&gt;&lt;script&gt;&quot;&amp;&#39;</p>\n");
}

static void
harmful_characters_are_replaced(void)
{
    static const gunichar harmful[] = {0x01, 0x1b, 0x7f, 0x85, 0x200b, 0x200f, 0x2028, 0x202e, 0x2066, 0xfeff, 0xe0041};

    for (guint i = 0; i < G_N_ELEMENTS(harmful); i++) {
        g_autoptr(Markup) markup = markup_new();
        g_autofree char *character = g_ucs4_to_utf8(&harmful[i], 1, NULL, NULL, NULL);
        markup_element(markup, "b", NULL, character);
        g_autofree char *text = markup_finish(g_steal_pointer(&markup));
        g_assert_cmpstr(text, ==, "<b>\ufffd</b>");
    }
}

static void
numbers_keep_every_digit(void)
{
    static const double values[] = {0, 1, 0.1, 1.0 / 3, 5180.25, 1e22, 123456789.12345678};

    for (guint i = 0; i < G_N_ELEMENTS(values); i++) {
        g_autoptr(Markup) markup = markup_new();
        markup_open(markup, "b");
        markup_attribute_number(markup, "v", values[i]);
        markup_close(markup);
        g_autofree char *text = markup_finish(g_steal_pointer(&markup));
        double back = g_ascii_strtod(text + strlen("<b v=\""), NULL);
        g_assert_true(back >= values[i] && back <= values[i]);
    }
}

static void
ticks_lie_on_the_axis(void)
{
    static const double lows[] = {1e-3, 0.7, 3, 99, 1e9}, spans[] = {1, 1.01, 9, 1e3, 1e12};

    for (guint i = 0; i < G_N_ELEMENTS(lows); i++) {
        for (guint j = 0; j < 2 * G_N_ELEMENTS(spans); j++) {
            Axis axis = AXIS_EMPTY(j % 2);
            axis_cover(&axis, lows[i]);
            axis_cover(&axis, lows[i] * spans[j / 2]);
            axis_settle(&axis);
            axis_place(&axis, 10, 110);
            g_autoptr(GArray) ticks = axis_ticks(&axis);
            g_assert_cmpuint(ticks->len, >=, 2);
            g_assert_cmpuint(ticks->len, <=, 9);
            for (guint k = 0; k < ticks->len; k++) {
                double at = axis_at(&axis, g_array_index(ticks, double, k));
                g_assert_cmpfloat(at, >=, 10);
                g_assert_cmpfloat(at, <=, 110);
            }
            g_assert_cmpfloat(axis.low, <=, lows[i]);
            g_assert_cmpfloat(axis.high, >=, lows[i] * spans[j / 2]);
        }
    }
}

static void
an_axis_passes_over_what_it_cannot_show(void)
{
    Axis axis = AXIS_EMPTY(TRUE);

    axis_cover(&axis, NAN);
    axis_cover(&axis, INFINITY);
    axis_cover(&axis, 0);
    axis_cover(&axis, -1);
    g_assert_true(axis_is_empty(&axis));
    axis_settle(&axis);
    g_assert_cmpfloat(axis.high, >, axis.low);
}

static void
ticks_have_no_needless_zeros(void)
{
    g_autofree char *round = figure_tick(10000, figure_time);
    g_autofree char *fine = figure_tick(1520, figure_time);

    g_assert_cmpstr(round, ==, "10\u202fµs");
    g_assert_cmpstr(fine, ==, "1.52\u202fµs");
}

static void
passes_follow_each_other_in_time(void)
{
    g_autoptr(MigrationResult) result = migration_result_new();

    result->setup_time_ms = 2;
    for (guint i = 0; i < 3; i++) {
        MigrationIteration pass = {.harvest_ns = 1000000, .send_ns = 4000000, .judged = i > 0};
        pass.sent_pages = pass.reported_pages = 1000 >> i;
        pass.written_pages = 500 >> i;
        g_array_append_val(result->iterations, pass);
    }
    g_autoptr(GArray) steps = timeline_of(result);
    g_assert_cmpuint(steps->len, ==, 3);
    const TimelineStep *first = &g_array_index(steps, TimelineStep, 0), *last = &g_array_index(steps, TimelineStep, 2);
    g_assert_cmpfloat_with_epsilon(first->from_ms, 2, 1e-9);
    g_assert_cmpfloat_with_epsilon(last->to_ms, 17, 1e-9);
    g_assert_cmpfloat_with_epsilon(first->bandwidth, 1000 * 4096 / 0.004, 1);
    g_assert_cmpfloat_with_epsilon(first->dirty_rate, 500 * 4096 / 0.005, 1);
    g_assert_cmpfloat_with_epsilon(first->guest_rate, 250 * 4096 / 0.005, 1);
    g_assert_true(isnan(last->dirty_rate));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/report/text and attributes are escaped", text_and_attributes_are_escaped);
    g_test_add_func("/report/characters that change what stands around them are replaced", harmful_characters_are_replaced);
    g_test_add_func("/report/numbers keep every digit", numbers_keep_every_digit);
    g_test_add_func("/report/ticks lie on the axis", ticks_lie_on_the_axis);
    g_test_add_func("/report/an axis passes over what it cannot show", an_axis_passes_over_what_it_cannot_show);
    g_test_add_func("/report/ticks have no needless zeros", ticks_have_no_needless_zeros);
    g_test_add_func("/report/passes follow each other in time", passes_follow_each_other_in_time);
    return g_test_run();
}
