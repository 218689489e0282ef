/* SPDX-License-Identifier: MIT */
/* The list of saved sections. */
#include <machine/private.h>
#include <machine/section.h>
#include <string.h>

typedef struct {
    const SectionClass *class;
    gpointer user;
} Section;

GArray *
machine_sections_new(void)
{
    return g_array_new(FALSE, FALSE, sizeof(Section));
}

void
machine_add_section(Machine *machine, const SectionClass *class, gpointer user)
{
    Section section = {class, user};

    g_assert(strlen(class->name) <= SECTION_NAME_MAX);
    for (guint i = 0; i < machine->sections->len; i++)
        g_assert(!g_str_equal(g_array_index(machine->sections, Section, i).class->name, class->name));
    g_array_append_val(machine->sections, section);
}

guint
machine_n_sections(Machine *machine)
{
    return machine->sections->len;
}

const SectionClass *
machine_section(Machine *machine, guint index, gpointer *user)
{
    g_return_val_if_fail(index < machine->sections->len, NULL);
    const Section *section = &g_array_index(machine->sections, Section, index);

    *user = section->user;
    return section->class;
}

/* The first @n go on, the last first. */
static void
unquiesce(Machine *machine, guint n)
{
    while (n--) {
        const Section *section = &g_array_index(machine->sections, Section, n);
        if (section->class->unquiesce)
            section->class->unquiesce(section->user);
    }
}

gboolean
machine_quiesce(Machine *machine, GError **error)
{
    for (guint i = 0; i < machine->sections->len; i++) {
        const Section *section = &g_array_index(machine->sections, Section, i);
        if (section->class->quiesce && !section->class->quiesce(section->user, error)) {
            unquiesce(machine, i);
            return FALSE;
        }
    }
    return TRUE;
}

void
machine_unquiesce(Machine *machine)
{
    unquiesce(machine, machine->sections->len);
}
