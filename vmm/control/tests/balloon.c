/* SPDX-License-Identifier: MIT */
/* The balloon by QMP; what the device does with it is devices/tests/balloon.c's. */
#include "stage.h"

#include <linux/virtio_mmio.h>
#include <machine/platform.h>

#define MIB (INT64_C(1) << 20)
#define ENDLESS "pattern=idle passes=0 quiet=1"
#define CONFIG_GPA (PLATFORM_VIRTIO_BASE + (PLATFORM_VIRTIO_SLOTS - 1) * PLATFORM_VIRTIO_STRIDE + VIRTIO_MMIO_CONFIG)

static guint64
register_at(const Stage *stage, guint64 gpa)
{
    guint64 value;

    g_assert_true(bus_read(machine_bus(board_machine(stage->run->board)), BUS_MMIO, 0, gpa, 4, &value));
    return value;
}

static void
test_target(void)
{
    g_autoptr(Stage) stage = stage_new((BoardConfig){.memory_bytes = 16 * MIB, .vcpus = 1, .balloon = TRUE}, ENDLESS, NULL);
    g_autoptr(QmpClient) client = qmp_client_new(stage->path);

    g_autoptr(JsonNode) done = qmp_client_must(client, "balloon", "{\"value\": 12582912}");
    g_assert_cmpuint(register_at(stage, CONFIG_GPA), ==, 4 * MIB / 4096);
    /* this guest has no driver: it has all it ever had */
    g_autoptr(JsonNode) answer = qmp_client_must(client, "query-balloon", NULL);
    g_assert_cmpint(qmp_int(answer, "actual"), ==, 16 * MIB);
    g_autoptr(JsonNode) more = qmp_client_must(client, "balloon", "{\"value\": 9223372036854775807}");
    g_assert_cmpuint(register_at(stage, CONFIG_GPA), ==, 0);
    qmp_client_must_fail(client, "balloon", "{\"value\": 0}", "GenericError", "more than 0");
    qmp_client_must_fail(client, "balloon", "{\"value\": -1}", "GenericError", "more than 0");
    qmp_client_must_fail(client, "balloon", "{\"value\": \"1G\"}", "GenericError", "value");
    qmp_client_must_fail(client, "balloon", NULL, "GenericError", "value");
}

static void
test_no_balloon(void)
{
    g_autoptr(Stage) stage = stage_new((BoardConfig){.memory_bytes = 16 * MIB, .vcpus = 1}, ENDLESS, NULL);
    g_autoptr(QmpClient) client = qmp_client_new(stage->path);

    qmp_client_must_fail(client, "balloon", "{\"value\": 8388608}", "DeviceNotActive", "no balloon");
    qmp_client_must_fail(client, "query-balloon", NULL, "DeviceNotActive", "no balloon");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/balloon/target", test_target);
    g_test_add_func("/balloon/none", test_no_balloon);
    return g_test_run();
}
