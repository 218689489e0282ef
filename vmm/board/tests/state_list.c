/* SPDX-License-Identifier: MIT */
#include "state_list.h"

static void
free_section(gpointer data)
{
    SavedSection *section = data;

    g_free(section->name);
    g_byte_array_unref(section->bytes);
    g_free(section);
}

StateList *
state_list_save(Machine *machine)
{
    StateList *list = g_ptr_array_new_with_free_func(free_section);

    for (guint i = 0; i < machine_n_sections(machine); i++) {
        SavedSection *section = g_new0(SavedSection, 1);
        g_autoptr(GError) error = NULL;
        gpointer user;
        const SectionClass *class = machine_section(machine, i, &user);
        section->name = g_strdup(class->name);
        section->version = class->version;
        section->bytes = g_byte_array_new();
        g_ptr_array_add(list, section);
        machine_save_section(machine, i, section->bytes, &error);
        g_assert_no_error(error);
    }
    return list;
}

void
state_list_load(const StateList *list, Machine *machine)
{
    for (guint i = 0; i < list->len; i++) {
        const SavedSection *section = list->pdata[i];
        g_autoptr(GError) error = NULL;
        machine_load_section(machine, section->name, section->version, section->bytes->data, section->bytes->len, &error);
        g_assert_no_error(error);
    }
}

void
state_list_free(StateList *list)
{
    g_ptr_array_unref(list);
}
