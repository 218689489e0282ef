/* SPDX-License-Identifier: MIT */
/* What follows from a result's counts: soundness above all. */
#include "fixture.h"

static void
test_names_are_those_of_the_json(void)
{
    g_assert_cmpstr(extra_cause_name(EXTRA_FIRST_HARVEST), ==, "first_harvest");
    g_assert_cmpstr(extra_cause_name(EXTRA_UNEXPLAINED), ==, "unexplained");
    g_assert_cmpstr(bench_status_name(BENCH_INTERRUPTED), ==, "interrupted");
    g_assert_cmpstr(cost_name(COST_GUEST_NS_PER_FIRST_WRITE), ==, "guest_ns_per_first_write");
}

static void
test_amplification(void)
{
    AccuracyResult accuracy = {.reported_pages = 512};
    g_assert_true(accuracy_amplification(&accuracy) == 0);
    accuracy.written_pages = 4;
    g_assert_true(accuracy_amplification(&accuracy) == 128);
    accuracy.extra[EXTRA_GRANULARITY] = 500;
    accuracy.extra[EXTRA_UNEXPLAINED] = 8;
    g_assert_cmpuint(accuracy_extra_pages(&accuracy), ==, 508);
}

static void
test_sound(void)
{
    g_autoptr(BenchResult) result = fixture_measured("kvm-bitmap", "shmem", 1);
    AccuracyResult *replica = fixture_accuracy(result, 1);

    replica->extra[EXTRA_GRANULARITY] = 7;
    g_assert_true(bench_result_is_sound(result));
    replica->missed_pages = replica->expected_missed_pages = 5;
    g_assert_true(bench_result_is_sound(result));
    result->status = BENCH_UNSUPPORTED;
    g_assert_true(bench_result_is_sound(result));
}

static void
test_undeclared_miss_is_unsound(void)
{
    g_autoptr(BenchResult) result = fixture_measured("kvm-bitmap", "shmem", 1);
    fixture_accuracy(result, 1)->missed_pages = 1;
    g_assert_false(bench_result_is_sound(result));
}

static void
test_declared_miss_that_does_not_occur_is_unsound(void)
{
    g_autoptr(BenchResult) result = fixture_measured("kvm-bitmap", "shmem", 1);
    fixture_accuracy(result, 0)->expected_missed_pages = 1;
    g_assert_false(bench_result_is_sound(result));
}

static void
test_unexplained_extra_is_unsound(void)
{
    g_autoptr(BenchResult) result = fixture_measured("kvm-bitmap", "shmem", 1);
    fixture_accuracy(result, 0)->extra[EXTRA_UNEXPLAINED] = 1;
    g_assert_false(bench_result_is_sound(result));
}

static void
test_failure_is_unsound(void)
{
    g_autoptr(BenchResult) result = fixture_measured("kvm-bitmap", "shmem", 1);
    result->status = BENCH_FAILED;
    g_assert_false(bench_result_is_sound(result));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/bench-result/names-are-those-of-the-json", test_names_are_those_of_the_json);
    g_test_add_func("/bench-result/amplification", test_amplification);
    g_test_add_func("/bench-result/sound", test_sound);
    g_test_add_func("/bench-result/undeclared-miss-is-unsound", test_undeclared_miss_is_unsound);
    g_test_add_func("/bench-result/declared-miss-that-does-not-occur-is-unsound",
                    test_declared_miss_that_does_not_occur_is_unsound);
    g_test_add_func("/bench-result/unexplained-extra-is-unsound", test_unexplained_extra_is_unsound);
    g_test_add_func("/bench-result/failure-is-unsound", test_failure_is_unsound);
    return g_test_run();
}
