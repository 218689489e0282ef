/* SPDX-License-Identifier: MIT */
/* The plan: the product of the lists, less what makes no sense, with a verdict of the host on each tracker and RAM kind. */
#include "bench/plan.h"

#include "bench/host_check.h"

/* Ring 0 may be emulated, at some µs a store: unless asked otherwise, a pass stays small. */
#define RING0_PAGES 512

void
bench_options_init(BenchOptions *options)
{
    *options = (BenchOptions){
        .memory_bytes = UINT64_C(256) << 20,
        .vcpus = 1,
        .pages_percent = 10,
        .passes = 5,
        .runs = 3,
        .warmup = 1,
        .seed = 1,
        .handler_cpu = -1,
        .with_write_list = TRUE,
        .with_replica = TRUE,
    };
    PlanList *lists[] = {&options->trackers, &options->rams, &options->writers, &options->patterns};
    for (guint i = 0; i < G_N_ELEMENTS(lists); i++)
        lists[i]->values = g_array_new(FALSE, FALSE, sizeof(guint));
}

void
bench_options_clear(BenchOptions *options)
{
    g_array_unref(options->trackers.values);
    g_array_unref(options->rams.values);
    g_array_unref(options->writers.values);
    g_array_unref(options->patterns.values);
}

void
bench_options_quick(BenchOptions *options)
{
    options->memory_bytes = UINT64_C(128) << 20;
    options->passes = 3;
    options->runs = 2;
    options->warmup = 0;
}

/* --- cases --- */

static void
free_case(gpointer user)
{
    PlanCase *plan_case = user;

    bench_result_free(plan_case->result);
    g_free(plan_case);
}

void
plan_free(Plan *plan)
{
    g_ptr_array_unref(plan->cases);
    g_free(plan);
}

static const char *
handler_name(const LabConfig *lab, char *buffer, gsize size)
{
    switch (lab->handler) {
    case HANDLER_SAME:
        return "same";
    case HANDLER_OTHER:
        return "other";
    default:
        g_snprintf(buffer, (gulong)size, "%u", lab->handler_cpu);
        return buffer;
    }
}

static void
describe(const LabConfig *lab, const BenchOptions *options, BenchResult *result)
{
    char cpu[16];

    result->tracker = g_strdup(lab->facts->name);
    result->ram = g_strdup(dl_ram_kind_name(lab->ram));
    result->writer = g_strdup(writer_name(lab->writer));
    result->pattern = g_strdup(lab->writer == WRITER_KVM ? "kvmclock" : pattern_name(lab->pattern));
    if (g_str_equal(lab->facts->name, "uffd-wp"))
        result->handler_cpu = g_strdup(handler_name(lab, cpu, sizeof cpu));
    result->unit_bytes = dl_tracker_unit(lab->facts, lab->ram);
    result->memory_bytes = lab->memory_bytes;
    result->vcpus = lab->vcpus;
    result->pages = lab->pages;
    result->passes = lab->passes;
    result->runs = options->runs;
    result->warmup = options->warmup;
}

void
plan_list_complete(const PlanList *list, guint n_values, GArray *out)
{
    for (guint i = 0; list->all && i < n_values; i++)
        g_array_append_val(out, i);
    if (!list->all)
        g_array_append_vals(out, list->values->data, list->values->len);
}

guint64
plan_pages(const BenchOptions *options, Writer writer, guint pattern)
{
    struct abi_arena arena;
    guint64 pages = options->pages;

    if (!pages) {
        stage_arena(options->memory_bytes, &arena);
        pages = MAX(UINT64_C(1), (guint64)((double)abi_arena_pages(&arena) * options->pages_percent / 100));
        if (writer == WRITER_GUEST_RING0)
            pages = MIN(pages, RING0_PAGES);
    }
    return stage_clamp_pages(writer, pattern, pages, options->memory_bytes, options->vcpus);
}

/* Why a combination makes no sense on any host; NULL: it does. */
static const char *
nonsense(Writer writer, guint pattern, guint nth_pattern)
{
    if (writer == WRITER_KVM)
        return nth_pattern ? "KVM writes its clock pages and knows no pattern" : NULL;
    if (!writer_is_guest(writer) && pattern == ABI_READ)
        return "a host-side writer that only reads dirties nothing and takes no guest fault";
    return NULL;
}

static gboolean
add_case(Plan *plan, HostCheck *host, const BenchOptions *options, const LabConfig *lab, GError **error)
{
    const DlProbe *probe = host_check_tracker(host, lab->facts, lab->ram);
    gboolean by_name = !options->trackers.all && !options->rams.all;
    PlanCase *plan_case;

    if (!probe->supported && by_name) {
        host_check_refuse(lab->facts, lab->ram, probe, error);
        return FALSE;
    }
    plan_case = g_new0(PlanCase, 1);
    plan_case->lab = *lab;
    plan_case->result = bench_result_new();
    plan_case->runnable = probe->supported;
    describe(lab, options, plan_case->result);
    if (!probe->supported) {
        plan_case->result->status = BENCH_UNSUPPORTED;
        plan_case->result->reason = host_check_reason(probe);
    }
    plan->n_runnable += plan_case->runnable;
    g_ptr_array_add(plan->cases, plan_case);
    return TRUE;
}

