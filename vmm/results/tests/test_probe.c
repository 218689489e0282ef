/* SPDX-License-Identifier: MIT */
/* The probe's document and table. */
#include <string.h>

#include <json-glib/json-glib.h>

#include "fixture.h"
#include "results/probe_json.h"
#include "results/probe_table.h"

static GPtrArray *
rows(void)
{
    GPtrArray *all = g_ptr_array_new_with_free_func((GDestroyNotify)probe_row_free);
    g_ptr_array_add(all, probe_row_new("kvm-bitmap", "shmem", TRUE, NULL, NULL));
    g_ptr_array_add(all, probe_row_new("kvm-bitmap", "hugetlb-1G", FALSE, "the pool of 1 GiB pages is empty",
                                       "echo 1 > /sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages"));
    g_ptr_array_add(all, probe_row_new("soft-dirty", "shmem", FALSE, "this kernel has no soft-dirty bits", NULL));
    g_ptr_array_add(all, probe_row_new("soft-dirty", "hugetlb-1G", FALSE, "this kernel has no soft-dirty bits", NULL));
    return all;
}

static void
test_json(void)
{
    g_autoptr(GPtrArray) all = rows();
    g_autoptr(DocumentInfo) info = fixture_info();
    g_autoptr(JsonParser) parser = json_parser_new();
    g_autoptr(GError) error = NULL;
    g_autofree char *text = probe_json_write(all, info);

    json_parser_load_from_data(parser, text, -1, &error);
    g_assert_no_error(error);
    JsonObject *root = json_node_get_object(json_parser_get_root(parser));
    g_assert_cmpstr(json_object_get_string_member(root, "schema"), ==, "dirtylab.probe/1");
    JsonArray *results = json_object_get_array_member(root, "results");
    g_assert_cmpuint(json_array_get_length(results), ==, 4);
    JsonObject *second = json_array_get_object_element(results, 1);
    g_assert_false(json_object_get_boolean_member(second, "supported"));
    g_assert_cmpstr(json_object_get_string_member(second, "reason"), ==, "the pool of 1 GiB pages is empty");
    g_assert_true(json_object_get_null_member(json_array_get_object_element(results, 0), "reason"));
}

static void
test_table(void)
{
    g_autoptr(GPtrArray) all = rows();
    g_autoptr(DocumentInfo) info = fixture_info();
    g_autoptr(GString) out = g_string_new(NULL);

    probe_table_text(all, info, "uid 0", 80, out);
    g_test_message("\n%s", out->str);
    g_assert_nonnull(strstr(out->str, "tracker     shmem   hugetlb-1G\n"
                                      "kvm-bitmap  yes     no (1)\n"
                                      "soft-dirty  no (2)  no (2)\n"));
    g_assert_nonnull(strstr(out->str, "(1) the pool of 1 GiB pages is empty; remedy: echo 1 >\n"));
    g_assert_nonnull(strstr(out->str, "(2) this kernel has no soft-dirty bits\n"));
    g_assert_nonnull(strstr(out->str, "Privileges: uid 0\n"));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/probe/json", test_json);
    g_test_add_func("/probe/table", test_table);
    return g_test_run();
}
