/* SPDX-License-Identifier: MIT */
/* Figures: three digits that count, never wider than promised. */
#include <math.h>

#include "results/table.h"
#include "results/units.h"

static void
assert_text(char *text, const char *expected)
{
    g_assert_cmpstr(text, ==, expected);
    g_free(text);
}

static void
test_time(void)
{
    assert_text(unit_time(0), "0");
    assert_text(unit_time(0.03), "0.03ns");
    assert_text(unit_time(25.34), "25.3ns");
    assert_text(unit_time(9.996), "10.0ns");
    assert_text(unit_time(99.96), "100ns");
    assert_text(unit_time(999.4), "999ns");
    assert_text(unit_time(999.6), "1.00µs");
    assert_text(unit_time(152000), "152µs");
    assert_text(unit_time(1.5e6), "1.50ms");
    assert_text(unit_time(4.2e10), "42.0s");
    assert_text(unit_time(4.2e12), "4200s");
    assert_text(unit_time(1e30), ">99ks");
    assert_text(unit_time(NAN), "-");
    assert_text(unit_time(INFINITY), "-");
    assert_text(unit_time(-1), "-");
}

static void
test_count_ratio_bytes_digits(void)
{
    assert_text(unit_count(0), "0");
    assert_text(unit_count(99999), "99999");
    assert_text(unit_count(100000), "100k");
    assert_text(unit_count(1048576), "1.05M");
    assert_text(unit_count(G_MAXUINT64), "18.4E");
    assert_text(unit_ratio(1), "1.00");
    assert_text(unit_ratio(512), "512");
    assert_text(unit_ratio(262144), "262k");
    assert_text(unit_ratio(0), "-");
    assert_text(unit_ratio(NAN), "-");
    assert_text(unit_ratio(1e300), "18.4E");
    assert_text(unit_bytes(256 << 20), "256 MiB");
    assert_text(unit_bytes(G_GUINT64_CONSTANT(25165824000)), "23.4 GiB");
    assert_text(unit_bytes(0), "0 B");
    assert_text(unit_digits(0), "0");
    assert_text(unit_digits(999), "999");
    assert_text(unit_digits(1234567), "1,234,567");
    assert_text(unit_digits(G_MAXUINT64), "18,446,744,073,709,551,615");
}

static void
test_widths(void)
{
    double value = 1e-6;
    for (guint round = 0; round < 340; round++) {
        g_autofree char *time = unit_time(value), *ratio = unit_ratio(value);
        g_assert_cmpuint(table_text_width(time), <=, 6);
        g_assert_cmpuint(table_text_width(ratio), <=, 5);
        value *= 1.37;
    }
    for (guint64 count = 1; count < G_MAXUINT64 / 3; count = count * 3 / 2 + 1) {
        g_autofree char *text = unit_count(count);
        g_assert_cmpuint(table_text_width(text), <=, 5);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/units/time", test_time);
    g_test_add_func("/units/count-ratio-bytes-digits", test_count_ratio_bytes_digits);
    g_test_add_func("/units/widths", test_widths);
    return g_test_run();
}