/* A tracker without a handler thread has one case, uffd-wp one for each place asked for. */
static gboolean
add_handlers(Plan *plan, HostCheck *host, const BenchOptions *options, LabConfig *lab, GError **error)
{
    gboolean any = options->handler_same || options->handler_other || options->handler_cpu >= 0;

    lab->handler = HANDLER_SAME;
    if (!any || !g_str_equal(lab->facts->name, "uffd-wp"))
        return add_case(plan, host, options, lab, error);
    if (options->handler_same && !add_case(plan, host, options, lab, error))
        return FALSE;
    lab->handler = HANDLER_OTHER;
    if (options->handler_other && !add_case(plan, host, options, lab, error))
        return FALSE;
    lab->handler = HANDLER_CPU;
    lab->handler_cpu = (guint)MAX(options->handler_cpu, 0);
    return options->handler_cpu < 0 || add_case(plan, host, options, lab, error);
}

static gboolean
add_workloads(Plan *plan, HostCheck *host, const BenchOptions *options, LabConfig *lab, GError **error)
{
    for (guint w = 0; w < options->writers.values->len; w++) {
        lab->writer = (Writer)g_array_index(options->writers.values, guint, w);
        for (guint p = 0; p < options->patterns.values->len; p++) {
            lab->pattern = g_array_index(options->patterns.values, guint, p);
            if (nonsense(lab->writer, lab->pattern, p))
                continue;
            lab->pages = plan_pages(options, lab->writer, lab->pattern);
            if (!add_handlers(plan, host, options, lab, error))
                return FALSE;
        }
    }
    return TRUE;
}

static gboolean
add_all(Plan *plan, HostCheck *host, const BenchOptions *options, LabConfig *lab, GError **error)
{
    g_autoptr(GArray) trackers = g_array_new(FALSE, FALSE, sizeof(guint));
    g_autoptr(GArray) rams = g_array_new(FALSE, FALSE, sizeof(guint));

    plan_list_complete(&options->trackers, dl_n_trackers(), trackers);
    plan_list_complete(&options->rams, DL_N_RAM_KINDS, rams);
    for (guint r = 0; r < rams->len; r++) {
        for (guint t = 0; t < trackers->len; t++) {
            lab->ram = (DlRamKind)g_array_index(rams, guint, r);
            lab->facts = dl_tracker_facts(g_array_index(trackers, guint, t));
            if (!add_workloads(plan, host, options, lab, error))
                return FALSE;
        }
    }
    return TRUE;
}

/* What was named and can be had in no case at all is an error, even where `all` stands beside it. */
static gboolean
check_named(const Plan *plan, const BenchOptions *options, GError **error)
{
    if (plan->cases->len && !plan->n_runnable) {
        const PlanCase *first = g_ptr_array_index(plan->cases, 0);
        g_set_error(error, DL_ERROR, DL_ERROR_UNSUPPORTED, "none of this is to be had here: %s on %s: %s", first->result->tracker,
                    first->result->ram, first->result->reason);
        return FALSE;
    }
    for (guint i = 0; i < plan->cases->len; i++) {
        const PlanCase *one = g_ptr_array_index(plan->cases, i);
        gboolean tracker_runs = options->trackers.all, ram_runs = options->rams.all;

        for (guint j = 0; j < plan->cases->len; j++) {
            const PlanCase *other = g_ptr_array_index(plan->cases, j);
            tracker_runs = tracker_runs || (other->runnable && other->lab.facts == one->lab.facts);
            ram_runs = ram_runs || (other->runnable && other->lab.ram == one->lab.ram);
        }
        if (!tracker_runs || !ram_runs) {
            g_set_error(error, DL_ERROR, DL_ERROR_UNSUPPORTED, "%s is not to be had here: %s",
                        tracker_runs ? one->result->ram : one->result->tracker, one->result->reason);
            return FALSE;
        }
    }
    return TRUE;
}

Plan *
plan_new(const BenchOptions *options, GError **error)
{
    g_autoptr(Plan) plan = g_new0(Plan, 1);
    g_autoptr(HostCheck) host = host_check_new(options->memory_bytes, options->with_replica ? options->memory_bytes : 0);
    LabConfig lab = {.memory_bytes = options->memory_bytes,
                     .vcpus = options->vcpus,
                     .passes = options->passes,
                     .seed = options->seed,
                     .with_write_list = options->with_write_list,
                     .with_replica = options->with_replica};

    plan->cases = g_ptr_array_new_with_free_func(free_case);
    if (!host_check_vcpus(options->vcpus, error) || !add_all(plan, host, options, &lab, error) ||
        !check_named(plan, options, error))
        return NULL;
    return g_steal_pointer(&plan);
}

/* Booting and populating go by RAM, passes by RAM (the replica) and by writes; the constants are a slow host's. */
double
plan_estimate_seconds(const Plan *plan, const BenchOptions *options)
{
    double gib = (double)options->memory_bytes / (double)(1 << 30), seconds = 0;

    for (guint i = 0; i < plan->cases->len; i++) {
        const PlanCase *plan_case = g_ptr_array_index(plan->cases, i);
        double write_us = g_str_equal(plan_case->lab.facts->name, "uffd-wp") ? 150 : 10;
        double writes = (double)plan_case->lab.pages * (plan_case->lab.pattern == ABI_HOTSPOT ? 1.5 : 1);
        double run =
            0.1 + 1.5 * gib + plan_case->lab.passes * (0.4 * gib * plan_case->lab.with_replica + writes * write_us / 1e6);
        seconds += plan_case->runnable ? run * (options->runs + options->warmup) : 0;
    }
    return seconds;
}
